"""What the tests of the scenarios share: the lab's hosts, reached over SSH as its inventory says, and its playbooks."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import testinfra
import yaml

ROOT = Path(__file__).parents[1]
LAB = ROOT / "build/lab"

STEADY_LOAD = Path(__file__).with_name("steady_load.py").read_text()
LIMIT = 5  # seconds that each of its requests may take


def addresses(group):
    """Every host below a group of the inventory, with the address that Ansible uses."""
    found = {name: values["ansible_host"] for name, values in group.get("hosts", {}).items()}
    for child in group.get("children", {}).values():
        found.update(addresses(child))
    return found


@pytest.fixture(scope="session")
def ssh_config(tmp_path_factory):
    """A configuration with which ssh knows the lab's hosts by their names."""
    inventory = yaml.safe_load((ROOT / "inventories/lab/hosts.yml").read_text())
    directory = tmp_path_factory.mktemp("ssh")
    hosts = "".join(f"Host {name}\n  HostName {address}\n" for name, address in addresses(inventory["lab"]).items())
    path = directory / "config"
    path.write_text(
        f"""{hosts}Host *
  User {inventory["lab"]["vars"]["ansible_user"]}
  IdentityFile {LAB}/ssh/id_ed25519
  UserKnownHostsFile {LAB}/ssh/known_hosts
  BatchMode yes
  ConnectTimeout 5
  ServerAliveInterval 5
  ControlMaster auto
  ControlPath {directory}/%C
  ControlPersist 60
"""
    )
    return path


@pytest.fixture(scope="session")
def machine(ssh_config):
    """A host of the lab by its name, as root."""
    return lambda name: testinfra.get_host(f"ssh://{name}", ssh_config=str(ssh_config), sudo=True)


@pytest.fixture(scope="session")
def main(machine):
    return machine("protostar-main")


@pytest.fixture(scope="session")
def sub(machine):
    return machine("protostar-sub")


@pytest.fixture(scope="session")
def client(machine):
    return machine("protostar-client")


class Secrets(dict):
    """A mapping that a failed test does not print."""

    def __repr__(self):
        return f"<{len(self)} secrets>"


@pytest.fixture(scope="session")
def secrets():
    """Every secret that the lab generated, by its name."""
    found = Secrets({path.name: path.read_text().strip() for path in (ROOT / "build/lab/secrets").iterdir()})
    assert found
    return found


class Run:
    """What a playbook came to."""

    def __init__(self, code, text):
        self.code = code
        self.text = text
        self.recap = {
            line.split()[0]: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line)}
            for line in text.partition("PLAY RECAP")[2].splitlines()
            if " ok=" in line
        }

    def total(self, key):
        return sum(host[key] for host in self.recap.values())

    @property
    def errors(self):
        """What it says of each failure, as it is shown."""
        pattern = r"^\[ERROR\]: (?:Task failed: )?(?:(?:Module|Action) failed: )?(.*?)$(?=\nOrigin: |\n\n|\n[a-z]+: )"
        found = re.findall(pattern, self.text, re.MULTILINE | re.DOTALL)
        return list(dict.fromkeys(found))


@pytest.fixture(scope="session")
def playbook(secrets):
    """Run a playbook of this checkout, or of the collection by its full name; none may ever show a secret."""

    def run(name, *arguments, **variables):
        command = ["ansible-playbook", *arguments, name if "." in name else f"playbooks/{name}.yml"]
        if variables:
            command += ["--extra-vars", json.dumps(variables)]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "NO_COLOR": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        text = done.stdout + done.stderr
        shown = [secret for secret, value in secrets.items() if value in text]
        assert not shown, f"{' '.join(command)} shows {shown}"
        return Run(done.returncode, text)

    return run


class Load:
    """Requests from a host, all the time that a `with` lasts; each must be answered well."""

    def __init__(self, ssh_config, host, url):
        program = shlex.join(["python3", "-c", STEADY_LOAD, url, str(LIMIT)])
        self._command = ["ssh", "-F", str(ssh_config), host, program]
        self.done, self.failed = 0, []

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *error):
        output, _ = self._process.communicate()
        self.done, self.failed = json.loads(output)


@pytest.fixture(scope="session")
def load(ssh_config):
    return lambda host, url: Load(ssh_config, host, url)
