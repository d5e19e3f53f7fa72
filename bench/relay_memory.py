"""What the relay takes with many visitors who are connected and say nothing; it must fit the smallest VM with room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from . import relay_stand
from .measure import BenchError, output
from .relay_ways import RELAY
from .report import aligned

CONNECTIONS = 1000
# A quarter of an e2-micro's 1 GB: the rest is for Debian and for what comes in bursts.
TARGET = 256.0  # MiB


@dataclass(frozen=True)
class Memory:
    """What the relay takes, in MiB, with the kernel's part for its connections, without files that it could drop.

    Attributes:
        nginx: nginx that just started.
        agent: What the agent adds.
        held: All of it with the connections.
        connections: How many those are.

    """

    nginx: float
    agent: float
    held: float
    connections: int

    @property
    def each(self) -> float:
        """What one connection takes, in KiB."""
        return (self.held - self.nginx - self.agent) / self.connections * 1024

    @property
    def met(self) -> bool:
        """Whether it is within the target."""
        return self.held <= TARGET


def measure(connections: int = CONNECTIONS) -> Memory:
    """Measure a relay of its own on the rig, where the home stands."""
    with relay_stand.relay("role"):
        relay_stand.wait(relay_stand.client("times", RELAY, 1, 1), "role")
        nginx = _used()
        output(relay_stand.inside("role", "sh", "/rig/agent.sh"))
        agent = _used() - nginx
        with _held(connections):
            return Memory(nginx, agent, _used(), connections)


def mebibytes(usage: str) -> float:
    """Return the MiB of a control group without the files that the kernel could drop.

    Args:
        usage: Its bytes, and its statistics in lines; of version 1 or 2 of control groups.

    """
    used, *lines = usage.splitlines()
    statistics = dict(line.split() for line in lines)
    # Version 1 counts the groups below apart.
    files = [statistics.get(f"total_{name}", statistics[name]) for name in ("active_file", "inactive_file")]
    return (int(used) - sum(map(int, files))) / 2**20


def table(memory: Memory) -> str:
    """Return a table of what takes how much."""
    return aligned(
        ["memory of the relay", "", "target", ""],
        [
            ["nginx that just started", f"{memory.nginx:.1f} MiB", "", ""],
            ["the agent", f"{memory.agent:.1f} MiB", "", ""],
            [f"each of {memory.connections:,} idle TLS connections", f"{memory.each:.1f} KiB", "", ""],
            ["all of it", f"{memory.held:.1f} MiB", f"≤ {TARGET:.0f} MiB", "met" if memory.met else "missed"],
        ],
    )


def details(memory: Memory) -> dict[str, Any]:
    """Return the figures for the file."""
    return {**asdict(memory), "each_kib": memory.each, "met": memory.met}


def _used() -> float:
    return mebibytes(output(relay_stand.inside("role", "sh", "/rig/memory.sh")))


@contextmanager
def _held(connections: int) -> Iterator[None]:
    """Hold connections meanwhile.

    Raises:
        BenchError: The relay did not take all of them, or did not keep them.

    """
    hold = subprocess.Popen(
        relay_stand.client("hold", RELAY, connections),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = hold.stdout.readline() if hold.stdout else ""
    try:
        if said:
            yield
    finally:
        rest, problem = hold.communicate()
    if (said + rest).split() != ["held", "alive"]:
        last = problem.strip().splitlines()[-1:]
        raise BenchError(f"the relay did not serve {connections} connections at once: {' '.join(last)}")
