"""What the relay costs beside the direct way and other relays, what it takes, and what its module asks of Google."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import relay_memory, relay_module, relay_stand, relay_ways
from .measure import output
from .overhead import rate
from .relay_memory import Memory
from .relay_module import Unchanged
from .relay_stand import client, inside
from .relay_ways import WAYS, Passage, Way, bits
from .report import Row

ROUNDS = 5

_SECONDS = 2
_STREAMS = 4
_KEPT, _FRESH = 500, 100  # requests
# The time-out is far: a large answer may take long on a busy machine.
_WRK = ["wrk", "--threads", "1", "--timeout", "30s", "--duration", f"{_SECONDS}s"]

Figures = dict[Way, dict[str, list[float]]]


@dataclass(frozen=True)
class Measured:
    """Everything about the relay.

    Attributes:
        passages: The ways to the home, with figures of the same rounds.
        memory: What the relay takes.
        unchanged: The module's runs with nothing to do.

    """

    passages: list[Passage]
    memory: Memory
    unchanged: Unchanged


def measure(rounds: int = ROUNDS) -> Measured:
    """Measure on a rig of its own, of which nothing is left but the image."""
    with relay_stand.standing():
        with relay_stand.home("home"):
            with relay_stand.relay("ways"):
                served = _passages((_download, _requests, _connections), rounds, _answers)
            memory = relay_memory.measure()
        with relay_stand.home("source"), relay_stand.relay("ways"):
            alone = _passages((_bytes,), rounds, _flows)
    passages = [Passage(way, {**alone[way], **served[way]}) for way in WAYS]
    return Measured(passages, memory, relay_module.measure(rounds))


def rows(measured: Measured) -> list[Row]:
    """Return what takes seconds, for the table of all."""
    return relay_module.rows(measured.unchanged)


def table(measured: Measured) -> str:
    """Return the tables."""
    tables = [
        relay_ways.medians(measured.passages),
        relay_ways.against(measured.passages),
        relay_memory.table(measured.memory),
        relay_module.table(measured.unchanged),
    ]
    return "\n\n".join(tables)


def details(measured: Measured) -> dict[str, Any]:
    """Return the figures for the file."""
    return {
        "ways": relay_ways.details(measured.passages),
        "memory": relay_memory.details(measured.memory),
        "unchanged": relay_module.details(measured.unchanged),
    }


def _passages(
    measures: tuple[Callable[[Way], Mapping[str, float]], ...], rounds: int, ready: Callable[[Way], list[str]]
) -> Figures:
    """Measure every way in turns, once each answers."""
    figures: Figures = {way: {} for way in WAYS}
    for way in WAYS:
        relay_stand.wait(ready(way), "ways")
    for number in range(rounds):
        for measure_one in measures:
            # Back and forth: what changes slowly meets all alike.
            for way in WAYS if number % 2 else reversed(WAYS):
                for figure, value in measure_one(way).items():
                    figures[way].setdefault(figure, []).append(value)
    return figures


def _answers(way: Way) -> list[str]:
    return client("times", way, 1, 1)


def _flows(way: Way) -> list[str]:
    return client("take", way, 1, 0)


def _download(way: Way) -> Mapping[str, float]:
    told = output(inside("client", *_WRK, "--connections", str(_STREAMS), f"https://{way.host}:{way.port}/large"))
    return {"download": bits(told)}


def _requests(way: Way) -> Mapping[str, float]:
    return dict(json.loads(output(client("times", way, _KEPT, _FRESH))))


def _connections(way: Way) -> Mapping[str, float]:
    # Each answer ends its connection, and nobody resumes a session.
    ending = ["--connections", "16", "--header", "Connection: close"]
    return {"connections": rate(output(inside("client", *_WRK, *ending, f"https://{way.host}:{way.port}/")))}


def _bytes(way: Way) -> Mapping[str, float]:
    return {"bytes": float(output(client("take", way, _STREAMS, _SECONDS)))}
