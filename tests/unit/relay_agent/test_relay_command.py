"""The agent as a command: as a directory and as a zip, alone on a machine with Python."""

import ast
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from relay_world import data_of, described

FILES = Path(__file__).parents[3] / "roles/relay/files"
AGENT = FILES / "agent"


@pytest.fixture(params=["directory", "zip"])
def agent(request, tmp_path):
    if request.param == "directory":
        return AGENT
    path = tmp_path / "protostar-relay"
    with zipfile.ZipFile(path, "w") as archive:
        for module in AGENT.glob("*.py"):
            archive.write(module, module.name)
    return path


def call(agent, tmp_path, *arguments, **environment):
    environment = {"PROTOSTAR_RELAY_ROOT": str(tmp_path / "root"), "PATH": str(tmp_path), **environment}
    command = [sys.executable, "-I", "-B", str(agent), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_status_before_anything(agent, tmp_path):
    done = call(agent, tmp_path, "status")
    assert (done.returncode, done.stdout) == (1, "")
    assert_sentence(done.stderr)


def test_status_is_what_was_reported(agent, tmp_path):
    path = tmp_path / "root/var/lib/protostar-relay/status.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"version": "1"}')
    assert json.loads(call(agent, tmp_path, "status").stdout) == {"version": "1"}


@pytest.mark.parametrize("command", ["check", "apply"])
def test_what_is_no_bundle_is_one_sentence_and_changes_nothing(agent, tmp_path, command):
    bundle = tmp_path / "bundle.json"
    for text in ("{", json.dumps({**described(1), "format": 2})):
        bundle.write_text(text)
        done = call(agent, tmp_path, command, str(bundle))
        assert done.returncode == 1
        assert_sentence(done.stderr)
    assert call(agent, tmp_path, command, str(tmp_path / "missing")).returncode == 1
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("command", ["check", "apply"])
def test_a_machine_without_programs_is_one_sentence(agent, tmp_path, command):
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/resolv.conf").write_text("nameserver 10.0.0.53\n")
    (tmp_path / "bundle.json").write_bytes(data_of(1))
    for program in ("nft", "nginx", "systemctl", "wg", "wg-quick"):
        # What the machine of the test has is not to be found.
        (tmp_path / program).write_text("#!/bin/sh\nexec /nowhere\n")
    done = call(agent, tmp_path, command, str(tmp_path / "bundle.json"))
    assert done.returncode == 1
    assert_sentence(done.stderr)


def test_no_command_and_an_unknown_one(agent, tmp_path):
    for arguments in ([], ["restore"], ["apply"]):
        assert call(agent, tmp_path, *arguments).returncode == 2


def assert_sentence(text):
    assert text.endswith(".\n")
    assert text.count("\n") == 1
    assert "Traceback" not in text


def test_it_needs_the_standard_library_only():
    own = {path.stem for path in AGENT.glob("*.py")}
    assert not own & set(sys.stdlib_module_names)
    for path in AGENT.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 10))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= own | set(sys.stdlib_module_names)


def test_the_wrapper_and_the_service_call_the_agent():
    wrapper = FILES / "protostar-relay"
    assert os.access(wrapper, os.X_OK)
    subprocess.run(["sh", "-n", wrapper], check=True)
    assert '/usr/local/lib/protostar-relay "$@"' in wrapper.read_text()
    assert f"ExecStart=/usr/local/sbin/{wrapper.name} run" in (FILES / "protostar-relay.service").read_text()


@pytest.mark.skipif(not Path("/usr/bin/systemd-analyze").exists(), reason="no systemd-analyze on this machine")
def test_the_units_are_known_to_systemd(tmp_path):
    """Every setting is one that this machine's systemd knows."""
    unit = (FILES / "protostar-relay.service").read_text()
    here = tmp_path / "protostar-relay.service"
    here.write_text(unit.replace("/usr/local/sbin/protostar-relay", "/bin/true"))
    override = (FILES / "nginx-override.conf").read_text()
    nginx = tmp_path / "nginx.service"
    nginx.write_text(f"{override}ExecStart=/bin/true\n")
    for path in (here, nginx):
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
        assert str(path) not in done.stderr, done.stderr
        assert path.name not in done.stderr, done.stderr
