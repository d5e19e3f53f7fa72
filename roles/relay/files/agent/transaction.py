# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bundle becomes the configuration of this machine, whole or not at all."""

from __future__ import annotations

import line
import state
import status
from bundle import Bundle
from errors import Failed, Refused, Stranded
from machine import Machine
from parts import Configuration, Parts


def apply(machine: Machine, bundle: Bundle) -> str:
    """Put a bundle in force. Whoever calls holds the lock.

    Returns:
        What was done, as a sentence.

    Raises:
        Refused: The bundle is at fault. The previous one serves, and the refusal is remembered.
        Failed: This machine is at fault. The previous one serves.

    """
    parts = Parts(machine)
    previous = state.last_good(machine.paths)
    again = previous is not None and previous.version == bundle.version
    what = f"Bundle {bundle.version} is not in force"
    try:
        changed = _forward(machine, parts, bundle, previous)
    except Stranded as error:
        raise Failed(f"{what}: {error}. See systemctl status nginx.service; it is tried again.") from error
    except (Refused, Failed, OSError) as error:
        sentence = f"{what}: {error}; {_serves(previous)}."
        if again or not isinstance(error, Refused):
            raise Failed(f"{sentence} Deliver it again.") from error
        sentence += " Correct it and deliver it again."
        status.reject(machine, bundle.version, sentence)
        raise Refused(sentence) from error
    status.accept(machine)
    try:
        line.settle(machine, parts.nginx, bundle, parts.meter.take().bytes)
    except Failed as error:
        raise Failed(
            f"Bundle {bundle.version} is in force, but the line cannot be set ({error}). Apply it again."
        ) from error
    if not changed:
        return f"Bundle {bundle.version} was in force already."
    return f"Bundle {bundle.version} is in force ({', '.join(changed)} changed)."


def _forward(machine: Machine, parts: Parts, bundle: Bundle, previous: Bundle | None) -> list[str]:
    line.ensure(machine)
    wanted = parts.wanted(bundle)
    before = parts.live()
    changed = to_put(parts, bundle, wanted)
    if changed:
        parts.check(wanted)
    try:
        parts.put(wanted, changed)
        if changed:
            parts.confirm(bundle)
        state.keep(machine.paths, bundle)
    except (Refused, Failed, OSError) as error:
        trouble = _back(machine, parts, previous, before, changed)
        if trouble:
            raise Stranded(f"{error}; going back failed too ({trouble})") from error
        if isinstance(error, Failed):
            # The machine takes the previous one, so it is this one that it does not take.
            raise Refused(str(error)) from error
        raise
    state.finish(machine.paths, changed)
    return changed


def to_put(parts: Parts, bundle: Bundle, wanted: Configuration) -> list[str]:
    """Return the names of the files that differ, that a killed run left, or that are not in force."""
    live = parts.live()
    left = state.unfinished(parts.machine.paths)
    return [
        part.name
        for part in parts.all
        if live[part.name] != wanted[part.name]
        or part.name in left
        or (wanted[part.name] is not None and not part.in_force(bundle, patient=False))
    ]


def _back(machine: Machine, parts: Parts, previous: Bundle | None, before: Configuration, changed: list[str]) -> str:
    """Put the previous configuration back. Return what went wrong with that; empty if nothing."""
    try:
        parts.put(parts.wanted(previous) if previous else before, changed)
        if previous and not parts.nginx.confirm(previous.version):
            parts.nginx.restart()
            parts.confirm(previous)
        state.finish(machine.paths, changed)
    except (Refused, Failed, OSError) as error:
        return str(error)
    return ""


def _serves(previous: Bundle | None) -> str:
    return f"the previous one ({previous.version}) serves on" if previous else "there is no previous one"
