# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The three files as one configuration: what is live, what a bundle wants, and how the one becomes the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import files
import state
from bundle import Bundle
from egress import Meter
from errors import Refused
from files import Content
from machine import Machine
from nginx import Nginx
from part import Part
from rules import Rules
from tunnel import Tunnel

# Text and mode of each file by its name; None for one that is not there.
Configuration = Mapping[str, "Content | None"]


class Parts:
    """The files of a relay, in the order in which they are put in force: nginx, which is asked for proof, last."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.meter = Meter(machine)
        self.tunnel = Tunnel(machine)
        self.rules: Rules = self.meter.rules
        self.nginx = Nginx(machine)
        self.all: tuple[Part, ...] = (self.tunnel, self.rules, self.nginx)

    def live(self) -> Configuration:
        """Return what is there."""
        return {part.name: files.look(part.path) for part in self.all}

    def wanted(self, bundle: Bundle) -> Configuration:
        """Return what a bundle wants to be there."""
        found: dict[str, Content | None] = {}
        for part in self.all:
            text = part.text(bundle)
            found[part.name] = None if text is None else Content(text, part.mode)
        return found

    def check(self, configuration: Configuration) -> None:
        """Let each file's own program check it, beside the live one, before any is changed.

        Raises:
            Refused: One is refused.

        """
        for part in self.all:
            content = configuration.get(part.name)
            if content is None:
                continue
            try:
                files.write(part.staged, content, durable=False)
                part.check(part.staged)
            finally:
                files.remove(part.staged)

    def tidy(self) -> None:
        """Remove what a killed check left."""
        for part in self.all:
            files.remove(part.staged)

    def put(self, configuration: Configuration, names: Iterable[str]) -> None:
        """Write some of the files and put them in force. Killed in between, the next run knows which."""
        names = frozenset(names)
        if not names:
            return
        state.begin(self.machine.paths, names)
        for part in self.all:
            if part.name not in names:
                continue
            content = configuration[part.name]
            if content is None:
                part.withdraw()
                files.remove(part.path)
                continue
            if files.look(part.path) != content:
                files.write(part.path, content)
            part.enforce()

    def confirm(self, bundle: Bundle) -> None:
        """Wait until nginx proves that it runs the bundle.

        Raises:
            Refused: It does not.

        """
        if not self.nginx.confirm(bundle.version):
            raise Refused(f"nginx does not answer with it, and is {self.nginx.active()}: its log says why")
