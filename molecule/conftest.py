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

# Asks over and over, each time over a connection of its own, until its input ends. Redis answers who is not logged in
# that a login is missing, which is an answer. An answer has five seconds in which this machine runs: one that is itself
# stopped for a while by whoever lends it stops both ends, and nobody is to blame.
REQUESTS = """
import json, socket, sys, threading, time, urllib.request
LIMIT = 5
def ask(url):
    scheme, _, address = url.partition("://")
    if scheme == "redis":
        with socket.create_connection((address, 6379), LIMIT) as connection:
            connection.sendall(b"PING\\r\\n")
            answer = connection.recv(100)
            assert answer.startswith(b"-NOAUTH"), answer
    else:
        urllib.request.urlopen(url, timeout=LIMIT).read()
stood_still = []
def watch():
    last = time.monotonic()
    while True:
        time.sleep(0.1)
        now = time.monotonic()
        if now - last > 1:
            stood_still.append((last, now))
        last = now
def ran(began, ended):
    return ended - began - sum(max(0, min(ended, to) - max(began, since)) for since, to in stood_still)
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
threading.Thread(target=watch, daemon=True).start()
done, failed, late, end = 0, [], [], time.monotonic() + 300
while not stop.wait(0.1) and time.monotonic() < end:
    began = time.monotonic()
    try:
        ask(sys.argv[1])
        done += 1
    except Exception as error:
        kind = late if isinstance(getattr(error, "reason", error), TimeoutError) else failed
        kind.append((began, time.monotonic(), time.strftime("%T ") + repr(error)))
time.sleep(0.3)
failed += [entry for entry in late if ran(*entry[:2]) >= LIMIT - 0.5]
print(json.dumps([done, [text for *_, text in failed]]))
"""


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
        self._command = ["ssh", "-F", str(ssh_config), host, shlex.join(["python3", "-c", REQUESTS, url])]
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
