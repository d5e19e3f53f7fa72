# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What left this machine, by calendar month (UTC), over resets of the counter, reboots and a clock that jumps.

Every byte that the counter grew by is booked once, in one month:
- A counter of another boot, network namespace or table starts at nothing, and so does one that shrank.
- A clock that goes back leaves the month as it is: the sum neither starts anew nor is counted twice. Should the clock
  stay back for a day, it was the jump ahead that was wrong: what was booked in the wrong month moves to the right one.
- What a power cut takes is what was counted after the last reading.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import files
from machine import Machine
from paths import Paths
from rules import Rules

# Seconds that a clock must be back before it is believed.
BELIEF = 24 * 3600
MONTHS = 13


@dataclass(frozen=True)
class Reading:
    """A value of the counter, and which counter it is of."""

    source: str
    count: int


@dataclass(frozen=True)
class Sums:
    """What is on disk.

    Attributes:
        month: The month that is booked in, as 2026-10.
        months: Bytes of it and of those before.
        total: Bytes since the first reading, for a metric that never shrinks.
        last: The last reading.
        behind: Seconds for which the clock has been back before that month.

    """

    month: str = ""
    months: tuple[tuple[str, int], ...] = ()
    total: int = 0
    last: Reading = Reading("", 0)
    behind: float = 0.0

    @property
    def bytes(self) -> int:
        """Return the month's sum."""
        return dict(self.months).get(self.month, 0)


def book(sums: Sums, reading: Reading | None, month: str, elapsed: float) -> Sums:
    """Return the sums after a reading.

    Args:
        sums: Those before.
        reading: What the counter says now; None if there is none.
        month: What the clock says.
        elapsed: Seconds since the reading before, by a clock that does not jump; 0 if unknown.

    """
    months = dict(sums.months)
    current, behind = sums.month, 0.0
    if month > current:
        current = month
    elif month < current:
        behind = sums.behind + elapsed
        if behind >= BELIEF:
            months[month] = months.get(month, 0) + months.pop(current, 0)
            current, behind = month, 0.0
    grown = _grown(sums.last, reading)
    months[current] = months.get(current, 0) + grown
    kept = tuple(sorted(months.items())[-MONTHS:])
    return Sums(current, kept, sums.total + grown, reading or sums.last, behind)


def _grown(last: Reading, reading: Reading | None) -> int:
    if reading is None:
        return 0
    same = reading.source == last.source and reading.count >= last.count
    return reading.count - last.count if same else reading.count


def month_of(seconds: float) -> str:
    """Return the calendar month (UTC) of a Unix time."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m")


def read(paths: Paths) -> Sums:
    """Return what is on disk; nothing if it cannot be read."""
    value = files.read_object(paths.egress)
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        return Sums(
            str(value["month"]),
            tuple(sorted((str(month), int(count)) for month, count in value["months"].items())),
            int(value["total"]),
            Reading(str(value["source"]), int(value["counter"])),
            float(value["behind"]),
        )
    return Sums()


def _write(paths: Paths, sums: Sums) -> None:
    value: dict[str, Any] = {
        "month": sums.month,
        "bytes": sums.bytes,
        "months": dict(sums.months),
        "total": sums.total,
        "source": sums.last.source,
        "counter": sums.last.count,
        "behind": sums.behind,
    }
    files.write_object(paths.egress, value)


class Meter:
    """Reads the counter and books it. Whoever calls holds the lock."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.rules = Rules(machine, self.take)
        self._taken: float | None = None

    def take(self) -> Sums:
        """Book what has been counted so far, durably."""
        taken = self.machine.monotonic()
        elapsed = 0.0 if self._taken is None else taken - self._taken
        sums = read(self.machine.paths)
        after = book(sums, self._reading(), month_of(self.machine.now()), elapsed)
        if after != sums:
            _write(self.machine.paths, after)
        self._taken = taken
        return after

    def _reading(self) -> Reading | None:
        handle, count = self.rules.handle(), self.rules.count()
        return None if handle is None or count is None else Reading(f"{self._boot()}/{handle}", count)

    def _boot(self) -> str:
        """Return what is another one after every reboot, also of a container."""
        boot = files.read(self.machine.paths.proc / "sys/kernel/random/boot_id").strip()
        try:
            namespace = (self.machine.paths.proc / "self/ns/net").stat().st_ino
        except OSError:
            namespace = 0
        return f"{boot}/{namespace}"
