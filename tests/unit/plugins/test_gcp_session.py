"""Requests to Compute Engine: when they are made again, paged and waited for. The other side is a script."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import GoogleError, Overdue, Unreachable
from ansible_collections.protostar.platform.plugins.module_utils._gce_session import Session
from ansible_collections.protostar.platform.plugins.module_utils._gce_steps import Call
from gcp_world import Time

DONE, RUNNING = {"name": "op", "status": "DONE"}, {"name": "op", "status": "RUNNING"}
CREATE = Call("POST", "zones/us-west1-b", "instances", {"name": "x"})


@dataclass
class Answer:
    status: int = 200
    document: object = None
    headers: dict = field(default_factory=dict)
    seconds: float = 0.0


class Script:
    """Answers as written; the last line for ever. None is a connection that breaks."""

    def __init__(self, time, *answers):
        self.time = time
        self.answers = list(answers)
        self.asked = []

    def send(self, method, url, params, body, timeout):
        self.asked.append((method, url, dict(params), body, timeout))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise Unreachable("broken")
        self.time.now += answer.seconds
        return answer


def session(*answers, timeout=600, chance=0.0):
    time = Time()
    script = Script(time, *answers)
    made = Session(
        script, "https://example.test/v1", project="p", zone="z", timeout=timeout,
        sleep=time.sleep, clock=lambda: time.now, chance=lambda: chance,
    )  # fmt: skip
    return made, script, time


def error(status, reason=""):
    return Answer(status, {"error": {"code": status, "message": "no", "errors": [{"reason": reason}]}})


def test_a_read_that_is_not_there_is_none():
    made, script, _time = session(error(404, "notFound"))
    assert made.get("global/networks/x") is None
    assert script.asked[0][:2] == ("GET", "https://example.test/v1/projects/p/global/networks/x")
    assert (made.reads, made.writes) == (1, 0)


@pytest.mark.parametrize("trouble", [error(429), error(500), error(502), error(503), error(504), None,
                                     error(403, "rateLimitExceeded"), error(400, "resourceNotReady"),
                                     Answer(200, None)])  # fmt: skip
def test_what_passes_is_asked_again_with_the_same_request_id(trouble):
    made, script, time = session(trouble, trouble, Answer(200, DONE))
    made.write(CREATE, "create x")
    ids = {asked[2]["requestId"] for asked in script.asked}
    assert len(script.asked) == 3
    assert len(ids) == 1
    assert time.slept[1] > time.slept[0] > 0
    assert made.writes == 3


def test_two_writes_have_two_request_ids():
    made, script, _time = session(Answer(200, DONE))
    made.write(CREATE, "create x")
    made.write(CREATE, "create x")
    assert script.asked[0][2]["requestId"] != script.asked[1][2]["requestId"]


@pytest.mark.parametrize("status", [400, 401, 403, 409, 412])
def test_what_stays_is_told_at_once(status):
    made, script, _time = session(error(status))
    with pytest.raises(GoogleError, match="Could not create x"):
        made.write(CREATE, "create x")
    assert len(script.asked) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_server_says_when_to_come_back(form):
    later = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=18), usegmt=True)
    limited = Answer(429, None, {"Retry-After": "17" if form == "seconds" else later})
    made, _script, time = session(limited, Answer(200, {}))
    made.get("x")
    assert 16 < time.slept[0] < 19


def test_several_runs_do_not_come_back_at_once():
    pauses = []
    for chance in (0.0, 0.999):
        made, _script, time = session(error(503), Answer(200, {}), chance=chance)
        made.get("x")
        pauses += time.slept
    assert pauses[1] > pauses[0] * 1.5


def test_patience_ends_with_the_runs_time():
    made, _script, time = session(error(503), timeout=90)
    with pytest.raises(GoogleError):
        made.get("x")
    assert 45 < time.now <= 90


def test_a_network_that_is_down_is_told_soon():
    made, _script, time = session(None, timeout=3600)
    with pytest.raises(ServiceError, match=r"example\.test/v1 does not answer \(broken\); check"):
        made.get("x")
    assert 10 < time.now <= 60


def test_a_network_that_is_down_now_and_then_is_waited_for():
    answers = [entry for _ in range(40) for entry in (None, None, Answer(200, RUNNING, seconds=10))]
    made, _script, time = session(Answer(200, RUNNING), *answers, Answer(200, DONE), timeout=3600)
    made.write(CREATE, "create x")
    assert time.now > 400


def test_an_operation_is_waited_for_where_it_is():
    made, script, time = session(
        Answer(200, RUNNING), Answer(200, RUNNING, seconds=120), Answer(200, RUNNING, seconds=120), Answer(200, DONE)
    )
    made.write(CREATE, "create x")
    waits = script.asked[1:]
    assert {asked[:2] for asked in waits} == {
        ("POST", "https://example.test/v1/projects/p/zones/us-west1-b/operations/op/wait")
    }
    assert all(asked[4] > 120 for asked in waits)
    assert time.slept == []
    assert (made.reads, made.writes) == (3, 1)


def test_a_server_that_does_not_wait_is_not_hammered():
    made, script, _time = session(Answer(200, RUNNING), timeout=120)
    with pytest.raises(Overdue, match="Could not create x within 120 s"):
        made.write(CREATE, "create x")
    assert len(script.asked) < 12


def test_an_operation_that_fails_is_an_error_though_its_status_is_200():
    failed = {**DONE, "error": {"errors": [{"code": "QUOTA_EXCEEDED", "message": "Quota 'X' exceeded."}]}}
    for answers in ([Answer(200, failed)], [Answer(200, RUNNING), Answer(200, failed)]):
        made, _script, _time = session(*answers)
        with pytest.raises(GoogleError, match="Quota 'X' exceeded"):
            made.write(CREATE, "create x")


def test_a_list_is_read_to_its_last_page():
    pages = [
        {"items": {"regions/a": {"addresses": [{"name": "1"}]}, "regions/b": {"warning": {}}}, "nextPageToken": "n"},
        {"items": {"regions/b": {"addresses": [{"name": "2"}, {"name": "3"}]}}, "nextPageToken": "m"},
        {"nextPageToken": "l"},
        {"items": {"global": {"addresses": [{"name": "4"}]}}},
    ]
    made, script, _time = session(*(Answer(200, page) for page in pages))
    assert [entry["name"] for entry in made.everywhere("addresses")] == ["1", "2", "3", "4"]
    assert [asked[2].get("pageToken") for asked in script.asked] == [None, "n", "m", "l"]
