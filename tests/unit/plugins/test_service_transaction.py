"""Transactions on a host made of files, killed at every single step."""

import os
import random
from dataclasses import replace

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._release import Command, File
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service_world import NAME, World, left_over, release, run, run_killed


@pytest.fixture(autouse=True)
def no_power_cuts(monkeypatch):
    """A killed process loses nothing that it handed to the kernel: waiting for the disk would only be slow."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def settled(world, desired):
    """Whether the host is exactly as desired, and stays so."""
    again = run(world, desired)
    assert not again["changed"], again["actions"]
    for file in desired.files:
        assert (world.root / NAME / file.dest).read_text() == file.content
    config = {file.dest.partition("/")[2]: file.content for file in desired.files if file.dest.startswith("config/")}
    assert world.seen()["web"] == config
    assert set(world.seen()) == set(desired.services)
    assert left_over(world) == []
    return True


CHANGES = {
    "file": {"text": "two"},
    "image": {"image": "web:2"},
    "added file": {"text": "two", "more": ["a.conf", "b.conf"]},
    "added service": {"sidecar": True},
    "removed": {"text": "two"},
    "reload": {"text": "two"},
}


@pytest.mark.once
@pytest.mark.parametrize("change", ["first", *CHANGES])
@pytest.mark.parametrize("wanted", ["new", "old"])
def test_killed_at_any_step(tmp_path, change, wanted):
    """The next run brings either release about, and while the new one was prepared, nothing live was touched."""
    options = {"reload": True} if change == "reload" else {}
    step, killed = 0, True
    while killed:
        step += 1
        path = tmp_path / str(step)
        path.mkdir()
        world = World(path)
        old = release(world, more=["old.conf"], sidecar=True) if change == "removed" else release(world)
        new = release(world, **CHANGES.get(change, {}))
        if change != "first":
            run(world, old, **options)
        before = world.seen()
        killed = run_killed(world, new, step, **options)
        if killed and (world.root / NAME / "staging").exists():
            assert world.seen() == before
        target = new if wanted == "new" else old
        run(world, target, **options)
        assert settled(world, target)
    assert step > 20


@pytest.mark.once
def test_killed_again_while_the_first_kill_is_undone(tmp_path):
    dice = random.Random(1)
    for attempt in range(40):
        path = tmp_path / str(attempt)
        path.mkdir()
        world = World(path)
        old, new = release(world, more=["old.conf"]), release(world, "two", more=["new.conf"], sidecar=True)
        run(world, old)
        for _kill in range(3):
            run_killed(world, dice.choice([new, old]), dice.randrange(1, 60))
        target = dice.choice([new, old])
        run(world, target)
        assert settled(world, target)


@pytest.mark.parametrize("rehearse", [True, False])
def test_a_broken_release_is_refused_or_undone(world, rehearse):
    good = release(world)
    run(world, good)
    before = world.seen()
    identity = set(world.load()["containers"])
    with pytest.raises(ServiceError, match=r"exited with code 1.*the log"):
        run(world, release(world, "broken", more=["b.conf"]), rehearse=rehearse)
    assert world.seen() == before
    assert (set(world.load()["containers"]) == identity) is rehearse
    assert settled(world, good)


def test_a_broken_first_release_leaves_nothing(world):
    with pytest.raises(ServiceError, match="there was no release before it"):
        run(world, release(world, "broken"))
    assert world.seen() == {}
    assert world.volumes(NAME) == set()
    assert not (world.root / NAME).exists()


def test_a_broken_first_release_keeps_volumes_that_were_there(world):
    state = world.load()
    state["volumes"]["web-data"] = NAME
    world.save(state)
    with pytest.raises(ServiceError):
        run(world, release(world, "broken"))
    assert world.volumes(NAME) == {"web-data"}


def test_a_failed_provisioning_is_undone(world):
    good = release(world)
    run(world, good)
    with pytest.raises(ServiceError, match="provisioning failed"):
        run(world, release(world, "two", provision=[Command("web", ("fail",))]))
    assert settled(world, good)


def test_a_release_that_cannot_be_pulled_touches_nothing(world):
    good = release(world)
    run(world, good)
    identity = set(world.load()["containers"])
    with pytest.raises(ServiceError, match=r"cannot pull web:9: .*release 1 is still running"):
        run(world, release(world, image="web:9"))
    assert set(world.load()["containers"]) == identity
    assert settled(world, good)


@pytest.mark.parametrize("image", ["web:1", "web:2"])
def test_the_image_that_was_released_comes_back_under_its_tag(world, image):
    good = release(world)
    run(world, good)
    world.tag("sha256:2", "web:1")
    with pytest.raises(ServiceError):
        run(world, release(world, "broken", image=image), rehearse=False)
    assert [value["Image"] for value in world.load()["containers"].values()] == ["sha256:1"]
    assert settled(world, good)


def stop(state, world):
    for container in state["containers"].values():
        container["State"]["Status"] = "exited"


def remove(state, world):
    state["containers"].clear()


def limit(state, world):
    for container in state["containers"].values():
        container["HostConfig"]["Memory"] = 1


def swap_image(state, world):
    for container in state["containers"].values():
        container["Image"] = "sha256:9"


def edit(state, world):
    path = world.root / NAME / "config" / "main.conf"
    path.unlink()
    path.write_text("by hand")


def widen(state, world):
    (world.root / NAME / "secrets" / "key").chmod(0o644)


def drop_compose(state, world):
    (world.root / NAME / "compose.yaml").unlink(missing_ok=True)


DRIFTS = [stop, remove, limit, swap_image, edit, widen, drop_compose]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drifts=st.lists(st.sampled_from(DRIFTS), min_size=1, max_size=4, unique=True), changed=st.booleans())
def test_any_drift_is_repaired_in_one_run(tmp_path_factory, drifts, changed):
    world = World(tmp_path_factory.mktemp("world"))
    run(world, release(world))
    state = world.load()
    for drift in drifts:
        drift(state, world)
    world.save(state)
    wanted = release(world, "two") if changed else release(world)
    assert run(world, wanted)["changed"]
    assert settled(world, wanted)


def test_a_failed_release_leaves_the_directories_of_others(world):
    good = release(world)
    run(world, good)
    (world.root / NAME / "state").mkdir()
    with pytest.raises(ServiceError):
        run(world, release(world, image="web:9"))
    assert (world.root / NAME / "state").is_dir()


def test_a_file_takes_the_place_of_a_directory(world):
    run(world, release(world, more=["a/b"]))
    wanted = release(world, more=["a"])
    run(world, wanted)
    assert (world.root / NAME / "config" / "a").is_file()
    assert not run(world, wanted)["changed"]


def test_only_so_many_releases_are_kept(world):
    for text in ("one", "two", "three", "four"):
        run(world, release(world, text), keep=2)
    assert sorted(path.name for path in (world.root / NAME / "releases").iterdir()) == ["2", "3", "4"]


def shown(result):
    return {entry["before_header"].rpartition("/")[2]: (entry["before"], entry["after"]) for entry in result["diff"]}


def test_the_diff_shows_files_and_no_secret(world):
    first = shown(run(world, release(world, "one"), diff=True))
    assert first["main.conf"] == ("", "one")
    second = run(world, release(world, "two", more=["a.conf"]), diff=True)
    assert shown(second)["main.conf"] == ("one", "two")
    assert shown(second)["key"] == ("", "secret changed\n")
    assert "oneone" not in str(second)
    assert "twotwo" not in str(second)
    assert shown(run(world, release(world, "two"), diff=True))["a.conf"] == ("two", "")


def test_a_secret_that_was_widened_and_becomes_a_plain_file_is_not_shown(world):
    run(world, release(world))
    (world.root / NAME / "secrets" / "key").chmod(0o644)
    wanted = release(world)
    plain = replace(wanted, files=(wanted.files[0], File("secrets/key", "public", 0o444, os.getuid())))
    assert "oneone" not in str(run(world, plain, diff=True))


@pytest.mark.once
def test_a_repair_killed_at_any_step_is_finished(tmp_path):
    step, killed = 0, True
    while killed:
        step += 1
        path = tmp_path / str(step)
        path.mkdir()
        world = World(path)
        wanted = release(world)
        run(world, wanted)
        state = world.load()
        edit(state, world)
        for container in state["containers"].values():
            container["seen"] = {"main.conf": "by hand"}
        world.save(state)
        killed = run_killed(world, wanted, step)
        run(world, wanted)
        assert settled(world, wanted)
    assert step > 5


def test_a_reload_that_makes_it_sick_is_undone(world):
    good = release(world)
    run(world, good, reload=True)
    identity = set(world.load()["containers"])
    with pytest.raises(ServiceError, match=r"after the reload: not well; release 1 was put back and is ready"):
        run(world, release(world, "sick"), reload=True)
    assert set(world.load()["containers"]) == identity
    assert settled(world, good)
