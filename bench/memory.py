"""What the platform's own services take while nothing is asked of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml

from .measure import ROOT, output
from .report import aligned

HOSTS = ("protostar-main", "protostar-sub")

_HEADINGS = ("", "container", "MiB", "")
_UNITS = {"B": 1 / 2**20, "KiB": 1 / 2**10, "MiB": 1.0, "GiB": 2.0**10}


@dataclass(frozen=True)
class Usage:
    """Memory of a container.

    Attributes:
        host: Where it runs.
        container: Its name.
        mib: What its processes hold, without the files that the kernel could drop, in MiB.
        stand_in: Whether it only stands in for the real program, so that the figure says nothing about that.

    """

    host: str
    container: str
    mib: float
    stand_in: bool


def mebibytes(text: str) -> float:
    """Return the MiB of a size as the engine writes it, such as 21.3MiB."""
    unit = text.lstrip("0123456789.")
    return float(text.removesuffix(unit)) * _UNITS[unit]


def usages(host: str, stats: str, stand_ins: Iterable[str], left_out: Iterable[str]) -> list[Usage]:
    """Return what `docker stats` told of a host, in lines of name, tabulator, and "used / limit"."""
    found = [line.split("\t") for line in stats.splitlines()]
    return [
        Usage(host, name, mebibytes(used.partition(" ")[0]), name in stand_ins)
        for name, used in sorted(found)
        if name not in left_out
    ]


def measure() -> list[Usage]:
    """Return the memory of every container that the platform brings; the applications are the user's."""
    applications = yaml.safe_load((ROOT / "lab/images.yml").read_text())["apps"]
    measured = []
    for host in HOSTS:
        engine = ["docker", "exec", host, "docker"]
        stats = output([*engine, "stats", "--no-stream", "--format", "{{.Name}}\t{{.MemUsage}}"])
        stand_ins = output([*engine, "ps", "--filter", "label=protostar.stand-in=true", "--format", "{{.Names}}"])
        measured += usages(host, stats, stand_ins.split(), applications)
    return measured


def table(measured: Sequence[Usage]) -> str:
    """Return a table with a sum for each host, stand-ins apart."""
    lines: list[tuple[str, ...]] = []
    for host in dict.fromkeys(usage.host for usage in measured):
        own = [usage for usage in measured if usage.host == host]
        lines += [(host, use.container, f"{use.mib:.0f}", "stand-in" if use.stand_in else "") for use in own]
        lines += [(host, "all but stand-ins", f"{sum(use.mib for use in own if not use.stand_in):.0f}", "sum")]
        if any(use.stand_in for use in own):
            lines += [(host, "with stand-ins", f"{sum(use.mib for use in own):.0f}", "sum")]
    return aligned(_HEADINGS, lines)
