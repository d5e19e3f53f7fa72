"""What a switch cost is read off the requests and off the colours' own logs."""

import pytest

from bench import flip
from bench.flip import Switching

SWITCHES = [{"colour": "blue", "began": 10.0, "ended": 10.001}, {"colour": "green", "began": 20.0, "ended": 20.003}]


def line(start, colour, failed="", kind="get"):
    return {
        "kind": kind,
        "app": "nest",
        "version": "1",
        "start": start,
        "end": start + 0.002,
        "colour": colour,
        "failed": failed,
    }


def switching(lines=(), green=(), blue=(), way="flip"):
    return Switching(way, SWITCHES, list(lines), {"green": list(green), "blue": list(blue)})


@pytest.mark.parametrize(
    ("green", "blue", "expected"),
    [
        ([9.9], [19.9], [0, 0]),
        ([9.9, 10.002, 20.5], [10.1, 20.1], [0.002, 0.1]),  # green is right again after 20
        ([], [], [0, 0]),
    ],
)
def test_the_last_old_answer_is_of_the_old_colour_before_the_next_switch(green, blue, expected):
    assert switching(green=green, blue=blue).last_old["values"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("start", "colour", "wrong"),
    [
        (9, "green", 0),
        (10.0005, "green", 0),  # the command had not ended
        (10.1, "green", 1),
        (10.1, "blue", 0),
        (19.999, "green", 0),  # the next switch came while it was under way
        (20.1, "blue", 1),
        (20.1, "green", 0),
    ],
)
def test_wrong_is_what_was_sent_after_the_command_and_answered_by_the_old_colour(start, colour, wrong):
    assert switching([line(start, colour)]).wrong == wrong


@pytest.mark.parametrize(
    ("lines", "green", "met"),
    [
        ([line(5, "green")], [10.004], True),
        ([line(5, "green")], [10.012], False),
        ([line(5, "green", "unanswered")], [], False),
        ([line(11, "green")], [], False),
    ],
)
def test_the_target_is_quick_and_lossless(lines, green, met):
    assert switching(lines, green=green).met is met


def test_the_table_tells_both_ways():
    posts = [line(10.5, "", "unanswered", "post"), line(10.5, "", "unanswered")]
    ours, theirs = flip.table([switching([line(5, "green")]), switching(posts, way="reload")]).splitlines()[2:]
    assert "| met" in ours
    assert [cell.strip() for cell in theirs.split("|")[2:6]] == ["2", "2", "2", "1"]
    assert "met" not in theirs
    assert "missed" not in theirs


def test_all_of_a_load_was_asked_of_the_rig(monkeypatch):
    """The parts are put together: what was logged before the load does not count."""
    from contextlib import contextmanager  # noqa: PLC0415

    times = {"green": [[1.0], [1.0, 10.003]], "blue": [[], []]}

    class Load:
        lines = (line(5, "green"),)

        def __init__(self, container, **_options):
            assert container == "client"

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

    @contextmanager
    def edge(way):
        assert way == "flip"
        yield "client"

    monkeypatch.setattr(flip.rig, "edge", edge)
    monkeypatch.setattr(flip.rig, "backend_times", lambda colour: times[colour].pop(0))
    monkeypatch.setattr(flip, "Load", Load)
    monkeypatch.setattr(flip, "output", lambda _command: '[{"colour": "blue", "began": 10.0, "ended": 10.001}]')
    measured = flip._measured("flip", 1)
    assert measured.answers == {"green": [10.003], "blue": []}
    assert measured.met
