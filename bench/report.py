"""The figures as a table and as a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .measure import ratios, summary

HEADINGS = ("", "target", "median", "min to max", "runs", "", "usual style", "times as long")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What was measured.
        ours: Figures in seconds.
        target: At most how many seconds; None if there is no target.
        usual: Figures of the same work in the usual style, measured in turns with `ours`; None if there is none.
        times: At least how many times as long the usual style must take; None if there is no such target.

    """

    name: str
    ours: list[float]
    target: float | None = None
    usual: list[float] | None = None
    times: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the medians are within the targets."""
        if self.target is None:
            return None
        quick = bool(summary(self.ours)["median"] <= self.target)
        return quick and (self.times is None or (self.ratio is not None and self.ratio["median"] >= self.times))

    @property
    def ratio(self) -> dict[str, Any] | None:
        """How many times as long the usual style took, round by round."""
        return None if self.usual is None else summary(ratios(self.ours, self.usual))


def duration(seconds: float) -> str:
    """Write seconds as a person reads them."""
    if round(seconds, 3) < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min"


def cells(row: Row) -> tuple[str, ...]:
    """Return the cells of a row."""
    ours = summary(row.ours)
    return (
        row.name,
        "" if row.target is None else f"≤ {duration(row.target)}",
        duration(ours["median"]),
        f"{duration(ours['min'])} to {duration(ours['max'])}" if len(row.ours) > 1 else "",
        str(len(row.ours)),
        {None: "", True: "met", False: "missed"}[row.met],
        "" if row.usual is None else duration(summary(row.usual)["median"]),
        "" if row.ratio is None else f"{row.ratio['median']:.1f}" + (f" (≥ {row.times:g})" if row.times else ""),
    )


def aligned(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an aligned table, which is Markdown too."""
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([head, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *body])


def table(rows: Iterable[Row]) -> str:
    """Return the table of what takes time."""
    return aligned(HEADINGS, map(cells, rows))


def sentence(machine: dict[str, Any]) -> str:
    """Describe the machine in a line."""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']},"
        f" kernel {machine['kernel']}; ansible-core {machine['ansible_core']}, community.docker"
        f" {machine['community_docker']}, Python {machine['python']}, engine {machine['engine']}; the lab's hosts:"
        f" engine {machine['host_engine']}, Python {machine['host_python']}; load average"
        f" {machine['load_before']} before, {machine['load_after']} after"
    )


def write(path: Path, rows: Sequence[Row], machine: dict[str, Any], details: dict[str, Any]) -> None:
    """Write everything that was measured, in seconds."""
    document = {
        "machine": machine,
        "rows": [
            {
                **asdict(row),
                "ours": summary(row.ours),
                "usual": row.usual and summary(row.usual),
                "met": row.met,
                "ratio": row.ratio,
            }
            for row in rows
        ],
        **details,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
