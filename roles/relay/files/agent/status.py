# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the relay reports: on this machine, by its metrics and as a guest attribute."""

from __future__ import annotations

from typing import Any

import files
import line
import state
from egress import Sums
from machine import Machine
from parts import Parts


def read(machine: Machine) -> dict[str, Any]:
    """Return the last report; empty before the first."""
    return files.read_object(machine.paths.status)


def rejected(machine: Machine) -> dict[str, str] | None:
    """Return the newest bundle if it was refused: its version and the reason."""
    value = read(machine).get("rejected")
    return value if isinstance(value, dict) and isinstance(value.get("version"), str) else None


def reject(machine: Machine, version: str, reason: str) -> None:
    """Remember a refusal, so that the same bundle is not tried again."""
    files.write_object(machine.paths.status, {**read(machine), "rejected": {"version": version, "reason": reason}})


def accept(machine: Machine) -> None:
    """Forget a refusal: a newer bundle is in force."""
    files.write_object(machine.paths.status, {**read(machine), "rejected": None})


def report(machine: Machine, parts: Parts, sums: Sums, source: str | None = None) -> dict[str, Any]:
    """Write the report and return it. Whoever calls holds the lock.

    Args:
        machine: Of which.
        parts: Its files.
        sums: Its egress.
        source: Why the source of bundles cannot be read; empty if it can; None to leave what was reported.

    """
    bundle = state.last_good(machine.paths)
    value = {
        "version": bundle.version if bundle else "",
        "rejected": rejected(machine),
        "line": line.position(machine),
        "egress": {
            "month": sums.month,
            "bytes": sums.bytes,
            "total_bytes": sums.total,
            "soft_cap_bytes": bundle.soft_cap if bundle else 0,
            "hard_cap_bytes": bundle.hard_cap if bundle else 0,
        },
        "tunnel_public_key": parts.tunnel.public_key() if bundle and parts.tunnel.text(bundle) else "",
        "nginx": parts.nginx.active(),
        "source": read(machine).get("source", "") if source is None else source,
        "time": int(machine.now()),
    }
    files.write_object(machine.paths.status, value)
    return value
