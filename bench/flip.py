"""Switching the live colour under load: the edge's one write against an included file and a reload, in one run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.client.generator import Load
from lab.client.summary import Flip, Line, summarise

from . import rig
from .measure import output, summary
from .plot import Panel
from .report import aligned, duration

FLIPS = 20
# From the command until the old colour has answered for the last time.
TARGET = 0.005  # seconds
LOAD: Mapping[str, Any] = {"get": 32, "post": 32, "rate": 10, "apps": "nest"}

_LOG_STEP = 0.002
_PAUSE = 0.5  # seconds between two switches
_NAMES = {"flip": "one write to the edge", "reload": "include + nginx -s reload"}
_TITLES = {"flip": "One write to the edge", "reload": "An included file and nginx -s reload"}
_HEADINGS = ("", "switches", "requests", "lost", "of them POST", "wrong colour", "command", "until the last old answer",
             "target", "")  # fmt: skip


@dataclass(frozen=True)
class Switching:
    """One way to switch.

    Attributes:
        way: flip or reload.
        switches: Colour, and when the command began and ended, of each.
        lines: What the load told.
        answers: When each colour answered, by its own log.

    """

    way: str
    switches: list[dict[str, Any]]
    lines: Sequence[Line] = field(repr=False)
    answers: Mapping[str, Sequence[float]] = field(repr=False)

    @property
    def requests(self) -> list[Line]:
        """The requests that were sent."""
        return [line for line in self.lines if "kind" in line]

    @property
    def lost(self) -> list[Line]:
        """Those that were not answered well."""
        return [line for line in self.requests if line.get("failed")]

    @property
    def command(self) -> dict[str, Any]:
        """How long the command took."""
        return summary(switch["ended"] - switch["began"] for switch in self.switches)

    @property
    def last_old(self) -> dict[str, Any]:
        """How long after the command's begin the old colour answered for the last time, 0 if not at all."""
        return summary(self._after(number) for number in range(len(self.switches)))

    @property
    def wrong(self) -> int:
        """Requests that were sent after a command had ended, and that the old colour answered."""
        flips = [Flip("nest", switch["colour"], switch["began"], switch["ended"]) for switch in self.switches]
        return len(summarise(self.lines, flips).wrong)

    @property
    def met(self) -> bool:
        """Whether it is as quick as it must be, and loses nothing."""
        return self.last_old["median"] < TARGET and not self.lost and not self.wrong

    def _untils(self) -> list[float]:
        return [*(switch["began"] for switch in self.switches[1:]), float("inf")]

    def _after(self, number: int) -> float:
        switch, until = self.switches[number], self._untils()[number]
        old = next(colour for colour in rig.COLOURS if colour != switch["colour"])
        # The log counts in whole milliseconds: what came just after the next command may look as if it came before.
        late = [moment for moment in self.answers[old] if switch["began"] <= moment < until - _LOG_STEP]
        return max(late, default=switch["began"]) - switch["began"]


def measure(flips: int = FLIPS) -> list[Switching]:
    """Measure both ways on the scratch rig, one after the other; nothing of it is left."""
    with rig.standing():
        return [_measured(way, flips) for way in rig.WAYS]


def _measured(way: str, flips: int) -> Switching:
    with rig.edge(way) as client:
        earlier = {colour: len(rig.backend_times(colour)) for colour in rig.COLOURS}
        with Load(client, **LOAD) as load:
            told = output(["docker", "exec", client, "python3", "/on_edge.py", way, str(flips), str(_PAUSE)])
        answers = {colour: rig.backend_times(colour)[count:] for colour, count in earlier.items()}
    return Switching(way, json.loads(told), load.lines, answers)


def table(measured: Sequence[Switching]) -> str:
    """Return a table of what each way cost."""
    return aligned(
        _HEADINGS,
        [
            (
                _NAMES[switching.way],
                str(len(switching.switches)),
                str(len(switching.requests)),
                str(len(switching.lost)),
                str(sum(line["kind"] == "post" for line in switching.lost)),
                str(switching.wrong),
                _short(switching.command["median"]),
                f"{_short(switching.last_old['median'])} (at most {_short(switching.last_old['max'])})",
                f"< {duration(TARGET)}, 0 lost" if switching.way == "flip" else "",
                ("met" if switching.met else "missed") if switching.way == "flip" else "",
            )
            for switching in measured
        ],
    )


def panels(measured: Sequence[Switching]) -> list[Panel]:
    """Return what is drawn of each way: all its switches laid over each other."""
    return [
        Panel(
            _TITLES[switching.way],
            f"{len(switching.switches)} switches laid over each other: {len(switching.lost)} requests lost of"
            f" {len(switching.requests)}",
            switching.lines,
            [(switch["began"], switch["colour"]) for switch in switching.switches],
        )
        for switching in measured
    ]


def details(measured: Sequence[Switching]) -> list[dict[str, Any]]:
    """Return the figures for the file."""
    return [
        {
            "way": switching.way,
            "switches": len(switching.switches),
            "requests": len(switching.requests),
            "lost": len(switching.lost),
            "wrong": switching.wrong,
            "command": switching.command,
            "last_old": switching.last_old,
            "met": switching.met,
        }
        for switching in measured
    ]


def _short(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
