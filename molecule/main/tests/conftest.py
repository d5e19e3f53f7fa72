"""What the tests of this scenario share: the hosts, the playbooks, and a load that counts failures."""

import json
import os
import re
import shlex
import subprocess
import time

import pytest
from expected import ROOT

# Files, modes, owners and contents of all services, and every container, with when it started and how often.
LOOK = r"""cd /opt/protostar/services
find . -mindepth 1 ! -name '*.lock' -printf '%p %y %m %U\n'
find . -type f ! -name '*.lock' -exec sha256sum {} +
docker ps --all --quiet | xargs docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}} {{.RestartCount}}'
docker volume ls --quiet
docker network ls --quiet
"""

# Asks over and over, each time over a connection of its own, until its input ends. Redis answers who is not logged in
# that a login is missing, which is an answer.
REQUESTS = """
import json, socket, sys, threading, time, urllib.request
def ask(url):
    scheme, _, address = url.partition("://")
    if scheme == "redis":
        with socket.create_connection((address, 6379), 5) as connection:
            connection.sendall(b"PING\\r\\n")
            answer = connection.recv(100)
            assert answer.startswith(b"-NOAUTH"), answer
    else:
        urllib.request.urlopen(url, timeout=5).read()
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
done, failed, end = 0, [], time.monotonic() + 300
while not stop.wait(0.1) and time.monotonic() < end:
    try:
        ask(sys.argv[1])
        done += 1
    except Exception as error:
        failed.append(time.strftime("%T ") + repr(error))
print(json.dumps([done, failed]))
"""


@pytest.fixture(scope="session")
def main(machine):
    return machine("protostar-main")


@pytest.fixture(scope="session")
def sub(machine):
    return machine("protostar-sub")


@pytest.fixture(scope="session")
def client(machine):
    return machine("protostar-client")


@pytest.fixture(scope="session")
def containers(main, sub):
    """What the engine says of every container, by host and name."""
    return {
        host: {
            container["Name"].lstrip("/"): container
            for container in json.loads(machine.check_output("docker ps --all --quiet | xargs docker inspect"))
        }
        for host, machine in (("protostar-main", main), ("protostar-sub", sub))
    }


@pytest.fixture
def live(main):
    """The name of the containers and the directory of an application's live colour, by the name of the application."""

    def live(app):
        pools = json.loads(main.check_output("cat /opt/protostar/edge/pools.json"))["apps"]
        return f"{app}-{pools.get(app, {'live': 'green'})['live']}"

    return live


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


@pytest.fixture(scope="session")
def look(main, sub):
    """Describe everything that a playbook could have changed on a host."""
    return lambda: {
        f"{host}: {line}"
        for host, machine in (("main", main), ("sub", sub))
        for line in machine.check_output(LOOK).splitlines()
    }


@pytest.fixture(scope="session")
def scraped(sub):
    """Wait until Prometheus has these jobs and sees every target up, which after a deploy takes a scrape."""

    def targets(*jobs):
        deadline, found = time.monotonic() + 60, []
        while time.monotonic() < deadline:
            answer = sub.run("curl -sS http://127.0.0.1:9090/api/v1/targets?state=active").stdout
            found = json.loads(answer)["data"]["activeTargets"] if answer.startswith("{") else []
            known = {target["labels"]["job"] for target in found}
            if found and set(jobs) <= known and all(target["health"] == "up" for target in found):
                break
            time.sleep(1)
        return found

    return targets


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


@pytest.fixture(scope="session")
def line(load):
    """The service line: client, router, TLS, nginx, FastAPI, and from there PostgreSQL and Redis."""
    return lambda: load("protostar-client", "https://www.protostar.test/api/fastapi/ready")
