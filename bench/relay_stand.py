"""The scratch rig on which ways to the home are compared: a visitor, a relay with every way, and the home.

All of it is in a network of its own without a way out. The relay has the very configuration of the role.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import relay_configuration
from .measure import ROOT, BenchError, output
from .relay_ways import DIRECT_NAME, NAME, Way
from .rig import CLIENT_IMAGE

NETWORK = "protostar-bench-relay"
# Reserved for benchmarks (RFC 2544), as the lab's own networks are, and beside them.
SUBNET = "198.19.128.0/24"
RELAY, HOME, CLIENT = (f"198.19.128.{number}" for number in (2, 20, 30))
IMAGE = "protostar/bench-relay:trixie"
# What the home may be: nginx with TLS and small answers, or a source of bytes.
HOMES = {
    "home": ["sh", "-c", "head -c 64M /dev/urandom >/srv/large && exec nginx -c /rig/home.conf"],
    "source": ["python3", "/rig/source.py"],
}

_HERE = Path(__file__).with_name("relay_rig")
_AGENT = relay_configuration.ROLE / "files/agent"
_CERTIFICATES = ROOT / "build/lab/certificates/protostar-sub"
_AUTHORITY = ROOT / "build/lab/public/ca.crt"
_DIRECTORY = ROOT / "build/bench-relay"
_PARTS = ("client", "ways", "role", *HOMES)
_PATIENCE = 30  # seconds until a way answers
# One address opens many short connections, and whatever else the machine does has to wait.
_SHARED = ("--cpu-shares=262144", "--ulimit=nofile=16384:16384", "--sysctl=net.ipv4.ip_local_port_range=1024 65000")


@contextmanager
def standing() -> Iterator[None]:
    """Build the rig without relay and home, and remove all of it whatever happens."""
    remove()
    try:
        if not _CERTIFICATES.exists():
            raise BenchError("the lab's certificates are not there: run 'make up' first")
        output(["docker", "build", "--quiet", "--tag", IMAGE, str(_HERE)], DOCKER_BUILDKIT="0")
        output(["docker", "network", "create", "--internal", "--subnet", SUBNET, NETWORK])
        _write_files()
        _run("client", CLIENT, [f"--add-host={NAME}:{RELAY}", f"--add-host={DIRECT_NAME}:{HOME}",
                                f"--volume={_AUTHORITY}:/ca.crt:ro", "--env=SSL_CERT_FILE=/ca.crt"],
             CLIENT_IMAGE, ["sleep", "3600"])  # fmt: skip
        yield
    finally:
        remove()


@contextmanager
def relay(part: str) -> Iterator[None]:
    """Have a relay: `ways` is all of them beside each other, `role` is what the role puts on a VM and nothing else."""
    options = ["--cap-add=NET_ADMIN", "--sysctl=net.ipv4.ip_forward=1", f"--volume={_AGENT}:/agent:ro"]
    with _part(part, RELAY, options, ["sh", "/rig/relay.sh", part]):
        yield


@contextmanager
def home(part: str) -> Iterator[None]:
    """Have one of HOMES."""
    options = [f"--network-alias={relay_configuration.HOME_NAME}", "--tmpfs=/srv",
               f"--volume={_CERTIFICATES}:/certificates:ro"]  # fmt: skip
    with _part(part, HOME, options, HOMES[part]):
        yield


def container(part: str) -> str:
    """Return the name of a part's container."""
    return f"{NETWORK}-{part}"


def inside(part: str, *command: str) -> list[str]:
    """Return a command that runs in a part."""
    return ["docker", "exec", "--interactive", container(part), *command]


def client(verb: str, way: Way, *figures: float) -> list[str]:
    """Return a command of the visitor's own program, relay_rig/client.py."""
    return inside("client", "python3", "/rig/client.py", verb, way.host, str(way.port), *map(str, figures))


def wait(command: Sequence[str], part: str) -> None:
    """Wait until a command of the visitor succeeds.

    Raises:
        BenchError: It does not; the text has its last line, and that of the part that leads there.

    """
    deadline = time.monotonic() + _PATIENCE
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        if time.monotonic() > deadline:
            logs = ["docker", "logs", "--tail", "1", container(part)]
            log = subprocess.run(logs, capture_output=True, text=True, check=False)
            said = [*done.stderr.splitlines()[-1:], *log.stdout.splitlines(), *log.stderr.splitlines()]
            raise BenchError(f"'{' '.join(command)}' of the scratch rig fails, by way of {part}: {' | '.join(said)}")
        time.sleep(0.2)


def remove() -> None:
    """Remove the rig, by the names of its parts."""
    _discard(*_PARTS)
    subprocess.run(["docker", "network", "rm", NETWORK], capture_output=True, check=False)


@contextmanager
def _part(part: str, address: str, options: Sequence[str], command: Sequence[str]) -> Iterator[None]:
    _run(part, address, options, IMAGE, command)
    try:
        yield
    finally:
        _discard(part)


def _run(part: str, address: str, options: Sequence[str], image: str, command: Sequence[str]) -> None:
    named = [f"--name={container(part)}", f"--network={NETWORK}", f"--ip={address}", f"--volume={_DIRECTORY}:/rig:ro"]
    output(["docker", "run", "--detach", "--init=false", *named, *_SHARED, *options, image, *command])


def _discard(*parts: str) -> None:
    names = [container(part) for part in parts]
    subprocess.run(["docker", "rm", "--force", "--volumes", *names], capture_output=True, check=False)


def _write_files() -> None:
    """Write what the parts are given."""
    subprocess.run(["rm", "-rf", str(_DIRECTORY)], check=True)
    _DIRECTORY.mkdir(parents=True)
    texts = {file.name: file.read_text().replace("HOME_ADDRESS", HOME) for file in _HERE.iterdir() if file.is_file()}
    for name, text in {**texts, **relay_configuration.files()}.items():
        (_DIRECTORY / name).write_text(text)
