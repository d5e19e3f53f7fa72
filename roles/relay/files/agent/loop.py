# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The daemon: every 15 seconds it repairs, counts, opens or closes the line, and says how things are."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any

import bundle as bundles
import files
import line
import metrics
import state
import status
import transaction
from errors import Failed, Refused
from follow import Follower, Reporter
from lock import locked
from machine import Machine
from metadata import Metadata
from parts import Parts
from repair import repair

INTERVAL = 15.0
# Seconds between attempts to repair what cannot be: doubled each time.
LONGEST_PAUSE = 60.0


class Agent:
    """The daemon of one machine."""

    def __init__(self, machine: Machine, environment: Mapping[str, str]) -> None:
        self.machine = machine
        self.parts = Parts(machine)
        self.stop = threading.Event()
        self._wake = threading.Event()  # to do the next round at once
        self.follower: Follower | None = None
        self.reporter: Reporter | None = None
        self.trouble = ""  # with the agent's own settings
        self._said = ""
        self._well = True
        self._repair_at = 0.0
        self._pause = INTERVAL
        if self._source() == "metadata":
            client = Metadata(environment, bundles.LARGEST)
            self.follower = Follower(machine, client, self.deliver, self.stop)
            self.reporter = Reporter(machine, client, self.stop)

    def run(self) -> bool:
        """Work until SIGTERM or SIGINT. What was counted until then is kept. Return whether all threads were well."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.end())
        for worker in (self.follower, self.reporter):
            if worker:
                threading.Thread(target=self._work, args=[worker.run], daemon=True).start()
        with locked(self.machine.paths):
            self.parts.tidy()
        while not self.stop.is_set():
            self._wake.clear()
            self.tick()
            if not self.stop.is_set():
                self._wake.wait(INTERVAL)
        if self.reporter:
            self.reporter.end()
        # A transaction of the follower ends first: it holds the lock.
        with locked(self.machine.paths):
            self.parts.meter.take()
        return self._well

    def _work(self, run: Callable[[], None]) -> None:
        """Run a thread, whose death ends the agent: systemd starts a whole one."""
        try:
            run()
        except Exception as error:
            self._well = False
            self.machine.log(f"The agent starts anew after an error of its own: {error!r}.")
            self.end()

    def end(self) -> None:
        """Stop after the round that is under way."""
        self.stop.set()
        self._wake.set()

    def tick(self) -> None:
        """Do one round. Whatever goes wrong is said, and tried again by the next."""
        try:
            with locked(self.machine.paths):
                report = self._round()
                metrics.write(self.machine, metrics.collect(self.machine, self.parts, report))
            if self.reporter:
                self.reporter.tell(json.dumps(report, sort_keys=True).encode())
        except (Failed, OSError) as error:
            self._say(f"{error}.")

    def deliver(self, data: bytes) -> None:
        """Take a bundle from the metadata, unless it was refused before.

        Raises:
            Refused: It is refused, now or before.
            Failed: It cannot be put in force now.

        """
        version = bundles.version_of_text(data)
        try:
            self._take(version, data)
        except OSError as error:
            raise Failed(f"Bundle {version} cannot be taken ({error}): the last good one serves on.") from error
        finally:
            self._wake.set()

    def _take(self, version: str, data: bytes) -> None:
        with locked(self.machine.paths):
            before = status.rejected(self.machine)
            if before and before["version"] == version:
                raise Refused(before["reason"])
            try:
                bundle = bundles.parse(data)
            except Refused as error:
                status.reject(self.machine, version, str(error))
                raise
            self.machine.log(transaction.apply(self.machine, bundle))

    def _round(self) -> dict[str, Any]:
        bundle = state.last_good(self.machine.paths)
        if bundle and self.machine.monotonic() >= self._repair_at:
            self._repair(bundle)
        sums = self.parts.meter.take()
        try:
            line.settle(self.machine, self.parts.nginx, bundle, sums.bytes)
        except Failed as error:
            self._say(f"{error}.")
        source = self.follower.trouble if self.follower else self.trouble
        return status.report(self.machine, self.parts, sums, source)

    def _repair(self, bundle: bundles.Bundle) -> None:
        try:
            repaired = repair(self.machine, self.parts, bundle)
        except Failed as error:
            self._say(str(error))
            self._repair_at = self.machine.monotonic() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
            return
        self._pause = INTERVAL
        if repaired:
            self._say(f"Restored from bundle {bundle.version}: {', '.join(repaired)}.")

    def _source(self) -> str:
        """Return where bundles come from: metadata, or file for whoever calls apply."""
        path = self.machine.paths.settings
        if not path.exists():
            return "file"
        source = files.read_object(path).get("source")
        if source in ("metadata", "file"):
            return str(source)
        self.trouble = f'{path} has no source: write {{"source": "metadata"}} or {{"source": "file"}} there'
        self._say(f"{self.trouble}.")
        return "file"

    def _say(self, sentence: str) -> None:
        """Log what was not said last."""
        if self._said != sentence:
            self.machine.log(sentence)
        self._said = sentence
