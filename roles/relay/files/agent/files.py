# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are there whole or not at all, whatever happens to the machine meanwhile."""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Content:
    """Text and permissions of a file."""

    text: str
    mode: int = 0o644


def look(path: Path) -> Content | None:
    """Return what is there; None if no regular file is. Bytes that are no UTF-8 differ from every text."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return None
        return Content(path.read_bytes().decode(errors="replace"), stat.S_IMODE(status.st_mode))
    except (FileNotFoundError, NotADirectoryError):
        return None


def read(path: Path) -> str:
    """Return the text of a file that others write, also through a link; empty if it cannot be read."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


def write(path: Path, content: Content, durable: bool = True) -> None:
    """Replace a file atomically and, unless told otherwise, so that it survives a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        new.unlink()  # left by a killed run
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
        stream.write(content.text)
        stream.flush()
        os.fchmod(descriptor, content.mode)
        if durable:
            os.fsync(descriptor)
    new.replace(path)
    if durable:
        sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file durably; a missing one is fine."""
    with suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
        sync(path.parent)


def sync(directory: Path) -> None:
    """Make a rename or removal in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_object(path: Path) -> dict[str, Any]:
    """Return a file's JSON object; empty if there is none that can be read."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def write_object(path: Path, value: dict[str, Any], mode: int = 0o644, durable: bool = True) -> None:
    """Write a JSON object that people can read."""
    write(path, Content(json.dumps(value, indent=2, sort_keys=True) + "\n", mode), durable)
