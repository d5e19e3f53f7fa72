"""Throw-away containers of the lab's images, as a role would run them."""

import json
import subprocess
import time
import uuid
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

STATE = Path(__file__).parents[2] / "build/lab/images.json"


def pytest_configure():
    init_plugin_loader([str(Path(__file__).parents[2] / ".ansible/collections")])


def docker(*arguments, check=True):
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert not check or result.returncode == 0, f"docker {' '.join(arguments)}: {result.stdout}{result.stderr}"
    return result


class Container:
    """A container that is still running, or has ended."""

    def __init__(self, name):
        self.name = name

    def run(self, *command, user=""):
        return docker("exec", *(["--user", user] if user else []), self.name, *command, check=False)

    def output(self, *command, user=""):
        result = self.run(*command, user=user)
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}\n{self.logs()}"
        return result.stdout

    def until(self, *command, seconds=40):
        deadline = time.monotonic() + seconds
        while (result := self.run(*command)).returncode and time.monotonic() < deadline:
            assert self.running(), self.logs()
            time.sleep(0.2)
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}\n{self.logs()}"
        return result.stdout

    def running(self):
        return docker("inspect", "--format", "{{.State.Running}}", self.name).stdout.strip() == "true"

    def exit_code(self):
        return int(docker("wait", self.name).stdout)

    def stop(self):
        docker("stop", "--time", "20", self.name)
        return int(docker("inspect", "--format", "{{.State.ExitCode}}", self.name).stdout)

    def logs(self):
        result = docker("logs", self.name)
        return result.stdout + result.stderr


@pytest.fixture(scope="session")
def references():
    if not STATE.exists():
        pytest.skip("the lab's images are not built: run `make up`, or python -m lab.builder build")
    state = json.loads(STATE.read_text())
    if state["mode"] != "debian":
        pytest.skip("in upstream mode the services' images are upstream's")
    return {image["name"]: f"protostar/{image['name']}:{image['tag']}" for image in state["images"]}


@pytest.fixture
def start(references):
    """start(image, *docker options, command=(...)): a container, removed after the test."""
    names = []

    def begin(image, *options, command=()):
        name = f"tmp-lab-{image}-{uuid.uuid4().hex[:8]}"
        names.append(name)
        docker("run", "--detach", f"--name={name}", *options, references[image], *command)
        return Container(name)

    yield begin
    for name in names:
        docker("rm", "--force", "--volumes", name, check=False)
