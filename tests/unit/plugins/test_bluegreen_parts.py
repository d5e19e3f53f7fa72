"""The parts of a release that need no host: descriptions, pools, limits, the ledger's files."""

import json
import stat
from dataclasses import replace

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _files, _pools
from ansible_collections.protostar.platform.plugins.module_utils._app import Bake, Migration, app, other
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._ledger import AppState, Entry, Ledger, Move, Slot
from ansible_collections.protostar.platform.plugins.module_utils._limits import quantile, since, verdict
from ansible_collections.protostar.platform.plugins.module_utils._migration import mapping
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pool, Pools, Trial
from bluegreen_world import described

# --- descriptions --------------------------------------------------------------------------------------------------


def test_an_app_is_read_with_its_defaults():
    made = app(described("nest"), {})
    assert (made.standby, made.keep, made.migrate, made.canary.wanted) == ("warm", 3, None, False)
    assert made.ready.successes == 3
    assert made.verify == made.smoke
    assert made.project("blue") == "nest-blue"
    assert made.images == ("nest:1",)


def test_what_is_given_as_nothing_is_as_if_not_given():
    """Ansible gives None for every option that is left out."""
    plain = {key: described()[key] for key in ("name", "image", "colours", "addresses", "port")}
    more = ("secrets", "migrate", "smoke", "verify", "ready", "canary", "bake", "drain", "standby", "keep", "hooks")
    assert app({**plain, **dict.fromkeys(more)}, {}) == app(plain, {})
    assert app({**plain, "bake": {"seconds": None, "errors": 0.5}}, {}).bake == Bake(errors=0.5)


def test_no_verification_is_not_the_same_as_none_given():
    assert app(described(verify=[]), {}).verify == ()


def test_the_lock_names_what_is_pulled():
    assert app(described(), {"nest:1": "nest@sha256:1"}).images == ("nest@sha256:1",)


def without(key):
    entry = described()
    del entry[key]
    return entry


def with_compose(compose):
    return described(colours={"green": {"compose": compose}, "blue": {"compose": compose}})


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (described("Nest"), "the app name 'Nest' cannot be used"),
        (described("-nest"), "cannot be used"),
        (described("n" * 32), "1 to 31 lower-case letters"),
        (without("image"), "lacks or misspells 'image'"),
        (described(image=None), "no image is named"),
        (described(image=""), "no image is named"),
        (without("colours"), "lacks or misspells 'colours'"),
        (described(colours=None), "its colours are missing"),
        (described(colours={"green": {"compose": {"services": {"a": {"image": "a"}}}}}), "its colours are green;"),
        (described(colours={"green": {}, "red": {}}), "its colours are green, red;"),
        (described(colours={"green": {}, "blue": {}}), "each with a compose mapping"),
        (with_compose({"services": {}}), "has no service"),
        (with_compose({"services": None}), "has no service"),
        (with_compose({"services": {"nest": {}}}), "one without an image"),
        (with_compose({"services": {"nest": None}}), "one without an image"),
        (with_compose({"networks": {}}), "has no service"),
        (described(addresses={"green": ["10.0.0.1"]}), "addresses of both green and blue"),
        (described(addresses={"green": [], "blue": []}), "addresses of both green and blue"),
        (described(addresses=None), "addresses of both green and blue"),
        (described(addresses={"green": ["10.0.0.1"], "blue": ["10.0.0.1"]}), "both want 10.0.0.1"),
        (described(addresses=["10.0.0.1"]), "lacks or misspells"),
        (described(port=None), "needs a port"),
        (described(port=0), "needs a port"),
        (described(smoke=[{"url": "/ready"}]), "'/ready' is no URL"),
        (described(smoke=[{"url": "https://www.example.com"}]), "is no URL such as https://www.example.com/ready"),
        (described(smoke=[{"url": "ftp://www.example.com/"}]), "is no URL"),
        (described(verify=[{"url": "https://a/", "body": "("}]), "'(' is no regular expression"),
        (described(smoke=[{"url": "https://a/", "headers": {"Server": "["}}]), "'[' is no regular expression"),
        (described(smoke=[{"path": "/"}]), "lacks or misspells"),
        (described(migrate={"kind": "expand"}), "lacks or misspells 'command'"),
        (described(migrate={"command": ["up"]}), "lacks or misspells"),
        (described(canary={"steps": [{"weight": 101, "seconds": 1}]}), "a weight of 0 to 100"),
        (described(canary={"steps": [{"weight": -1, "seconds": 1}]}), "a weight of 0 to 100"),
        (described(canary={"steps": [{"weight": 1, "seconds": -1}]}), "seconds of at least 0"),
        (described(canary={"steps": [{"weight": 1}]}), "lacks or misspells 'seconds'"),
        (described(hooks=[{"at": "flip"}]), "either a command or a url"),
        (described(hooks=[{"at": "flip", "command": ["a"], "url": "http://a/"}]), "either a command or a url"),
        (described(keep=0), "keep is 0"),
        (described(secrets=[{"dest": "secrets/key", "content": ""}]), "the secret secrets/key is empty"),
        (described(secrets=[{"dest": "secrets/key"}]), "lacks or misspells 'content'"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(entry, said):
    with pytest.raises(ServiceError) as caught:
        app(entry, {})
    assert said in str(caught.value)


def test_the_other_colour():
    assert (other("green"), other("blue")) == ("blue", "green")


# --- pools ---------------------------------------------------------------------------------------------------------

POOLS = Pools(7, {"nest": Pool("blue", Trial(10, "beta")), "fastapi": Pool()})


def test_a_change_is_the_next_generation_and_none_is_none():
    changed = POOLS.changed({"nest": Pool("green"), "new": Pool("blue")})
    assert changed == Pools(8, {"nest": Pool("green"), "fastapi": Pool(), "new": Pool("blue")})
    assert POOLS.changed({"nest": Pool("blue", Trial(10, "beta"))}) is POOLS
    assert POOLS.changed({"nest": Pool("blue", Trial(11, "beta"))}).generation == 8
    assert POOLS.generation == 7


def test_an_app_is_taken_out_in_the_next_generation():
    assert POOLS.without("nest") == Pools(8, {"fastapi": Pool()})
    assert POOLS.without("ghost") is POOLS


def test_an_app_that_never_had_a_colour_has_none():
    assert (POOLS.live("nest"), POOLS.live("ghost")) == ("blue", None)


def test_pools_are_on_disk_as_nginx_reads_them(tmp_path):
    _pools.save(tmp_path / "pools.json", POOLS)
    assert json.loads((tmp_path / "pools.json").read_text()) == {
        "generation": 7,
        "apps": {"nest": {"live": "blue", "canary": {"weight": 10, "cohort": "beta"}}, "fastapi": {"live": "green"}},
    }
    assert stat.S_IMODE((tmp_path / "pools.json").stat().st_mode) == 0o644
    assert _pools.load(tmp_path / "pools.json") == POOLS


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "3", "null", '"text"', "{}", '{"generation": 1}', '{"generation": "x", "apps": {}}',
        '{"generation": 1, "apps": []}', '{"generation": 1, "apps": {"nest": {}}}',
        '{"generation": 1, "apps": {"nest": null}}', '{"generation": null, "apps": {}}',
        '{"generation": 1, "apps": {"nest": {"live": "green", "canary": 5}}}',
        '{"generation": 1, "apps": {"nest": {"live": "green", "canary": {"wait": 5}}}}',
    ],
)  # fmt: skip
def test_damaged_pools_are_none(tmp_path, text):
    (tmp_path / "pools.json").write_text(text)
    assert _pools.load(tmp_path / "pools.json") is None
    assert _pools.load(tmp_path / "missing.json") is None


# --- limits --------------------------------------------------------------------------------------------------------


def counted(good=0, bad=0, buckets=(0, 0, 0)):
    return {
        "requests": good + bad,
        "statuses": {"2xx": good, "5xx": bad},
        "buckets": list(buckets),
        "bounds": [0.1, 1.0],
    }


def test_what_was_counted_since():
    found = since(counted(10, 1, (5, 5, 1)), counted(30, 2, (20, 10, 2)))
    assert found == {"statuses": {"2xx": 20, "5xx": 1}, "buckets": [15, 5, 1], "bounds": [0.1, 1.0]}


@pytest.mark.parametrize("now", [counted(3, 2, (3, 2, 0)), counted(3, 90, (93, 0, 0)), counted(0, 0)])
def test_counters_that_began_anew_are_taken_as_they_are(now):
    """After a restart of nginx they may even be higher in all."""
    assert since(counted(50, 1, (51, 0, 0)), now)["statuses"] == now["statuses"]
    assert since(counted(50, 1, (51, 0, 0)), now)["buckets"] == now["buckets"]


@pytest.mark.parametrize(
    ("limits", "found", "said"),
    [
        (Bake(errors=0.01, minimum=20), counted(99, 1), ""),
        (Bake(errors=0.01, minimum=20), counted(98, 2), "2 of 100 answers were errors"),
        (Bake(errors=0.01, minimum=20), counted(0, 19), ""),
        (Bake(errors=0.01, minimum=20), counted(0, 20), "20 of 20 answers were errors"),
        (Bake(errors=0, minimum=0), counted(0, 0), ""),
        (Bake(errors=0, minimum=0), counted(0, 1), "1 of 1 answers were errors"),
        (Bake(errors=1, minimum=0), counted(0, 9), ""),
        (Bake(latency=0), counted(100, 0, (0, 0, 100)), ""),
        (Bake(latency=0.5), counted(100, 0, (100, 0, 0)), ""),
        (Bake(latency=0.5), counted(100, 0, (10, 90, 0)), "took up to 0.95 s, and 0.5 s is the limit"),
        (Bake(latency=0.99), counted(100, 0, (0, 0, 100)), "took up to 1.00 s"),
    ],
)  # fmt: skip
def test_answers_are_judged(limits, found, said):
    told = verdict(limits, found)
    assert said in told
    assert bool(said) == bool(told)


@pytest.mark.parametrize(
    ("share", "buckets", "wanted"),
    [
        (0.5, (100, 0, 0), 0.05),
        (0.95, (100, 0, 0), 0.095),
        (0.5, (50, 50, 0), 0.1),
        (0.75, (50, 50, 0), 0.55),
        (0.95, (0, 0, 10), 1.0),
        (1.0, (1, 1, 0), 1.0),
    ],
)
def test_quantiles_are_those_of_prometheus(share, buckets, wanted):
    assert quantile(share, [0.1, 1.0], buckets) == pytest.approx(wanted)


# --- the ledger ----------------------------------------------------------------------------------------------------

FULL = described(
    "nest",
    3,
    secrets=[
        {"dest": "secrets/key", "content": "zwei\r\nZeilen\n", "mode": "0440", "owner": 1000},
        {"dest": "secrets/more/key", "content": "Grüße", "mode": "0400", "owner": 0},
    ],
    migrate={"command": ["up", "$HOME"], "kind": "contract", "timeout": 9},
    smoke=[{"url": "https://www.example.com/", "body": "ok", "headers": {"Server": "nginx"}, "status": 204}],
    verify=[],
    canary={"steps": [{"weight": 5, "seconds": 2}], "cohort": "beta", "wait": True},
    ready={"timeout": 5, "interval": 0.1, "successes": 7},
    bake={"seconds": 1},
    drain={"timeout": 1, "streams": 2},
    standby="stopped",
    keep=5,
    hooks=[{"at": "flip", "url": "http://127.0.0.1/"}, {"at": "bake", "command": ["a", "b"]}],
)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(str(tmp_path / "releases"))


def test_what_a_release_was_made_of_is_read_as_it_was_written(ledger):
    made = app(FULL, {"nest:3": "nest@sha256:3"})
    ledger.keep(4, [made, app(described("fastapi"), {})])
    assert ledger.kept(4, "nest") == made
    assert ledger.kept(4, "nest").digest == made.digest
    assert ledger.kept(4, "ghost") is None
    assert ledger.kept(5, "nest") is None
    assert ledger.kept_releases("nest") == [4]


def test_secrets_are_in_files_of_their_own_that_only_their_owner_reads(ledger):
    ledger.keep(4, [app(FULL, {})])
    found = {path for path in ledger.root.rglob("*") if path.is_file()}
    secrets = {path for path in found if "secrets" in path.parts}
    assert len(secrets) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o400}
    for path in found - secrets:
        assert "Zeilen" not in path.read_text()
    for path in (ledger.root, ledger.root / "4"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_what_is_forgotten_is_gone_with_its_secrets_and_its_record_stays(ledger):
    ledger.keep(4, [app(FULL, {}), app(described("fastapi"), {})])
    ledger.close(ENTRY)
    ledger.forget(4, "nest")
    assert ledger.kept(4, "nest") is None
    assert ledger.kept(4, "fastapi") is not None
    assert not (ledger.root / "4" / "secrets" / "nest").exists()
    assert [record.id for record in ledger.records()] == [4]


ENTRY = Entry(
    id=4,
    kind="release",
    moves={"nest": Move("blue", 4, "green", Slot(2, "then", False)), "new": Move("green", 4, None, None)},
    owner="ada",
    reason="because",
    started="now",
    migrated=("nest",),
    steps=({"step": "start", "seconds": 1.5},),
    notes=("a note",),
    drained={"nest": {"seconds": 1, "cut": []}},
)


def test_a_release_under_way_is_read_as_it_was_written(ledger):
    assert ledger.under_way() is None
    ledger.write(ENTRY)
    assert ledger.under_way() == ENTRY
    ledger.close(replace(ENTRY, state="released"))
    assert ledger.under_way() is None
    assert ledger.records() == [replace(ENTRY, state="released")]
    assert ledger.next_id() == 5


def test_what_each_colour_has_is_read_as_it_was_written(ledger):
    states = {"nest": AppState("blue", {"blue": Slot(4, "now"), "green": Slot(3, "then", False)}, contract=2)}
    assert ledger.apps() == {}
    ledger.save(states)
    assert ledger.apps() == states
    assert ledger.apps()["nest"].standby == Slot(3, "then", False)


DAMAGED = ["", "{", "[]", "3", "null", "{}", '{"moves": []}', '{"moves": null}', '{"moves": {"nest": {"to": 1}}}']


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_journals_and_records_are_none(ledger, text):
    ledger.write(ENTRY)
    ledger.close(ENTRY)
    (ledger.root / "journal.json").write_text(text)
    (ledger.root / "5").mkdir()
    (ledger.root / "5" / "record.json").write_text(text)
    assert ledger.under_way() is None
    assert ledger.records() == [ENTRY]
    assert ledger.next_id() == 6


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", '{"apps": {"nest": {}}}', '{"apps": []}', '{"apps": {"a": 3}}']
)
def test_a_damaged_state_is_refused_with_its_name(ledger, text):
    ledger.save({})
    (ledger.root / "state.json").write_text(text)
    with pytest.raises(ServiceError, match=r"state\.json cannot be read .*: put it back from a backup"):
        ledger.apps()


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"secrets": []}', '{"secrets": [{}]}'])
def test_a_damaged_description_is_not_kept(ledger, text):
    ledger.keep(4, [app(described(), {})])
    (ledger.root / "4" / "apps" / "nest.json").write_text(text)
    assert ledger.kept(4, "nest") is None


def test_a_description_whose_secret_is_gone_is_not_kept(ledger):
    ledger.keep(4, [app(described(), {})])
    (ledger.root / "4" / "secrets" / "nest" / "0").unlink()
    assert ledger.kept(4, "nest") is None


def test_old_records_are_removed_unless_something_is_kept(ledger, monkeypatch):
    monkeypatch.setattr(_files.os, "fsync", lambda _descriptor: None)
    ledger.keep(1, [app(described(), {})])
    for number in range(1, 505):
        ledger.close(replace(ENTRY, id=number))
    ledger.prune_records()
    assert sorted(ledger._numbers())[:2] == [1, 5]


# --- migrations ----------------------------------------------------------------------------------------------------


def test_a_migration_is_the_first_service_with_another_command():
    compose = {
        "name": "nest-green",
        "services": {
            "nest": {
                "image": "nest:3", "container_name": "nest-green", "restart": "unless-stopped", "mem_limit": "64m",
                "environment": {"APP_COLOUR": "green"}, "volumes": ["./secrets:/run/secrets:ro"], "ports": ["1:1"],
                "expose": ["1"], "healthcheck": {"test": ["CMD", "a"]}, "depends_on": ["other"], "profiles": ["a"],
                "networks": {"protostar-edge": {"ipv4_address": "10.201.1.21"}}, "read_only": True,
            },
            "nest-2": {"image": "nest:3"},
        },
        "networks": {"protostar-edge": {"external": True}},
    }  # fmt: skip
    made = mapping(compose, Migration(("up", "$HOME"), "expand"), "nest-migration", 7, {"nest:3": "nest@sha256:3"})
    assert made == {
        "name": "nest-migration",
        "networks": {"protostar-edge": {"external": True}},
        "services": {
            "nest-migration": {
                "image": "nest@sha256:3", "container_name": "nest-migration", "restart": "no", "mem_limit": "64m",
                "environment": {"APP_COLOUR": "green"}, "volumes": ["./secrets:/run/secrets:ro"], "read_only": True,
                "command": ["up", "$$HOME"], "healthcheck": {"disable": True}, "networks": {"protostar-edge": {}},
                "labels": {"platform.protostar.release": "7"},
            }
        },
    }  # fmt: skip
    assert compose["services"]["nest"]["container_name"] == "nest-green"


def test_a_migration_of_an_app_without_networks_has_none():
    made = mapping({"services": {"nest": {"image": "a"}}}, Migration(("up",), "expand"), "nest-migration", 1, {})
    assert made["services"]["nest-migration"]["networks"] == {}
