# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The metrics that nginx serves, in Prometheus' text format.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import files
import line
from machine import Machine
from parts import Parts

PORTS = (443, 80)
_ESTABLISHED = "01"  # TCP_ESTABLISHED, include/net/tcp_states.h


def text(samples: list[tuple[str, str, str, str, float]]) -> str:
    """Return the text of samples: name, type, help, labels, value."""
    lines = []
    for name, kind, help_text, labels, value in samples:
        number = str(int(value)) if float(value).is_integer() else repr(value)
        lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", f"{name}{labels} {number}"]
    return "\n".join(lines) + "\n"


def collect(machine: Machine, parts: Parts, report: dict[str, Any]) -> str:
    """Return the metrics of a machine after a report."""
    egress = report["egress"]
    samples = [
        ("egress_month_bytes", "gauge", "Bytes that left this calendar month (UTC).", "", egress["bytes"]),
        ("egress_bytes_total", "counter", "Bytes that left.", "", egress["total_bytes"]),
        ("egress_soft_cap_bytes", "gauge", "Bytes per month that warn; 0 for none.", "", egress["soft_cap_bytes"]),
        ("egress_hard_cap_bytes", "gauge", "Bytes per month that close; 0 for none.", "", egress["hard_cap_bytes"]),
        ("line_open", "gauge", "Whether clients are led to the home.", "", report["line"] == line.OPEN),
        ("config_info", "gauge", "The bundle in force.", f'{{version="{report["version"]}"}}', 1),
        ("config_rejected", "gauge", "Whether the newest bundle was refused.", "", report["rejected"] is not None),
        ("nginx_up", "gauge", "Whether nginx answers.", "", bool(machine.running_version())),
        ("connections", "gauge", "Connections of clients.", "", connections(machine.paths.proc)),
        ("source_reachable", "gauge", "Whether the source of bundles can be read.", "", not report["source"]),
    ]
    if report["tunnel_public_key"]:
        when = parts.tunnel.handshake()
        samples.append(("tunnel_handshake_seconds", "gauge", "Unix time of the last handshake; 0 for never.", "", when))
    samples.append(("agent_seconds", "gauge", "Unix time of this writing.", "", int(machine.now())))
    return text([(f"protostar_relay_{name}", *rest) for name, *rest in samples])


def connections(proc: Path) -> int:
    """Return how many established TCP connections clients have to the relayed ports.

    Columns of /proc/net/tcp: sl, local address, remote address, state, ...
    """
    count = 0
    for name in ("tcp", "tcp6"):
        for row in files.read(proc / "net" / name).splitlines()[1:]:
            columns = row.split()
            if len(columns) > 3 and columns[3] == _ESTABLISHED and int(columns[1].rpartition(":")[2], 16) in PORTS:
                count += 1
    return count


def write(machine: Machine, exposition: str) -> None:
    """Replace the metrics at once. They need not survive a reboot."""
    files.write(machine.paths.metrics, files.Content(exposition), durable=False)
