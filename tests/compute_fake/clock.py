"""The fake's time: the machine's, plus what a test added to it."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

PACIFIC = timezone(timedelta(hours=-8))  # Google writes its times so


class Clock:
    """A clock that a test can advance.

    Attributes:
        offset: Seconds that it is ahead of the machine's clock.
    """

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        return time.time() + self.offset

    def advance(self, seconds: float) -> None:
        """Let time pass without waiting."""
        self.offset += seconds

    def stamp(self) -> str:
        """Return the time as Google writes it, as in ``2026-01-31T00:00:00.000-08:00``."""
        return datetime.fromtimestamp(self.now(), PACIFIC).isoformat(timespec="milliseconds")
