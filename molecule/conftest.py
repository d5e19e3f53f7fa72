"""What the tests of every scenario share: the lab's hosts, reached over SSH as its inventory says."""

from pathlib import Path

import pytest
import testinfra
import yaml

ROOT = Path(__file__).parents[1]
LAB = ROOT / "build/lab"


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
