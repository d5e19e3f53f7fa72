"""What a release, a rollback, a promotion and their like do, on a host made of memory."""

import functools
import json
import re

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _lease, _pools
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._ledger import Ledger
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pool, Trial
from bluegreen_world import Host, World, call, described, disagreements, killed_when, live, slots, under_way, wire

BOTH = ("fastapi", "nest")
EXPAND = {"migrate": {"command": ["up"], "kind": "expand"}}
CONTRACT = {"migrate": {"command": ["down"], "kind": "contract"}}
WAIT = {"canary": {"steps": [{"weight": 10, "seconds": 1}], "cohort": "beta", "wait": True}}


@pytest.fixture
def world(monkeypatch, tmp_path):
    made = World(tmp_path / "world")
    wire(monkeypatch, lambda: made)
    return made


def release(world, *versions, names=("nest",), **more):
    result = None
    for version in versions:
        result = call(world, apps=[described(name, version, **more) for name in names])
    return result


def refused(world, *arguments, **options):
    with pytest.raises(ServiceError) as caught:
        call(world, *arguments, **options)
    return str(caught.value)


def records(world):
    return {record.id: record.state for record in Ledger(str(world.ledger_root)).records()}


def writes(world, monkeypatch):
    """The live colours that each write to nginx asked for."""
    seen = []
    original = World._put

    def put(self, document):
        seen.append({name: pool["live"] for name, pool in document["apps"].items()})
        return original(self, document)

    monkeypatch.setattr(World, "_put", put)
    return seen


# --- release -------------------------------------------------------------------------------------------------------


def test_a_release_is_led_to_and_the_one_before_is_the_way_back(world):
    first, second = release(world, 1), release(world, 2)
    assert (first["state"], first["release"], first["apps"]["nest"]["live"]) == ("released", 1, "green")
    assert (second["apps"]["nest"]["live"], second["apps"]["nest"]["previous"]) == ("blue", "green")
    assert slots(world)["nest"] == {"live": "blue", "green": ("nest:1", True), "blue": ("nest:2", True)}
    assert disagreements(world) == []
    assert [step["step"] for step in second["steps"]] == [
        "preflight", "migrate", "start", "smoke", "canary", "flip", "verify", "bake", "drain", "standby", "prune",
    ]  # fmt: skip
    assert second["flip_seconds"] >= 0


def test_what_is_live_already_is_not_released(world):
    release(world, 1, 2)
    before = world.snapshot()
    result = release(world, 2)
    assert not result["changed"]
    assert result["state"] == "unchanged"
    after = world.snapshot()
    before[0].pop("releases/.lease")
    after[0].pop("releases/.lease")
    assert after == before


def test_how_a_release_is_judged_makes_it_no_other_one(world):
    release(world, 1)
    assert not release(world, 1, bake={"seconds": 9}, drain={"timeout": 1}, smoke=[], standby="stopped")["changed"]
    assert release(world, 1, secrets=[{"dest": "secrets/key", "content": "another key"}])["changed"]


def test_the_lock_of_another_image_makes_it_no_other_release(world):
    release(world, 1)
    assert not call(world, apps=[described()], lock={"grafana:1": "grafana@sha256:1"})["changed"]
    assert call(world, apps=[described()], lock={"nest:1": "nest@sha256:1"})["changed"]


def test_several_apps_change_in_exactly_one_write(world, monkeypatch):
    release(world, 1, names=BOTH)
    seen = writes(world, monkeypatch)
    release(world, 2, names=BOTH)
    assert seen == [{"nest": "blue", "fastapi": "blue"}]


def test_apps_whose_colours_differ_change_in_one_write_too(world, monkeypatch):
    release(world, 1, names=BOTH)
    release(world, 2)
    seen = writes(world, monkeypatch)
    release(world, 3, names=BOTH)
    assert seen == [{"nest": "green", "fastapi": "blue"}]


def test_only_what_changed_of_a_call_is_released(world):
    release(world, 1, names=BOTH)
    result = call(world, apps=[described("nest", 2), described("fastapi", 1)])
    assert set(result["apps"]) == {"nest"}
    assert slots(world)["fastapi"] == {"live": "green", "green": ("fastapi:1", True)}


def test_one_of_several_that_fails_takes_the_others_back(world):
    release(world, 1, names=BOTH)
    before = slots(world)
    world.bad["nest:2"] = "verify"
    said = refused(world, apps=[described(name, 2) for name in BOTH])
    assert slots(world) == before
    assert disagreements(world) == []
    assert "nest is served by green as before" in said
    assert "fastapi is served by green as before" in said


@pytest.mark.parametrize("step", ["pull", "room", "migrate", "start", "confirm", "smoke", "verify", "errors", "crash"])
@pytest.mark.parametrize("before", ["nothing", "no standby", "a standby", "a stopped standby"])
def test_whatever_fails_is_taken_back(world, step, before):
    more = {"standby": "stopped"} if before == "a stopped standby" else {}
    release(world, *range(1, {"nothing": 1, "no standby": 2}.get(before, 3)), **more)
    had, world.bad["nest:9"] = slots(world), step
    if before == "nothing" and step in ("smoke", "errors", "crash"):
        # A first release has nothing beside it: it is not previewed, and has nothing to be compared with.
        return
    said = refused(world, apps=[described(version=9, **EXPAND)])
    assert slots(world) == had
    assert disagreements(world) == []
    failed_at = {"pull": "preflight", "room": "preflight", "confirm": "start", "errors": "bake", "crash": "bake"}
    assert f"failed at {failed_at.get(step, step)}: " in said
    serves = "is served by" if had else "was not live before and is not now"
    assert f"nest {serves}" in said
    assert said.endswith("correct this and run again")
    assert next(iter(records(world).values())) == "failed"


def test_a_stopped_standby_is_not_started_for_a_release_that_changed_nothing(world):
    release(world, 1, 2, standby="stopped")
    world.bad["nest:3"] = "room"
    original, started = Host.start, []
    Host.start = lambda self, made, colour: started.append(colour) or original(self, made, colour)
    try:
        refused(world, apps=[described(version=3)])
    finally:
        Host.start = original
    assert started == []


def test_5xx_in_the_bake_is_told_with_its_number(world):
    release(world, 1)
    world.bad["nest:2"] = "errors"
    assert re.search(
        r"nest in blue is worse than allowed: \d+ of \d+ answers were errors \(5xx\)",
        refused(world, apps=[described(version=2)]),
    )


def test_an_app_that_nginx_does_not_know_is_refused(world):
    world.names.remove("nest")
    assert "nginx does not know the app nest: add it to nginx_apps" in refused(world, apps=[described()])
    assert slots(world) == {}
    assert world.running == {}


def test_smoke_tests_without_a_preview_secret_are_refused(world, monkeypatch):
    release(world, 1)
    original = Host.__init__
    monkeypatch.setattr(Host, "__init__", lambda self, made: original(self, made, can_preview=False))
    assert "no preview secret" in refused(world, apps=[described(version=2)])
    assert live(world) == "nest:1"


def test_each_replica_is_smoke_tested_and_verified(world):
    three = {"green": ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "blue": ["10.0.0.4", "10.0.0.5", "10.0.0.6"]}
    release(world, 1, 2, addresses=three)
    assert world.asked.count(("smoke", "nest", "blue")) == 3
    assert world.asked.count(("verify", "nest", "blue")) == 3


def test_another_writer_is_found_out_and_nothing_of_theirs_is_lost(world):
    release(world, 1)
    world.rival = lambda: world.write_as_another("other")
    said = refused(world, apps=[described(version=2)])
    assert "somebody else changed the edge" in said
    assert world.memory.live("other") == "green"
    assert live(world) == "nest:1"
    assert disagreements(world) == []
    release(world, 2)
    assert live(world) == "nest:2"


@pytest.mark.parametrize("way", ["down", "hung"])
def test_nginx_that_does_not_answer_is_named_with_the_remedy(world, way):
    release(world, 1)
    world.nginx = way
    said = refused(world, apps=[described(version=2)])
    assert "run site.yml with --tags nginx" in said
    assert slots(world)["nest"]["live"] == "green"


@pytest.mark.parametrize("way", ["down", "hung"])
def test_nginx_that_fails_after_the_flip_is_led_back_when_it_is_there_again(world, way, monkeypatch):
    release(world, 1, 2)
    original = Host.probe

    def probe(self, check, colour):
        self._world.nginx = way
        original(self, check, colour)

    monkeypatch.setattr(Host, "probe", probe)
    world.bad["nest:3"] = "verify"
    refused(world, apps=[described(version=3)])
    monkeypatch.undo()
    wire(monkeypatch, lambda: world)
    if way == "down":
        world.restart_nginx()
    world.nginx = "up"
    world.look()
    call(world, "resumed") if way == "hung" else None
    assert live(world) == "nest:2"
    assert disagreements(world) == []


# --- hooks ---------------------------------------------------------------------------------------------------------


def test_hooks_are_called_before_their_step_with_the_release(world):
    hooks = [
        {"at": at, "command": [at]}
        for at in (
            "preflight",
            "migrate",
            "start",
            "smoke",
            "canary",
            "flip",
            "verify",
            "bake",
            "drain",
            "released",
            "failed",
        )
    ]
    release(world, 1, hooks=hooks)
    assert [at for at, _document in world.hooked] == [hook["at"] for hook in hooks[:-1]]
    at, document = world.hooked[5]
    assert (document["step"], document["id"], document["owner"]) == (at, 1, "ada@ci")
    assert document["moves"]["nest"]["to"] == "green"
    assert "the key of nest" not in json.dumps([told for _at, told in world.hooked])


def test_a_hook_that_fails_stops_the_release(world):
    release(world, 1)
    world.hooks[("ask",)] = True
    said = refused(
        world,
        apps=[described(version=2, hooks=[{"at": "flip", "command": ["ask"]}, {"at": "failed", "command": ["tell"]}])],
    )
    assert "failed at flip: the hook at flip (ask) ended with 1: no" in said
    assert live(world) == "nest:1"
    assert world.hooked[-1][0] == "failed"


def test_a_hook_that_fails_after_the_end_is_a_note(world):
    world.hooks[("tell",)] = True
    result = release(world, 1, hooks=[{"at": "released", "command": ["tell"]}])
    assert result["state"] == "released"
    assert any("the hook at released" in note for note in result["notes"])


def test_a_hook_of_two_apps_is_called_once(world):
    release(world, 1, names=BOTH, hooks=[{"at": "flip", "command": ["once"]}])
    assert len(world.hooked) == 1


# --- drain ---------------------------------------------------------------------------------------------------------


def test_requests_of_the_old_colour_end_by_themselves(world):
    release(world, 1)
    world.visit("nest", "green", "request", 2.6)
    result = release(world, 2)
    assert result["drained"]["nest"]["cut"] == []
    assert 1 < result["drained"]["nest"]["seconds"] < 2.6


def test_what_lasts_longer_is_cut_and_named(world):
    release(world, 1)
    for kind in ("websocket", "stream", "request"):
        world.visit("nest", "green", kind, 600)
    result = release(world, 2, drain={"timeout": 5, "streams": 7})
    told = result["drained"]["nest"]
    assert 7 <= told["seconds"] < 8
    assert sorted(cut["kind"] for cut in told["cut"]) == ["request", "stream", "websocket"]
    assert {"kind": "websocket", "path": "/nest/websocket", "client": "198.18.0.30"} in told["cut"]
    assert any("cut a websocket of nest: /nest/websocket for 198.18.0.30" in said for said in result["actions"])
    assert disagreements(world) == []


def test_a_canary_that_is_taken_back_ends_nobody(world):
    release(world, 1)
    assert release(world, 2, **WAIT)["state"] == "waiting"
    world.visit("nest", "blue", "request", 1.2)
    assert call(world, "aborted")["state"] == "aborted"
    assert disagreements(world) == []


# --- canary, promotion ---------------------------------------------------------------------------------------------


def test_a_canary_goes_up_step_by_step(world, monkeypatch):
    release(world, 1)
    shares = []
    original = World._put
    monkeypatch.setattr(
        World, "_put", lambda self, document: shares.append(document["apps"]["nest"]) or original(self, document)
    )
    release(world, 2, canary={"steps": [{"weight": 10, "seconds": 1}, {"weight": 50, "seconds": 2}], "cohort": "beta"})
    assert shares == [
        {"live": "green", "canary": {"weight": 10, "cohort": "beta"}},
        {"live": "green", "canary": {"weight": 50, "cohort": "beta"}},
        {"live": "blue"},
    ]
    assert world.time >= 3


def test_a_canary_waits_for_its_promotion_and_nobody_else_releases_meanwhile(world):
    release(world, 1)
    result = release(world, 2, **WAIT)
    assert result["state"] == "waiting"
    assert world.memory.apps["nest"] == Pool("green", Trial(10, "beta"))
    for arguments in (
        {"apps": [described(version=2, **WAIT)]},
        {"apps": [described("fastapi")]},
        {"state": "rolled_back"},
        {"state": "resumed"},
    ):
        assert "waits in its canary: run promote.yml" in refused(world, **arguments)
    assert call(world, "promoted")["state"] == "released"
    assert slots(world)["nest"] == {"live": "blue", "green": ("nest:1", True), "blue": ("nest:2", True)}
    assert disagreements(world) == []


def test_a_canary_that_is_worse_is_taken_back(world):
    release(world, 1)
    world.bad["nest:2"] = "errors"
    few = {"bake": {"minimum": 5}}
    assert "failed at canary" in refused(world, apps=[described(version=2, **WAIT, **few)])
    assert disagreements(world) == []


def test_a_promotion_gives_up_the_standby_only_if_it_is_final(world):
    release(world, 1, 2)
    assert not call(world, "promoted")["changed"]
    assert slots(world)["nest"]["green"] == ("nest:1", True)
    assert call(world, "promoted", final=True)["state"] == "promoted"
    assert slots(world)["nest"] == {"live": "blue", "blue": ("nest:2", True)}
    assert ("nest", "green") not in world.running
    assert not call(world, "promoted", final=True)["changed"]


# --- rollback ------------------------------------------------------------------------------------------------------


def test_a_warm_rollback_is_one_write_and_starts_nothing(world, monkeypatch):
    release(world, 1, 2, names=BOTH)
    seen, running = writes(world, monkeypatch), dict(world.running)
    result = call(world, "rolled_back")
    assert seen == [{"nest": "green", "fastapi": "green"}]
    assert world.running == running
    assert result["state"] == "rolled_back"
    assert {name: told["runs"] for name, told in result["apps"].items()} == {"nest": 1, "fastapi": 1}
    assert disagreements(world) == []


def test_a_rollback_and_back_again(world):
    release(world, 1, 2)
    call(world, "rolled_back")
    assert live(world) == "nest:1"
    call(world, "rolled_back")
    assert live(world) == "nest:2"
    assert disagreements(world) == []


def test_a_rollback_without_apps_takes_those_of_the_last_release(world):
    release(world, 1, 2, names=BOTH)
    release(world, 3)
    assert set(call(world, "rolled_back")["apps"]) == {"nest"}
    assert slots(world)["fastapi"]["live"] == "blue"


def test_a_rollback_of_one_app_leaves_the_other(world):
    release(world, 1, 2, names=BOTH)
    call(world, "rolled_back", apps=[{"name": "fastapi"}])
    assert live(world, "fastapi") == "fastapi:1"
    assert live(world) == "nest:2"


def test_a_rollback_to_any_kept_release(world):
    release(world, 1, 2, 3, 4)
    result = call(world, "rolled_back", release=1)
    assert result["apps"]["nest"]["image"] == "nest:1"
    assert slots(world)["nest"] == {"live": "green", "green": ("nest:1", True), "blue": ("nest:4", True)}
    assert not call(world, "rolled_back", release=1)["changed"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"release": 7}, "there is no release 7"),
        ({"release": 3}, "there is no release 3: history.yml lists them"),
        (
            {"release": 7, "apps": [{"name": "nest"}]},
            "there is no release 7 of nest that was ever live: choose one of 2, 1",
        ),
        ({"release": 3, "apps": [{"name": "nest"}]}, "there is no release 3 of nest that was ever live"),
        ({"apps": [{"name": "ghost"}]}, "there is no app ghost here: there are nest"),
    ],
)
def test_a_rollback_to_what_there_is_not_is_refused(world, arguments, said):
    release(world, 1, 2)
    world.bad["nest:3"] = "smoke"
    refused(world, apps=[described(version=3)])
    release(world, 4)
    before = world.memory
    assert said in refused(world, "rolled_back", **arguments)
    assert world.memory == before


def test_a_rollback_with_nothing_to_go_back_to_is_refused(world):
    assert "nothing was released here yet" in refused(world, "rolled_back")
    release(world, 1)
    assert "nest has no way back at hand" in refused(world, "rolled_back")


def test_a_rollback_whose_target_is_sick_leaves_what_serves(world):
    release(world, 1, 2)
    world.bad["nest:1"] = "verify"
    assert "nest is served by blue as before" in refused(world, "rolled_back")
    assert live(world) == "nest:2"
    assert disagreements(world) == []


# --- migrations ----------------------------------------------------------------------------------------------------


def test_a_contract_migration_is_refused_while_a_standby_is_kept(world):
    release(world, 1, 2)
    said = refused(world, apps=[described(version=3, **CONTRACT)])
    assert (
        "would take away what release 1 needs, which is still the way back: give that up with promote.yml -e app=nest"
        in said
    )
    assert world.migrations == []
    assert slots(world)["nest"] == {"live": "blue", "green": ("nest:1", True), "blue": ("nest:2", True)}


def test_a_contract_migration_runs_after_the_standby_was_given_up_and_nothing_older_comes_back(world):
    release(world, 1, 2)
    call(world, "promoted", final=True)
    number = release(world, 3, **CONTRACT)["release"]
    assert world.migrations == [("nest", number)]
    for target in (None, 2, 1):
        said = refused(world, "rolled_back", apps=[{"name": "nest"}], release=target)
        assert f"cannot come back: the contract migration of release {number} took away what it needs" in said
    newest = release(world, 4)["release"]
    assert call(world, "rolled_back")["apps"]["nest"]["runs"] == number
    assert call(world, "rolled_back", apps=[{"name": "nest"}], release=newest)["changed"]
    assert "cannot come back" in refused(world, "rolled_back", apps=[{"name": "nest"}], release=1)


def test_a_contract_migration_that_was_killed_has_closed_the_way_back(world):
    release(world, 1)
    killed_when(world, lambda: world.migrating, apps=[described(version=2, **CONTRACT)])
    call(world, "aborted")
    release(world, 3)
    assert "cannot come back" in refused(world, "rolled_back")


def test_a_migration_that_is_done_is_not_run_again(world):
    release(world, 1)
    interrupted(world, "start", **EXPAND)
    assert len(world.migrations) == 1
    call(world, "resumed")
    assert len(world.migrations) == 1
    assert live(world) == "nest:2"


def test_of_two_migrations_the_one_that_is_done_is_not_run_again(world):
    release(world, 1, names=BOTH)
    apps = [described(name, 2, **EXPAND) for name in BOTH]
    killed_when(world, lambda: under_way(world) and len(under_way(world).migrated) == 1 and world.migrating, apps=apps)
    assert len(world.migrations) == 2
    call(world, apps=apps)
    assert len(world.migrations) == 2
    assert disagreements(world) == []


def test_a_migration_that_runs_on_is_waited_for_and_not_run_twice(world):
    release(world, 1)
    killed_when(world, lambda: world.migrating, apps=[described(version=2, **EXPAND)])
    ran = len(world.migrations)
    call(world, "resumed")
    assert len(world.migrations) == ran
    assert live(world) == "nest:2"


# --- what is kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [2, 3])
def test_as_many_releases_are_kept_as_wanted(world, keep):
    release(world, *range(1, 8), keep=keep)
    ledger = Ledger(str(world.ledger_root))
    assert ledger.kept_releases("nest") == list(range(7, 6 - keep, -1))
    assert call(world, "rolled_back", release=7 - keep)["apps"]["nest"]["image"] == f"nest:{7 - keep}"
    assert len(records(world)) == 8


def test_failed_releases_push_out_none_that_could_come_back(world):
    release(world, 1, 2, 3, keep=2)
    for version in range(4, 9):
        world.bad[f"nest:{version}"] = "smoke"
        refused(world, apps=[described(version=version, keep=2)])
    release(world, 9, keep=2)
    assert Ledger(str(world.ledger_root)).kept_releases("nest") == [9, 3, 2]


def test_what_was_described_and_never_begun_pushes_out_none_either(world):
    release(world, 1, 2, 3, keep=2)
    ledger = Ledger(str(world.ledger_root))
    for number in (4, 5):
        ledger.keep(number, [ledger.kept(3, "nest")])
    release(world, 6, keep=2)
    assert ledger.kept_releases("nest") == [6, 3, 2]


def test_no_secret_of_a_release_that_is_not_kept_stays(world):
    release(world, *range(1, 7), keep=2)
    world.bad["nest:8"] = "start"
    refused(world, apps=[described(version=8, keep=2)])
    found = {path.relative_to(world.ledger_root).parts[0] for path in world.ledger_root.rglob("secrets/*/*")}
    assert found == {"4", "5", "6"}


# --- interrupted ---------------------------------------------------------------------------------------------------


def at_step(world, step):
    return lambda: (entry := under_way(world)) is not None and entry.step == step


def interrupted(world, at, **more):
    """A release that was killed at the beginning of a step."""
    killed_when(world, at_step(world, at), apps=[described(version=2, **more)])
    return under_way(world).id


@pytest.mark.parametrize("at", ["preflight", "start", "flip", "bake", "drain", "record"])
def test_the_same_call_finishes_what_was_interrupted(world, at):
    release(world, 1)
    number = interrupted(world, at)
    result = release(world, 2)
    assert (result["release"], result["state"]) == (number, "released")
    assert not release(world, 2)["changed"]
    assert disagreements(world) == []


@pytest.mark.parametrize(("at", "verb"), [("start", "took back"), ("bake", "took back"), ("standby", "finished")])
def test_another_call_settles_what_was_interrupted_and_says_so(world, at, verb):
    release(world, 1)
    number = interrupted(world, at)
    result = release(world, 3)
    assert result["actions"][0] == f"{verb} release {number}, which was interrupted at {at}"
    assert live(world) == "nest:3"


def test_a_call_for_more_than_what_was_interrupted_releases_all_of_it(world):
    release(world, 1, names=BOTH)
    interrupted(world, "smoke")
    call(world, apps=[described(name, 2) for name in BOTH])
    assert {name: state["live"] for name, state in slots(world).items()} == {"nest": "blue", "fastapi": "blue"}


def test_a_release_that_has_proved_itself_is_not_taken_back(world):
    release(world, 1)
    interrupted(world, "drain")
    assert "has proved itself: finish it with deploy.yml -e resume=true" in refused(world, "aborted")
    assert call(world, "resumed")["state"] == "released"


def test_a_failure_after_it_has_proved_itself_leaves_it_live_and_is_finished_later(world, monkeypatch):
    release(world, 1)
    monkeypatch.setattr(Host, "stop", lambda *_arguments: (_ for _ in ()).throw(ServiceError("no engine")))
    said = refused(world, apps=[described(version=2, standby="stopped")])
    assert "is live, but its last steps were not finished: no engine" in said
    assert live(world) == "nest:2"
    monkeypatch.undo()
    wire(monkeypatch, lambda: world)
    assert call(world, "resumed")["state"] == "released"
    assert disagreements(world) == []


def test_another_rollback_than_the_interrupted_one_is_the_one_that_is_made(world):
    release(world, 1, 2, 3)
    killed_when(world, at_step(world, "start"), "rolled_back", release=1)
    call(world, "rolled_back", release=2)
    assert live(world) == "nest:2"


# --- converged -----------------------------------------------------------------------------------------------------


def converge(world, *versions, **more):
    return call(world, "converged", apps=[described("nest", version) for version in versions], **more)


def test_converged_releases_what_never_was(world):
    result = converge(world, 1)
    assert result["state"] == "released"
    assert live(world) == "nest:1"
    again = converge(world, 1)
    assert (again["changed"], again["state"], again["pending"]) == (False, "unchanged", {})


def test_converged_flips_nothing_and_tells_the_command(world):
    release(world, 1)
    before = world.memory
    result = converge(world, 2)
    assert (result["changed"], result["state"]) == (False, "pending")
    assert result["pending"] == {
        "nest": "nest:1 is live and nest:2 is declared: release it with deploy.yml -e app=nest -e image=nest:2"
    }
    assert world.memory == before


def test_converged_releases_it_if_it_may(world):
    release(world, 1)
    result = converge(world, 2, auto_release=True)
    assert (result["state"], result["pending"]) == ("released", {})
    assert live(world) == "nest:2"
    assert not converge(world, 2, auto_release=True)["changed"]


@pytest.mark.parametrize("colour", ["green", "blue"])
@pytest.mark.parametrize("state", ["exited", None])
def test_converged_repairs_both_colours(world, colour, state):
    release(world, 1, 2)
    if state:
        world.running[("nest", colour)]["state"] = state
    else:
        del world.running[("nest", colour)]
    checked = converge(world, 2, check=True)
    world.wrong.clear()
    result = converge(world, 2)
    world.wrong.clear()
    assert result["changed"]
    assert result["actions"] == [f"repaired nest in {colour}"]
    assert checked["changed"]
    assert disagreements(world) == []
    assert not converge(world, 2)["changed"]


def test_converged_leaves_a_stopped_standby_stopped(world):
    release(world, 1, 2, standby="stopped")
    assert not converge(world, 2)["changed"]
    assert world.running[("nest", "green")]["state"] == "exited"


def test_converged_leads_to_the_released_colour_again(world):
    release(world, 1, 2)
    world.memory = world.memory.changed({"nest": Pool("green")})
    result = converge(world, 2)
    assert result["actions"] == ["led the requests of nest to blue again"]
    assert disagreements(world) == []


def test_converged_puts_the_durable_pools_back(world):
    release(world, 1, 2)
    _pools.save(world.durable, _pools.Pools(1, {"nest": Pool("green")}))
    converge(world, 2)
    assert disagreements(world) == []


def test_converged_touches_nothing_that_is_under_way(world):
    release(world, 1, names=BOTH)
    release(world, 2, **WAIT)
    before = world.essence()
    result = call(world, "converged", apps=[described("nest", 3), described("fastapi", 1)], auto_release=True)
    assert "release 2 waits in its canary: promote it with promote.yml" in result["pending"]["nest"]
    assert world.essence() == before


def test_converged_tells_of_an_interrupted_release_how_to_finish_it(world):
    release(world, 1)
    number = interrupted(world, "start")
    before = world.essence()
    result = converge(world, 2)
    assert (
        result["pending"]["nest"]
        == f"release {number} was interrupted at start: finish it with deploy.yml -e resume=true"
    )
    assert world.essence() == before


def test_converged_releases_a_new_app_beside_a_waiting_one(world):
    release(world, 1)
    release(world, 2, **WAIT)
    result = call(world, "converged", apps=[described("nest", 2), described("fastapi", 1)])
    assert set(result["pending"]) >= {"nest"}
    assert world.memory.apps["nest"].canary == Trial(10, "beta")


def test_converged_waits_for_nobody_who_makes_a_release(world, monkeypatch):
    release(world, 1)
    monkeypatch.setattr(_lease, "held", functools.partial(_lease.held, patience=0))
    with _lease.held(world.ledger_root / ".lease", "bob@ci"):
        result = converge(world, 2)
        assert set(result["pending"]) == {"nest"}
        with pytest.raises(_lease.Busy, match=r"bob@ci has been making a release"):
            release(world, 2)


# --- check mode ----------------------------------------------------------------------------------------------------


def _empty(world):
    pass


def _released(world):
    release(world, 1, 2, names=BOTH)


def _waiting(world):
    release(world, 1, 2)
    release(world, 3, **WAIT)


def _interrupted(world):
    release(world, 0, 1)
    interrupted(world, "bake")


def _proved(world):
    release(world, 0, 1)
    interrupted(world, "standby")


def _drifted(world):
    release(world, 1, 2)
    world.running[("nest", "green")]["state"] = "exited"


@pytest.mark.parametrize("before", [_empty, _released, _waiting, _interrupted, _proved, _drifted])
@pytest.mark.parametrize("state", ["released", "converged", "rolled_back", "promoted", "aborted", "resumed"])
@pytest.mark.parametrize("final", [True, False])
def test_check_mode_changes_nothing(world, before, state, final):
    before(world)
    start = world.snapshot()
    pulled, hooked = list(world.pulled), list(world.hooked)
    try:
        checked = call(world, state, apps=[described(version=4)], check=True, final=final)
    except ServiceError as error:
        checked = str(error)
    assert world.snapshot() == start
    assert (world.pulled, world.hooked) == (pulled, hooked)
    try:
        done = call(world, state, apps=[described(version=4)], final=final)
    except ServiceError as error:
        done = str(error)
    # What it tells is what then comes of it.
    if isinstance(checked, dict):
        assert isinstance(done, dict)
        assert checked["changed"] == done["changed"]
    elif before is not _waiting:
        assert isinstance(done, str)


def test_check_mode_tells_what_it_would_do(world):
    assert call(world, apps=[described()], check=True)["actions"] == [
        "would release nest nest:1 in green, its first release"
    ]
    release(world, 1)
    planned = call(world, apps=[described(version=2, **EXPAND)], check=True)
    assert planned["actions"] == [
        "would release nest nest:2 in blue in place of green (nest:1), after its expand migration"
    ]
    assert planned["diff"] == [{
        "before_header": "nest", "after_header": "nest", "before": "live: green\nimage: nest:1\n",
        "after": "live: blue\nimage: nest:2\n",
    }]  # fmt: skip
    release(world, 2)
    assert call(world, "rolled_back", check=True)["actions"] == ["would lead nest back to release 1 in green"]
    assert call(world, "promoted", final=True, check=True)["actions"] == [
        "would give up release 1 of nest as the way back"
    ]


def test_an_app_that_is_named_twice_or_not_at_all_is_refused(world):
    assert "nest is named twice in apps" in refused(world, apps=[described(), described()])
    assert "no app is named" in refused(world)
