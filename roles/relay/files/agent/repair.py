# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The live files and what runs are made again what the last good bundle says."""

from __future__ import annotations

import files
import line
import state
from bundle import Bundle
from errors import Failed, Refused
from files import Content
from machine import Machine
from part import Part
from parts import Parts


def repair(machine: Machine, parts: Parts, bundle: Bundle) -> list[str]:
    """Repair what drifted, was left by a killed run, or does not run. Whoever calls holds the lock.

    Each file by itself: a tunnel that cannot start is no reason to leave nginx down. A file that its program refuses
    now, as nginx does when a certificate is missing, is left alone, so that what runs runs on.

    Returns:
        The names of what was repaired.

    Raises:
        Failed: Something cannot be repaired now; the rest was.

    """
    line.ensure(machine)
    repaired, troubles = [], []
    for part in parts.all:
        try:
            if _repair(machine, parts, part, bundle):
                repaired.append(part.name)
        except (Refused, Failed, OSError) as error:
            troubles.append(f"{part.name}: {error}")
    if troubles:
        raise Failed(f"Bundle {bundle.version} cannot be restored now ({'; '.join(troubles)}). It is tried again.")
    return repaired


def _repair(machine: Machine, parts: Parts, part: Part, bundle: Bundle) -> bool:
    text = part.text(bundle)
    wanted = None if text is None else Content(text, part.mode)
    drifted = files.look(part.path) != wanted or part.name in state.unfinished(machine.paths)
    if not drifted and (wanted is None or part.in_force(bundle, patient=True)):
        return False
    parts.check({part.name: wanted})
    parts.put({part.name: wanted}, [part.name])
    if part is parts.nginx:
        parts.confirm(bundle)
    state.finish(machine.paths, [part.name])
    return True
