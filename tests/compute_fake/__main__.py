"""``python -m compute_fake``: the fake as a process. It prints its endpoint and serves until it is told to stop."""

from __future__ import annotations

import argparse
import signal
import threading

from .fake import ZONES, serve


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="compute_fake", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; 0, the default, takes a free one")
    parser.add_argument("--project", default="shop", help="name of the project (default: shop)")
    parser.add_argument(
        "--zone", action="append", help=f"a zone that there is; may be repeated (default: {' '.join(ZONES)})"
    )
    parser.add_argument(
        "--latency", type=float, default=0.0, help="seconds that every answer takes longer (default: 0)"
    )
    parser.add_argument("--operation-polls", type=int, default=1, help="polls that an operation takes (default: 1)")
    parser.add_argument("--service-account", metavar="FILE", help="write a service account's file for it")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with serve(options.project, options.zone or ZONES, port=options.port, latency=options.latency) as fake:
        fake.operation_polls = options.operation_polls
        if options.service_account:
            fake.service_account(options.service_account)
        print(fake.endpoint, flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
