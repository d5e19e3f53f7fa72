# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run at a time for each service."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError

PATIENCE = 10.0


@contextmanager
def held(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock of a service. The kernel releases it with the process, however that ends.

    Args:
        path: The lock file; it stays, since removing it would let two runs hold different files.
        patience: Seconds to wait for another run.

    Raises:
        ServiceError: Another run holds it for longer.

    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + patience
        while not _lock(descriptor):
            if time.monotonic() >= deadline:
                raise ServiceError(
                    f"another run has been changing this service {_owner(descriptor)}: "
                    "nothing was changed; wait for it to end and run again"
                )
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {time.time():.0f}".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> str:
    """Tell who holds the lock and since when, from what the owner wrote into it."""
    try:
        pid, since = os.pread(descriptor, 64, 0).decode().split()
        return f"for {max(0.0, time.time() - float(since)):.0f} s (process {int(pid)})"
    except ValueError:
        return "(it has only just begun)"
