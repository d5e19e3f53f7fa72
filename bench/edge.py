"""What the edge's choice of a colour and its counters cost: nginx beside itself without them, and beside a peer.

The configuration is the one that the role wrote on the lab's main, but for the sites, and with one worker: it is what
has most to do, so that what it does not do any more is not done by nobody.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import rig
from .measure import ROOT, BenchError, output, ratios, summary
from .overhead import rate
from .report import aligned

ROUNDS = 9
SECONDS = 3
# The slowest of a hundred requests may take so many times as long.
LATENCY_TARGET = 1.3
NAME = "protostar-bench-edge"
PEER_PORT = 8004

_HERE = Path(__file__).with_name("edge_rig")
_DIRECTORY = ROOT / "build/bench-edge"
_CONFIG = "/opt/protostar/services/nginx/config"
_PARTS = ("network", "backend", "edge", "peer")
_PATIENCE = 20  # seconds until a way answers
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_HEADINGS = ("", "requests", "of plain", "min to max", "target", "", "p99", "times plain", "target", "")


@dataclass(frozen=True)
class Way:
    """How a request is passed on.

    Attributes:
        name: What it is called.
        port: Where it listens.
        target: The least share of the requests of plain `proxy_pass`; None where it is only shown.

    """

    name: str
    port: int
    target: float | None = None


PLAIN = Way("plain proxy_pass", 8001)
WAYS = (PLAIN, Way("with the choice", 8002, 0.85), Way("with the choice and the counters", 8003, 0.75))


@dataclass(frozen=True)
class Cost:
    """Figures of one way, and of the plain one in the same rounds.

    Attributes:
        way: What was measured.
        rates: Requests per second.
        slow: Seconds within which 99 of 100 requests were answered.
        plain_rates: `rates` of plain `proxy_pass`.
        plain_slow: `slow` of plain `proxy_pass`.

    """

    way: Way
    rates: list[float]
    slow: list[float]
    plain_rates: list[float]
    plain_slow: list[float]

    @property
    def kept(self) -> dict[str, Any]:
        """Which share of the plain requests there was, round by round."""
        return summary(ratios(self.plain_rates, self.rates))

    @property
    def slower(self) -> dict[str, Any]:
        """How many times as long the slow requests took, round by round."""
        return summary(ratios(self.plain_slow, self.slow))

    @property
    def met(self) -> tuple[bool, bool]:
        """Whether the medians of `kept` and of `slower` are within their targets."""
        return self.kept["median"] >= (self.way.target or 0), self.slower["median"] <= LATENCY_TARGET


def slow(report: str) -> float:
    """Return the seconds within which 99 of 100 requests were answered, of wrk's report.

    Raises:
        BenchError: It does not say.

    """
    found = re.search(r"^\s+99%\s+([\d.]+)(us|ms|s)$", report, re.MULTILINE)
    if not found:
        raise BenchError("wrk told no latency")
    return float(found.group(1)) * _UNITS[found.group(2)]


def measure(rounds: int = ROUNDS, seconds: int = SECONDS) -> list[Cost]:
    """Measure all ways in turns, in one run."""
    figures: dict[Way, list[tuple[float, float]]] = {}
    with _standing() as ways:
        for number in range(rounds):
            # Back and forth: what changes slowly meets all alike.
            for way in ways if number % 2 else reversed(ways):
                told = output([*_client("wrk"), "--threads", "1", "--connections", "32", "--latency",
                               "--duration", f"{seconds}s", f"http://127.0.0.1:{way.port}/"])  # fmt: skip
                figures.setdefault(way, []).append((rate(told), slow(told)))
    plain_rates, plain_slow = map(list, zip(*figures[PLAIN], strict=True))
    return [
        Cost(way, [each[0] for each in figures[way]], [each[1] for each in figures[way]], plain_rates, plain_slow)
        for way in ways
    ]


def table(costs: Sequence[Cost]) -> str:
    """Return a table of medians, beside plain `proxy_pass`."""
    return aligned(_HEADINGS, [_cells(cost) for cost in costs])


def _cells(cost: Cost) -> tuple[str, ...]:
    figures = (f"{summary(cost.rates)['median']:.0f}/s", f"{summary(cost.slow)['median'] * 1000:.1f} ms")
    if cost.way == PLAIN:
        return (cost.way.name, figures[0], "", "", "", "", figures[1], "", "", "")
    kept, slower, judged = cost.kept, cost.slower, cost.way.target is not None
    words = ["met" if met else "missed" for met in cost.met] if judged else ["", ""]
    return (
        cost.way.name,
        figures[0],
        f"{kept['median']:.2f}",
        f"{kept['min']:.2f} to {kept['max']:.2f}",
        f"≥ {cost.way.target:.2f}" if judged else "",
        words[0],
        figures[1],
        f"{slower['median']:.2f}",
        f"≤ {LATENCY_TARGET:.1f}" if judged else "",
        words[1],
    )


@contextmanager
def _standing() -> Iterator[list[Way]]:
    """Build the rig and remove it whatever happens; yields the ways that there are."""
    _remove()
    ways = [*WAYS]
    try:
        image = rig.nginx_image()
        _run("network", ["--network=none", rig.CLIENT_IMAGE, "sleep", "3600"])
        _run("backend", [*_nginx({"nginx.conf": (_HERE / "backend.conf").read_bytes()}, "backend"), image,
                         "nginx", "-c", "/etc/nginx/protostar/nginx.conf"])  # fmt: skip
        _run("edge", [*_nginx(edge_files(), "edge"), image, "nginx", "-c", "/etc/nginx/protostar/nginx.conf"], cpu=0)
        if binary := os.environ.get("BENCH_PEER"):
            ways.append(Way(Path(binary).name, PEER_PORT))
            mounted = ["--volume", f"{Path(binary).resolve()}:/peer:ro"]
            _run("peer", [*mounted, rig.CLIENT_IMAGE, "sh", "-c", peer_command(os.environ)], cpu=0)
        for way in ways:
            _wait(way)
        yield ways
    finally:
        _remove()


def peer_command(variables: Mapping[str, str]) -> str:
    """Return the shell command that starts the peer: BENCH_PEER_COMMAND with its places filled in.

    Raises:
        BenchError: There is none, or it does not say where the peer listens or leads.

    """
    template = variables.get("BENCH_PEER_COMMAND", "")
    if "{port}" not in template or "{target}" not in template:
        raise BenchError(
            "BENCH_PEER wants BENCH_PEER_COMMAND, the shell command that starts it, with {peer}, {port} and {target}"
        )
    places = {"peer": "/peer", "port": str(PEER_PORT), "target": "127.0.0.1:3000"}
    return re.sub(r"\{(peer|port|target)\}", lambda place: shlex.quote(places[place.group(1)]), template)


def edge_files() -> dict[str, bytes]:
    """Return what the role wrote on main, by name, with the three ways in place of the sites."""
    packed = subprocess.run(
        ["docker", "exec", "protostar-main", "tar", "-C", _CONFIG, "-c", "."], capture_output=True, check=False
    )
    if packed.returncode:
        raise BenchError("main has no nginx whose configuration could be measured: run 'make up' first")
    files = {}
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        for member in archive:
            if content := archive.extractfile(member):
                files[Path(member.name).name] = content.read()
    files["nginx.conf"] = without_sites(files["nginx.conf"].decode()).encode()
    files["ways.conf"] = (_HERE / "ways.conf").read_bytes()
    return files


def without_sites(text: str) -> str:
    """Return the role's configuration with the ways in place of its sites, and a log line without the counters."""
    [line] = re.findall(r"log_format requests .*?;\n", text, re.DOTALL)
    plain = line.replace("log_format requests", "log_format plain").replace('"colour":"$edge_finished",', "")
    if plain.count("edge_") > 1:
        raise BenchError("the line of the access log has changed: correct bench/edge.py")
    text = re.sub(r"^ *include (peers|apps)\.conf;\n", "", text, flags=re.MULTILINE)
    text = text.replace(line, f"{line}  {plain}")
    text = text.replace("include sites.conf;", "include ways.conf;")
    return re.sub(r"^worker_processes .*;", "worker_processes 1;", text, flags=re.MULTILINE)


def _nginx(files: dict[str, bytes], name: str) -> list[str]:
    """Return how to mount configuration files, and what nginx writes to."""
    place = _DIRECTORY / name
    subprocess.run(["rm", "-rf", str(place)], check=True)
    written = {**{f"protostar/{file}": content for file, content in files.items()}}
    written["edge/pools.json"] = b'{"generation": 0, "apps": {}}'
    written["preview/preview.json"] = b'{"sha256": ""}'
    for file, content in written.items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_bytes(content)
    mounts = [f"--volume={place}/{part}:/etc/nginx/{part}:ro" for part in ("protostar", "edge", "preview")]
    return [*mounts, "--tmpfs=/run", "--tmpfs=/run/protostar:mode=0700", "--tmpfs=/tmp", "--tmpfs=/var/cache/nginx"]


def _run(part: str, arguments: Sequence[str], cpu: int = 1) -> None:
    shared = [] if part == "network" else [f"--network=container:{NAME}-network"]
    # The worker that is measured shares its processor with none of the others.
    pinned = [f"--cpuset-cpus={cpu}"] if (os.cpu_count() or 1) > 1 else []
    # Whatever else the machine does has to wait.
    first = ["--cpu-shares=262144"]
    output(["docker", "run", "--detach", "--init=false", f"--name={NAME}-{part}", *shared, *pinned, *first, *arguments])


def _client(program: str) -> list[str]:
    return ["docker", "exec", f"{NAME}-network", program]


def _wait(way: Way) -> None:
    ask = [*_client("curl"), "-sf", "-o", "/dev/null", f"http://127.0.0.1:{way.port}/"]
    deadline = time.monotonic() + _PATIENCE
    while subprocess.run(ask, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            logs = [subprocess.run(["docker", "logs", f"{NAME}-{part}"], capture_output=True, text=True, check=False)
                    for part in ("edge", "peer")]  # fmt: skip
            said = " ".join(log.stderr.strip().splitlines()[-1] for log in logs if log.stderr.strip())
            raise BenchError(f"{way.name} of the scratch rig does not answer: {said}")
        time.sleep(0.2)


def _remove() -> None:
    names = [f"{NAME}-{part}" for part in reversed(_PARTS)]
    subprocess.run(["docker", "rm", "--force", "--volumes", *names], capture_output=True, check=False)
