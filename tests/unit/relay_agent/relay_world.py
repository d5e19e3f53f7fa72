"""A relay made of a directory and of programs that are played: nginx, nftables, WireGuard and systemd.

What a program does to the machine stays where the real one has it: nginx runs what it read last, the kernel has the
rules that were loaded last, and neither follows its file by itself.
"""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import bundle as bundles
import status
import transaction
from commands import Answer
from lock import locked
from machine import Machine
from parts import Parts
from paths import Paths
from repair import repair

OK = Answer(0)


def described(number=1, *, nginx="", rules="", tunnel=None, soft=0, hard=0):
    """Return the value of a bundle; `nginx`, `rules` and `tunnel` are more lines, which the programs understand."""
    files = {
        "nginx.conf": [f"# {number}", "resolver @RESOLVERS@;", "return @VERSION@;", *nginx.split("\n")],
        "relay.nft": [f"# rules of {number}", *rules.split("\n")],
    }
    if tunnel is not None:
        files["tunnel.conf"] = ["[Interface]", *tunnel.split("\n")]
    caps = {"egress_soft_cap_bytes": soft, "egress_hard_cap_bytes": hard}
    return {"format": bundles.FORMAT, "files": files, "agent": caps}


def made(*arguments, **more):
    return bundles.parse(data_of(*arguments, **more))


def data_of(*arguments, **more):
    return json.dumps(described(*arguments, **more)).encode()


@dataclass
class Kernel:
    """What a reboot takes. `tunnel` and `nginx` are what runs; None for not running.

    A tunnel that runs for systemd may have lost its interface, and an interface its key.
    """

    rules: str | None = None
    handles: int = 0
    counter: int = 0
    tunnel: str | None = None
    interface: bool = False
    keyed: bool = False
    nginx: str | None = None
    line: str | None = None  # what the running nginx included


@dataclass
class World:
    """A machine.

    Lines of a configuration that the programs understand: `broken` is refused when it is checked, `taken port` keeps
    nginx from reading it again and from starting, `unloadable` passes the check of nftables and does not load.
    """

    path: object
    kernel: Kernel = field(default_factory=Kernel)
    enabled: set = field(default_factory=set)
    missing: set = field(default_factory=set)  # programs that are not installed
    refuse: set = field(default_factory=set)  # first words of commands that fail, as "systemctl restart"
    seconds: float = 1_790_000_000.0
    ticks: float = 1000.0
    commands: list = field(default_factory=list)
    said: list = field(default_factory=list)
    watch: object = None  # called before and after every command

    def __post_init__(self):
        self.paths = Paths(self.path)
        if not self.path.exists():
            self.write(self.paths.resolvers, "search home\nnameserver 10.0.0.53\n")
            self.write(self.paths.proc / "sys/kernel/random/boot_id", "first-boot\n")
            self.write(self.paths.nginx, "# Debian's own\n")
            self.kernel.nginx = "# Debian's own\n"

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @property
    def machine(self):
        return Machine(
            self.paths, self.run, self.ask, lambda: self.seconds, self.monotonic, self.sleep, self.said.append
        )

    def monotonic(self):
        return self.ticks

    def sleep(self, seconds):
        self.ticks += seconds

    def ask(self, _port):
        self.ticks += 0.01
        found = re.search(r"return (\w+);", self.kernel.nginx or "")
        return found[1] if found else ""

    def run(self, command, standard_input=None):
        self.commands.append(list(command))
        if self.watch:
            self.watch()
        answer = self._run(list(command), standard_input)
        if self.watch:
            self.watch()
        return answer

    def _run(self, command, standard_input):
        if command[0] in self.missing:
            return Answer(127, errors=f"{command[0]} does not exist")
        if " ".join(command[:2]) in self.refuse:
            return Answer(1, errors=f"{' '.join(command)}: no\nand no again")
        return getattr(self, f"_{command[0].replace('-', '_')}")(command[1:], standard_input)

    def _nginx(self, arguments, _input):
        assert arguments[:3] == ["-t", "-q", "-c"]
        text = Path(arguments[3]).read_text()
        if "broken" in text:
            place = f"{arguments[3]}:7"
            return Answer(
                1, errors=f'nginx: [warn] something\nnginx: [emerg] unknown "broken" in {place}\nnginx: test failed'
            )
        return OK

    def _nft(self, arguments, _input):
        if arguments[:2] == ["-c", "-f"]:
            refused = "broken" in Path(arguments[2]).read_text()
            return Answer(1, errors=f"{arguments[2]}:3:1-6: Error: broken\nbroken\n^^^^^^\n") if refused else OK
        if arguments[0] == "-f":
            text = Path(arguments[1]).read_text()
            if "unloadable" in text:
                return Answer(1, errors="Error: No such file or directory")
            self.kernel.rules = text
            self.kernel.handles += 1
            self.kernel.counter = 0
            return OK
        if arguments[:2] == ["delete", "table"]:
            self.kernel.rules = None
            return OK
        if self.kernel.rules is None and arguments[2] == "counter":
            return Answer(1, errors="Error: No such file or directory")
        if arguments[2] == "counter":
            entry = {"counter": {"name": "egress", "handle": 2, "packets": 1, "bytes": self.kernel.counter}}
        else:
            entry = {"table": {"family": "inet", "name": "protostar_relay", "handle": self.kernel.handles}}
        tables = [{"table": {"family": "inet", "name": "docker", "handle": 1}}]
        found = [entry] if self.kernel.rules is not None else []
        return Answer(0, json.dumps({"nftables": [{"metainfo": {}}, *tables, *found]}))

    def _wg_quick(self, arguments, _input):
        assert re.fullmatch(r"[a-zA-Z0-9_=+.-]{1,15}\.conf", arguments[1].rpartition("/")[2])
        if "broken" in Path(arguments[1]).read_text():
            return Answer(1, errors="Line unrecognized: `broken'\nConfiguration parsing error")
        return OK

    def _wg(self, arguments, standard_input):
        if arguments[0] == "genkey":
            return Answer(0, f"private-{len(self.commands)}\n")
        if arguments[0] == "pubkey":
            return Answer(0, hashlib.sha256(standard_input.read_bytes()).hexdigest()[:8] + "\n")
        if not self.kernel.tunnel or not self.kernel.interface:
            return Answer(1, errors="Unable to access interface: No such device")
        if arguments[2] == "public-key":
            return self._wg(["pubkey"], self.paths.tunnel_key) if self.kernel.keyed else Answer(0, "(none)\n")
        return Answer(0, "peer-one\t1790000000\npeer-two\t0\n")

    def _systemctl(self, arguments, _input):
        verb, unit = arguments[0], arguments[-1]
        if unit == "nginx.service":
            return self._unit_of_nginx(verb)
        if verb == "is-active":
            return Answer(0 if self.kernel.tunnel is not None else 3)
        if verb == "enable":
            self.enabled.add(unit)
        elif verb == "disable":
            assert arguments[1] == "--now"
            self.enabled.discard(unit)
            self.kernel.tunnel = None
        elif verb == "restart":
            self.kernel.tunnel = None
            text = self.paths.tunnel.read_text()
            if "taken port" in text:
                return Answer(1, errors="Job for wg-quick@protostar.service failed.")
            assert self.paths.tunnel_key.read_text()
            self.kernel.tunnel = text
            self.kernel.interface = self.kernel.keyed = True
        return OK

    def _unit_of_nginx(self, verb):
        if verb == "is-active":
            return Answer(0, "active\n") if self.kernel.nginx is not None else Answer(3, "failed\n")
        text = self.paths.nginx.read_text()
        runs = self.kernel.nginx is not None
        if verb == "restart" or not runs:
            self.kernel.nginx = self.kernel.line = None
            if "taken port" in text or "broken" in text:
                return Answer(1, errors="Job for nginx.service failed.\nSee the log.")
        if "taken port" not in text and "broken" not in text:
            self.kernel.nginx = text
            self.kernel.line = self.paths.line.read_text() if self.paths.line.exists() else None
        return OK  # a reload that fails says so in the log only

    # What a person or the machine does.

    def apply(self, bundle):
        with locked(self.paths):
            said = transaction.apply(self.machine, bundle)
            parts = Parts(self.machine)
            status.report(self.machine, parts, parts.meter.take())
            return said

    def repair(self, bundle):
        with locked(self.paths):
            return repair(self.machine, Parts(self.machine), bundle)

    def reboot(self):
        """Start with what is on the disk: units that are enabled run, and no rules are loaded."""
        self.kernel = Kernel()
        self.write(self.paths.proc / "sys/kernel/random/boot_id", f"boot {self.ticks}\n")
        if "wg-quick@protostar.service" in self.enabled and self.paths.tunnel.exists():
            self._systemctl(["restart", "wg-quick@protostar.service"], None)
        self._unit_of_nginx("restart")

    def status(self):
        return status.read(self.machine)

    def clone(self, path):
        """Return a copy, as of a machine whose process is killed now."""
        shutil.copytree(self.path, path, symlinks=True)
        copy = World(path)
        copy.kernel = Kernel(**vars(self.kernel))
        copy.enabled = set(self.enabled)
        copy.seconds, copy.ticks, copy.refuse = self.seconds, self.ticks, set(self.refuse)
        return copy

    def disagreements(self, bundle):
        """Return in what the machine differs from a bundle: files, what runs, and what was left lying about."""
        found = []
        texts = Parts(self.machine).wanted(bundle)
        places = {"nginx.conf": self.paths.nginx, "relay.nft": self.paths.rules, "tunnel.conf": self.paths.tunnel}
        running = {"nginx.conf": self.kernel.nginx, "relay.nft": self.kernel.rules, "tunnel.conf": self.kernel.tunnel}
        for name, content in texts.items():
            text = content.text if content else None
            path = places[name]
            if (path.read_text() if path.exists() else None) != text:
                found.append(f"{name} on disk")
            if running[name] != text:
                found.append(f"{name} in force")
        if "tunnel.conf" in bundle.files and self.paths.tunnel.stat().st_mode & 0o777 != 0o600:
            found.append("mode of tunnel.conf")
        if ("wg-quick@protostar.service" in self.enabled) != ("tunnel.conf" in bundle.files):
            found.append("tunnel at boot")
        if self.paths.unfinished.exists():
            found.append("unfinished")
        if self.kernel.line != (self.paths.line.read_text() if self.paths.line.exists() else None):
            found.append("line in force")
        return found
