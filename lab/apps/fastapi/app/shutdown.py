"""The shutdown under way: whether it has begun, and what is left of its time."""

import time

from app.settings import SHUTDOWN_TIMEOUT


class Shutdown:
    """State of the process's shutdown."""

    def __init__(self) -> None:
        self._deadline: float | None = None

    def begin(self) -> None:
        """Start the clock; a second call does not restart it."""
        self._deadline = self._deadline or time.monotonic() + SHUTDOWN_TIMEOUT

    @property
    def begun(self) -> bool:
        """Whether the process is to take nothing new."""
        return self._deadline is not None

    @property
    def remaining(self) -> float:
        """Seconds left; 0 once the deadline has passed."""
        return SHUTDOWN_TIMEOUT if self._deadline is None else max(0.0, self._deadline - time.monotonic())


shutdown = Shutdown()
