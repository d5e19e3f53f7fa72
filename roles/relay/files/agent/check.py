# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bundle is checked by every program that would read it, and nothing is changed."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import files
import line
from bundle import Bundle
from errors import Failed, Refused
from files import Content
from lock import locked
from machine import Machine
from parts import Parts


def check(machine: Machine, bundle: Bundle) -> None:
    """Check a bundle.

    Raises:
        Refused: It is refused.
        Failed: This machine cannot check it.

    """
    parts = Parts(machine)
    wanted = dict(parts.wanted(bundle))
    # Nobody else stages files meanwhile; before the first apply there is nobody.
    alone = locked(machine.paths) if machine.paths.state.exists() else nullcontext()
    with alone, TemporaryDirectory(prefix="protostar-relay-") as place:
        include = Path(place) / line.NAME
        files.write(include, Content(line.text(line.position(machine))))
        nginx = wanted[parts.nginx.name]
        if nginx:
            # The live one may not be there yet.
            text = nginx.text.replace(str(machine.paths.line), str(include))
            wanted[parts.nginx.name] = replace(nginx, text=text)
        try:
            parts.check(wanted)
        except Refused as error:
            raise Refused(f"Bundle {bundle.version} is not good: {error}; nothing was changed. Correct it.") from error
        except Failed as error:
            raise Failed(f"Bundle {bundle.version} cannot be checked here: {error}; nothing was changed.") from error
