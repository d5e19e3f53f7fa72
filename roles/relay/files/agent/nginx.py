# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx, which carries the line: its configuration, and the proof that it runs it."""

from __future__ import annotations

from pathlib import Path

import bundle as bundles
import files
from bundle import Bundle
from errors import Failed, Refused
from machine import Machine
from resolvers import RESOLVERS, resolvers

UNIT = "nginx.service"
# Seconds in which a configuration must answer, and how often in a row: for a tenth of a second after a reload the
# workers of before accept connections too (ngx_master_process_cycle), and every worker has to have it.
CONFIRMATION = 10.0
ANSWERS = 6
_INTERVAL = 0.05
# Seconds for which an nginx that runs may say nothing.
PATIENCE = 300.0


class Nginx:
    """nginx.conf."""

    name = bundles.NGINX
    mode = 0o644

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.path = machine.paths.nginx
        # Beside the live one: a relative include is looked for there.
        self.staged = self.path.with_name(".nginx.conf.staged")
        self._silent: float | None = None  # since when

    def text(self, bundle: Bundle) -> str:
        """Return the configuration with the version and this machine's name servers in it."""
        text = bundle.files[self.name].replace(bundles.VERSION, bundle.version)
        if RESOLVERS not in text:
            return text
        servers = resolvers(files.read(self.machine.paths.resolvers))
        if not servers:
            raise Failed(f"{self.machine.paths.resolvers} names no name server, and nginx needs one to find the home")
        return text.replace(RESOLVERS, " ".join(servers))

    def check(self, staged: Path) -> None:
        """Let nginx read a configuration."""
        answer = self.machine.run(["nginx", "-t", "-q", "-c", str(staged)], None)
        if answer.code == 127:
            raise Failed(f"nginx is not installed ({answer.reason})")
        if answer.code:
            raise Refused(f"nginx refuses its nginx.conf ({answer.reason.replace(str(staged), self.name)})")

    def enforce(self) -> None:
        """Start nginx or let it read its configuration again."""
        self.machine.must(["systemctl", "reload-or-restart", UNIT])

    def restart(self) -> None:
        """Start nginx anew, which ends running transfers."""
        self.machine.must(["systemctl", "restart", UNIT])

    def withdraw(self) -> None:
        """Do nothing: a relay without nginx.conf is none."""

    def in_force(self, bundle: Bundle, patient: bool) -> bool:
        """Tell whether nginx answers with the bundle's version.

        One that runs and says nothing may be under a flood, and each reload would leave it one more set of workers.
        """
        version = self.machine.running_version()
        if version or not patient or self.active() != "active":
            self._silent = None
            return version == bundle.version
        now = self.machine.monotonic()
        if self._silent is None:
            self._silent = now
        if now - self._silent < PATIENCE:
            return True
        self._silent = None
        return False

    def confirm(self, version: str) -> bool:
        """Wait until nginx answers with a version, several times in a row; False if it did not in time."""
        end = self.machine.monotonic() + CONFIRMATION
        in_a_row = 0
        while True:
            in_a_row = in_a_row + 1 if self.machine.running_version() == version else 0
            if in_a_row == ANSWERS:
                return True
            if not in_a_row and self.machine.monotonic() >= end:
                return False
            self.machine.sleep(_INTERVAL)

    def active(self) -> str:
        """Return what systemd says of the unit: active, failed, ..."""
        return self.machine.run(["systemctl", "is-active", UNIT], None).output.strip() or "unknown"
