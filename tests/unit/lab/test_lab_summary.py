"""A colour is wrong if it was not live at any time while the request was under way."""

import pytest

from lab.client.summary import Flip, summarise

# Blue since between 10 and 11, green again since between 20 and 21.
FLIPS = [Flip("nest", "blue", 10, 11), Flip("nest", "green", 20, 21)]


def line(**values):
    return {"kind": "get", "app": "nest", "start": 1.0, "end": 2.0, "status": 200, "version": "1", **values}


@pytest.mark.parametrize(
    ("start", "end", "colour", "wrong"),
    [
        (8, 9, "green", False),
        (8, 9, "blue", True),  # before the flip had begun
        (9, 10.5, "blue", False),
        (10.5, 10.6, "green", False),  # the flip was not confirmed yet
        (11.1, 11.2, "green", True),
        (11.1, 11.2, "blue", False),
        (10.9, 15, "green", False),  # sent before, slowly answered
        (19, 19.9, "green", True),
        (19, 20.5, "green", False),
        (21.1, 22, "blue", True),
        (21.1, 22, "green", False),
        (5, 25, "blue", False),
    ],
)
def test_wrong_colour(start, end, colour, wrong):
    found = summarise([line(start=start, end=end, colour=colour)], FLIPS)
    assert bool(found.wrong) is wrong
    assert not summarise([line(start=start, end=end, colour=colour)], FLIPS, mixed=["nest"]).wrong
    assert not summarise([line(start=start, end=end, colour=colour, app="fastapi")], FLIPS).wrong


@pytest.mark.parametrize(
    ("values", "lost", "reused", "bad"),
    [
        ({}, 0, 0, 0),
        ({"failed": "connect", "status": 0, "version": ""}, 1, 0, 0),
        ({"failed": "unanswered", "reused": True, "status": 0}, 1, 1, 0),
        ({"failed": "truncated", "reused": True}, 1, 0, 0),
        ({"failed": "status", "status": 502, "version": ""}, 1, 0, 0),  # nginx's own
        ({"failed": "status", "status": 500}, 0, 0, 1),  # the application's own
    ],
)
def test_who_lost_it(values, lost, reused, bad):
    found = summarise([line(**values)])
    assert (found.total, len(found.lost), len(found.reused), len(found.bad)) == (1, lost, reused, bad)


def test_sessions_are_no_requests_unless_they_never_began():
    lines = [{"begun": 1}, line(kind="sse", reason="end"), line(kind="websocket", failed="status", version="")]
    found = summarise(lines)
    assert (found.total, len(found.sessions), len(found.lost)) == (1, 1, 1)


def test_the_text_names_what_was_lost():
    text = str(summarise([line(), line(failed="reset", kind="post", version="")]))
    assert "2 requests (1 get, 1 post), 1 lost" in text
    assert "reset" in text.splitlines()[-1]
