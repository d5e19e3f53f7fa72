"""A host made of files: an engine and a Compose that behave like the real ones as far as a transaction can tell.

The state is a JSON file, so that it outlives a forked process that is killed, as containers outlive a killed run.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

import yaml
from ansible_collections.protostar.platform.plugins.module_utils import _deployment
from ansible_collections.protostar.platform.plugins.module_utils._compose import ComposeError
from ansible_collections.protostar.platform.plugins.module_utils._composefile import mounts
from ansible_collections.protostar.platform.plugins.module_utils._desired import Options
from ansible_collections.protostar.platform.plugins.module_utils._plan import Reload
from ansible_collections.protostar.platform.plugins.module_utils._ready import Ready
from ansible_collections.protostar.platform.plugins.module_utils._release import File, Release
from ansible_collections.protostar.platform.plugins.module_utils._run import Run
from ansible_collections.protostar.platform.plugins.module_utils._store import Store

NAME = "web"
STORED = ("sha256:1", "sha256:2")


class World:
    """The engine of the host; Compose acts on it."""

    def __init__(self, path):
        self.root = path / "services"
        self.path = str(path / "docker.sock")
        self.state = path / "state.json"
        Path(self.path).touch()
        self.save({"containers": {}, "images": {"web:1": "sha256:1", "web:2": "sha256:2"}, "volumes": {}, "created": 0})

    def load(self):
        return json.loads(self.state.read_text())

    def save(self, state):
        temporary = self.state.with_suffix(".new")
        temporary.write_text(json.dumps(state))
        os.replace(temporary, self.state)  # noqa: PTH105  Path.replace is where a test kills the run

    def containers(self, project=None, *, one_off=False):
        return [
            {"Id": key, "Names": [f"/{key}"], "Labels": value["Config"]["Labels"], "Ports": []}
            for key, value in self.load()["containers"].items()
            if project in (None, value["Config"]["Labels"]["com.docker.compose.project"])
        ]

    def container(self, name):
        return self.load()["containers"].get(name)

    def image(self, reference):
        found = self.load()["images"].get(reference) or (reference if reference in STORED else None)
        return {"Id": found, "Config": {}} if found else None

    def tag(self, image_id, reference):
        state = self.load()
        state["images"][reference] = image_id
        self.save(state)

    def networks(self):
        return set()

    def volumes(self, project):
        return {name for name, owner in self.load()["volumes"].items() if owner == project}

    def remove_volume(self, name):
        state = self.load()
        state["volumes"].pop(name, None)
        self.save(state)

    def signal(self, name, number):
        state = self.load()
        container = state["containers"][name]
        container["seen"] = read(Path(container["directory"]), container["service"])
        self.tick()
        self.save(state)

    def logs(self, container, lines=5):
        return "the log"

    def seen(self, project=NAME):
        """What each container of a project read when it started or reloaded."""
        return {
            value["Config"]["Labels"]["com.docker.compose.service"]: value["seen"]
            for value in self.load()["containers"].values()
            if value["Config"]["Labels"]["com.docker.compose.project"] == project
        }

    def tick(self):
        """Called before everything that changes the host: where a test may kill the run."""


def read(directory, service):
    """What a container sees in the directories that it mounts."""
    sources = [directory / mount.source for mount in mounts(service) if mount.kind == "bind"]
    files = [path for source in sources for path in sorted(source.rglob("*")) if path.is_file()]
    return {path.name: path.read_text() for path in files if not path.name.startswith(".")}


def compose_for(world):
    class FakeCompose:
        def __init__(self, project, directory, file=None):
            self.project, self.directory, self.file = project, Path(directory), file

        def check(self):
            yaml.safe_load(self.file.read_text())

        def pull(self, services):
            raise ComposeError("no such image")

        def run(self, service, timeout):
            world.tick()

        def execute(self, service, command, timeout):
            world.tick()
            if tuple(command) == ("fail",):
                raise ComposeError("provisioning failed")
            if command == ["health"] and "sick" in str(world.seen()[service]):
                raise ComposeError("not well")

        def up(self, recreate, everything, timeout):
            services = yaml.safe_load(self.file.read_text())["services"]
            declared = yaml.safe_load(self.file.read_text()).get("volumes") or {}
            for name in sorted(services):
                self._bring_up(name, services[name], declared, force=name in set(recreate))
            for key, container in world.load()["containers"].items():
                labels = container["Config"]["Labels"]
                if (
                    labels["com.docker.compose.project"] == self.project
                    and labels["com.docker.compose.service"] not in services
                ):
                    self._remove(key)

        def down(self, *, volumes=False, grace=None):
            for key, container in world.load()["containers"].items():
                if container["Config"]["Labels"]["com.docker.compose.project"] == self.project:
                    self._remove(key)

        def _remove(self, key):
            world.tick()
            state = world.load()
            del state["containers"][key]
            world.save(state)

        def _bring_up(self, name, service, declared, *, force):
            found = [
                key
                for key, value in world.load()["containers"].items()
                if value["Config"]["Labels"]["com.docker.compose.project"] == self.project
                and value["Config"]["Labels"]["com.docker.compose.service"] == name
            ]
            if found and not force:
                world.tick()
                state = world.load()
                if state["containers"][found[0]]["State"]["Status"] == "exited":
                    state["containers"][found[0]]["State"]["Status"] = "running"
                    state["containers"][found[0]]["seen"] = read(self.directory, service)
                world.save(state)
                return
            for key in found:
                self._remove(key)
            world.tick()
            state = world.load()
            state["created"] += 1
            key = f"{self.project}-{name}-{state['created']}"
            seen = read(self.directory, service)
            broken = "broken" in "".join(seen.values())
            for volume in declared.values():
                state["volumes"].setdefault(volume["name"], self.project)
            state["containers"][key] = {
                "Id": key,
                "Name": f"/{service.get('container_name', name)}",
                "Image": state["images"][service["image"]],
                "RestartCount": 0,
                "State": {"Status": "exited" if broken else "running", "ExitCode": 1 if broken else 0},
                "HostConfig": {"Memory": 0, "NanoCpus": 0, "PidsLimit": None, "RestartPolicy": {"Name": "always"}},
                "NetworkSettings": {"Networks": {"default": {"IPAddress": "192.0.2.1"}}, "Ports": {}},
                "Config": {
                    "Healthcheck": {"Test": ["CMD", "health"], "Interval": 1_000_000, "Retries": 1},
                    "Image": service["image"],
                    "Labels": {
                        "com.docker.compose.project": self.project,
                        "com.docker.compose.service": name,
                        "com.docker.compose.config-hash": hashlib.sha256(json.dumps(service).encode()).hexdigest(),
                    },
                },
                "seen": seen,
                "directory": str(self.directory),
                "service": service,
            }
            world.save(state)

    return FakeCompose


def release(world, text="one", *, image="web:1", more=(), sidecar=False, provision=()):
    """A release of one or two services whose files say `text`."""
    services = {"web": {"image": image, "container_name": "web", "volumes": ["./config:/config:ro", "data:/data"]}}
    if sidecar:
        services["sidecar"] = {"image": "web:1"}
    return Release(
        name=NAME,
        directory=str(world.root / NAME),
        compose={"name": NAME, "services": services, "volumes": {"data": {"name": "web-data"}}},
        files=(
            File("config/main.conf", text, 0o444, os.getuid()),
            File("secrets/key", text * 2, 0o400, os.getuid(), secret=True),
            *(File(f"config/{name}", text, 0o444, os.getuid()) for name in more),
        ),
        provision=tuple(provision),
    )


def run(world, desired, *, reload=False, rehearse=True, keep=3, diff=False):
    """Run the module's work in this process."""
    original = _deployment.Deployment
    fake = compose_for(world)
    _deployment.Deployment = lambda store, engine, ready: original(store, engine, ready, fake)
    options = Options(
        rehearse=rehearse,
        keep=keep,
        reload=Reload("web", signal="HUP") if reload else None,
        ready=Ready(timeout=1, interval=0.01, successes=1),
    )
    try:
        return Run(Store(str(world.root), NAME), world, desired, options).carry_out(diff=diff)
    finally:
        _deployment.Deployment = original


def run_killed(world, desired, step, **options):
    """Run it in a process that dies before its step-th change of the host; False if it was through before."""
    child = os.fork()
    if child == 0:
        countdown = [step]

        def tick():
            countdown[0] -= 1
            if countdown[0] == 0:
                os._exit(9)

        def ticking(original):
            def changed(*arguments, **keywords):
                tick()
                return original(*arguments, **keywords)

            return changed

        world.tick = tick
        for method in ("replace", "unlink", "mkdir", "rmdir"):
            setattr(Path, method, ticking(getattr(Path, method)))
        shutil.rmtree = ticking(shutil.rmtree)
        try:
            run(world, desired, **options)
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


def left_over(world):
    """Whatever a finished run must not leave."""
    directory = world.root / NAME
    hidden = [str(path) for path in directory.rglob(".*") if path.is_file()]
    return (
        hidden
        + [name for name in ("journal.json", "staging") if (directory / name).exists()]
        + list(world.seen(NAME + "-rehearsal"))
    )
