"""Send a load until standard input ends, or the bound in time or number is reached; a JSON line for each request."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping

from .http1 import Origin
from .record import Sink, now
from .workers import Client, everyone

KINDS: Mapping[str, str] = {
    "get": "connections that ask over and over by GET",
    "post": "connections that ask by POST, and never send one again",
    "http2": "streams of the one connection of HTTP/2",
    "slow-body": "connections that send their body slowly",
    "slow-read": "connections that read the answer slowly",
    "slow-answer": "connections that ask for what takes two seconds",
    "sse": "sessions of server-sent events",
    "websocket": "WebSocket sessions",
}
GRACE = 20  # seconds that what is under way may take in the end


async def run(options: argparse.Namespace) -> int:
    """Send the load."""
    sink = Sink()
    client = Client(Origin(options.origin), options.apps.split(","), sink, options.requests)
    loop = asyncio.get_running_loop()
    loop.call_later(options.seconds, client.over.set)
    if not options.no_input:
        loop.run_in_executor(None, lambda: (sys.stdin.read(), loop.call_soon_threadsafe(client.over.set)))
    counts = {kind: getattr(options, kind.replace("-", "_")) for kind in KINDS}
    writing = asyncio.create_task(sink.run())
    sink.say({"begun": now()})
    clients = [asyncio.ensure_future(one) for one in everyone(client, counts, options.rate)]
    await client.over.wait()
    _, late = await asyncio.wait(clients, timeout=GRACE)
    for one in late:
        one.cancel()
    failures = [repr(result) for result in await asyncio.gather(*clients, return_exceptions=True) if result]
    writing.cancel()
    sink.say({"ended": now(), "records": sink.count, "late": len(late), "failures": failures})
    sink.flush()
    return 1 if failures else 0


def main() -> None:
    """Read the options, and send the load."""
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--origin", default="https://www.protostar.test", help="scheme, host and port")
    parser.add_argument("--apps", default="nest,fastapi", help="who is asked, in turns (default nest,fastapi)")
    parser.add_argument("--rate", type=float, default=10, help="requests a second of each; 0: as many as are answered")
    parser.add_argument("--seconds", type=float, default=600, help="at most this long (default 600)")
    parser.add_argument("--requests", type=int, default=1_000_000, help="at most so many (default a million)")
    parser.add_argument("--no-input", action="store_true", help="do not end with standard input")
    for kind, text in KINDS.items():
        parser.add_argument(f"--{kind}", type=int, default=0, help=text)
    with contextlib.suppress(KeyboardInterrupt):
        code = asyncio.run(run(parser.parse_args()))
        # The thread that reads standard input may wait for ever.
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
