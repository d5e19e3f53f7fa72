# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What survives a reboot: the last good bundle, and which files may not be in force yet."""

from __future__ import annotations

import json
from collections.abc import Iterable

import files
from bundle import Bundle, parse
from errors import Refused
from paths import Paths


def last_good(paths: Paths) -> Bundle | None:
    """Return the truth; None before the first bundle, and if the disk lost it."""
    there = files.look(paths.bundle)
    if there is None:
        return None
    try:
        return parse(there.text.encode())
    except Refused:
        return None


def keep(paths: Paths, bundle: Bundle) -> None:
    """Make a bundle the truth."""
    text = json.dumps(bundle.value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    files.write(paths.bundle, files.Content(text, 0o600))


def unfinished(paths: Paths) -> frozenset[str]:
    """Return the names of what was written and perhaps not put in force, because a run was killed between."""
    names = files.read_object(paths.unfinished).get("names", [])
    return frozenset(str(name) for name in names) if isinstance(names, list) else frozenset()


def begin(paths: Paths, names: Iterable[str]) -> None:
    """Write down what is about to be changed, before it is."""
    wanted = sorted(unfinished(paths) | set(names))
    files.write_object(paths.unfinished, {"names": wanted}, mode=0o600)


def finish(paths: Paths, names: Iterable[str]) -> None:
    """Write down that what was changed is in force."""
    left = sorted(unfinished(paths) - set(names))
    if left:
        files.write_object(paths.unfinished, {"names": left}, mode=0o600)
    else:
        files.remove(paths.unfinished)
