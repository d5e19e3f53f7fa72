"""Random sequences of what can happen to a host, against a model of what its visitors must see."""

import contextlib
import os
import pathlib
import shutil
import tempfile

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _pools
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._ledger import Ledger
from bluegreen_world import NAMES, STEPS_THAT_FAIL, Killed, World, call, described, disagreements, live, slots, wire
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

SOME = st.sampled_from([("nest",), ("fastapi",), ("fastapi", "nest")])
# Mostly nobody kills it.
MOMENT = st.one_of(st.none(), st.integers(0, 90))
WAIT = {"steps": [{"weight": 20, "seconds": 0.5}], "cohort": "", "wait": True}
# At which step a release fails; mostly at none.
FAILURE = st.one_of(st.none(), st.none(), st.sampled_from(STEPS_THAT_FAIL))
SURE = ("pull", "room", "start", "confirm", "verify")
KINDS = st.sampled_from(["request", "websocket", "stream"])
CALLS = st.sampled_from(["released", "rolled_back", "resumed", "aborted"])
VARIANTS = st.fixed_dictionaries(
    {},
    optional={
        "standby": st.sampled_from(["warm", "stopped"]),
        "keep": st.sampled_from([1, 3]),
        "migrate": st.sampled_from([{"command": ["up"], "kind": "expand"}, {"command": ["down"], "kind": "contract"}]),
        "canary": st.sampled_from([WAIT, {**WAIT, "wait": False}]),
    },
)


class Host(RuleBasedStateMachine):
    """The model: which images may be live, by application, and what each release was.

    Attributes:
        may: By application, the images of which one is live; several only while a release is under way.
    """

    current = None

    @initialize()
    def begin(self):
        self.place = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
        self.world = type(self).current = World(self.place / "world")
        self.may = {}
        self.version = 0
        self.last = {}

    def teardown(self):
        shutil.rmtree(self.place, ignore_errors=True)

    # --- what a person, CI or fate does --------------------------------------------------------------------------

    def attempt(self, wanted, moment, *arguments, **options):
        """Call it; `wanted` is what it would make live, by application. Return its result, None if it has none."""
        result = None
        self.world.countdown = moment
        try:
            result = call(self.world, *arguments, **options)
        except (Killed, ServiceError):
            pass
        finally:
            self.world.revive()
        for name, image in wanted.items():
            self.may.setdefault(name, {None}).add(image)
        self.learn()
        return result

    def learn(self):
        """Hold what is live against what may be; where nothing is under way, that is all that may be."""
        for name, images in self.may.items():
            pool = self.world.memory.apps.get(name)
            image = self.world.running[(name, pool.live)]["image"] if pool else None
            assert image in images, f"{name} is {image}, and may be {images}"
        if self.entry() is None:
            states = slots(self.world)
            self.may = {name: {states[name][states[name]["live"]][0] if name in states else None} for name in self.may}

    def entry(self):
        return Ledger(str(self.world.ledger_root)).under_way()

    def images(self):
        """What a call may make live by going on with, or back from, what is under way."""
        ledger, entry = Ledger(str(self.world.ledger_root)), self.entry()
        if entry is None:
            return {}
        return {name: ledger.kept(move.release, name).image for name, move in entry.moves.items()}

    @rule(
        names=SOME,
        moment=MOMENT,
        variant=VARIANTS,
        fails=st.one_of(st.none(), st.none(), st.sampled_from(STEPS_THAT_FAIL)),
    )
    def release(self, names, moment, variant, fails):
        self.version += 1
        if fails:
            self.world.bad[f"{names[0]}:{self.version}"] = fails
        apps = [described(name, self.version, **variant) for name in names]
        waiting = self.entry() is not None and self.entry().state == "waiting"
        before = self.world.memory.document()
        wanted = {**self.images(), **{name: f"{name}:{self.version}" for name in names}}
        result = self.attempt(wanted, moment, apps=apps)
        self.last = {"apps": apps}
        if waiting:
            assert self.world.memory.document() == before
        if moment is None and not waiting and result is not None and result["state"] == "released":
            assert all(live(self.world, name) == f"{name}:{self.version}" for name in names)
        if (
            moment is None
            and not waiting
            and "canary" not in variant
            and fails in ("pull", "room", "start", "confirm", "verify")
        ):
            assert result is None
            assert self.entry() is None

    @precondition(lambda self: self.last)
    @rule(moment=MOMENT)
    def the_same_again(self, moment):
        wanted = {**self.images(), **{entry["name"]: entry["image"] for entry in self.last["apps"]}}
        self.attempt(wanted, moment, **self.last)

    @precondition(lambda self: self.may)
    @rule(moment=MOMENT, names=st.one_of(st.just(()), SOME), number=st.one_of(st.none(), st.integers(1, 12)))
    def roll_back(self, moment, names, number):
        known = {name: {image for image, _warm in _colours(state)} for name, state in slots(self.world).items()}
        ledger = Ledger(str(self.world.ledger_root))
        contracts = {name: state.contract for name, state in ledger.apps().items()}
        was_open = self.entry() is not None
        for name, images in known.items():
            kept = ledger.kept(number, name) if number else None
            self.may.setdefault(name, {None}).update(images | ({kept.image} if kept else set()))
        wanted = self.images()
        result = self.attempt(wanted, moment, "rolled_back", apps=[{"name": name} for name in names], release=number)
        if result is not None and not was_open and result["state"] == "rolled_back":
            for name, told in result["apps"].items():
                assert told["runs"] >= contracts[name], "what a contract migration took away is needed again"
                assert number in (None, told["runs"])

    @rule(moment=MOMENT, state=st.sampled_from(["resumed", "aborted", "promoted"]))
    def go_on(self, moment, state):
        was_open = self.entry() is not None
        before = self.world.memory
        result = self.attempt(self.images(), moment, state)
        if not was_open:
            assert result is None or not result["changed"]
            assert self.world.memory == before

    @precondition(lambda self: self.may)
    @rule(moment=MOMENT, names=SOME)
    def give_up_the_standby(self, moment, names):
        self.attempt(self.images(), moment, "promoted", final=True, apps=[{"name": name} for name in names])

    @precondition(lambda self: self.may)
    @rule(moment=MOMENT, names=SOME)
    def converge(self, moment, names):
        """It releases what never was, and flips nothing."""
        before = {name: live(self.world, name) for name in self.world.memory.apps if name in NAMES}
        apps = [described(name, 0) for name in names]
        known = slots(self.world)
        new = {name: f"{name}:0" for name in names if name not in known}
        self.attempt({**self.images(), **new}, moment, "converged", apps=apps)
        assert all(live(self.world, name) == image for name, image in before.items() if name in known)

    @rule()
    def nginx_restarts(self):
        on_disk = _pools.load(self.world.durable)
        was_open = self.entry() is not None
        before = self.world.memory
        self.world.restart_nginx()
        if not was_open:
            assert on_disk == before

    @rule(name=st.sampled_from(["other", "nest"]))
    def another_writes(self, name):
        if name in self.world.memory.apps or name == "other":
            self.world.write_as_another(name)

    @rule(moment=MOMENT)
    def another_writes_during_a_release(self, moment):
        self.world.rival = lambda: self.world.write_as_another("other")
        self.version += 1
        apps = [described("nest", self.version)]
        self.attempt({**self.images(), "nest": f"nest:{self.version}"}, moment, apps=apps)
        self.world.rival = None

    @precondition(lambda self: self.may)
    @rule(
        way=st.sampled_from(["down", "hung"]), state=st.sampled_from(["released", "rolled_back", "resumed", "aborted"])
    )
    def nginx_is_away_meanwhile(self, way, state):
        self.world.nginx = way
        with contextlib.suppress(ServiceError):
            call(self.world, state, apps=[described("nest", 0)])
        if way == "down":
            self.world.restart_nginx()
        self.world.nginx = "up"
        self.may.setdefault("nest", {None}).update({"nest:0"})
        for name, image in self.images().items():
            self.may.setdefault(name, {None}).add(image)
        self.learn()

    @rule(
        name=st.sampled_from(NAMES),
        kind=KINDS,
        seconds=st.sampled_from([0.3, 2.5, 60]),
    )
    def somebody_comes(self, name, kind, seconds):
        if name in self.world.memory.apps:
            self.world.visit(name, self.world.memory.live(name), kind, seconds)

    # --- what must be true at any time ---------------------------------------------------------------------------

    @invariant()
    def everybody_is_served(self):
        if not hasattr(self, "world"):
            return
        self.world.look()
        assert self.world.wrong == []

    @invariant()
    def the_ledger_matches_the_world(self):
        if hasattr(self, "world") and self.entry() is None:
            assert disagreements(self.world) == []

    @invariant()
    def there_is_a_way_out(self):
        """What is under way can be finished or taken back, by a person who has nginx at hand."""
        if not hasattr(self, "world") or self.entry() is None:
            return
        copy = type(self).current = self.world.clone(self.place / "copy")
        try:
            for _again in range(2):
                entry = Ledger(str(copy.ledger_root)).under_way()
                if entry is not None:
                    with contextlib.suppress(ServiceError):
                        call(copy, "aborted" if entry.state == "waiting" else "resumed")
            assert disagreements(copy) == []
        finally:
            type(self).current = self.world
            shutil.rmtree(copy.path)


def _colours(state):
    return [found for colour, found in state.items() if colour != "live"]


@pytest.mark.once
@pytest.mark.parametrize("length", [12, 40])
def test_whatever_happens_somebody_serves(monkeypatch, length):
    wire(monkeypatch, lambda: Host.current)
    run_state_machine_as_test(
        Host,
        settings=settings(
            max_examples=int(os.environ.get("PROTOSTAR_EXAMPLES", "40")),
            stateful_step_count=length,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
