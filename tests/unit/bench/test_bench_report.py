"""The table says what was measured, and whether that met its target."""

import json

import pytest

from bench import report
from bench.report import Row

MACHINE = {"cpu": "A processor", "cores": 2}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0213, "21 ms"),
        (0.15, "150 ms"),
        (0.9996, "1.0 s"),
        (5.96, "6.0 s"),
        (60, "60.0 s"),
        (99.97, "100.0 s"),
        (119.6, "2:00 min"),
        (900, "15:00 min"),
    ],
)
def test_duration(seconds, expected):
    assert report.duration(seconds) == expected


@pytest.mark.parametrize(
    ("figures", "target", "expected"),
    [([1.0, 2.0, 9.0], 2, True), ([1.0, 2.1, 2.2], 2, False), ([1.0], None, None)],
)
def test_target_is_for_the_median(figures, target, expected):
    assert Row("case", figures, target).met is expected


@pytest.mark.parametrize(("usual", "expected"), [([4.1], True), ([3.9], False), (None, False)])
def test_target_may_also_be_how_much_longer_the_usual_style_takes(usual, expected):
    assert Row("case", [1.0], 2, usual, times=4).met is expected


def test_row_says_how_many_times_as_long_is_wanted():
    assert report.cells(Row("case", [1.0], 2, [5.0], times=4))[-1] == "5.0 (≥ 4)"


def test_row_shows_the_median_of_the_ratios():
    cells = report.cells(Row("case", [1.0, 2.0, 10.0], 5, [3.0, 8.0, 20.0]))
    assert cells == ("case", "≤ 5.0 s", "2.0 s", "1.0 s to 10.0 s", "3", "met", "8.0 s", "3.0")


def test_row_without_target_or_usual_style_leaves_them_empty():
    assert report.cells(Row("case", [1.5])) == ("case", "", "1.5 s", "", "1", "", "", "")


def test_missed_target_is_said():
    assert "missed" in report.cells(Row("case", [7.0], 6))


def test_table_is_aligned_and_markdown():
    lines = report.table([Row("short", [1.0]), Row("a much longer name", [0.02], 0.15, [0.2])]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert {line.count("|") for line in lines} == {len(report.HEADINGS) + 1}
    assert set(lines[1]) == {"|", "-"}


def test_file_holds_every_figure(tmp_path):
    path = tmp_path / "build/bench.json"
    report.write(path, [Row("case", [2.0, 4.0], 3, [4.0, 12.0])], MACHINE, {"modules": {}})
    document = json.loads(path.read_text())
    assert document["machine"] == MACHINE
    (row,) = document["rows"]
    assert row["ours"]["values"] == [2.0, 4.0]
    assert row["usual"]["median"] == 8.0
    assert row["ratio"]["values"] == [2.0, 3.0]
    assert row["met"] is True
