"""The picture holds every request of its window, and stays a small file that any viewer reads."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from bench import plot
from bench.plot import Panel


def line(end, colour, failed=""):
    return {"kind": "get", "start": end - 0.01, "end": end, "colour": colour, "failed": failed}


LINES = [
    line(99.0, "green"),  # outside
    line(99.9, "green"),
    line(100.01, "green"),
    line(100.1, "blue"),
    line(100.1, "", "unanswered"),
    {"begun": 1},
]


def panel(lines=LINES, switches=((100.0, "blue"),), **options):
    return Panel("One & only", "0 < 1", lines, list(switches), **options)


def test_points_are_seen_from_the_switch():
    found = [(round(point.at, 3), point.colour) for point in plot.points(panel())]
    assert found == [(-0.1, "green"), (0.01, "green"), (0.1, "blue"), (0.1, "lost")]
    assert all(point.seconds == pytest.approx(0.01) for point in plot.points(panel()))


def test_switches_to_either_colour_are_laid_over_each_other():
    lines = [line(99.9, "green"), line(100.1, "blue"), line(199.9, "blue"), line(200.1, "green")]
    found = [(round(point.at, 3), point.colour) for point in plot.points(panel(lines, [(100, "blue"), (200, "green")]))]
    assert found == [(-0.1, "green"), (0.1, "blue"), (-0.1, "green"), (0.1, "blue")]


def test_the_picture_is_an_svg_with_both_panels(tmp_path):
    path = tmp_path / "images/release.svg"
    plot.write(path, [[panel()], [panel()]], "A <heading>", "How it was measured")
    root = ElementTree.fromstring(path.read_text())
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert texts.count("One & only") == 2
    assert {"A <heading>", "How it was measured", "switch", "+100 ms", "-100 ms"} <= set(texts)
    bars = [element for element in root.iter() if element.tag.endswith("rect")]
    assert (
        sum(element.get("fill") == plot.COLOURS["lost"] for element in bars) == 1 + 2
    )  # the legend's, and each panel's


def test_many_requests_make_no_large_file():
    lines = [line(99.9 + number / 50_000, "green" if number < 5000 else "blue") for number in range(20_000)]
    assert len(plot.draw([[panel(lines), panel(lines)]], "", "")) < 100_000


@pytest.mark.parametrize("highest", [0.3, 1, 7, 42, 180, 99_999])
def test_ticks_are_few_and_round(highest):
    ticks = plot._ticks(highest)
    assert 2 <= len(ticks) <= 6
    assert ticks[-1] <= highest
    assert len({round(later - earlier, 9) for earlier, later in pairwise(ticks)}) == 1


def test_an_empty_load_is_drawn_too():
    assert plot.draw([[panel([])]], "", "").startswith("<svg")
