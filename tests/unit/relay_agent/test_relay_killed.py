"""The agent killed at every single moment: what comes next finishes or takes back, and repairs."""

import itertools
import os
import pathlib
import shutil
import subprocess
import sys
from pathlib import Path

import lock
import pytest
import state
from egress import Meter
from errors import Failed, Refused
from lock import locked
from loop import Agent
from relay_world import World, made

pytestmark = pytest.mark.once

TUNNEL = "ListenPort = 51820"
FIRST, WITH, OTHER = made(1), made(1, tunnel=TUNNEL), made(2, tunnel=f"{TUNNEL}1", rules="more")
SCENARIOS = {
    "the first": (None, WITH),
    "another": (WITH, OTHER),
    "one with a tunnel": (FIRST, OTHER),
    "one without a tunnel": (WITH, made(2)),
    "a cap that closes": (FIRST, made(1, hard=10)),
    "one that nginx does not take": (WITH, made(3, tunnel=f"{TUNNEL}2", rules="other", nginx="taken port")),
    "one that the kernel does not take": (WITH, made(3, tunnel=f"{TUNNEL}2", rules="unloadable")),
    "one whose tunnel does not start": (FIRST, made(3, tunnel="taken port")),
}
SEEN_BY_A_KILL = ("open", "replace", "unlink", "fsync", "fchmod", "mkdir", "write")


def essence(world):
    """What a kill would leave, without what changes all the time."""
    there = {path: path.read_bytes() for path in world.path.rglob("*") if path.is_file()}
    return hash((repr(sorted(there.items())), repr(vars(world.kernel)), repr(sorted(world.enabled))))


def watched_at(patch, watched):
    """Wrap the calls that change the disk. Before Python 3.11 pathlib kept its own references to them."""
    for name in SEEN_BY_A_KILL:
        function = watched(getattr(os, name), name)
        patch.setattr(os, name, function)
        if name != "open" and hasattr(getattr(pathlib, "_NormalAccessor", None), name):
            patch.setattr(pathlib._NormalAccessor, name, staticmethod(function))


def moments(world, place, monkeypatch, act):
    """Do something, and return the machine as every kill would leave it, each once.

    A process that is killed leaves everything as it is: a copy from within is what comes after.
    """
    seen, left, copying = set(), [], []

    def watch():
        if copying:
            return
        copying.append(True)
        if essence(world) not in seen:
            seen.add(essence(world))
            left.append(world.clone(place / f"killed-{len(left)}"))
        copying.clear()

    def watched(function, _name):
        def call(*arguments, **options):
            done = function(*arguments, **options)
            watch()
            return done

        return call

    world.watch = watch
    with monkeypatch.context() as patch:
        watched_at(patch, watched)
        act()
    world.watch = None
    return left


def apply(world, bundle):
    try:
        world.apply(bundle)
    except (Refused, Failed):
        return False
    return True


def start(world):
    """The service starts, as systemd does it after a kill: one round."""
    Agent(world.machine, {}).tick()


def restart(world):
    world.reboot()
    start(world)


AFTERWARDS = {"the service": start, "a reboot": restart, "the same": None, "the one before": None}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_killed_at_any_moment_and_then(place, monkeypatch, scenario):
    """Somebody always answers, the truth is one of the two bundles, and afterwards all agrees with it."""
    before, bundle = SCENARIOS[scenario]
    world = World(place / "world")
    if before:
        apply(world, before)
    world.kernel.counter = 50
    good = bundle if apply(world.clone(place / "try"), bundle) else None
    left = moments(world, place, monkeypatch, lambda: apply(world, bundle))
    assert len(left) > 12
    for killed, (what, act) in itertools.product(left, AFTERWARDS.items()):
        then = killed.clone(place / "then")
        assert then.kernel.nginx is not None or before is None or bundle.hard_cap or not good
        if what == "the same":
            apply(then, bundle)
        elif what == "the one before":
            apply(then, before or bundle)
        else:
            act(then)
        truth = state.last_good(then.paths)
        assert truth in (before, good)
        if truth:
            assert then.disagreements(truth) == [], what
        if what == "the same":
            assert truth == (good or before)
        elif what == "the one before" and before:
            assert truth == before
        assert lying_about(then) <= lying_about(killed), what
        shutil.rmtree(then.path)


def lying_about(world):
    """Files that no part of the agent reads."""
    return {path.name for path in world.path.rglob("*") if path.name.endswith(".new") or "staged" in path.name}


@pytest.mark.parametrize("drift", ["nginx", "rules", "tunnel", "all", "kernel"])
def test_killed_while_repairing(place, monkeypatch, drift):
    world = World(place / "world")
    world.apply(WITH)
    for name in ("nginx", "rules", "tunnel"):
        if drift in (name, "all"):
            getattr(world.paths, name).write_text("by hand")
    if drift in ("kernel", "all"):
        world.kernel.rules = world.kernel.tunnel = world.kernel.nginx = None
    left = moments(world, place, monkeypatch, lambda: start(world))
    assert world.disagreements(WITH) == []
    assert len(left) > 5
    for killed in left:
        start(killed)
        assert killed.disagreements(WITH) == []


def test_killed_while_counting(place, monkeypatch):
    """What was counted is booked once, or, when the kill came before the disk had it, by the next reading."""
    world = World(place / "world")
    world.apply(FIRST)
    counted = 0
    for step in (700, 30, 5000):
        world.kernel.counter += step
        counted += step
        left = moments(world, place, monkeypatch, lambda: take(world))
        for killed in left:
            assert take(killed).total == counted
            shutil.rmtree(killed.path)
    assert take(world).total == counted


def test_killed_while_rules_are_replaced_counts_everything_once(place, monkeypatch):
    world = World(place / "world")
    world.apply(FIRST)
    world.kernel.counter = 1234
    left = moments(world, place, monkeypatch, lambda: apply(world, OTHER))
    assert len(left) > 12
    for killed in left:
        start(killed)
        assert take(killed).total == 1234


@pytest.mark.parametrize("used", [0, 10])
def test_killed_while_the_line_moves(place, monkeypatch, used):
    """Closing and opening both come into force after a kill, and nginx has read what is written."""
    world = World(place / "world")
    world.apply(made(1, hard=10))
    if not used:
        world.kernel.counter = 10
        start(world)
        world.seconds += 40 * 86400
    else:
        world.kernel.counter = 10
    left = moments(world, place, monkeypatch, lambda: start(world))
    position = "closed" if used else "open"
    for killed in left:
        start(killed)
        assert f"default {position};" in killed.kernel.line
        assert killed.disagreements(made(1, hard=10)) == []


def test_a_lock_of_a_killed_process_is_free(world):
    program = "import sys; from lock import locked; from paths import Paths; from pathlib import Path\n"
    program += "with locked(Paths(Path(sys.argv[1]))): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(world.path)]
    agent = Path(lock.__file__).parent
    with subprocess.Popen(command, cwd=agent, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline()
        with pytest.raises(Failed, match="lock"), locked(world.paths, patience=0.1):
            pass
        holder.kill()
    with locked(world.paths, patience=1):
        pass


def take(world):
    with locked(world.paths):
        return Meter(world.machine).take()


def test_what_counts_survives_a_power_cut(place, monkeypatch):
    """Each file is on the disk before it takes its place, and so is the place before anything else happens."""
    world = World(place / "world")
    calls = []
    with monkeypatch.context() as patch:
        watched_at(patch, lambda function, name: lambda *a, **o: (calls.append((name, a)), function(*a, **o))[1])
        world.apply(WITH)
    replaced = {}
    for number, (name, arguments) in enumerate(calls):
        if name == "replace" and "staged" not in str(arguments[1]) and "-new" not in str(arguments[1]):
            around = [call for call, _arguments in calls[number - 1 : number + 3]]
            replaced[Path(arguments[1]).name] = around == ["fsync", "replace", "open", "fsync"]
    assert {"bundle.json", "egress.json", "status.json", "unfinished.json", "nginx.conf", "line.conf"} <= set(replaced)
    assert all(replaced.values()), replaced


def test_what_is_watched_is_what_is_used(place, monkeypatch):
    """The moments are between the calls that change the disk: none of them may be made in another way."""
    world = World(place / "world")
    calls = []
    with monkeypatch.context() as patch:
        watched_at(patch, lambda function, name: lambda *a, **o: (calls.append(name), function(*a, **o))[1])
        world.apply(WITH)
    assert {"open", "replace", "unlink", "fsync", "fchmod"} <= set(calls)
