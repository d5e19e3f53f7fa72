"""The daemon's rounds: metrics, caps, repair, and bundles that are delivered to it."""

import json
import re

import loop
import nginx
import pytest
from errors import Failed, Refused
from follow import Follower
from loop import Agent
from metadata import Metadata
from relay_world import data_of, made

TUNNEL = "ListenPort = 51820"
DAY = 86400
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z]+="[0-9a-f]*"\})? (-?[0-9.e+]+)')


@pytest.fixture
def agent(world):
    world.apply(made(1, hard=1000))
    return Agent(world.machine, {})


def exposition(world):
    """Parse the metrics, as strictly as Prometheus does: HELP and TYPE before each, each name once."""
    lines = world.paths.metrics.read_text().split("\n")
    assert lines.pop() == ""
    values, kinds = {}, {}
    for help_line, type_line, sample in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name, labels, value = SAMPLE.fullmatch(sample).groups()
        assert help_line.startswith(f"# HELP {name} ")
        kinds[name] = type_line.removeprefix(f"# TYPE {name} ")
        assert kinds[name] in ("gauge", "counter")
        assert (kinds[name] == "counter") == name.endswith("_total")
        assert name not in values
        values[name.removeprefix("protostar_relay_")] = float(value)
        if labels:
            values["labels"] = labels
    return values


def test_metrics(world, agent):
    world.kernel.counter = 640
    sockets = "  sl  local_address rem_address   st\n"
    established = "   0: 0100007F:{port} 0200007F:9999 {state} 0:0\n"
    rows = [("01BB", "01"), ("01BB", "06"), ("0050", "01"), ("20FB", "01"), ("01BB", "0A")]
    world.write(world.paths.proc / "net/tcp", sockets + "".join(established.format(port=p, state=s) for p, s in rows))
    six = f"   0: {'0' * 32}:01BB {'0' * 32}:9999 01 0:0\n"
    world.write(world.paths.proc / "net/tcp6", sockets + six)
    agent.tick()
    values = exposition(world)
    assert values.pop("labels") == f'{{version="{made(1, hard=1000).version}"}}'
    assert values == {
        "egress_month_bytes": 640,
        "egress_bytes_total": 640,
        "egress_soft_cap_bytes": 0,
        "egress_hard_cap_bytes": 1000,
        "line_open": 1,
        "config_info": 1,
        "config_rejected": 0,
        "nginx_up": 1,
        "connections": 3,
        "source_reachable": 1,
        "agent_seconds": int(world.seconds),
    }
    assert world.paths.metrics.stat().st_mode & 0o777 == 0o644


def test_metrics_of_a_tunnel(world):
    world.apply(made(1, tunnel=TUNNEL))
    Agent(world.machine, {}).tick()
    assert exposition(world)["tunnel_handshake_seconds"] == 1790000000


def test_metrics_before_any_bundle(world):
    world.kernel.nginx = None
    Agent(world.machine, {}).tick()
    values = exposition(world)
    assert values["nginx_up"] == 0
    assert values["labels"] == '{version=""}'


def test_a_refusal_is_in_the_metrics(world, agent):
    with pytest.raises(Refused):
        world.apply(made(2, nginx="broken"))
    agent.tick()
    assert exposition(world)["config_rejected"] == 1


def test_the_hard_cap_closes_and_a_new_month_opens(world, agent):
    world.kernel.counter = 999
    agent.tick()
    assert "default open;" in world.kernel.line
    world.kernel.counter = 1000
    world.commands.clear()
    agent.tick()
    assert "default closed;" in world.kernel.line
    assert ["systemctl", "restart", "nginx.service"] in world.commands
    assert exposition(world)["line_open"] == 0
    assert world.status()["line"] == "closed"
    world.commands.clear()
    agent.tick()
    assert ["systemctl", "restart", "nginx.service"] not in world.commands
    world.seconds += 31 * DAY
    agent.tick()
    assert "default open;" in world.kernel.line
    assert ["systemctl", "reload-or-restart", "nginx.service"] in world.commands
    assert ["systemctl", "restart", "nginx.service"] not in world.commands
    assert exposition(world)["line_open"] == 1


def test_a_larger_cap_opens_at_once_and_none_never_closes(world, agent):
    world.kernel.counter = 5000
    agent.tick()
    world.apply(made(1, hard=6000))
    assert "default open;" in world.kernel.line
    world.apply(made(1, hard=4000))
    assert "default closed;" in world.kernel.line
    world.apply(made(1))
    agent.tick()
    assert "default open;" in world.kernel.line


def test_a_clock_that_goes_back_does_not_open(world, agent):
    world.kernel.counter = 5000
    agent.tick()
    world.seconds -= 400 * DAY
    agent.tick()
    assert "default closed;" in world.kernel.line


def test_a_closed_line_stays_closed_over_a_reboot(world, agent):
    world.kernel.counter = 5000
    agent.tick()
    world.reboot()
    Agent(world.machine, {}).tick()
    assert "default closed;" in world.kernel.line
    assert world.status()["egress"]["bytes"] == 5000


def test_a_line_that_cannot_be_closed_is_tried_again(world, agent):
    world.kernel.counter = 5000
    world.refuse = {"systemctl restart"}
    agent.tick()
    world.refuse = set()
    agent.tick()
    assert "default closed;" in world.kernel.line
    assert not world.paths.unfinished.exists()


DRIFTS = {
    "nginx.conf by hand": lambda world: world.paths.nginx.write_text("# mine\n"),
    "nginx.conf removed": lambda world: world.paths.nginx.unlink(),
    "nginx.conf's mode": lambda world: world.paths.nginx.chmod(0o600),
    "a link in its place": lambda world: (
        world.paths.nginx.rename(world.path / "mine"),
        world.paths.nginx.symlink_to(world.path / "mine"),
    ),
    "relay.nft by hand": lambda world: world.paths.rules.write_text("# mine\n"),
    "rules flushed": lambda world: setattr(world.kernel, "rules", None),
    "tunnel.conf readable": lambda world: world.paths.tunnel.chmod(0o644),
    "the tunnel stopped": lambda world: setattr(world.kernel, "tunnel", None),
    "the interface removed": lambda world: setattr(world.kernel, "interface", False),
    "the interface's key lost": lambda world: setattr(world.kernel, "keyed", False),
    "nginx stopped": lambda world: setattr(world.kernel, "nginx", None),
    "nginx with another configuration": lambda world: setattr(world.kernel, "nginx", "return other;"),
    "line.conf by hand": lambda world: world.paths.line.write_text("# mine\n"),
    "line.conf removed": lambda world: world.paths.line.unlink(),
    "a reboot": lambda world: world.reboot(),
    "other name servers": lambda world: world.paths.resolvers.write_text("nameserver 192.0.2.53\n"),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_repaired(world, drift):
    bundle = made(1, tunnel=TUNNEL)
    world.apply(bundle)
    agent = Agent(world.machine, {})
    DRIFTS[drift](world)
    agent.tick()
    assert world.disagreements(bundle) == []
    assert not world.paths.nginx.is_symlink()
    assert "default open;" in world.kernel.line
    assert world.kernel.interface
    assert world.kernel.keyed
    world.commands.clear()
    agent.tick()
    assert not [command for command in world.commands if {"reload-or-restart", "restart", "-f"} & set(command)]


def test_an_nginx_that_runs_and_says_nothing_is_left_alone_for_a_while(world, agent):
    """Under a flood it may have no connection left for the agent; another set of workers would make it worse."""
    world.kernel.nginx = "# busy"
    world.commands.clear()
    reloads = []
    for _round in range(25):
        agent.tick()
        reloads.append(["systemctl", "reload-or-restart", "nginx.service"] in world.commands)
        world.sleep(loop.INTERVAL)
    assert reloads.index(True) * loop.INTERVAL == pytest.approx(nginx.PATIENCE, abs=2 * loop.INTERVAL)
    assert world.disagreements(made(1, hard=1000)) == []


def test_what_cannot_be_repaired_is_said_once_and_tried_less_and_less(world, agent):
    world.kernel.nginx = None
    world.refuse = {"systemctl reload-or-restart"}
    world.said.clear()
    tried = []
    for _round in range(20):
        world.commands.clear()
        agent.tick()
        tried.append(["systemctl", "reload-or-restart", "nginx.service"] in world.commands)
        world.sleep(loop.INTERVAL)
    assert len(world.said) == 1
    assert 4 <= sum(tried) <= 10
    assert exposition(world)["nginx_up"] == 0
    world.refuse = set()
    for _round in range(5):
        agent.tick()
        world.sleep(loop.INTERVAL)
    assert exposition(world)["nginx_up"] == 1


def test_a_tunnel_that_cannot_start_leaves_the_rest_repaired(world):
    world.apply(made(1, tunnel=TUNNEL))
    world.reboot()
    world.kernel.tunnel = world.kernel.nginx = world.kernel.rules = None
    world.refuse = {"systemctl enable"}
    Agent(world.machine, {}).tick()
    assert world.kernel.nginx
    assert world.kernel.rules


def test_a_truth_that_nginx_refuses_now_leaves_what_runs(world):
    """A certificate that nginx needs was lost, say."""
    world.apply(made(1))
    runs = world.kernel.nginx
    world.paths.nginx.write_text("by hand")
    world.refuse = {"nginx -t"}
    world.commands.clear()
    Agent(world.machine, {}).tick()
    assert world.kernel.nginx == runs
    assert not [command for command in world.commands if "nginx.service" in command and command[1] != "is-active"]


def test_a_full_disk_does_not_end_the_daemon(world, agent, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("files.write", full)
    world.kernel.counter = 7
    agent.tick()
    assert "No space left" in world.said[-1]
    monkeypatch.undo()
    agent.tick()
    assert exposition(world)["egress_bytes_total"] == 7


def test_what_a_killed_check_left_goes_at_the_start(world, agent, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda *_: None)
    there = {path for path in world.path.rglob("*") if path.is_file()}
    for part in agent.parts.all:
        part.staged.parent.mkdir(parents=True, exist_ok=True)
        part.staged.write_text("half")
    agent.end()
    assert agent.run()
    assert {path for path in world.path.rglob("*") if path.is_file()} <= there | {world.paths.egress}


def test_a_thread_that_dies_ends_the_agent(world, agent, monkeypatch):
    """systemd starts a whole one; a daemon that no longer follows would look well."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("loop.INTERVAL", 0.01)
    agent.follower = Follower(world.machine, Metadata({}, 1), agent.deliver, agent.stop)
    agent.follower.client.follow = lambda _etag: 1 / 0
    assert not agent.run()
    assert "ZeroDivisionError" in world.said[-1]


def test_delivered_bundles(world, agent):
    agent.deliver(data_of(2))
    assert world.disagreements(made(2)) == []
    with pytest.raises(Refused):
        agent.deliver(data_of(3, nginx="broken"))
    assert world.disagreements(made(2)) == []
    agent.deliver(data_of(2))
    assert world.status()["rejected"] is None


def test_a_refused_bundle_is_not_tried_again_until_it_changes(world, agent):
    bad = data_of(2, nginx="taken port")
    with pytest.raises(Refused) as first:
        agent.deliver(bad)
    world.commands.clear()
    for _again in range(3):
        with pytest.raises(Refused) as caught:
            Agent(world.machine, {}).deliver(bad)
        assert str(caught.value) == str(first.value)
    assert world.commands == []
    agent.deliver(data_of(2))
    assert world.disagreements(made(2)) == []


def test_what_is_no_bundle_is_reported_and_changes_nothing(world, agent):
    world.commands.clear()
    with pytest.raises(Refused):
        agent.deliver(b"<html>")
    assert world.commands == []
    assert "JSON" in world.status()["rejected"]["reason"]
    agent.tick()
    assert json.loads(world.paths.status.read_text())["rejected"]["reason"].endswith(".")


def test_a_machine_that_fails_is_tried_again(world, agent):
    world.missing = {"nft"}
    with pytest.raises(Failed):
        agent.deliver(data_of(2))
    world.missing = set()
    agent.deliver(data_of(2))
    assert world.disagreements(made(2)) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"source": "http://example.org"}', "{}"])
def test_settings_that_make_no_sense_are_said_and_leave_the_line(world, text):
    world.apply(made(1))
    world.write(world.paths.settings, text)
    agent = Agent(world.machine, {})
    assert agent.follower is None
    agent.tick()
    assert exposition(world)["source_reachable"] == 0
    assert "agent.json" in world.status()["source"]
    assert world.disagreements(made(1)) == []
