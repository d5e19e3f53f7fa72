"""Module tests: the real module against a real engine and a real Compose.

PROTOSTAR_TEST_IMAGE names an image with python3 that the service images are built from.
"""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parents[1]
NAME = "protostar-test"
PORT = 18080


def docker(*arguments, check=True, **options):
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, **options)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


def why_not():
    if "PROTOSTAR_TEST_IMAGE" not in os.environ:
        return "PROTOSTAR_TEST_IMAGE does not name an image with python3"
    if os.geteuid():
        return "the service module writes files for other users: run as root"
    for probe in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            if subprocess.run(probe, capture_output=True, check=False).returncode:
                return f"'{' '.join(probe)}' does not answer here"
        except FileNotFoundError:
            return "docker is not installed here"
    return None


def pytest_collection_modifyitems(items):
    reason = why_not()
    for item in items if reason else []:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def images():
    """Two versions of one image."""
    built = {}
    for version in ("1", "2"):
        built[version] = f"{NAME}:{version}"
        docker(
            "build", "--quiet", "--tag", built[version], "--build-arg", f"VERSION={version}",
            "--build-arg", f"BASE={os.environ['PROTOSTAR_TEST_IMAGE']}", str(HERE / "image"),
            env={**os.environ, "DOCKER_BUILDKIT": "0"},
        )  # fmt: skip
    yield built
    docker("image", "rm", "--force", *built.values(), check=False)


@pytest.fixture(scope="session")
def collections(tmp_path_factory):
    """A collections directory with this checkout in it."""
    path = tmp_path_factory.mktemp("collections")
    (path / "ansible_collections" / "protostar").mkdir(parents=True)
    (path / "ansible_collections" / "protostar" / "platform").symlink_to(REPOSITORY)
    return path


class Service:
    """One service under test: builds arguments, runs the module, looks at the host."""

    def __init__(self, collections, image, root):
        self.collections = collections
        self.image = image
        self.root = root
        self.directory = root / NAME
        self.projects = {NAME}

    def arguments(self, config=None, image=None, name=NAME, **changes):
        """Arguments for a release that works."""
        self.projects.add(name)
        compose = {
            "services": {
                "web": {
                    "image": image or self.image,
                    "container_name": name,
                    "restart": "unless-stopped",
                    "mem_limit": "64m",
                    "stop_grace_period": "1s",
                    "ports": [f"127.0.0.1:{PORT}:8080"],
                    "volumes": ["./config:/config:ro", "./secrets:/secrets:ro", "data:/data"],
                    "healthcheck": {
                        "test": [
                            "CMD", "python3", "-c",
                            "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health')",
                        ],
                        "interval": "1s",
                        "retries": 3,
                    },
                }
            },
            "volumes": {"data": {"name": f"{name}-data"}},
        }  # fmt: skip
        return {
            "name": name,
            "root": str(self.root),
            "compose": compose,
            "files": [{"dest": "config/server.json", "content": json.dumps(config or {"text": "one"})}],
            "secrets": [{"dest": "secrets/password", "content": "correct horse battery staple"}],
            "validate": [{"service": "web", "command": ["python3", "/server.py", "--check"]}],
            "ready": {"timeout": 20, "interval": 0.2, "successes": 2},
            **changes,
        }

    def start(self, arguments, *, check=False, module="service", behind=""):
        """Start the module and return its process; `behind` is what root does first in a mount namespace of its own."""
        options = {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
        command = [sys.executable, str(HERE / "run_module.py"), module]
        if behind:
            command = ["unshare", "--mount", "sh", "-c", f'{behind} && exec "$@"', "sh", *command]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(self.collections)},
        )
        process.stdin.write(json.dumps({**arguments, **options}))
        process.stdin.close()
        return process

    def run(self, arguments=None, **options):
        """Run the module and return its result, which must not have failed."""
        result = self.result(self.start(arguments or self.arguments(), **options))
        assert not result.get("failed"), result["msg"]
        return result

    def refused(self, arguments, **options):
        """Run the module and return the message of the failure that must come of it."""
        result = self.result(self.start(arguments, **options))
        assert result.get("failed"), result
        assert "Traceback" not in json.dumps(result)
        return result["msg"]

    @staticmethod
    def result(process):
        output, errors = process.stdout.read(), process.stderr.read()
        process.wait()
        assert output, errors
        return json.loads(output)

    def text(self):
        """What the service answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5) as answer:
            return answer.read().decode()

    def container(self, name=NAME):
        """The engine's description of the container; None if there is none."""
        found = json.loads(docker("inspect", "--type", "container", name, check=False) or "[]")
        return found[0] if found else None

    def traces(self):
        """Everything that a finished run must not leave behind."""
        left = docker("ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={NAME}-rehearsal")
        left += docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={NAME}-rehearsal")
        return left.split() + [name for name in ("journal.json", "staging") if (self.directory / name).exists()]


@pytest.fixture
def service(collections, images, tmp_path):
    """A service that is removed with everything it owns when the test ends."""
    under_test = Service(collections, images["1"], tmp_path / "services")
    yield under_test
    for name in under_test.projects:
        under_test.run({"name": name, "root": str(under_test.root), "state": "absent", "purge": True})


class Load:
    """A loop of requests that counts the failed ones; at most 60 seconds of them."""

    def __init__(self):
        self.done, self.failed = 0, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._stop.set()
        self._thread.join()

    def _loop(self):
        deadline = time.monotonic() + 60
        while not self._stop.wait(0.02) and time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=2).read()
                self.done += 1
            except (OSError, urllib.error.URLError) as error:
                self.failed.append(str(error))


@pytest.fixture
def load():
    """The load to hold against the service with `with`."""
    return Load()
