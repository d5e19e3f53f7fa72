"""A picture of a switch: requests by colour and their latency, as an SVG that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from lab.client.summary import Line

COLOURS: Mapping[str, str] = {"green": "#2b8a5a", "blue": "#3b76d6", "lost": "#d1242f"}
_INK, _QUIET, _GRID, _PAPER = "#24292f", "#57606a", "#e3e6ea", "#ffffff"
_WIDTH, _HEAD, _FOOT = 960, 62, 30
_LEFT, _GAP, _RIGHT = 64, 56, 16
# A row of panels, and where in it the counts and, below them, the latency are.
_ROW = 400
_COUNTS, _LATENCY = (62, 202), (240, 360)
_BARS = 60
_POINTS = 1500  # in a panel; more are not seen


@dataclass(frozen=True)
class Panel:
    """One way to switch.

    Attributes:
        title: What it is.
        text: What it came to, in a few words.
        lines: Requests of a load, as it told them.
        switches: When it was switched, and to which colour, in seconds since the epoch; several are laid over.
        before: How much is shown before a switch, in seconds.
        after: The same behind it.
        marks: What else happened, by its time from the switch in seconds.

    """

    title: str
    text: str
    lines: Sequence[Line]
    switches: Sequence[tuple[float, str]]
    before: float = 0.2
    after: float = 0.3
    marks: Sequence[tuple[float, str]] = ()


@dataclass(frozen=True)
class Point:
    """A request, seen from a switch: seconds after it, who answered (the old colour as green), and how long it took."""

    at: float
    colour: str
    seconds: float


def points(panel: Panel) -> list[Point]:
    """Return the requests around the switches, by when they were answered."""
    found = []
    for moment, colour in panel.switches:
        for line in panel.lines:
            at = line.get("end", 0) - moment
            if "kind" in line and -panel.before <= at <= panel.after:
                who = "lost" if line.get("failed") else "blue" if line.get("colour") == colour else "green"
                found.append(Point(at, who, line["end"] - line["start"]))
    return found


def write(path: Path, rows: Sequence[Sequence[Panel]], heading: str, caption: str) -> None:
    """Draw rows of panels into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(rows, heading, caption))


def draw(rows: Sequence[Sequence[Panel]], heading: str, caption: str) -> str:
    """Return the picture: rows of panels, those of a row with common scales."""
    height = _HEAD + _ROW * len(rows) + _FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13"><title>{escape(heading)}</title>',
        f'<rect width="{_WIDTH}" height="{height}" fill="{_PAPER}"/>',
        _text(_LEFT, 30, heading, size=18, weight=600),
        *_legend(),
    ]
    for number, row in enumerate(rows):
        parts += [f'<g transform="translate(0 {_HEAD + _ROW * number})">', *_row(row), "</g>"]
    parts += [_text(_LEFT, height - 12, caption, fill=_QUIET, size=12), "</svg>"]
    return "\n".join(parts) + "\n"


def _row(panels: Sequence[Panel]) -> Iterator[str]:
    drawn = [points(panel) for panel in panels]
    counted = [_bars(panel, found) for panel, found in zip(panels, drawn, strict=True)]
    most = max((sum(bar.values()) for bars in counted for bar in bars), default=1) or 1
    slowest = max((point.seconds for found in drawn for point in found if point.colour != "lost"), default=0.01)
    width = (_WIDTH - _LEFT - _RIGHT - _GAP * (len(panels) - 1)) / len(panels)
    for number, (panel, found, bars) in enumerate(zip(panels, drawn, counted, strict=True)):
        left = _LEFT + number * (width + _GAP)
        middle = _place(panel, left, width, 0)
        yield _text(left, 18, panel.title, size=15, weight=600)
        yield _text(left, 36, panel.text, fill=_QUIET)
        yield from _frame(panel, left, width, most, slowest * 1000)
        yield from _draw_bars(bars, left, width, most)
        yield from _draw_points(panel, found, left, width, slowest)
        yield _line((middle, _COUNTS[0]), (middle, _LATENCY[1]), _INK, "4 3")
        for at, text in panel.marks:
            x = _place(panel, left, width, at)
            yield _line((x, _COUNTS[0]), (x, _LATENCY[1]), _QUIET, "1 3")
            yield _text(x + 3, _COUNTS[1] + 14, text, fill=_QUIET, size=11)


def _bars(panel: Panel, found: Iterable[Point]) -> list[dict[str, int]]:
    step = (panel.before + panel.after) / _BARS
    bars = [dict.fromkeys(COLOURS, 0) for _ in range(_BARS)]
    for point in found:
        bars[min(_BARS - 1, int((point.at + panel.before) / step))][point.colour] += 1
    return bars


def _place(panel: Panel, left: float, width: float, at: float) -> float:
    return left + width * (at + panel.before) / (panel.before + panel.after)


def _legend() -> Iterator[str]:
    left = float(_LEFT)
    for colour, text in (("green", "answered by the old colour"), ("blue", "by the new colour"), ("lost", "lost")):
        yield f'<rect x="{left}" y="44" width="12" height="12" rx="2" fill="{COLOURS[colour]}"/>'
        yield _text(left + 18, 55, text)
        left += 34 + 7 * len(text)


def _frame(panel: Panel, left: float, width: float, most: int, slowest: float) -> Iterator[str]:
    for (top, bottom), highest, unit in (
        (_COUNTS, float(most), "requests"),
        (_LATENCY, slowest, "milliseconds to answer"),
    ):
        yield _text(left, top - 6, unit, fill=_QUIET, size=11)
        for value in _ticks(highest):
            y = bottom - (bottom - top) * value / highest
            yield _line((left, y), (left + width, y), _GRID)
            yield _text(left - 6, y + 4, f"{value:g}", anchor="end", fill=_QUIET, size=11)
    scale, unit = (1, "s") if panel.after >= 2 else (1000, "ms")
    for value in _ticks(max(panel.after, panel.before), 4):
        for at in {value, -value}:
            if -panel.before <= at <= panel.after:
                text = f"{at * scale:+g} {unit}" if at else "switch"
                yield _text(_place(panel, left, width, at), _LATENCY[1] + 18, text, anchor="middle", size=11)


def _draw_bars(bars: Sequence[Mapping[str, int]], left: float, width: float, most: int) -> Iterator[str]:
    top, bottom = _COUNTS
    each = width / len(bars)
    for number, bar in enumerate(bars):
        y = float(bottom)
        for colour, count in bar.items():
            height = (bottom - top) * count / most
            if not count:
                continue
            # One lost request of many must still be seen.
            height = max(height, 3.0) if colour == "lost" else height
            y -= height
            yield (
                f'<rect x="{left + number * each:.1f}" y="{y:.1f}" width="{each - 0.8:.1f}" height="{height:.1f}" '
                f'fill="{COLOURS[colour]}"/>'
            )


def _draw_points(panel: Panel, found: Sequence[Point], left: float, width: float, slowest: float) -> Iterator[str]:
    top, bottom = _LATENCY
    answered = [point for point in found if point.colour != "lost"]
    shown = answered[:: max(1, len(answered) // _POINTS)]
    for colour in ("green", "blue"):
        # One path of dots: a circle for each would make the file ten times as large.
        dots = "".join(
            f"M{_place(panel, left, width, point.at):.1f} {bottom - (bottom - top) * point.seconds / slowest:.1f}h0"
            for point in shown
            if point.colour == colour
        )
        yield f'<path d="{dots}" stroke="{COLOURS[colour]}" stroke-width="3" stroke-linecap="round" opacity=".55"/>'
    crosses = "".join(
        f"M{_place(panel, left, width, point.at) - 4:.1f} {top}l8 8m0 -8l-8 8"
        for point in found
        if point.colour == "lost"
    )
    yield f'<path d="{crosses}" stroke="{COLOURS["lost"]}" stroke-width="2" fill="none"/>'


def _ticks(highest: float, wanted: int = 4) -> list[float]:
    """Return round values from 0 up to the highest."""
    magnitude = 10.0 ** math.floor(math.log10(highest / wanted))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor * wanted >= highest)
    return [round(step * number, 9) for number in range(int(highest / step) + 1)]


def _text(
    x: float, y: float, text: str, *, size: int = 13, weight: int = 400, fill: str = _INK, anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    places = f'x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
    return f'<line {places} stroke="{colour}"{dashed}/>'
