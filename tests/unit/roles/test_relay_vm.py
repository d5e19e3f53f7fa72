"""A VM of Google without a way in: what it is asked to be, what it starts with, and what is made of its report."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import relay_role
import yaml
from relay_role import FORWARD, METADATA, WIREGUARD, evaluate

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests"))

from ansible_collections.protostar.platform.plugins.modules import gcp_l4_relay  # noqa: E402
from compute_fake import serve  # noqa: E402

# --- the startup script ----------------------------------------------------------------------------------------------

# Stand-ins for what would change this machine: each writes down how it was called.
COMMANDS = {
    "dpkg-query": 'grep -qx "${@: -1}" "$STATE/installed" && printf installed',
    "apt-get": """
        if [ -e "$STATE/mirror-is-away" ]; then rm "$STATE/mirror-is-away"; exit 100; fi
        case " $* " in *" install "*) printf '%s\\n' "$@" >>"$STATE/installed" ;; esac""",
    "modprobe": '[ -e "$STATE/kernel-has-wireguard" ]',
    "systemctl": 'case "$*" in *--now*nginx* | start*nginx*) [ ! -e "$STATE/nginx-does-not-start" ] ;; esac',
    "sysctl": "",
    "sleep": "",
}


class Machine:
    """A directory as the root of a machine that boots with a startup script."""

    def __init__(self, root):
        self.root, self.state, self.commands = root / "root", root / "state", root / "commands"
        for directory in (self.root, self.state, self.commands):
            directory.mkdir()
        (self.state / "installed").touch()
        for name, body in COMMANDS.items():
            path = self.commands / name
            path.write_text(f'#!/bin/bash\necho "{name} $*" >>"$STATE/called"\n{body}\n')
            path.chmod(0o755)

    def boot(self, **variables):
        """Run the script; return the commands that it called."""
        script = evaluate("__relay_metadata", **METADATA, **variables)["startup-script"]
        # Where it writes and looks; the contents of the files are left alone.
        script = re.sub(r"^(put |library=|\[ -d | +sysctl .*=)/", rf"\g<1>{self.root}/", script, flags=re.MULTILINE)
        (self.state / "called").write_text("")
        done = subprocess.run(
            ["bash", "-s"],
            input=script,
            env={"PATH": f"{self.commands}:{os.environ['PATH']}", "STATE": str(self.state)},
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return (self.state / "called").read_text().splitlines()

    def files(self):
        return {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def restarted(called):
    return "systemctl restart protostar-relay.service" in called


def test_a_new_vm_gets_packages_agent_and_units_and_starts_them(machine):
    called = machine.boot()
    installed = set((machine.state / "installed").read_text().split())
    assert {"nginx", "libnginx-mod-stream", "nftables", "python3", "unattended-upgrades"} <= installed
    assert "wireguard-tools" not in installed
    assert called[-2:] == ["systemctl enable nginx.service", "systemctl enable --now protostar-relay.service"]
    assert called.index("systemctl daemon-reload") < called.index("systemctl restart protostar-relay.service")
    agent = machine.root / "usr/local/lib/protostar-relay"
    for path in (relay_role.ROLE / "files/agent").glob("*.py"):
        assert (agent / path.name).read_bytes() == path.read_bytes()
    assert os.access(machine.root / "usr/local/sbin/protostar-relay", os.X_OK)
    for name, dest in {
        "protostar-relay": "usr/local/sbin/protostar-relay",
        "protostar-relay.service": "etc/systemd/system/protostar-relay.service",
        "nginx-override.conf": "etc/systemd/system/nginx.service.d/60-protostar.conf",
    }.items():
        assert (machine.root / dest).read_bytes() == (relay_role.ROLE / "files" / name).read_bytes()
    assert json.loads((machine.root / "etc/protostar-relay/agent.json").read_text()) == {"source": "metadata"}
    kernel = dict(
        re.findall(r"^(\S+) = (\S+)$", (machine.root / "etc/sysctl.d/60-protostar-relay.conf").read_text(), re.M)
    )
    assert kernel == {name: str(value) for name, value in evaluate("__relay_sysctl").items()}


def test_what_an_earlier_relay_left_for_nginx_does_not_keep_the_agent_from_mending_it(machine):
    (machine.state / "nginx-does-not-start").touch()
    assert machine.boot()[-1] == "systemctl enable --now protostar-relay.service"


def test_the_agent_that_it_unpacks_takes_the_bundle(machine, tmp_path):
    machine.boot()
    (tmp_path / "bundle.json").write_text("{}")
    agent = [sys.executable, "-I", "-B", machine.root / "usr/local/lib/protostar-relay"]
    done = subprocess.run(
        [*agent, "check", tmp_path / "bundle.json"], capture_output=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The bundle ")


def test_the_next_boot_changes_nothing(machine):
    machine.boot()
    before = machine.files()
    called = machine.boot()
    assert machine.files() == before
    assert [line for line in called if line.startswith("apt-get")] == []
    assert not restarted(called)


def test_an_agent_that_was_unpacked_halfway_is_unpacked_again(machine):
    machine.boot()
    before = machine.files()
    library = machine.root / "usr/local/lib"
    (library / "protostar-relay.new").mkdir()
    (library / "protostar-relay.new/old.py").touch()
    (library / "protostar-relay.zip").write_bytes(b"an older one")
    (library / "protostar-relay/bundle.py").unlink()
    (library / "protostar-relay/gone.py").write_text("a module of the older one")
    assert restarted(machine.boot())
    assert machine.files() == before


def test_an_agent_that_is_gone_is_unpacked_again(machine):
    machine.boot()
    before = machine.files()
    shutil.rmtree(machine.root / "usr/local/lib/protostar-relay")
    assert restarted(machine.boot())
    assert machine.files() == before


def test_a_changed_file_is_put_back_and_the_agent_restarted(machine):
    machine.boot()
    before = machine.files()
    (machine.root / "etc/protostar-relay/agent.json").write_text("{}")
    assert restarted(machine.boot())
    assert machine.files() == before


def test_a_mirror_that_is_away_is_waited_for(machine):
    (machine.state / "mirror-is-away").touch()
    called = machine.boot()
    assert "sleep 30" in called
    assert "nginx" in (machine.state / "installed").read_text().split()


@pytest.mark.parametrize("kernel", [True, False])
def test_a_tunnel_has_its_tools_and_a_program_where_the_kernel_has_none(machine, kernel):
    if kernel:
        (machine.state / "kernel-has-wireguard").touch()
    machine.boot(**WIREGUARD)
    installed = (machine.state / "installed").read_text().split()
    assert "wireguard-tools" in installed
    assert ("wireguard-go" not in installed) is kernel


# --- Google ----------------------------------------------------------------------------------------------------------


def tasks(name):
    return yaml.safe_load((relay_role.ROLE / f"tasks/{name}.yml").read_text())


def test_every_option_of_the_module_can_be_set():
    [asked] = [
        task["protostar.platform.gcp_l4_relay"] for task in tasks("google") if "protostar.platform.gcp_l4_relay" in task
    ]
    assert set(asked) == set(gcp_l4_relay.ARGUMENTS)


@pytest.fixture
def google():
    with serve(project="shop-1234", zones=["us-west1-b"]) as fake:
        yield fake


@pytest.fixture
def play(tmp_path, google):
    """Run the role for a host that cannot be reached; return the exit code and what was said."""

    def play(*options, report=None, **variables):
        options_of_google = {
            **METADATA["relay_google"],
            **variables.pop("relay_google", {}),
            "api_endpoint": google.endpoint,
            "service_account_file": str(tmp_path / "account.json"),
        }
        google.service_account(tmp_path / "account.json")
        variables = {**FORWARD, **METADATA, "relay_google": options_of_google, **variables}
        key = "us-west1-b/protostar-relay"

        def agent():
            relay_role.wait_for(lambda: key in google.world.resources["instances"] or done.is_set(), 60)
            google.guest_attributes[key] = {"protostar-relay/status": json.dumps(report)}

        host = {"ansible_host": "192.0.2.1", **variables}
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"relay": {"hosts": {"far": host}}}))
        (tmp_path / "play.yml").write_text(
            yaml.safe_dump(
                [
                    {
                        "hosts": "relay",
                        "gather_facts": False,
                        "become": True,
                        "roles": [{"role": "protostar.platform.relay", "tags": ["relay"]}],
                        "post_tasks": [
                            {"ansible.builtin.debug": {"msg": "KEY {{ relay_tunnel_public_key | default('none') }}"}}
                        ],
                    }
                ]
            )
        )
        done = threading.Event()
        thread = threading.Thread(target=agent)
        if report:
            thread.start()
        try:
            ran = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "ansible",
                    "playbook",
                    "-i",
                    tmp_path / "hosts.yml",
                    tmp_path / "play.yml",
                    *options,
                ],
                cwd=ROOT,
                env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(tmp_path)},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            done.set()
            if report:
                thread.join()
        return ran.returncode, ran.stdout + ran.stderr

    return play


def reported(**variables):
    return {"version": evaluate("__relay_version", **variables), "rejected": None, "tunnel_public_key": relay_role.KEY}


def test_a_vm_is_made_and_waited_for_and_its_key_is_known_and_it_goes_again(play, google):
    code, said = play(report=reported(**WIREGUARD, **METADATA), **WIREGUARD)
    assert code == 0, said
    assert f"KEY {relay_role.KEY}" in said
    instance = google.world.resources["instances"]["us-west1-b/protostar-relay"]
    metadata = {item["key"]: item["value"] for item in instance["metadata"]["items"]}
    asked = evaluate("__relay_metadata", **WIREGUARD, **METADATA)
    assert {key: metadata[key] for key in asked} == asked
    allowed = [
        (rule["IPProtocol"], rule.get("ports"))
        for name, resource in google.world.resources["firewalls"].items()
        if name.rpartition("/")[2].startswith("protostar-relay")
        for rule in resource.get("allowed", [])
    ]
    assert sorted(allowed) == [("tcp", ["443"]), ("udp", ["51820"])]

    code, said = play("--check", "--diff", report=reported(**WIREGUARD, **METADATA), **WIREGUARD)
    assert (code, re.search(r"changed=(\d+)", said)[1]) == (0, "0"), said

    code, said = play(**WIREGUARD, relay_state="absent")
    assert code == 0, said
    assert google.world.resources["instances"] == {}


def test_a_refused_configuration_fails_the_play_with_the_reason(play):
    version = evaluate("__relay_version", **METADATA)
    code, said = play(
        report={"version": "", "rejected": {"version": version, "reason": "nginx refuses its nginx.conf."}}
    )
    assert code == 2
    assert "The relay refused the new configuration and serves the one before: nginx refuses its nginx.conf." in said


def test_what_is_refused_asks_google_nothing(play, google):
    code, said = play(relay_names=["www.example.com"])
    assert code == 2
    assert "would lock you out" in said
    assert google.requests == []


def test_a_check_ends_where_ssh_would_need_a_vm_that_is_not_there_yet(play, google):
    variables = {"relay_google": {"ssh": "iap"}}
    code, said = play("--check", relay_delivery="ssh", **variables)
    assert code == 0, said
    assert [request for request in google.requests if not request.read] == []
