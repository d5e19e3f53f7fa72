"""What the tests of releases share: the edge and its colours, a load that judges them, and images to release."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from lab.client.generator import Load
from lab.client.summary import Flip
from lab.variants import variant

__all__ = ["Load", "variant"]

ROOT = Path(__file__).parents[1]
MAIN = "protostar-main"
ON_MAIN = "/root/on_main.py"
INSIDE = ["docker", "exec", "-i", MAIN]
# Short, so that the tests are: two seconds to be watched, three seconds to leave.
BRIEF = {"ready": {"timeout": 60}, "bake": {"seconds": 2}, "drain": {"timeout": 5, "streams": 3}}
STREAMS = BRIEF["drain"]["streams"]
# Nobody who stays: a release that is broken off need not wait for them again and again.
PASSING = {"get": 10, "post": 4, "http2": 6, "slow-body": 2, "slow-read": 2}
COSTS = ROOT / "build/test/releases.json"


def main_output(*command, text=None, check=True):
    """What a command on main writes, as root, without SSH: it is the way in when SSH is what was broken."""
    done = subprocess.run([*INSIDE, *command], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def put_script():
    main_output("tee", ON_MAIN, text=Path(__file__).with_name("on_main.py").read_text())


def wait_for_step(name, signal=0):
    """Wait until a release under way has come to a step, send a signal to who makes it, and return who that is."""
    put_script()
    return json.loads(main_output("python3", ON_MAIN, "step", name, str(int(signal))))


def under_way():
    """The release under way by the journal; None if there is none."""
    text = main_output("cat", "/opt/protostar/releases/journal.json", check=False)
    return json.loads(text) if text else None


class Edge:
    """The edge's socket, over a process on main that stays."""

    def __enter__(self):
        put_script()
        self._process = subprocess.Popen(
            [*INSIDE, "python3", ON_MAIN, "ask"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *error):
        self._process.communicate()

    def ask(self, method, path, body=None):
        self._process.stdin.write(json.dumps([method, path, body]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def flip(self, **colours):
        """Lead applications to colours in one write; returns when it began and ended."""
        pools = self.ask("GET", "/pools")["body"]
        number = pools["generation"]
        apps = {**pools["apps"], **{name: {"live": colour} for name, colour in colours.items()}}
        return self.ask("PUT", "/pools", {"expected": number, "generation": number + 1, "apps": apps})


def pools():
    """What is in force now."""
    with Edge() as edge:
        return edge.ask("GET", "/pools")["body"]


def live(app="nest"):
    """The live colour of an application."""
    return pools()["apps"].get(app, {"live": "green"})["live"]


class Traffic:
    """The load, and beside it somebody who sees on main which colour is live; both as long as a `with` lasts.

    A colour is judged by what was seen, not by what the release says of itself.
    """

    def __init__(self, **options):
        self._load = Load(**options)

    def __enter__(self):
        put_script()
        self._seen = tempfile.TemporaryFile("w+")
        self._watching = subprocess.Popen(
            [*INSIDE, "python3", ON_MAIN, "watch"], stdin=subprocess.PIPE, stdout=self._seen, text=True
        )
        self._load.__enter__()
        return self

    def __exit__(self, kind, error, trace):
        self._load.__exit__(kind, error, trace)
        self._watching.communicate()
        self._seen.seek(0)
        self.changes = [json.loads(line) for line in self._seen]
        self._seen.close()
        self.flips = [
            Flip(app, pool["live"], change["begun"], change["done"])
            for change in self.changes
            for app, pool in change["apps"].items()
        ]
        self.lines = self._load.lines
        mixed = {app for change in self.changes for app, pool in change["apps"].items() if "canary" in pool}
        self.summary = self._load.summary(self.flips, mixed)

    def changed(self, app):
        """The colours that an application went through, with the first."""
        found = [flip for flip in self.flips if flip.app == app]
        return [flip for number, flip in enumerate(found) if not number or found[number - 1].colour != flip.colour]

    def nothing_lost(self):
        """Assert that nobody noticed anything."""
        assert self.summary.total > 100
        assert not self.summary.lost, self.summary
        assert not self.summary.wrong, self.summary
        assert not self.summary.bad, self.summary


def definitions(**changes):
    """The lab's platform_apps with brief times, and with these changes of nest."""
    apps = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/platform.yml").read_text())["platform_apps"]
    for definition in apps.values():
        definition.update(BRIEF)
    apps["nest"].update(changes)
    return apps


class Releases:
    """The playbooks deploy.yml and rollback.yml, with the summary that they write."""

    def __init__(self, playbook):
        self._playbook = playbook

    def run(self, name, **variables):
        """Run one of them; returns what it came to, with what its summary says as `summary`."""
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            run = self._playbook(name, summary=file.name, **variables)
            text = Path(file.name).read_text()
        run.summary = json.loads(text) if text else {}
        return run

    def deploy(self, image, app="nest", apps=None, **variables):
        return self.run("deploy", app=app, image=image, platform_apps=apps or definitions(), **variables)

    def declared(self):
        """Release what the inventory declares, so that the next run of site.yml finds nothing to tell."""
        images = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/images.yml").read_text())
        run = self.run(
            "deploy", release={app: images[f"{app}_image"] for app in ("nest", "fastapi")}, platform_apps=definitions()
        )
        assert run.code == 0, run.text


def note(name, **figures):
    """Keep what a test measured without judging it."""
    known = json.loads(COSTS.read_text()) if COSTS.exists() else {}
    COSTS.parent.mkdir(parents=True, exist_ok=True)
    COSTS.write_text(json.dumps({**known, name: {**figures, "when": time.time()}}, indent=2) + "\n")
