"""The ways from a visitor to the home, what is measured of each, and how that is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .measure import BenchError, ratios, summary
from .report import aligned

# The public name: the relay admits no other. The home's certificate knows it, and all names below it.
NAME = "ops.protostar.test"
DIRECT_NAME = f"direct.{NAME}"
# What the VM's own line carries at most, in bits a second.
LINE = 1e9

_TRANSFER = re.compile(r"^Transfer/sec:\s+([\d.]+)([KMG]?)B$", re.MULTILINE)
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


@dataclass(frozen=True)
class Way:
    """A way to the home.

    Attributes:
        name: What it is called.
        host: The name that the visitor connects to.
        port: And the port.

    """

    name: str
    host: str
    port: int


DIRECT = Way("direct", DIRECT_NAME, 443)
RELAY = Way("the relay's nginx", NAME, 443)
WAYS = (
    DIRECT,
    RELAY,
    Way("socat", NAME, 8001),
    Way("HAProxy", NAME, 8002),
    Way("nftables DNAT", NAME, 8003),
)


@dataclass(frozen=True)
class Figure:
    """Something that is measured of every way.

    Attributes:
        name: What it is called.
        told: Writes it.

    """

    name: str
    told: Callable[[float], str]


def _gigabits(rate: float) -> str:
    return f"{rate / 1e9:.2f} Gbit/s"


def _milliseconds(seconds: float) -> str:
    # Without the sign of a rounded nothing.
    return f"{round(seconds * 1000, 2) + 0.0:.2f} ms"


FIGURES: Mapping[str, Figure] = {
    "bytes": Figure("bytes alone", _gigabits),
    "download": Figure("a download over TLS", _gigabits),
    "kept": Figure("a small request", _milliseconds),
    "fresh": Figure("the same with a new connection", _milliseconds),
    "connections": Figure("new connections", lambda rate: f"{rate:.0f}/s"),
}
LATENCIES = ("kept", "fresh")


@dataclass(frozen=True)
class Passage:
    """What was measured of one way.

    Attributes:
        way: Which.
        figures: By the keys of FIGURES, one of each round: bits a second, seconds, seconds, connections a second.

    """

    way: Way
    figures: Mapping[str, Sequence[float]]

    def of(self, other: Passage, figure: str) -> dict[str, Any]:
        """Return how many times the other's figure this one's is, round by round."""
        return summary(ratios(other.figures[figure], self.figures[figure]))

    def added(self, direct: Passage, figure: str) -> dict[str, Any]:
        """Return how much more than directly it takes, round by round; below zero where it took less."""
        pairs = zip(self.figures[figure], direct.figures[figure], strict=True)
        return summary(own - theirs for own, theirs in pairs)


def bits(report: str) -> float:
    """Return the bits a second of wrk's report.

    Raises:
        BenchError: It tells none.

    """
    found = _TRANSFER.search(report)
    if not found:
        raise BenchError("wrk told no transfer")
    return float(found.group(1)) * _UNITS[found.group(2)] * 8


def wide_enough(passages: Sequence[Passage]) -> bool:
    """Whether a visitor downloads through the relay what the VM's line carries."""
    return bool(summary(_find(passages, RELAY).figures["download"])["median"] >= LINE)


def medians(passages: Sequence[Passage]) -> str:
    """Return a table of medians, and of what each way adds to a request."""
    direct = _find(passages, DIRECT)
    headings = [""]
    for key, figure in FIGURES.items():
        headings += [figure.name, *(["added"] if key in LATENCIES else ["target", ""] if key == "download" else [])]
    return aligned(headings, [_line(passage, direct, wide_enough(passages)) for passage in passages])


def _line(passage: Passage, direct: Passage, wide: bool) -> list[str]:
    cells = [passage.way.name]
    for key, figure in FIGURES.items():
        cells.append(figure.told(summary(passage.figures[key])["median"]))
        if key in LATENCIES:
            cells.append("" if passage.way == DIRECT else figure.told(passage.added(direct, key)["median"]))
        if key == "download":
            told = [f"≥ {figure.told(LINE)}", "met" if wide else "missed"]
            cells += told if passage.way == RELAY else ["", ""]
    return cells


def against(passages: Sequence[Passage]) -> str:
    """Return a table of how many times each other way's figure the relay's is: median, and min to max of the rounds."""
    relay = _find(passages, RELAY)
    others = [passage for passage in passages if passage is not relay]
    lines = []
    for key, figure in FIGURES.items():
        shares = [relay.of(other, key) for other in others]
        lines.append(
            [figure.name, *(f"{share['median']:.2f} ({share['min']:.2f} to {share['max']:.2f})" for share in shares)]
        )
    return aligned(["the relay's nginx, times", *(other.way.name for other in others)], lines)


def details(passages: Sequence[Passage]) -> dict[str, Any]:
    """Return every figure for the file, and the relay's ratios to the other ways."""
    relay = _find(passages, RELAY)
    return {
        passage.way.name: {
            figure: {**summary(values), "relay_times": relay.of(passage, figure)}
            for figure, values in passage.figures.items()
        }
        for passage in passages
    }


def _find(passages: Sequence[Passage], way: Way) -> Passage:
    return next(passage for passage in passages if passage.way == way)
