"""What the tests of this scenario share: the machines of the management line, and ways to ask through it."""

import json
import subprocess
import time

import pytest
from line import HOME, OPS, PATH


@pytest.fixture(scope="session")
def relay(machine):
    return machine("protostar-relay")


@pytest.fixture(scope="session")
def router(machine):
    return machine("protostar-router")


@pytest.fixture(scope="session")
def curl(client):
    """Run curl on the client; what it says of the request is on its last line."""
    return lambda *arguments: client.run(
        "curl --silent --show-error --max-time 20 " + "%s " * len(arguments), *arguments
    )


@pytest.fixture(scope="session")
def answers(curl):
    """Wait until the management line answers a new connection; return how many seconds that took, or None."""

    def wait(seconds, name=OPS):
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            ask = curl(
                "--max-time", "2", "--output", "/dev/null", "--write-out", "%{http_code}", f"https://{name}{PATH}"
            )
            if ask.stdout == "200":
                return time.monotonic() - began
            time.sleep(0.1)
        return None

    return wait


@pytest.fixture(scope="session")
def logged(sub):
    """What nginx of sub logged of the request with that id."""

    def find(number):
        deadline, found = time.monotonic() + 5, []
        while not found and time.monotonic() < deadline:
            lines = sub.check_output("docker logs --since 1m nginx 2>/dev/null").splitlines()
            found = [entry for entry in map(json.loads, lines) if entry["request_id"] == number]
        return found

    return find


@pytest.fixture(scope="session")
def relayed(relay):
    """The connections that the relay logged, newest last."""

    def connections():
        lines = relay.check_output("journalctl --identifier protostar_relay --output cat --lines 50").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    return connections


@pytest.fixture(scope="session")
def status(relay):
    """What the relay's agent tells of itself."""
    return lambda: json.loads(relay.check_output("protostar-relay status"))


@pytest.fixture(scope="session")
def large_file(sub):
    """A file that sub serves to who logs in: its path on the line and its SHA-256."""
    place = f"{HOME}/large"
    sub.check_output(f"head -c 64M /dev/urandom > {place}")
    yield "/large", sub.check_output(f"sha256sum < {place}").split()[0]
    sub.check_output(f"rm {place}")


class Download:
    """A download on the client that goes on while the `with` lasts, at a rate that makes it last."""

    def __init__(self, ssh, client, login, options, number):
        self._client, self._file = client, f"/run/download-{number}"
        client.check_output(f"rm -f {self._file}")
        # The password comes on standard input.
        command = f"curl -sS --fail --config - --max-time 300 --output {self._file} {options}"
        self._command, self._login = [*ssh, f"sudo {command}"], login

    def __enter__(self):
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._process.stdin.write(f'user = "{self._login}"\n')
        self._process.stdin.close()
        self._process.stdin = None
        return self

    def running(self):
        return self._process.poll() is None

    def __exit__(self, *error):
        _, self.error = self._process.communicate()
        self.code = self._process.returncode

    @property
    def digest(self):
        return self._client.check_output(f"sha256sum < {self._file}").split()[0]


@pytest.fixture
def download(ssh_config, client, secrets, large_file):
    """download(rate, number): the large file through the line, in the background."""

    def begin(rate, number=0):
        ssh = ["ssh", "-F", str(ssh_config), "protostar-client"]
        options = f"--limit-rate {rate} https://{OPS}{large_file[0]}"
        return Download(ssh, client, f"operator:{secrets['ops_operator']}", options, number)

    return begin


@pytest.fixture(scope="session")
def served(playbook, answers):
    """Bring the line to a transport, and know that it serves."""

    def bring(transport):
        for name, options in (("sub", ("--tags", "ddclient,prometheus")), ("relay", ("--skip-tags", "bootstrap"))):
            run = playbook(name, *options, platform_relay_transport=transport)
            assert run.code == 0, run.text
        assert answers(20) is not None

    return bring


@pytest.fixture(scope="session")
def ask_sub(sub):
    """A question to Prometheus on sub."""

    def ask(query):
        answer = sub.check_output(
            "curl -sS --get --data-urlencode %s http://127.0.0.1:9090/api/v1/query", f"query={query}"
        )
        return [(entry["metric"], float(entry["value"][1])) for entry in json.loads(answer)["data"]["result"]]

    return ask
