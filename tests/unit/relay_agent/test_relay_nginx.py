"""The agent and the real nginx: bundles, bad ones, kills, and a client whose transfer goes on."""

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time

import pytest
import relay_rig
from relay_rig import Rig

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(bool(relay_rig.missing()), reason=relay_rig.missing() or "it is here"),
]


@pytest.fixture
def rig(place):
    rig = Rig(place)
    yield rig
    rig.kill_at(0)
    rig.end()


@pytest.fixture
def transfer(rig):
    """A client that never stops sending and reads every byte back. Call it: how many, 0 if cut off."""
    assert rig.call("apply", rig.bundle("transfer")).returncode == 0
    done, counts = threading.Event(), []
    connection = rig.connect()

    def send():
        with contextlib.suppress(OSError), connection:
            while not done.is_set():
                connection.sendall(b"x" * 1000)
                got = 0
                while got < 1000 and (data := connection.recv(1000 - got)):
                    got += len(data)
                counts.append(got)
                if got < 1000:
                    return
                time.sleep(0.001)
            counts.append(None)

    thread = threading.Thread(target=send)
    thread.start()

    def end():
        done.set()
        thread.join(10)
        whole = counts.pop() is None
        return sum(counts) if whole else 0

    yield end
    done.set()
    thread.join(10)


def test_a_bundle_and_another(rig, transfer):
    versions = set()
    for number in range(8):
        done = rig.call("apply", rig.bundle(number))
        assert done.returncode == 0, done.stderr
        assert rig.echoes()
        versions.add(rig.running_version())
    assert len(versions) == 8
    assert rig.status()["version"] == rig.running_version()
    assert transfer() > 1000
    assert "already" in rig.call("apply", rig.bundle(7)).stdout


def test_what_nginx_refuses(rig):
    assert rig.call("apply", rig.bundle(1)).returncode == 0
    there = rig.running_version()
    bad = rig.bundle(2, nginx="nonsense on;")
    for command in ("check", "apply"):
        done = rig.call(command, bad)
        assert done.returncode == 1
        assert 'unknown directive "nonsense" in nginx.conf:' in done.stderr
    assert rig.running_version() == there
    assert rig.echoes()
    assert "nonsense" in rig.status()["rejected"]["reason"]
    assert sorted(path.name for path in (rig.root / "etc/nginx").iterdir()) == ["nginx.conf"]


def test_a_port_that_is_taken(rig, transfer):
    """nginx checks the configuration, says that it reloads, and goes on with the old one: only its answer tells."""
    there = rig.running_version()
    with socket.create_server(("127.0.0.1", 0)) as other:
        bad = rig.bundle(2, nginx=f"server {{ listen 127.0.0.1:{other.getsockname()[1]}; return x; }}")
        assert rig.call("check", bad).returncode == 0
        done = rig.call("apply", bad)
    assert done.returncode == 1
    assert f"({there}) serves on" in done.stderr
    assert rig.running_version() == there
    assert transfer() > 1000
    assert rig.call("apply", rig.bundle(3)).returncode == 0


def test_killed_at_each_command(rig):
    """SIGKILL from within every program that it calls, as far as there are any; the next apply finishes."""
    assert rig.call("apply", rig.bundle(0)).returncode == 0
    good = json.loads((rig.root / "var/lib/protostar-relay/status.json").read_text())["version"]
    for number in range(1, 40):
        rig.kill_at(number)
        done = rig.call("apply", rig.bundle(number))
        assert rig.echoes()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        assert rig.running_version()
        rig.kill_at(0)
        assert rig.call("apply", rig.bundle(number)).returncode == 0
        eventually(lambda before=good: rig.running_version() != before)
        assert not (rig.root / "var/lib/protostar-relay/unfinished.json").exists()
        good = rig.running_version()
    assert 4 < number < 39


def test_a_killed_apply_is_taken_back_by_the_service(rig):
    assert rig.call("apply", rig.bundle(0)).returncode == 0
    good = rig.running_version()
    rig.kill_at(5)
    assert rig.call("apply", rig.bundle(1)).returncode == -signal.SIGKILL
    assert (rig.root / "var/lib/protostar-relay/unfinished.json").exists()
    rig.kill_at(0)
    with daemon(rig):
        eventually(lambda: not (rig.root / "var/lib/protostar-relay/unfinished.json").exists())
        assert rig.running_version() == good
        assert "rules of 0" in (rig.path / "rules").read_text()


def test_the_hard_cap_ends_transfers_and_a_larger_one_opens(rig, transfer):
    rig.count(500)
    assert rig.call("apply", rig.bundle(1, hard=100)).returncode == 0
    assert transfer() == 0
    assert not rig.echoes()
    assert rig.status()["line"] == "closed"
    assert rig.call("apply", rig.bundle(2)).returncode == 0
    eventually(rig.echoes)


def test_the_service_repairs_counts_and_ends_well(rig):
    assert rig.call("apply", rig.bundle(0)).returncode == 0
    good = rig.running_version()
    (rig.root / "etc/nginx/nginx.conf").write_text("by hand")
    subprocess.run(["kill", "-9", (rig.path / "nginx.pid").read_text().strip()], check=True)
    with daemon(rig) as process:
        eventually(lambda: rig.running_version() == good and rig.echoes())
        metrics = rig.root / "run/protostar-relay/metrics.prom"
        eventually(lambda: metrics.exists() and "protostar_relay_nginx_up 1" in metrics.read_text())
        rig.count(4321)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    sums = json.loads((rig.root / "var/lib/protostar-relay/egress.json").read_text())
    assert sums["total"] == 4321


def test_many_at_once_take_turns(rig):
    """The service and eight deliveries at the same time: one of the eight is in force, whole."""
    assert rig.call("apply", rig.bundle(0)).returncode == 0
    with daemon(rig):
        bundles = [rig.bundle(number) for number in range(1, 9)]
        running = [subprocess.Popen(rig.command("apply", bundle), env=rig.environment) for bundle in bundles]
        assert [process.wait(80) for process in running] == [0] * 8
        status = rig.status()
        assert status["version"] == rig.running_version()
        nginx = (rig.root / "etc/nginx/nginx.conf").read_text().split("\n")[0]
        assert f"rules of {nginx.removeprefix('# ')}" in (rig.path / "rules").read_text()
        assert status["version"] in (rig.root / "etc/nginx/nginx.conf").read_text()
        assert rig.echoes()


@contextlib.contextmanager
def daemon(rig):
    """The service, for a while."""
    process = rig.start()
    yield process
    process.terminate()
    process.communicate(timeout=30)


def eventually(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
