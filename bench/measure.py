"""Run commands, see that they did what they should, and time them."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FAILURE = ROOT / "build/bench-failure.log"

_RECAP = re.compile(r"^(\S+) +: ((?:\w+=\d+ *)+)$", re.MULTILINE)


class BenchError(Exception):
    """What was measured did not do what it should, so its time means nothing."""


def recap(output: str) -> list[dict[str, Any]]:
    """Return the lines of every PLAY RECAP as mappings: host, ok, changed, unreachable, failed."""
    return [
        {"host": host, **{name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", counts)}}
        for host, counts in _RECAP.findall(output)
    ]


def check_recap(output: str, changed: bool | None) -> None:
    """See that playbooks changed nothing (False), something (True), or whatever (None).

    Raises:
        BenchError: They did otherwise, or the output holds no recap.

    """
    lines = recap(output)
    if not lines:
        raise BenchError("no PLAY RECAP in its output")
    changes = {line["host"]: line["changed"] for line in lines if line["changed"]}
    if changed is not None and bool(changes) != changed:
        raise BenchError(f"it should have changed {'something' if changed else 'nothing'}: {changes or 'changed=0'}")


def environment() -> dict[str, str]:
    """Return the environment of a person's shell: not that of scripts/bench, and without colours."""
    kept = {name: value for name, value in os.environ.items() if name != "PROTOSTAR_START"}
    return {**kept, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}


def output(command: Sequence[str], text: str | None = None, **variables: str) -> str:
    """Return what a command writes, given `text` as its input.

    Raises:
        BenchError: It failed; the text names the file with what it wrote.

    """
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**environment(), **variables},
            input=text if text is not None else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BenchError(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        FAILURE.parent.mkdir(parents=True, exist_ok=True)
        FAILURE.write_text(done.stdout)
        raise BenchError(f"'{' '.join(command)}' ended with {done.returncode}: read {FAILURE}.")
    return done.stdout


def playbook_seconds(command: Sequence[str], changed: bool | None) -> float:
    """Return how long a command with playbooks took, in seconds.

    Args:
        command: The command and its arguments.
        changed: Whether its playbooks must have changed something; None if either is fine.

    Raises:
        BenchError: It failed, or changed what it should not.

    """
    began = time.perf_counter()
    text = output(command)
    seconds = time.perf_counter() - began
    try:
        check_recap(text, changed)
    except BenchError as error:
        raise BenchError(f"'{' '.join(command)}': {error}") from error
    return seconds


def interleaved(sides: Sequence[Callable[[int], float]], runs: int) -> list[list[float]]:
    """Measure sides in turns (A B A B), so that what else the machine does meets both.

    Args:
        sides: Functions of the round's number that return a figure.
        runs: Number of rounds.

    Returns:
        The figures of each side, in the order of the rounds.

    """
    rounds = [[side(number) for side in sides] for number in range(runs)]
    return [list(figures) for figures in zip(*rounds, strict=True)]


def summary(figures: Iterable[float]) -> dict[str, Any]:
    """Return median, min and max of figures, and the figures."""
    values = list(figures)
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "values": values}


def ratios(ours: Sequence[float], usual: Sequence[float]) -> list[float]:
    """Return, for each round, how many times as long the usual style took."""
    return [theirs / own for own, theirs in zip(ours, usual, strict=True)]
