# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One at a time: the daemon, a delivery over SSH, and the daemon's own threads."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from errors import Failed
from paths import Paths

# Seconds. A transaction that fails and goes back takes less, also when every command of it is slow.
PATIENCE = 300


@contextmanager
def locked(paths: Paths, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the machine. The kernel gives it back when the process dies, however it dies.

    Raises:
        Failed: Somebody else held it all the time.

    """
    paths.state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(descriptor, patience, str(paths.lock))
        yield
    finally:
        os.close(descriptor)


def _wait(descriptor: int, patience: float, name: str) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                waits = f"Another run of protostar-relay has held {name} for {patience:g} s"
                raise Failed(f"{waits}: see what it waits for, and try again.") from None
            time.sleep(0.05)
        else:
            return
