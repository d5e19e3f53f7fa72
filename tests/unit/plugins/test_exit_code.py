"""The exit code of a run in which another deployer was at work, by runs of Ansible itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
# Stands in for the module: it fails as it is told.
MODULE = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec={"rc": {"type": "int"}})
module.fail_json(msg="It failed.", rc=module.params["rc"]) if module.params["rc"] else module.exit_json()
"""
BUSY = {"bluegreen": {"rc": 75}}
LATER = {"debug": {"msg": "later"}}


@pytest.fixture
def run(tmp_path):
    """Run tasks on two hosts, one of them not always there, and return the exit code and the output."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library/bluegreen.py").write_text(MODULE)
    inventory = "one ansible_connection=local\ntwo ansible_connection={}\n[all:vars]\nansible_python_interpreter={}\n"

    def run(tasks, two="local"):
        (tmp_path / "hosts").write_text(inventory.format(two, sys.executable))
        (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path),
            "ANSIBLE_LIBRARY": str(tmp_path / "library"),
        }
        command = [
            sys.executable,
            "-m",
            "ansible",
            "playbook",
            "-i",
            str(tmp_path / "hosts"),
            str(tmp_path / "play.yml"),
        ]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize(
    ("tasks", "two", "code"),
    [
        ([BUSY, LATER], "local", 75),
        ([{"block": [BUSY], "always": [LATER]}], "local", 75),
        ([{**BUSY, "when": "inventory_hostname == 'one'"}], "local", 75),
        ([{"bluegreen": {"rc": 0}}], "local", 0),
        ([{"bluegreen": {"rc": 1}}], "local", 2),
        ([{**BUSY, "ignore_errors": True}], "local", 0),
        ([{"block": [BUSY], "rescue": [LATER]}], "local", 0),
        ([{"bluegreen": {"rc": "{{ 75 if inventory_hostname == 'one' else 1 }}"}}], "local", 2),
        ([{"command": "sh -c 'exit 75'"}], "local", 2),
        ([BUSY], "nowhere", 2),
    ],
)
def test_only_a_busy_lease_has_its_own_exit_code(run, tasks, two, code):
    found, output = run(tasks, two)
    assert found == code, output
    assert "Traceback" not in output


def test_what_ansible_tells_at_the_end_is_told(run):
    _, output = run([BUSY])
    assert "PLAY RECAP" in output
    assert "TASKS RECAP" in output
