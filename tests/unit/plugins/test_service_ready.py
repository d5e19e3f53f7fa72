"""Judging containers, and waiting for them, with a clock of our own."""

from dataclasses import replace

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._observe import Container
from ansible_collections.protostar.platform.plugins.module_utils._ready import NotReady, Ready, explain, is_ready, wait
from ansible_collections.protostar.platform.plugins.module_utils._release import Running

WELL = Container(
    service="web",
    running=Running("id", "web", "sha256:1", "hash", (64 << 20, 0, 0, "always"), ()),
    state="running",
    health="healthy",
    exit_code=0,
    oom_killed=False,
    restarts=0,
)
STARTING = replace(WELL, health="starting", health_log="connection refused")


@pytest.mark.parametrize(
    ("container", "before", "ready"),
    [
        (WELL, None, True),
        (replace(WELL, health="none"), None, True),
        (STARTING, None, False),
        (replace(WELL, state="created"), None, False),
        (replace(WELL, state="paused"), None, False),
        (replace(WELL, restarts=4), replace(WELL, restarts=4), True),
        (replace(WELL, oom_killed=True), WELL, True),
        (replace(WELL, health="unhealthy"), replace(WELL, health="unhealthy"), False),
    ],
)
def test_ready_or_not_yet(container, before, ready):
    assert is_ready(container, before) is ready


@pytest.mark.parametrize(
    ("container", "before", "said"),
    [
        (None, None, "no container"),
        (replace(WELL, state="exited", exit_code=3), None, "exited with code 3"),
        (replace(WELL, state="dead"), None, "exited"),
        (replace(WELL, state="restarting", exit_code=1, restarts=1), None, "was restarted"),
        (replace(WELL, restarts=1), None, "was restarted"),
        (replace(WELL, restarts=5), replace(WELL, restarts=4), "was restarted"),
        (replace(WELL, oom_killed=True), None, r"want of memory \(limit 64 MiB\)"),
        (replace(WELL, oom_killed=True, state="exited", exit_code=137), WELL, "want of memory"),
        (replace(WELL, state="exited", exit_code=137), None, r"probably for want of memory \(limit 64 MiB\)"),
        (replace(WELL, health="unhealthy"), None, "health check fails"),
        (replace(WELL, health="unhealthy"), WELL, "health check fails"),
    ],
)
def test_failed_for_good(container, before, said):
    with pytest.raises(NotReady, match=said):
        is_ready(container, before)


class Clock:
    """Time that passes only when somebody sleeps, and what is seen meanwhile."""

    def __init__(self, *looks):
        self.now, self.looks = 0.0, list(looks)

    def sleep(self, seconds):
        self.now += seconds

    def look(self):
        return {"web": self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]}

    def wait(self, ready, before=None):
        wait(self.look, ["web"], ready, before, clock=lambda: self.now, sleep=self.sleep)
        return self.now


def test_successes_must_be_consecutive():
    assert Clock(WELL, STARTING, WELL, WELL).wait(Ready(timeout=60, interval=2, successes=2)) == 6


def test_the_time_is_over():
    clock = Clock(STARTING)
    with pytest.raises(NotReady, match="web: it was not ready within 10 s"):
        clock.wait(Ready(timeout=10, interval=1, successes=1))
    assert clock.now == 10


def test_a_failure_ends_the_wait_at_once():
    clock = Clock(STARTING, replace(WELL, state="exited", exit_code=1))
    with pytest.raises(NotReady, match="web: it exited with code 1"):
        clock.wait(Ready(timeout=60, interval=1, successes=1))
    assert clock.now == 1


def test_a_container_that_was_replaced_has_no_past():
    old = replace(WELL, restarts=7, running=replace(WELL.running, id="old"))
    with pytest.raises(NotReady, match="was restarted"):
        Clock(replace(WELL, restarts=7)).wait(Ready(), {"web": old})


class Logs:
    def logs(self, container):
        return "\n".join(f"line {number}" for number in range(9))


@pytest.mark.parametrize(
    ("container", "said"),
    [
        (replace(WELL, state="exited"), "why; its log ends with: line 4 | line 5 | line 6 | line 7 | line 8"),
        (STARTING, "why; its health check ends with: connection refused"),
        (None, "why"),
    ],
)
def test_explained(container, said):
    assert explain(Logs(), NotReady("why", container)) == said
