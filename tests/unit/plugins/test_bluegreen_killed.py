"""Releases on a host made of memory, killed at every single moment."""

import contextlib
import itertools
import os
import pathlib
import shutil
import tempfile

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._ledger import Ledger
from ansible_collections.protostar.platform.plugins.module_utils._rollout import RolloutError
from bluegreen_world import World, call, described, disagreements, slots, wire

pytestmark = pytest.mark.once

WAIT = {"canary": {"steps": [{"weight": 10, "seconds": 1}], "cohort": "beta", "wait": True}}


@pytest.fixture
def stage(monkeypatch):
    """Which world the code acts on; set `world` on it."""

    class Stage:
        world = None

    wire(monkeypatch, lambda: Stage.world)
    return Stage


def released(world, *versions, **more):
    for version in versions:
        call(world, apps=[described("nest", version, **more), described("fastapi", version, **more)])


def first(world):
    return {"apps": [described("nest", 1), described("fastapi", 1)]}


def second(world):
    released(world, 1)
    return {"apps": [described("nest", 2), described("fastapi", 2)]}


def third(world):
    released(world, 1, 2)
    return {"apps": [described("nest", 3, migrate={"command": ["up"], "kind": "expand"}), described("fastapi", 3)]}


def to_stopped(world):
    released(world, 1, 2, standby="stopped")
    return {"apps": [described("nest", 3, standby="stopped"), described("fastapi", 3)]}


def with_canary(world):
    released(world, 1, 2)
    steps = {"steps": [{"weight": 10, "seconds": 0.5}, {"weight": 50, "seconds": 0.5}]}
    return {"apps": [described("nest", 3, canary=steps), described("fastapi", 3)]}


def until_canary(world):
    released(world, 1, 2)
    return {"apps": [described("nest", 3, **WAIT), described("fastapi", 3)]}


def with_visitors(world):
    released(world, 1, 2)
    for kind, seconds in (("request", 1.3), ("websocket", 60), ("stream", 2.2)):
        world.visit("nest", world.memory.live("nest"), kind, seconds)
    return {"apps": [described("nest", 3)]}


def failing(step):
    def prepared(world):
        released(world, 1, 2)
        world.bad["nest:3"] = step
        return {"apps": [described("nest", 3), described("fastapi", 3)]}

    return prepared


def failing_first(world):
    world.bad["nest:1"] = "verify"
    return {"apps": [described("nest", 1), described("fastapi", 1)]}


def failing_over_stopped(world):
    released(world, 1, 2, standby="stopped")
    world.bad["nest:3"] = "errors"
    return {"apps": [described("nest", 3), described("fastapi", 3)]}


def failing_canary(world):
    released(world, 1, 2)
    world.bad["nest:3"] = "errors"
    return {"apps": [described("nest", 3, **WAIT), described("fastapi", 3)]}


def warm_rollback(world):
    released(world, 1, 2)
    return {"state": "rolled_back"}


def stopped_rollback(world):
    released(world, 1, 2, standby="stopped")
    return {"state": "rolled_back"}


def cold_rollback(world):
    released(world, 1, 2, 3)
    return {"state": "rolled_back", "release": 1}


def promotion(world):
    released(world, 1, 2)
    call(world, apps=[described("nest", 3, **WAIT), described("fastapi", 3)])
    return {"state": "promoted"}


def abortion(world):
    released(world, 1, 2)
    call(world, apps=[described("nest", 3, **WAIT), described("fastapi", 3)])
    return {"state": "aborted"}


def giving_up(world):
    released(world, 1, 2)
    return {"state": "promoted", "final": True}


SCENARIOS = {
    "first": first,
    "second": second,
    "third": third,
    "over a stopped one": to_stopped,
    "with a canary": with_canary,
    "until its canary": until_canary,
    "with visitors": with_visitors,
    **{f"failing at {step}": failing(step) for step in ("pull", "migrate", "start", "smoke", "verify", "errors")},
    "failing, the first": failing_first,
    "failing, over a stopped one": failing_over_stopped,
    "failing in its canary": failing_canary,
    "rollback": warm_rollback,
    "rollback to a stopped one": stopped_rollback,
    "rollback to an older one": cold_rollback,
    "promotion": promotion,
    "taking back a canary": abortion,
    "giving up the standby": giving_up,
}


@pytest.fixture
def place():
    """Memory instead of a disk, where there is any: what is written here is written a hundred thousand times."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as path:
        yield pathlib.Path(path)


def moments(stage, place, scenario):
    """Return what there was before, the world as every kill would leave it, each once, and what was called.

    A process that is killed leaves everything as it is: a copy from within the run is what comes after.
    """
    world = stage.world = World(place / "world")
    wanted = SCENARIOS[scenario](world)
    before = slots(world)
    seen, left = set(), []

    def watch():
        essence = world.essence()
        if essence not in seen:
            seen.add(essence)
            left.append(world.clone(place / f"killed-{len(left)}"))

    world.watch = watch
    with contextlib.suppress(ServiceError):
        call(world, **wanted)
    world.watch = None
    return before, left, wanted


def settle(world):
    """What a person does to a release that is still under way: finish it, or, if it waits, take it back."""
    for _again in range(2):
        entry = Ledger(str(world.ledger_root)).under_way()
        if entry is not None:
            with contextlib.suppress(RolloutError):
                call(world, "aborted" if entry.state == "waiting" else "resumed")


def check_outcome(result, before, after):
    """A release that was taken back has changed nothing; one that was finished has the one before as the way back."""
    for name, had in before.items():
        has = after[name]
        if result["state"] in ("aborted", "failed"):
            assert has == had
        elif result["state"] in ("released", "rolled_back") and name in result["apps"]:
            assert has["live"] != had["live"]
            assert has[had["live"]][0] == had[had["live"]][0]


AFTERWARDS = {
    "the same": None,
    "another release": {"apps": [described("nest", 4)]},
    "aborted": {"state": "aborted"},
    "resumed": {"state": "resumed"},
    "converged": {"state": "converged", "apps": [described("nest", 1), described("fastapi", 1)]},
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_any_moment_and_then(stage, place, scenario):
    """Whatever is called next: somebody is always served, and in the end everything agrees and no colour is lost."""
    before, left, wanted = moments(stage, place, scenario)
    assert len(left) > 4
    for world, (what, after) in itertools.product(left, AFTERWARDS.items()):
        then = stage.world = world.clone(place / "then")
        result = {"state": "failed here"}
        with contextlib.suppress(ServiceError):
            result = call(then, **(after or wanted))
        was_open = Ledger(str(world.ledger_root)).under_way() is not None
        if what in ("aborted", "resumed") and was_open:
            check_outcome(result, before, slots(then))
        settle(then)
        assert disagreements(then) == [], what
        if scenario != "giving up the standby":
            assert all(set(colours) <= set(slots(then)[name]) for name, colours in before.items()), what
        shutil.rmtree(then.path)
