"""What became of each request and session: one JSON object a line."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass

FLUSH = 0.25  # seconds


class Lost(Exception):
    """A request got no whole answer; the text is one word for how."""


@dataclass
class Record:
    """A request, or a session.

    Attributes:
        kind: get, post, http2, slow-body, slow-read, slow-answer, sse or websocket.
        app: The application that was asked.
        start: When its first byte was handed to the system, in seconds since the epoch.
        end: When the last byte of the answer was read, or the failure was seen.
        status: HTTP status, 0 without an answer.
        version: Who answered, by the header x-app-version; empty if no application did.
        colour: The same by x-app-colour.
        failed: How it failed: connect, unanswered, reset, truncated, timeout, status; empty if it did not.
        reused: Whether the connection had served a request before.
        retries: Streams of HTTP/2 that the server declared unprocessed, and that were sent again.
        events: Messages of a session.
        reason: How a session ended: by us (stopped, deadline), by the server (end, or a close code), cut.

    """

    kind: str
    app: str
    start: float = 0.0
    end: float = 0.0
    status: int = 0
    version: str = ""
    colour: str = ""
    failed: str = ""
    reused: bool = False
    retries: int = 0
    events: int = 0
    reason: str = ""

    def answered(self, status: int, headers: dict[str, str]) -> None:
        """Take over what the head of an answer says."""
        self.status = status
        self.version = headers.get("x-app-version", "")
        self.colour = headers.get("x-app-colour", "")


class Sink:
    """Standard output, written in portions: a system call for each request would cost more than the request."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self.count = 0

    def add(self, record: Record) -> None:
        """Write a record."""
        self.count += 1
        self.say({name: value for name, value in asdict(record).items() if value})

    def say(self, line: dict[str, object]) -> None:
        """Write any object."""
        self._lines.append(json.dumps(line, separators=(",", ":")))

    def flush(self) -> None:
        """Write what waits."""
        if self._lines:
            sys.stdout.write("\n".join(self._lines) + "\n")
            sys.stdout.flush()
            self._lines.clear()

    async def run(self) -> None:
        """Write what waits, from time to time."""
        while True:
            await asyncio.sleep(FLUSH)
            self.flush()


def now() -> float:
    """Return the seconds since the epoch, which all machines of the lab count alike."""
    return round(time.time(), 6)
