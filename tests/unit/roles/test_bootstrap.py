"""The baseline of a host: what is written for the audit, SSH, upgrades and the kernel, and what is refused."""

import itertools
import os
import pwd
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles/bootstrap"
FACTS = {
    "distribution": "Debian",
    "distribution_major_version": "13",
    "distribution_version": "13.2",
    "env": {"SUDO_USER": "ann"},
    "user_id": "root",
}
MACHINE = {"rc": 1}
CONTAINER = {"rc": 0}


def load(path):
    return DataLoader().load_from_file(str(path), trusted_as_template=True) or {}


def templar(**variables):
    own = {**load(ROLE / "defaults/main.yml"), **load(ROLE / "vars/main.yml")}
    context = {"ansible_facts": FACTS, "ansible_managed": "managed", "ansible_search_path": [str(ROLE)]}
    context |= {
        "inventory_hostname": "host",
        "__bootstrap_container": MACHINE,
        "__bootstrap_ssh_keys": {"stat": {"exists": False}},
    }
    return Templar(loader=DataLoader(), variables={**own, **context, **variables})


def file(ending, **variables):
    """One of the files that the role writes, as the module is asked for it."""
    [call] = [task for task in load(ROLE / "tasks/main.yml") if "protostar.platform.host_files" in task]
    arguments = templar(**variables).template(call["protostar.platform.host_files"])
    return next(file for file in arguments["files"] if file["dest"].endswith(ending))


def lines(ending, **variables):
    return [
        line for line in file(ending, **variables)["content"].splitlines() if line and not line.startswith(("#", "//"))
    ]


def watched(**variables):
    words = [word for line in lines("60-protostar.rules", **variables) if "perm=wa" in line for word in line.split()]
    return {word.partition("=")[2] for word in words if word.startswith(("path=", "dir="))}


def refused(about, **variables):
    """Whether the assertion whose sentence is `about` something does not hold."""
    [assertion] = [
        task["ansible.builtin.assert"]
        for task in load(ROLE / "tasks/main.yml")
        if about in task.get("ansible.builtin.assert", {}).get("fail_msg", "")
    ]
    conditions = assertion["that"] if isinstance(assertion["that"], list) else [assertion["that"]]
    return not all(templar(**variables).evaluate_conditional(trust_as_template(condition)) for condition in conditions)


def test_the_audit_watches_what_decides_who_gets_in_and_what_runs():
    keys = {"stat": {"exists": True, "path": "/home/ann/.ssh/authorized_keys"}}
    assert watched(__bootstrap_ssh_keys=keys) >= {
        *("/etc/passwd", "/etc/shadow", "/etc/sudoers", "/etc/sudoers.d", "/etc/ssh", "/root/.ssh", "/home/ann/.ssh"),
        *("/etc/docker", "/usr/bin/docker", "/usr/bin/dockerd", "/usr/sbin/dockerd"),
        *("/etc/protostar", "/opt/protostar", "/etc/audit"),
    }


def test_roots_own_keys_are_watched_once():
    keys = {"stat": {"exists": True, "path": "/root/.ssh/authorized_keys"}}
    assert (
        len([line for line in lines("60-protostar.rules", __bootstrap_ssh_keys=keys) if "dir=/root/.ssh " in line]) == 1
    )


def test_every_directory_is_there_before_it_is_watched():
    rules = file("60-protostar.rules")
    made = {word for command in rules["apply"] if command[0] == "mkdir" for word in command if word.startswith("/")}
    directories = {line.split("dir=")[1].split(" ")[0] for line in rules["content"].splitlines() if "dir=" in line}
    # sshd and auditd, which are installed, bring theirs.
    assert directories - {"/etc/ssh", "/etc/audit"} <= made
    assert rules["apply"][-1] == ["augenrules", "--load"]


@pytest.mark.parametrize(
    ("wanted", "where", "state"),
    [(True, MACHINE, "present"), (False, MACHINE, "absent"), (True, CONTAINER, "absent")],
)
def test_a_container_is_not_audited(wanted, where, state):
    variables = {"bootstrap_audit": wanted, "__bootstrap_container": where}
    assert file("60-protostar.rules", **variables)["state"] == state
    packages = templar(**variables).template(trust_as_template("{{ __bootstrap_packages }}"))
    assert ("auditd" in packages) == (state == "present")


def test_ssh_takes_keys_only_and_whatever_the_user_says_instead():
    options = dict(line.split(" ", 1) for line in lines("00-protostar.conf"))
    assert options["AuthenticationMethods"] == "publickey"
    assert options["PasswordAuthentication"] == options["KbdInteractiveAuthentication"] == "no"
    changed = dict(
        line.split(" ", 1)
        for line in lines("00-protostar.conf", bootstrap_ssh_options={"MaxAuthTries": 20, "KexAlgorithms": None})
    )
    assert changed == {
        **{name: value for name, value in options.items() if name != "KexAlgorithms"},
        "MaxAuthTries": "20",
    }


@pytest.mark.parametrize(
    ("owner", "mode", "taken"), [("theirs", 0o600, True), ("theirs", 0o620, False), ("another's", 0o600, False)]
)
def test_a_key_that_sshd_ignores_is_no_way_in(tmp_path, owner, mode, taken):
    # Root's files pass for everybody's, so root gives the file away.
    user = "daemon" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    keys = home / ".ssh/authorized_keys"
    keys.touch()
    keys.chmod(mode)
    if os.geteuid() == 0:
        os.chown(keys, pwd.getpwnam(user).pw_uid, -1)
    who = {"bootstrap_ssh_user": user if owner == "theirs" else "bin", "bootstrap_ssh_authorized_keys": str(keys)}
    [command] = [
        check["command"] for check in file("00-protostar.conf", **who)["validate"] if check["command"][0] == "find"
    ]
    assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) == taken


def test_modules_that_nobody_needs_are_not_loaded_for_whoever_asks():
    assert lines("modprobe.d/protostar.conf", bootstrap_blocked_modules=["rds"]) == ["install rds /bin/false"]


@pytest.mark.parametrize(
    ("time", "wrong"), [("", False), ("04:30", False), ("4:30", False), ("now", True), (16200, True), ("24:00", True)]
)
def test_a_time_that_yaml_took_for_a_number_is_refused(time, wrong):
    assert refused("is no time of day", bootstrap_upgrades_reboot_time=time) == wrong


@pytest.mark.parametrize("name", ["ansible_password", "ansible_ssh_password", "ansible_ssh_pass"])
def test_a_login_by_password_is_refused_before_passwords_are(name):
    assert refused("logs in to", **{name: "secret"})
    assert not refused("logs in to", **{name: ""})
    assert not refused("logs in to")


def test_the_hosts_of_the_example_do_not_restart_at_the_same_time():
    groups = ("main", "sub", "relay")
    times = [
        yaml.safe_load((ROOT / f"inventories/example/group_vars/{group}.yml").read_text())[
            "bootstrap_upgrades_reboot_time"
        ]
        for group in groups
    ]
    minutes = sorted(int(time[:2]) * 60 + int(time[3:]) for time in times)
    assert all(later - earlier >= 30 for earlier, later in itertools.pairwise(minutes))
