# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The line: open, or closed because the month's egress has reached the hard cap."""

from __future__ import annotations

import files
import state
from bundle import Bundle
from machine import Machine
from nginx import Nginx

NAME = "line.conf"
OPEN = "open"
CLOSED = "closed"
_TEXT = "# Written by protostar-relay: open, or closed when the month's egress has reached the hard cap.\n"


def text(position: str) -> str:
    """Return the part of nginx's configuration that leads clients to the home, or nowhere."""
    return f"{_TEXT}map $remote_addr $relay_line {{ default {position}; }}\n"


def wanted(bundle: Bundle | None, used: int) -> str:
    """Return the position of the line by the bundle's hard cap and the month's bytes."""
    return CLOSED if bundle and 0 < bundle.hard_cap <= used else OPEN


def position(machine: Machine) -> str:
    """Return the position that is written; a missing or damaged file counts as open, as nginx starts with it."""
    return CLOSED if files.look(machine.paths.line) == files.Content(text(CLOSED)) else OPEN


def ensure(machine: Machine) -> None:
    """Write the file if it is missing: nginx's configuration includes it."""
    if files.look(machine.paths.line) is None:
        files.write(machine.paths.line, files.Content(text(OPEN)))


def settle(machine: Machine, nginx: Nginx, bundle: Bundle | None, used: int) -> None:
    """Open or close the line. Closing restarts nginx, so that running transfers end; opening is a reload.

    Raises:
        Failed: nginx could not be told. The next call tries again.

    """
    target = wanted(bundle, used)
    content = files.Content(text(target))
    if files.look(machine.paths.line) == content and NAME not in state.unfinished(machine.paths):
        return
    if position(machine) != target:
        machine.log(f"The line is {target} now: {used} bytes have left this month.")
    state.begin(machine.paths, [NAME])
    files.write(machine.paths.line, content)
    if bundle:
        (nginx.restart if target == CLOSED else nginx.enforce)()
    state.finish(machine.paths, [NAME])
