# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who listens on this host, read from /proc (proc_pid_net(5)) and from the engine."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._composefile import Port
from ansible_collections.protostar.platform.plugins.module_utils._engine import PROJECT_LABEL

_LISTEN = "0A"


def conflicts(
    wanted: Iterable[Port], project: str, summaries: Iterable[Mapping[str, Any]], proc: Path = Path("/proc")
) -> Iterator[str]:
    """Tell which of the wanted ports are taken by somebody else, and by whom.

    Args:
        wanted: The ports that the service would publish.
        project: Its Compose project: what its own containers hold is free for it.
        summaries: All containers, as the engine lists them.
        proc: Where procfs is mounted.

    """
    own: list[tuple[Port, str]] = []
    foreign: list[tuple[Port, str]] = []
    for summary in summaries:
        mine = (summary.get("Labels") or {}).get(PROJECT_LABEL) == project
        holder = f"container {summary['Names'][0].lstrip('/')}" if summary.get("Names") else "another container"
        for entry in summary.get("Ports") or []:
            if entry.get("PublicPort"):
                port = Port(str(entry.get("IP") or ""), int(entry["PublicPort"]), str(entry.get("Type") or "tcp"))
                (own if mine else foreign).append((port, holder))
    listening: list[tuple[Port, str]] | None = None
    for port in wanted:
        taken = [holder for other, holder in foreign if port.overlaps(other)]
        if not taken and not any(port.overlaps(other) for other, _holder in own):
            listening = list(_listeners(proc)) if listening is None else listening
            taken = [_process(inode, proc) for other, inode in listening if port.overlaps(other)]
        if taken:
            yield f"port {port} is taken by {taken[0]}"


def _listeners(proc: Path) -> Iterator[tuple[Port, str]]:
    """Yield each port that something listens on, with the inode of its socket."""
    for protocol in ("tcp", "udp"):
        for table in (proc / "net" / protocol, proc / "net" / f"{protocol}6"):
            if not table.exists():
                continue
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                address, number = fields[1].split(":")
                if protocol == "udp" or fields[3] == _LISTEN:
                    yield Port(_address(address), int(number, 16), protocol), fields[9]


def _address(text: str) -> str:
    """Decode an address that the kernel printed as native 32-bit words."""
    words = bytes.fromhex(text)
    raw = b"".join(words[start : start + 4][::-1] for start in range(0, len(words), 4))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def _process(inode: str, proc: Path) -> str:
    """Name the process that holds a socket."""
    for descriptor in proc.glob("[0-9]*/fd/*"):
        try:
            if re.fullmatch(rf"socket:\[{inode}\]", str(descriptor.readlink())):
                process = descriptor.parent.parent
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return "another process"
