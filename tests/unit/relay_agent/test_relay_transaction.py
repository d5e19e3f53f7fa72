"""A bundle becomes the configuration of a machine, or nothing changes."""

import json
from pathlib import Path

import pytest
import state
from check import check
from errors import Failed, Refused
from lock import locked
from nginx import ANSWERS, CONFIRMATION, Nginx
from relay_world import made

TUNNEL = "ListenPort = 51820"


def snapshot(world):
    """What a client, the kernel and the next boot see."""
    return {
        "kernel": vars(world.kernel) | {"handles": None},
        "enabled": set(world.enabled),
        "files": {
            str(path.relative_to(world.path)): path.read_text()
            for path in sorted((world.path / "etc").rglob("*"))
            if path.is_file() and path != world.paths.tunnel_key  # which stays, once made
        },
        "truth": world.paths.bundle.read_text() if world.paths.bundle.exists() else None,
    }


@pytest.mark.parametrize("tunnel", [None, TUNNEL])
def test_the_first_bundle(world, tunnel):
    bundle = made(1, tunnel=tunnel)
    said = world.apply(bundle)
    assert bundle.version in said
    assert world.disagreements(bundle) == []
    assert state.last_good(world.paths) == bundle
    status = world.status()
    assert status["version"] == bundle.version
    assert status["rejected"] is None
    assert status["nginx"] == "active"
    assert bool(status["tunnel_public_key"]) == (tunnel is not None)


def test_a_second_run_does_nothing(world):
    world.apply(made(1, tunnel=TUNNEL))
    world.commands.clear()
    files = {path: path.stat().st_mtime_ns for path in (world.path / "etc").rglob("*")}
    assert "already" in world.apply(made(1, tunnel=TUNNEL))
    assert {path: path.stat().st_mtime_ns for path in (world.path / "etc").rglob("*")} == files
    changing = {"reload-or-restart", "restart", "enable", "disable", "-f", "delete", "genkey"}
    assert not [command for command in world.commands if changing & set(command)]


def test_a_second_run_repairs_what_does_not_run(world):
    bundle = made(1, tunnel=TUNNEL)
    world.apply(bundle)
    world.kernel.rules = world.kernel.tunnel = world.kernel.nginx = None
    assert "already" not in world.apply(bundle)
    assert world.disagreements(bundle) == []


def test_nginx_which_is_asked_for_proof_is_last(world):
    world.apply(made(1, tunnel=TUNNEL))
    order = [command[-1] for command in world.commands if {"restart", "reload-or-restart", "-f"} & set(command[:2])]
    assert order[-3:] == ["wg-quick@protostar.service", str(world.paths.rules), "nginx.service"]


def test_every_worker_is_asked_for_proof(world):
    """While nginx reloads, workers of before and of after answer in turn."""
    answers = ["new", "old", "new", "new", "old", *["new"] * ANSWERS, "old"]
    world.ask = lambda _port: answers.pop(0)
    begun = world.ticks
    assert Nginx(world.machine).confirm("new")
    assert answers == ["old"]
    assert world.ticks - begun > 0.2  # and not so quickly that those of before only had no turn


def test_a_second_run_asks_once(world):
    world.apply(made(1))
    begun = world.ticks
    world.apply(made(1))
    assert world.ticks - begun < 0.1


def test_proof_is_awaited_for_so_long(world):
    world.kernel.nginx = "return old;"
    begun = world.ticks
    assert not Nginx(world.machine).confirm("new")
    assert CONFIRMATION <= world.ticks - begun < CONFIRMATION + 1


def test_only_what_changed_is_put_in_force(world):
    world.apply(made(1, tunnel=TUNNEL))
    world.commands.clear()
    world.apply(made(2, tunnel=TUNNEL))
    assert ["systemctl", "restart", "wg-quick@protostar.service"] not in world.commands
    assert world.disagreements(made(2, tunnel=TUNNEL)) == []


def test_nginx_gets_version_and_name_servers(world):
    world.write(world.paths.resolvers, "nameserver 10.0.0.53\nnameserver fd00::53\n")
    bundle = made(1)
    world.apply(bundle)
    text = world.paths.nginx.read_text()
    assert f"return {bundle.version};" in text
    assert "resolver 10.0.0.53 [fd00::53];" in text


def test_the_tunnel_goes_with_a_bundle_without_one_and_its_key_stays(world):
    world.apply(made(1, tunnel=TUNNEL))
    key = world.paths.tunnel_key.read_text()
    assert world.paths.tunnel_key.stat().st_mode & 0o777 == 0o600
    world.apply(made(2))
    assert world.disagreements(made(2)) == []
    assert world.kernel.tunnel is None
    world.apply(made(3, tunnel=TUNNEL))
    assert world.paths.tunnel_key.read_text() == key


BAD = {
    "nginx refuses": {"nginx": "broken"},
    "nftables refuses": {"rules": "broken"},
    "wg-quick refuses": {"tunnel": "broken"},
    "nginx does not take it": {"nginx": "taken port"},
    "nftables does not load it": {"rules": "unloadable"},
    "the tunnel does not start": {"tunnel": "taken port"},
}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("before", [{"tunnel": TUNNEL}, {}], ids=["with tunnel", "without"])
def test_a_bad_bundle_changes_nothing_and_is_remembered(world, bad, before):
    good = made(1, **before)
    world.apply(good)
    there = snapshot(world)
    bundle = made(2, **{**before, **BAD[bad]})
    with pytest.raises(Refused) as caught:
        world.apply(bundle)
    assert snapshot(world) == there
    assert world.disagreements(good) == []
    sentence = str(caught.value)
    assert bundle.version in sentence
    assert f"({good.version}) serves on" in sentence
    assert "staged" not in sentence
    assert "new.conf" not in sentence
    assert world.status()["rejected"] == {"version": bundle.version, "reason": sentence}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_first_bundle_leaves_what_was_there(world, bad):
    world.write(world.paths.line, "")  # written before anything is checked
    there = snapshot(world)
    with pytest.raises(Refused, match="no previous"):
        world.apply(made(1, **BAD[bad]))
    after = snapshot(world)
    for side in (there, after):
        side["kernel"].pop("line")
    assert after == there


def test_the_reason_is_what_the_program_said(world):
    with pytest.raises(Refused, match=r'unknown "broken" in nginx.conf:7'):
        world.apply(made(1, nginx="broken"))
    with pytest.raises(Refused, match=r"relay.nft:3:1-6: Error: broken"):
        world.apply(made(1, rules="broken"))


def test_a_good_bundle_after_a_bad_one_clears_the_refusal(world):
    world.apply(made(1))
    with pytest.raises(Refused):
        world.apply(made(2, nginx="broken"))
    world.apply(made(1))
    assert world.status()["rejected"] is None


@pytest.mark.parametrize("program", ["nginx", "nft", "wg-quick"])
def test_a_program_that_is_not_installed_is_the_machines_fault(world, program):
    world.apply(made(1, tunnel=TUNNEL))
    world.missing.add(program)
    with pytest.raises(Failed, match="not installed"):
        world.apply(made(2, tunnel=f"{TUNNEL}0"))
    world.missing.clear()
    assert world.disagreements(made(1, tunnel=TUNNEL)) == []
    assert world.status()["rejected"] is None


def test_no_name_server_is_the_machines_fault(world):
    world.apply(made(1))
    world.write(world.paths.resolvers, "search home\n")
    with pytest.raises(Failed, match="name server"):
        world.apply(made(2))
    assert world.status()["rejected"] is None
    assert made(1).version in world.kernel.nginx


def test_when_going_back_fails_too_nobody_says_that_it_serves(world):
    world.apply(made(1))
    world.refuse = {"systemctl reload-or-restart", "systemctl restart"}
    with pytest.raises(Failed) as caught:
        world.apply(made(2))
    assert "serves on" not in str(caught.value)
    assert world.status()["rejected"] is None
    world.refuse = set()
    assert world.repair(made(1))
    assert world.disagreements(made(1)) == []


def test_a_full_disk_is_no_refusal(world, monkeypatch):
    world.apply(made(1))
    there = snapshot(world)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "keep", full)
    with pytest.raises(Failed, match="No space left"):
        world.apply(made(2))
    assert snapshot(world) == there
    assert world.status()["rejected"] is None


def test_the_same_bundle_on_a_machine_that_fails_is_not_remembered_as_refused(world):
    world.apply(made(1))
    world.kernel.nginx = None
    world.refuse = {"systemctl reload-or-restart"}
    with pytest.raises(Failed):
        world.apply(made(1))
    assert world.status()["rejected"] is None


def test_a_bundle_in_force_that_is_refused_now_is_not_remembered_as_refused(world):
    """nginx refuses it because a certificate was lost, say."""
    world.apply(made(1))
    world.paths.nginx.write_text("by hand")
    world.refuse = {"nginx -t"}
    with pytest.raises(Failed):
        world.apply(made(1))
    assert world.status()["rejected"] is None


def test_check_and_apply_do_not_stage_at_the_same_time(world):
    world.apply(made(1))
    world.watch = lambda: locks.append(is_locked(world))
    locks = []
    check(world.machine, made(2))
    assert locks
    assert all(locks)


def is_locked(world):
    try:
        with locked(world.paths, patience=0):
            return False
    except Failed:
        return True


def test_check_changes_nothing(world):
    there = snapshot(world)
    check(world.machine, made(1, tunnel=TUNNEL))
    for bad in ({"nginx": "broken"}, {"rules": "broken"}, {"tunnel": "broken"}):
        bundle = made(2, **bad)
        with pytest.raises(Refused, match=bundle.version):
            check(world.machine, bundle)
    assert snapshot(world) == there
    assert not (world.path / "var").exists()


def test_check_does_not_need_the_line(world):
    """nginx's configuration includes a file that the first apply writes."""
    seen = []
    inner = world._nginx

    def look(arguments, standard_input):
        included = Path(arguments[3]).read_text().rpartition("include ")[2].split(";")[0]
        seen.append(Path(included).read_text())
        return inner(arguments, standard_input)

    world._nginx = look
    check(world.machine, made(1, nginx=f"include {world.paths.line};"))
    assert "open" in seen[0]
    assert not world.paths.line.exists()


def test_a_damaged_truth_is_none(world):
    world.apply(made(1))
    world.paths.bundle.write_text(json.dumps({"format": 1}))
    assert state.last_good(world.paths) is None
    world.apply(made(1))
    assert state.last_good(world.paths) == made(1)
