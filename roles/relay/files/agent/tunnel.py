# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The WireGuard tunnel from the home, if there is one."""

from __future__ import annotations

from pathlib import Path

import bundle as bundles
import files
from bundle import Bundle
from errors import Failed, Refused
from machine import Machine

INTERFACE = "protostar"
UNIT = f"wg-quick@{INTERFACE}.service"


class Tunnel:
    """tunnel.conf."""

    name = bundles.TUNNEL
    mode = 0o600

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.path = machine.paths.tunnel
        # wg-quick wants the name of an interface (at most 15 characters) and .conf.
        self.staged = self.path.with_name("protostar-new.conf")
        self.key = machine.paths.tunnel_key

    def text(self, bundle: Bundle) -> str | None:
        """Return the tunnel's configuration; None if the bundle has none."""
        return bundle.files.get(self.name)

    def check(self, staged: Path) -> None:
        """Let wg-quick read the configuration."""
        answer = self.machine.run(["wg-quick", "strip", str(staged)], None)
        if answer.code == 127:
            raise Failed(f"wireguard-tools are not installed ({answer.reason})")
        if answer.code:
            raise Refused(f"wg-quick refuses its tunnel.conf ({answer.reason.replace(str(staged), self.name)})")

    def enforce(self) -> None:
        """Start the tunnel anew, now and at every boot.

        Not by the unit's reload: that is `wg syncconf`, which takes the private key away because the file has none
        (seen with wireguard-tools 1.0.20210914), and which knows nothing of addresses.
        """
        self.make_key()
        self.machine.must(["systemctl", "enable", UNIT])
        self.machine.must(["systemctl", "restart", UNIT])

    def withdraw(self) -> None:
        """Stop the tunnel, now and at every boot. Its key stays: the other end knows it."""
        self.machine.must(["systemctl", "disable", "--now", UNIT])

    def in_force(self, bundle: Bundle, patient: bool) -> bool:
        """Tell whether the unit is active and the interface, which may go without it, there with this end's key."""
        if self.machine.run(["systemctl", "is-active", "--quiet", UNIT], None).code:
            return False
        shown = self.machine.run(["wg", "show", INTERFACE, "public-key"], None)
        return shown.code == 0 and shown.output.strip() == self.public_key()

    def make_key(self) -> None:
        """Make this end's private key, once."""
        if not files.look(self.key):
            files.write(self.key, files.Content(self.machine.must(["wg", "genkey"]), 0o600))

    def public_key(self) -> str:
        """Return what the other end must know; empty if there is no key."""
        if not self.key.exists():
            return ""
        return self.machine.run(["wg", "pubkey"], self.key).output.strip()

    def handshake(self) -> int:
        """Return when the other end was last heard, in Unix seconds; 0 for never."""
        lines = self.machine.run(["wg", "show", INTERFACE, "latest-handshakes"], None).output.splitlines()
        return max((int(line.split()[-1]) for line in lines if line.split()[-1:][0].isdigit()), default=0)
