# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are there whole or not at all, whatever happens to the machine meanwhile."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from ansible_collections.protostar.platform.plugins.module_utils._release import File, Seal


def write(path: Path, content: str, mode: int = 0o600, owner: int | None = None) -> None:
    """Replace a file atomically and durably.

    The temporary file has a fixed name, so that one left by a killed run is overwritten or removed by the next.
    """
    new = temporary(path)
    with suppress(FileNotFoundError):
        new.unlink()
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        stream.write(content)
        stream.flush()
        if owner is not None:
            os.fchown(descriptor, owner, -1)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    new.replace(path)
    sync(path.parent)


def put(directory: Path, file: File) -> None:
    """Write a release's file below a directory, making directories between that containers can enter."""
    path = directory / file.dest
    for parent in reversed(path.relative_to(directory).parents):
        make_directory(directory / parent, 0o755)
    if path.is_dir() and not path.is_symlink():
        path.rmdir()  # left of an earlier release, whose files were in it
    write(path, file.content, file.mode, file.owner)


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Make a directory durably, unless it exists."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(mode)  # whatever the umask is
        sync(path.parent)


def look(path: Path) -> Seal | None:
    """Return what is there; None if no file is. A link or a directory in its place counts as an unknown file."""
    try:
        status = path.lstat()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Seal(sha256, stat.S_IMODE(status.st_mode), status.st_uid)


def read(path: Path) -> str:
    """Return a file's text for a diff; empty if it has none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def remove(path: Path) -> None:
    """Remove a file durably, and what a killed `write` left of it; a missing one is fine."""
    with suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
        sync(path.parent)
    discard(path)


def discard(path: Path) -> None:
    """Remove what a killed `write` left of a file."""
    with suppress(FileNotFoundError, NotADirectoryError):
        temporary(path).unlink()


def remove_empty(directory: Path) -> None:
    """Remove the empty directories below a directory, and itself if nothing is left in it."""
    for parent, _directories, _names in os.walk(directory, topdown=False):
        with suppress(OSError):
            Path(parent).rmdir()


def remove_tree(path: Path) -> None:
    """Remove a directory and what is in it; a missing one is fine."""
    with suppress(FileNotFoundError):
        shutil.rmtree(path)
        sync(path.parent)


def sync(directory: Path) -> None:
    """Make a rename or removal in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary(path: Path) -> Path:
    """Return where a file is written before it takes its place."""
    return path.with_name(f".{path.name}.protostar-new")
