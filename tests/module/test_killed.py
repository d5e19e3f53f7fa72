"""A run that is killed with SIGKILL, at moments spread over its whole course: the next one always gets there."""

import signal
import time

import pytest

# The unit tests kill a run at every single step; here it is the engine and Compose that must cope.
MOMENTS = 4


@pytest.mark.parametrize("first", [True, False], ids=["first release", "next release"])
def test_a_killed_run_is_finished_by_the_next(service, first):
    new = service.arguments({"text": "two"})
    old = service.arguments()
    if not first:
        service.run(old)
    started = time.monotonic()
    service.run(new)
    course = time.monotonic() - started
    for step in range(MOMENTS):
        if first:
            service.run({"name": new["name"], "root": new["root"], "state": "absent", "purge": True})
        else:
            service.run(old)
        process = service.start(new)
        time.sleep(course * (step + 0.5) / MOMENTS)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not first and (service.directory / "staging").exists():
            assert service.text() == "one", "nothing live is touched while the release is being prepared"
        service.run(new)
        assert service.text() == "two"
        assert service.traces() == []
        assert not service.run(new)["changed"]


def test_a_killed_run_is_undone_when_the_old_release_is_wanted_again(service):
    service.run()
    before = service.container()["Id"]
    process = service.start(service.arguments({"text": "two", "delay": 5}))
    while not (service.directory / "staging" / "rehearsal.yaml").exists():
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert service.traces() != []
    service.run()
    assert service.traces() == []
    assert service.container()["Id"] == before
    assert not service.run()["changed"]
