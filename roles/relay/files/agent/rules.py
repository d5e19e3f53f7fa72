# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nftables' rules: what may reach the relay, and the counter of what leaves it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundle as bundles
from bundle import Bundle
from errors import Failed, Refused
from machine import Machine

FAMILY = "inet"
TABLE = "protostar_relay"
COUNTER = "egress"


class Rules:
    """relay.nft.

    Args:
        machine: Where.
        before: Called before the table is replaced, which sets its counter to nothing.

    """

    name = bundles.RULES
    mode = 0o644

    def __init__(self, machine: Machine, before: Callable[[], object]) -> None:
        self.machine = machine
        self.path = machine.paths.rules
        self.staged = self.path.with_name(".relay.nft.staged")
        self.before = before

    def text(self, bundle: Bundle) -> str:
        """Return the rules of a bundle."""
        return bundle.files[self.name]

    def check(self, staged: Path) -> None:
        """Let nftables read the rules."""
        answer = self.machine.run(["nft", "-c", "-f", str(staged)], None)
        if answer.code == 127:
            raise Failed(f"nftables is not installed ({answer.reason})")
        if answer.code:
            raise Refused(f"nftables refuses its relay.nft ({answer.reason.replace(str(staged), self.name)})")

    def enforce(self) -> None:
        """Replace the table."""
        self.before()
        self.machine.must(["nft", "-f", str(self.path)])

    def withdraw(self) -> None:
        """Remove the table, if it is there."""
        if self.handle() is not None:
            self.before()
            self.machine.must(["nft", "delete", "table", FAMILY, TABLE])

    def in_force(self, bundle: Bundle, patient: bool) -> bool:
        """Tell whether the kernel has the table: a reboot or `nft flush ruleset` removes it."""
        return self.handle() is not None

    def handle(self) -> int | None:
        """Return the kernel's number of the table, which a replaced one never has again; None if there is no table."""
        for table in _objects(self.machine, ["list", "tables"], "table"):
            if table.get("family") == FAMILY and table.get("name") == TABLE:
                return int(table["handle"])
        return None

    def count(self) -> int | None:
        """Return the counted bytes; None if there is no such counter."""
        for counter in _objects(self.machine, ["list", "counter", FAMILY, TABLE, COUNTER], "counter"):
            return int(counter["bytes"])
        return None


def _objects(machine: Machine, command: list[str], kind: str) -> list[dict[str, Any]]:
    answer = machine.run(["nft", "-j", *command], None)
    try:
        found = json.loads(answer.output)["nftables"] if answer.code == 0 else []
        return [entry[kind] for entry in found if kind in entry]
    except (ValueError, KeyError, TypeError):
        return []
