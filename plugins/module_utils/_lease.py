# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One deployer at a time on a host: a lease with an owner, which ends with its process or, if that hangs, with time."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError

# How long a killed owner may take to be gone, in seconds.
_END_TIME = 5.0
# A look at what runs takes less; a release takes more.
PATIENCE = 2.0


class Busy(ServiceError):
    """Another deployer holds the lease.

    Attributes:
        owner: Who, as they named themselves.
        age: For how long, in seconds.
        release: The release that they are making; None before it has a number.

    """

    def __init__(self, owner: str, age: float, release: int | None) -> None:
        what = f"release {release}" if release else "a release"
        super().__init__(
            f"{owner} has been making {what} for {age:.0f} s: nothing was changed; wait for it to end "
            "(status.yml shows its step) and run again"
        )
        self.owner = owner
        self.age = age
        self.release = release


class Lease:
    """A lease that is held. The kernel takes it away with the process, however that ends."""

    def __init__(self, descriptor: int, owner: str) -> None:
        self._descriptor = descriptor
        self._document: dict[str, Any] = {
            "owner": owner,
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "since": clock(),
            "release": None,
        }

    def renew(self, seconds: float, release: int | None = None) -> None:
        """Hold it for so many seconds from now; an owner that hangs for longer loses it to the next deployer."""
        self._document["expires"] = clock() + seconds
        self._document["release"] = release or self._document["release"]
        text = json.dumps(self._document).encode()
        os.pwrite(self._descriptor, text, 0)
        os.ftruncate(self._descriptor, len(text))


def clock() -> float:
    """Return seconds since boot: no change of the wall clock moves them, and all processes see the same."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@contextmanager
def held(path: Path, owner: str, patience: float = PATIENCE) -> Iterator[Lease]:
    """Hold the lease.

    Args:
        path: The file; it stays, since removing it would let two deployers hold different files.
        owner: Who asks, for others to read.
        patience: Seconds to wait for another one who only looks.

    Raises:
        Busy: Another deployer holds it.

    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = clock() + patience
        while not (locked := _lock(descriptor)) and clock() < deadline:
            time.sleep(0.05)
        if not locked:
            _take_over(descriptor)
        lease = Lease(descriptor, owner)
        lease.renew(60)
        yield lease
    finally:
        os.close(descriptor)


def holder(path: Path) -> dict[str, Any] | None:
    """Return who holds the lease; None if nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _lock(descriptor) else _read(descriptor)
    finally:
        os.close(descriptor)


def _take_over(descriptor: int) -> None:
    """Take the lease from an owner that hangs; the edge refuses what such a one would still write.

    Raises:
        Busy: The owner is within its time.

    """
    found = _read(descriptor)
    busy = Busy(found["owner"], max(0.0, clock() - found["since"]), found["release"])
    if clock() < found["expires"]:
        raise busy
    if _started(found["pid"]) == found["started"]:
        with suppress(ProcessLookupError):
            os.kill(found["pid"], signal.SIGKILL)
    deadline = clock() + _END_TIME
    while not _lock(descriptor):
        if clock() > deadline:
            raise busy
        time.sleep(0.05)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(descriptor: int) -> dict[str, Any]:
    """Return what the owner wrote; one that has only just begun is unknown, and within its time."""
    unknown = {"owner": "somebody", "since": clock(), "release": None, "expires": clock() + 1, "pid": 0, "started": ""}
    try:
        return {**unknown, **json.loads(os.pread(descriptor, 4096, 0))}
    except (ValueError, TypeError):
        return unknown


def _started(pid: int) -> str:
    """Return when a process began, which tells it from another one that got its number later."""
    try:
        # The name, in parentheses, may hold anything; the start is the twentieth field after it: proc_pid_stat(5).
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
