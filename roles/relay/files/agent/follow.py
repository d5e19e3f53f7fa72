# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Following the metadata key, and reporting to the guest attribute, each in a thread that may wait."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import metadata
from bundle import parse
from errors import Failed, Refused
from machine import Machine
from metadata import Metadata, Unreachable, Value

# Seconds between attempts after a failure: doubled each time, and shortened by chance so that nothing runs in step.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# Seconds between answers that come at once although nothing changed.
SHORTEST_ROUND = 1.0
REPORT_AGAIN = 60.0


class Follower:
    """Takes each new value of the metadata key.

    Args:
        machine: For the log.
        client: Of the metadata server.
        deliver: Called with each new bundle; raises Refused or Failed.
        stop: Set when the agent ends.

    """

    def __init__(
        self, machine: Machine, client: Metadata, deliver: Callable[[bytes], None], stop: threading.Event
    ) -> None:
        self.machine = machine
        self.client = client
        self.deliver = deliver
        self.stop = stop
        self.trouble = ""  # why the source cannot be read
        self._etag = metadata.NO_ETAG
        self._pause = FIRST_PAUSE
        self._said = ""
        self._data: bytes | None = None  # what was taken last

    def run(self) -> None:
        """Follow until told to stop."""
        while not self.stop.is_set():
            self.stop.wait(self.once())

    def once(self) -> float:
        """Wait for one answer and deliver it. Return the seconds until the next request."""
        started = self.machine.monotonic()
        try:
            value = self.client.follow(self._etag)
        except Unreachable as error:
            self._say(f"The last good bundle serves on: {error}.")
            self.trouble = str(error)
            self._etag = metadata.NO_ETAG
            return self._later()
        if self.trouble:
            self._say("The metadata server answers again.")
        self.trouble = ""
        return self._taken(value, started)

    def _taken(self, value: Value, started: float) -> float:
        try:
            if value.data != self._data:
                self.deliver(value.data)
        except Failed as error:
            # The machine's fault, which passes: the same bundle again, later.
            self._say(str(error))
            return self._later()
        except Refused as error:
            self._say(str(error))
            if not _whole(value.data):
                # Perhaps half of a good one, which would come under the same ETag.
                return self._later()
        self._pause = FIRST_PAUSE
        self._data = value.data
        self._etag = value.etag or metadata.NO_ETAG
        if not value.etag:
            return LONGEST_PAUSE
        return max(0.0, SHORTEST_ROUND - (self.machine.monotonic() - started))

    def _say(self, sentence: str) -> None:
        """Log what was not said last."""
        if self._said != sentence:
            self.machine.log(sentence)
        self._said = sentence

    def _later(self) -> float:
        pause, self._pause = self._pause, min(LONGEST_PAUSE, 2 * self._pause)
        return pause * random.uniform(0.5, 1.0)


def _whole(data: bytes) -> bool:
    try:
        parse(data)
    except Refused:
        return False
    return True


class Reporter:
    """Sends each new report, and the newest again every minute."""

    def __init__(self, machine: Machine, client: Metadata, stop: threading.Event) -> None:
        self.machine = machine
        self.client = client
        self.stop = stop
        self._news = threading.Event()
        self._report = b""
        self._trouble = ""

    def tell(self, report: bytes) -> None:
        """Send a report soon."""
        self._report = report
        self._news.set()

    def run(self) -> None:
        """Report until told to stop."""
        while not self.stop.is_set():
            self._news.wait(REPORT_AGAIN)
            self._news.clear()
            if self._report and not self.stop.is_set():
                self.once()

    def once(self) -> None:
        """Send the newest report."""
        try:
            self.client.report(self._report)
        except Unreachable as error:
            if self._trouble != str(error):
                self.machine.log(f"The status is not reported: {error}.")
            self._trouble = str(error)
        else:
            self._trouble = ""

    def end(self) -> None:
        """Wake the thread up, to stop."""
        self._news.set()
