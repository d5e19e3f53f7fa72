"""The server process: `python -m app`."""

import signal
import sys
from types import FrameType

import uvicorn

from app import logs, settings
from app.shutdown import shutdown


class Server(uvicorn.Server):
    """uvicorn, with the shutdown made known to the rest of the process."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown when the signal comes, not once the requests are done."""
        shutdown.begin()
        super().handle_exit(sig, frame)


def main() -> int:
    """Serve until told to stop; 0 if everything in flight was finished."""
    logs.configure()
    # uvicorn raises the signal again once it has drained: with the default handler a clean stop would look like a kill.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    Server(
        uvicorn.Config(
            "app.main:app",
            host="0.0.0.0",
            port=settings.PORT,
            log_config=None,
            access_log=False,
            server_header=False,
            # Longer than the idle time of nginx's upstream connections (60 s): the side that sends requests must
            # close first, or a request meets a connection that is just being closed.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=settings.SHUTDOWN_TIMEOUT,
        )
    ).run()
    # Without a shutdown the server ended because it could not start; with no time left something was cut.
    return 0 if shutdown.begun and shutdown.remaining else 1


if __name__ == "__main__":
    sys.exit(main())
