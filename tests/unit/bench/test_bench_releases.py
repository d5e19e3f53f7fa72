"""A release is measured against its container's own time, and what the inventory declares is live in the end."""

import json
import re

import pytest

from bench import releases
from bench.measure import BenchError
from bench.releases import Releases
from lab.client.summary import summarise


def line(end, version, **values):
    colour = {"1": "green", "2": "blue"}[version]
    return {"kind": "get", "start": end - 0.1, "end": end, "version": version, "colour": colour, **values}


def measured(**changes):
    figures = {
        "deploys": [14.0, 13.0, 15.0], "healthy": [3.0, 2.0, 4.0], "rollbacks": [5.0] * 3, "flips": [0.001] * 3,
        "loaded": [0.002] * 20, "summary": summarise([{"kind": "get", "app": "nest", "status": 200}]),
    }  # fmt: skip
    return Releases(**{**figures, **changes})


def test_every_target_is_of_the_issue():
    rows = {row.name: row for row in releases.rows(measured())}
    beyond = rows["the same, without the container's own time"]
    assert beyond.ours == [11, 11, 11]
    assert beyond.met
    targets = [row.target for row in rows.values()]
    assert targets == [None, None, 12, 8, 0.005, 0.005]


def test_a_lost_request_is_a_missed_target():
    assert measured().lossless
    assert ": met" in releases.table(measured())
    lost = summarise([{"kind": "get", "app": "nest", "failed": "reset"}])
    assert not measured(summary=lost).lossless
    assert ": missed" in releases.table(measured(summary=lost))
    assert releases.details(measured(summary=lost))["lost"] == 1


SECONDS = {"preflight": 1, "start": 1, "flip": 0.01, "bake": 1}
STEPS = [{"step": name, "seconds": seconds} for name, seconds in SECONDS.items()]


def test_a_whole_release_is_drawn_from_the_first_request_to_the_last():
    lines = [line(10, "1"), line(13, "1"), line(13.1, "2"), line(15, "2"), {"kind": "sse", "end": 99}, {"begun": 1}]
    drawn = releases.panel(measured(watched=(lines, STEPS)))
    assert drawn.switches == [(13.1, "blue")]
    assert (drawn.before, drawn.after) == pytest.approx((3.1, 1.9))
    assert [name for _, name in drawn.marks] == ["preflight", "start", "bake"]
    assert [at for at, _ in drawn.marks] == pytest.approx([-2.01, -1.01, 0])


class Lab:
    """A main on which playbooks, containers and flips take no time."""

    def __init__(self):
        self.runs, self.live = [], "green"
        self.has = {"green": "declared:1", "blue": ""}
        self.ends_elsewhere = self.fails = False

    def playbook(self, command, changed):
        name, variables = re.search(r"playbooks/(\w+)", command[1]).group(1), command[3]
        if self.fails and name == "rollback":
            raise BenchError("it failed")
        file = re.search(r"summary=(\S+)", variables).group(1)
        self.runs.append((name, re.sub(r" summary=.*", "", variables), changed))
        self.live = "blue" if self.live == "green" else "green"
        if name == "deploy":
            image = variables.split("image=")[1].split()[0]
            assert image not in self.has.values(), "there is nothing to release"
            self.has[self.live] = image
        with open(file, "w") as stream:  # noqa: PTH123
            json.dump({"flip_seconds": 0.001, "steps": STEPS}, stream)
        return 2.0

    def output(self, command, text=None):
        if "bash" in command:
            assert f"docker start nest-{'blue' if self.live == 'green' else 'green'} " in command[-1]
            return "100.0 101.5\n"
        if command[-1].endswith("state.json"):
            return json.dumps({"apps": {"nest": {"live": self.live}}})
        if "flip" in command:
            self.live = "red" if self.ends_elsewhere else self.live
            first = command[-1]
            return json.dumps([{"colour": first, "began": 1, "ended": 1.002}])
        return "4711"

    def load(self, **_options):
        lab = self

        class Load:
            lines = ()

            def __enter__(self):
                return self

            def __exit__(self, *_error):
                pass

            def summary(self, flips):
                assert flips[0].colour == lab.live
                return summarise([])

        return Load()


@pytest.fixture
def lab(monkeypatch, tmp_path):
    found = Lab()
    images = tmp_path / "images.yml"
    images.write_text("nest_image: declared:1\n")
    monkeypatch.setattr(releases, "_IMAGES", images)
    monkeypatch.setattr(releases, "playbook_seconds", found.playbook)
    monkeypatch.setattr(releases, "output", found.output)
    monkeypatch.setattr(releases, "Load", found.load)
    monkeypatch.setattr(releases.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(releases, "variant", lambda app, version: f"{app}:{version}")
    return found


def test_releases_and_rollbacks_are_measured_in_turns(lab):
    found = releases.measure(2, 2)
    assert (found.deploys, found.rollbacks, found.healthy) == ([2.0] * 2, [2.0] * 2, [1.5] * 2)
    assert found.flips == [0.001] * 2
    assert [name for name, _, _ in lab.runs] == ["deploy"] * 3 + ["deploy", "rollback"] * 2 + ["deploy"] * 2
    assert lab.runs[-1] == ("deploy", "app=nest image=declared:1", None)


def test_what_is_declared_is_live_again_after_a_failure(lab):
    lab.fails = True
    with pytest.raises(BenchError, match="it failed"):
        releases.measure(1, 2)
    assert lab.runs[-1] == ("deploy", "app=nest image=declared:1", None)


def test_flips_that_end_elsewhere_are_told(lab):
    lab.ends_elsewhere = True
    with pytest.raises(BenchError, match="did not end where they began"):
        releases.measure(1, 2)
