"""What being watched costs: requests per second of nginx with and without the observability stack."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .measure import BenchError, output, ratios, summary
from .report import aligned

# At most this share of the requests may be lost.
TARGET = 0.05
CLIENT = "protostar-client"
ROUNDS = 5
ROUTES = {
    "a text of nginx itself": "https://api.protostar.test/",
    "a route of an application": "https://www.protostar.test/api/fastapi/version",
}
# Everything that looks at main while it serves.
OBSERVERS: Mapping[str, Sequence[str]] = {
    "protostar-main": ["docker-socket-proxy", "cadvisor", "promtail", "alloy", "nginx-exporter", "node-exporter"],
    "protostar-sub": ["prometheus"],
}

_LOAD = ["docker", "exec", CLIENT, "wrk", "--threads", "2", "--connections", "32", "--duration", "5s"]
_PATIENCE = 120  # seconds that an observer has to become healthy
_HEADINGS = ("", "with", "without", "lost: median", "min to max", "target", "")


@dataclass(frozen=True)
class Overhead:
    """Requests per second to one route.

    Attributes:
        name: What was asked for.
        watched: Figures with the stack.
        alone: Figures of the same rounds without it.

    """

    name: str
    watched: list[float]
    alone: list[float]

    @property
    def lost(self) -> dict[str, Any]:
        """Which share of the requests the stack cost, round by round; below zero if there were more with it."""
        return summary(1 - ratio for ratio in ratios(self.alone, self.watched))

    @property
    def met(self) -> bool:
        """Whether the median is within the target."""
        return self.lost["median"] <= TARGET


def rate(report: str) -> float:
    """Return the requests per second of wrk's report.

    Raises:
        BenchError: Something else than answers came back.

    """
    if wrong := re.search(r"Non-2xx.*|Socket errors.*", report):
        raise BenchError(f"the load met {wrong.group()}")
    found = re.search(r"^Requests/sec:\s+([\d.]+)$", report, re.MULTILINE)
    if not found:
        raise BenchError("wrk told no rate")
    return float(found.group(1))


def measure(rounds: int = ROUNDS, observers: Mapping[str, Sequence[str]] = OBSERVERS) -> list[Overhead]:
    """Measure in turns with and without; whatever happens, the stack runs afterwards."""
    running = {host: _running(host, names) for host, names in observers.items()}
    figures: dict[str, dict[bool, list[float]]] = {name: {True: [], False: []} for name in ROUTES}
    for number in range(2 * rounds):
        # With, without, without, with, …: what changes slowly meets both alike.
        watched = number % 4 in (0, 3)
        with _as_is() if watched else _stopped(running):
            for name, url in ROUTES.items():
                figures[name][watched].append(rate(output([*_LOAD, url])))
    return [Overhead(name, both[True], both[False]) for name, both in figures.items()]


@contextmanager
def _as_is() -> Iterator[None]:
    yield


@contextmanager
def _stopped(running: Mapping[str, Sequence[str]]) -> Iterator[None]:
    try:
        for host, names in running.items():
            output(["docker", "exec", host, "docker", "stop", *names])
        yield
    finally:
        for host, names in running.items():
            output(["docker", "exec", host, "docker", "start", *names])
        for host, names in running.items():
            _wait(host, names)


def _running(host: str, names: Sequence[str]) -> list[str]:
    there = output(["docker", "exec", host, "docker", "ps", "--format", "{{.Names}}"]).split()
    found = [name for name in names if name in there]
    if not found:
        raise BenchError(f"nothing on {host} watches, so there is nothing to compare: run 'make up' first")
    return found


def _wait(host: str, names: Sequence[str]) -> None:
    began = time.monotonic()
    look = ["docker", "exec", host, "docker", "inspect", "--format", "{{.State.Health.Status}}", *names]
    while set(output(look).split()) != {"healthy"}:
        if time.monotonic() - began > _PATIENCE:
            raise BenchError(f"not all of {', '.join(names)} became healthy again on {host}: run 'make status'")
        time.sleep(0.5)


def table(measured: Sequence[Overhead]) -> str:
    """Return a table of medians and of what was lost."""
    return aligned(
        _HEADINGS,
        [
            (
                overhead.name,
                f"{summary(overhead.watched)['median']:.0f}/s",
                f"{summary(overhead.alone)['median']:.0f}/s",
                f"{overhead.lost['median']:.1%}",
                f"{overhead.lost['min']:.1%} to {overhead.lost['max']:.1%}",
                f"≤ {TARGET:.0%}",
                "met" if overhead.met else "missed",
            )
            for overhead in measured
        ],
    )
