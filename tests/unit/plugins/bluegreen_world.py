"""A host made of memory and a few files: nginx, containers, visitors and a clock, as far as a release can tell.

The ledger, the lease and the durable pools are real files, written by the real code; so is what speaks to nginx, down
to the connection. What runs is kept here, and outlives a killed run as containers do. Every change on disk and every
call is a moment at which a test may kill the run, and at which nobody must be without an answer.
"""

import copy
import json
import re
import shutil
from concurrent.futures import Future
from types import SimpleNamespace

from ansible_collections.protostar.platform.plugins.module_utils import _course, _edge, _files, _pools
from ansible_collections.protostar.platform.plugins.module_utils._app import other
from ansible_collections.protostar.platform.plugins.module_utils._bluegreen import Deployer
from ansible_collections.protostar.platform.plugins.module_utils._edge import Edge
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._ledger import Ledger
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pools
from ansible_collections.protostar.platform.plugins.module_utils._probe import CheckFailed

NAMES = ("fastapi", "nest")
PER_SECOND = 100
STEPS_THAT_FAIL = ("pull", "room", "migrate", "start", "confirm", "smoke", "verify", "errors", "crash")


class Killed(BaseException):
    """The process is gone: nothing of it is cleaned up, and it does nothing any more."""


class World:
    """The host.

    Attributes:
        running: By application and colour: digest and image of what is there, its state, and how it behaves.
        sessions: By application and colour: when each request, socket or stream ends by itself, and what it is.
        bad: By image: the step of STEPS_THAT_FAIL at which it fails.
        wrong: What no release may ever do, in words.
    """

    def __init__(self, path, names=NAMES):
        self.path = path
        self.ledger_root, edge = path / "releases", path / "edge"
        edge.mkdir(parents=True)
        self.durable = edge / "pools.json"
        self.names = list(names)
        self.running, self.sessions, self.counts = {}, {}, {}
        self.migrating, self.migrations, self.hooked, self.asked, self.pulled = {}, [], [], [], []
        self.bad, self.hooks, self.wrong, self.said = {}, {}, [], []
        self.nginx, self.time, self.highest = "up", 0.0, 0
        self.rival = None
        self.countdown, self.dead, self.watch = None, False, None
        _pools.save(self.durable, Pools())
        self.memory = Pools()

    # --- kill, and look on ---------------------------------------------------------------------------------------

    def tick(self):
        """A moment at which the run may be killed; between any two, everybody has to be served."""
        if self.dead:
            raise Killed
        self.look()
        if self.watch:
            self.watch()
        if self.countdown is not None:
            self.countdown -= 1
            if self.countdown < 0:
                self.dead = True
                raise Killed

    def look(self):
        """Note whoever would get no answer now."""
        if self.nginx == "down":
            return
        for name, pool in self.memory.apps.items():
            colours = [pool.live, *([other(pool.live)] if pool.canary else [])]
            for colour in colours:
                found = self.running.get((name, colour))
                if found is None or found["state"] != "running":
                    self.complain(f"{name} leads to {colour}, where nothing runs")

    def complain(self, text):
        if text not in self.wrong:
            self.wrong.append(text)

    def revive(self):
        self.countdown, self.dead = None, False

    def snapshot(self):
        """Everything there is, to compare."""
        files = {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }
        return files, copy.deepcopy((self.running, self.sessions, self.migrating, self.memory, self.nginx))

    def essence(self):
        """The same without what makes no difference to who comes after a kill: times, texts and half-written files."""
        files, state = self.snapshot()
        read = {}
        for name, content in files.items():
            if name.endswith("-new") or name.endswith(".lease"):
                continue
            if name.endswith(("journal.json", "state.json")):
                document = json.loads(content)
                for key in ("steps", "images", "drained", "flip_seconds", "error", "notes", "started"):
                    document.pop(key, None)
                files[name] = re.sub(r'"since": "[^"]*"', "", json.dumps(document))
            read[name] = files[name] if name.endswith((".json", "key")) and "record" not in name else ""
        return repr((read, state))

    def clone(self, path):
        shutil.copytree(self.path, path)
        made = copy.copy(self)
        made.watch = None
        made.path, made.ledger_root, made.durable = path, path / "releases", path / "edge" / "pools.json"
        for name, value in vars(self).items():
            if isinstance(value, (dict, list)):
                setattr(made, name, copy.deepcopy(value))
        return made

    # --- nginx ---------------------------------------------------------------------------------------------------

    def restart_nginx(self):
        """It comes back with what is on disk, and with counters at zero."""
        found = _pools.load(self.durable)
        self.memory = found or Pools()
        self.counts, self.nginx = {}, "up"
        self._rose()
        self.look()

    def _rose(self):
        if self.memory.generation < self.highest:
            self.complain(f"the generation fell from {self.highest} to {self.memory.generation}")
        self.highest = max(self.highest, self.memory.generation)

    def write_as_another(self, name="other"):
        """Another writer, as the contract wants it: on disk first, then in one write."""
        if name == "other":
            self.running[("other", "green")] = {"digest": "", "image": "other:1", "state": "running"}
        wanted = self.memory.changed({name: self.memory.apps.get(name, _pools.Pool())})
        if wanted is self.memory:
            wanted = Pools(self.memory.generation + 1, self.memory.apps)
        _pools.save(self.durable, wanted)
        self.memory = wanted
        self._rose()

    def answer(self, method, path, body):
        if method == "PUT":
            return self._put(json.loads(body))
        if path == "/pools":
            return 200, {**self.memory.document(), "config": "digest"}
        if path == "/counters":
            names = {*self.names, *self.memory.apps}
            return 200, {
                "bounds": [0.1, 1.0],
                "apps": {name: {colour: self._counted(name, colour) for colour in ("green", "blue")} for name in names},
            }
        name, colour = (part.partition("=")[2] for part in path.partition("?")[2].split("&"))
        return 200, [
            {"id": "1", "kind": kind, "path": f"/{name}/{kind}", "client": "198.18.0.30", "since": 1}
            for _ends, kind in self._open(name, colour)
            if kind != "request"
        ]

    def _put(self, document):
        if self.rival:
            rival, self.rival = self.rival, None
            rival()
        if document["expected"] != self.memory.generation:
            return 409, {"error": "stale", "generation": self.memory.generation}
        wanted = Pools.read(document)
        if wanted.generation <= self.memory.generation:
            return 400, {"error": "the generation does not rise"}
        self._flips_together(wanted)
        self.memory = wanted
        self._rose()
        self.look()
        return 200, {**wanted.document(), "config": "digest"}

    def _flips_together(self, wanted):
        journal = Ledger(str(self.ledger_root)).under_way()
        if journal is None:
            return
        flipped = {name for name in journal.moves if wanted.live(name) != self.memory.live(name)}
        there = {name for name in journal.moves if wanted.live(name) == journal.moves[name].to}
        if flipped and there not in (set(), set(journal.moves)):
            self.complain(f"only {', '.join(there)} changed of {', '.join(journal.moves)}")

    def _open(self, name, colour):
        return [session for session in self.sessions.get((name, colour), []) if session[0] > self.time]

    def _counted(self, name, colour):
        kinds = [kind for _ends, kind in self._open(name, colour)]
        statuses = self.counts.get((name, colour), {"2xx": 0, "5xx": 0})
        total = sum(statuses.values())
        return {
            "requests": total, "statuses": dict(statuses), "buckets": [total, 0, 0], "seconds": 0.05 * total,
            "in_flight": kinds.count("request"), "websockets": kinds.count("websocket"),
            "streams": kinds.count("stream"),
        }  # fmt: skip

    # --- visitors and time ---------------------------------------------------------------------------------------

    def visit(self, name, colour, kind, seconds):
        """Somebody begins a request, a WebSocket or a stream."""
        self.sessions.setdefault((name, colour), []).append((self.time + seconds, kind))

    def sleep(self, seconds):
        self.tick()
        self.time += seconds
        if self.nginx == "down":
            return
        for name, pool in self.memory.apps.items():
            self._requests(name, pool.live, seconds)
            if pool.canary:
                self._requests(name, other(pool.live), seconds * max(pool.canary.weight, 10) / 100)

    def _requests(self, name, colour, seconds):
        found = self.running.get((name, colour), {})
        broken = self.bad.get(found.get("image")) == "errors"
        statuses = self.counts.setdefault((name, colour), {"2xx": 0, "5xx": 0})
        statuses["5xx" if broken else "2xx"] += round(PER_SECOND * seconds)

    # --- containers ----------------------------------------------------------------------------------------------

    def replace(self, name, colour, found):
        """Put something else in a colour, which ends what was there."""
        # A first release that is taken back has nobody to lead its visitors to.
        if self._open(name, colour) and name in Ledger(str(self.ledger_root)).apps():
            self.complain(f"{name} in {colour} was ended under its visitors")
        self.sessions.pop((name, colour), None)
        if found is None:
            self.running.pop((name, colour), None)
        else:
            self.running[(name, colour)] = found
        self.look()


class Connection:
    """A connection to nginx's socket."""

    def __init__(self, world, path):
        self._world = world
        self._path = path

    def connect(self):
        self._world.tick()
        assert self._path == "/proc/4711/root/run/protostar/edge.sock"
        if self._world.nginx == "hung":
            raise ConnectionRefusedError(111, "Connection refused")

    def request(self, method, path, body=None):
        status, document = self._world.answer(method, path, body)
        self._answer = SimpleNamespace(status=status, read=lambda: json.dumps(document).encode())

    def getresponse(self):
        self._world.tick()
        return self._answer

    def close(self):
        pass


class Engine:
    """The engine, as far as the edge asks for it."""

    def __init__(self, world):
        self._world = world

    def container(self, name):
        assert name == "nginx"
        return {"State": {"Pid": 0 if self._world.nginx == "down" else 4711}}


class Host:
    """What a release does on the host; see `_host.Host`."""

    def __init__(self, world, *, can_preview=True):
        self._world = world
        self.edge = Edge(Engine(world), "nginx", str(world.durable.parent))
        self.can_preview = can_preview
        self.say = world.said.append
        self.clock = lambda: world.time
        self.sleep = world.sleep

    def _fails(self, made, step, error=ServiceError):
        self._world.tick()
        if self._world.bad.get(made.image) == step:
            raise error(f"{made.image} fails at {step}")

    def bring(self, reference):
        self._world.tick()
        self._world.pulled.append(reference)
        if self._world.bad.get(reference) == "pull":
            raise ServiceError(f"cannot pull {reference}: not found")

    def version(self, reference):
        return reference.partition(":")[2]

    def check_room(self, made, colour):
        self._fails(made, "room")

    def start(self, made, colour):
        self._world.tick()
        key = (made.name, colour)
        before = self._world.running.get(key)
        wanted = {"digest": made.digest, "image": made.image, "state": "running"}
        if before == wanted:
            return
        self._world.replace(*key, None)
        # Half done.
        self._world.tick()
        if self._world.bad.get(made.image) == "start":
            self._world.replace(*key, before)
            raise ServiceError(f"release 1 failed: {made.image} fails at start")
        self._world.replace(*key, wanted)
        self._world.tick()

    def confirm(self, made, colour, successes=None):
        self._fails(made, "confirm")
        assert self._world.running[(made.name, colour)]["state"] == "running"

    def check_alive(self, made, colour):
        self._fails(made, "crash")
        if self._world.running.get((made.name, colour), {}).get("state") != "running":
            raise ServiceError(f"{made.name} in {colour} does not run")

    def drift(self, made, colour):
        found = self._world.running.get((made.name, colour))
        wanted = {"digest": made.digest, "image": made.image, "state": "running"}
        return [] if found == wanted else [f"would repair {made.name} in {colour}"]

    def replaced(self, made, colour):
        found = self._world.running.get((made.name, colour))
        changed = found and found["state"] == "running" and found["digest"] != made.digest
        return [f"{made.name}-{colour}"] if changed else []

    def repair(self, made, colour):
        said = self.drift(made, colour)
        if said:
            self.start(made, colour)
        return [text.replace("would repair", "repaired") for text in said]

    def stop(self, name, colour):
        self._world.tick()
        found = self._world.running.get((name, colour))
        if found:
            self._world.replace(name, colour, {**found, "state": "exited"})
        self._world.tick()

    def restart(self, name, colour):
        self._world.tick()
        self._world.sessions.pop((name, colour), None)

    def remove(self, name, colour):
        self._world.tick()
        self._world.replace(name, colour, None)
        self._world.tick()

    def preview(self, check, colour):
        self._ask(check, colour, "smoke", preview=True)

    def probe(self, check, colour):
        self._ask(check, colour, "verify", preview=False)

    def _ask(self, check, colour, step, *, preview):
        self._world.tick()
        name = check.url.rpartition("/")[2]
        self._world.asked.append((step, name, colour))
        live = self._world.memory.live(name) or "green"
        answering = other(live) if preview else live
        found = self._world.running.get((name, answering), {})
        if answering != colour:
            raise CheckFailed(f"GET {check.url} was answered by {answering} instead of {colour}")
        if found.get("state") != "running" or self._world.bad.get(found.get("image")) == step:
            raise CheckFailed(f"GET {check.url} answered 502 instead of 200")

    def migrate(self, made, colour, release, directory):
        self._world.tick()
        # One that is running already is waited for.
        if self._world.migrating.get(made.name) != release:
            self._world.migrating[made.name] = release
            self._world.migrations.append((made.name, release))
        self._world.tick()
        del self._world.migrating[made.name]
        self._fails(made, "migrate")

    def drop_migration(self, name, directory):
        self._world.tick()
        self._world.migrating.pop(name, None)

    def call(self, hook, document):
        self._world.tick()
        self._world.hooked.append((hook.at, json.loads(document)))
        if self._world.hooks.get(hook.command):
            raise ServiceError(f"the hook at {hook.at} ({hook.command[0]}) ended with 1: no")

    def healths(self, name, colour):
        found = self._world.running.get((name, colour))
        return {name: "healthy" if found["state"] == "running" else found["state"]} if found else {}


class InTurn:
    """An executor that does one thing after the other, so that a kill hits the same moment in every run."""

    def __init__(self, max_workers):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    @staticmethod
    def submit(act, *arguments):
        done = Future()
        try:
            done.set_result(act(*arguments))
        except Exception as error:
            done.set_exception(error)
        return done


def wire(monkeypatch, current):
    """Lead the real code to the world that `current` returns; every change on disk is a moment to be killed at."""
    monkeypatch.setattr(_edge, "UnixConnection", lambda path, _timeout: Connection(current(), path))
    monkeypatch.setattr(_course, "ThreadPoolExecutor", InTurn)
    # A killed process loses nothing that it handed to the kernel: waiting for the disk would only be slow.
    monkeypatch.setattr(_files.os, "fsync", lambda _descriptor: None)
    for name in ("write", "remove", "remove_tree"):
        monkeypatch.setattr(_files, name, _ticking(getattr(_files, name), current))


def _ticking(original, current):
    def changed(*arguments, **options):
        world = current()
        if world is None:
            return original(*arguments, **options)
        world.tick()
        done = original(*arguments, **options)
        world.tick()
        return done

    return changed


def described(name="nest", version=1, **more):
    """An application as the module is given it."""
    image = f"{name}:{version}"
    return {
        "name": name,
        "image": image,
        "colours": {
            colour: {"compose": {"services": {name: {"image": image, "environment": {"APP_COLOUR": colour}}}}}
            for colour in ("green", "blue")
        },
        "addresses": {"green": ["10.201.1.21"], "blue": ["10.201.1.25"]},
        "port": 3000,
        "secrets": [{"dest": "secrets/key", "content": f"the key of {name}", "mode": "0400", "owner": 0}],
        "smoke": [{"url": f"https://www.example.com/{name}"}],
        "bake": {"seconds": 1, "minimum": 10},
        "drain": {"timeout": 2, "streams": 3},
        **more,
    }


def call(world, state="released", apps=(), *, check=False, **more):
    """Call the module's work."""
    parameters = {
        "state": state, "apps": list(apps), "release": None, "owner": "ada@ci", "reason": "", "auto_release": False,
        "lock": {}, "final": False, **more,
    }  # fmt: skip
    return Deployer(Host(world), Ledger(str(world.ledger_root)), parameters, check=check).run()


def killed(world, countdown, *arguments, **options):
    """Call it and kill it after so many moments; False if it was through before. Either way the world lives on."""
    world.countdown = countdown
    try:
        call(world, *arguments, **options)
    except Killed:
        return True
    except ServiceError:
        pass
    finally:
        world.revive()
    return False


def killed_when(world, condition, *arguments, **options):
    """Call it and kill it at the first moment at which the condition holds."""

    def watch():
        if condition():
            world.dead = True
            raise Killed

    world.watch = watch
    try:
        call(world, *arguments, **options)
    except Killed:
        return
    finally:
        world.watch = None
        world.revive()
    raise AssertionError("it was through before")


def under_way(world):
    """The release under way; None if there is none."""
    return Ledger(str(world.ledger_root)).under_way()


def slots(world):
    """What the ledger says: by application the live colour, and by colour the image with whether it runs."""
    ledger = Ledger(str(world.ledger_root))
    return {
        name: {
            "live": state.live,
            **{
                colour: (ledger.kept(slot.release, name).image, slot.warm)
                for colour, slot in sorted(state.slots.items())
            },
        }
        for name, state in ledger.apps().items()
    }


def live(world, name="nest"):
    """The image that visitors get."""
    return world.running[(name, world.memory.live(name))]["image"]


def disagreements(world):
    """In what ledger, durable pools, nginx and containers differ, where no release is under way."""
    ledger = Ledger(str(world.ledger_root))
    found = list(world.wrong)
    if ledger.under_way() is not None:
        found.append("a release is under way")
    on_disk = _pools.load(world.durable)
    if on_disk != world.memory:
        found.append(f"on disk is {on_disk}, in nginx {world.memory}")
    states = ledger.apps()
    for name, pool in world.memory.apps.items():
        if name in world.names and name not in states:
            found.append(f"nginx leads to {name}, which the ledger does not know")
        if pool.canary:
            found.append(f"{name} has a canary")
    for name, state in states.items():
        found += disagreeing(world, ledger, name, state)
    found += [f"the migration of {name} runs on" for name in world.migrating]
    for name, colour in world.running:
        if name in world.names and name not in states and world.running[(name, colour)]["state"] == "running":
            found.append(f"{name} runs in {colour}, which the ledger does not know")
    return found


def disagreeing(world, ledger, name, state):
    """In what an application's colours differ from what the ledger says of them."""
    found = []
    if world.memory.live(name) != state.live:
        found.append(f"{name} is {world.memory.live(name)} in nginx, {state.live} in the ledger")
    if state.live not in state.slots:
        found.append(f"{name} has nothing in its live colour")
    for colour in ("green", "blue"):
        slot, runs = state.slots.get(colour), world.running.get((name, colour))
        if slot is None:
            if runs and runs["state"] == "running":
                found.append(f"{name} runs in {colour}, which the ledger does not know")
            continue
        made = ledger.kept(slot.release, name)
        wanted = "running" if slot.warm or colour == state.live else "exited"
        if made is None or runs != {"digest": made.digest, "image": made.image, "state": wanted}:
            found.append(f"{name} in {colour} is {runs}, the ledger says {made and made.image} {wanted}")
    return found
