"""What a release and a rollback take in the lab, and what a full load notices of twenty flips."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import yaml

from lab.client.generator import Load
from lab.client.summary import Flip, Line, Summary
from lab.variants import variant

from .cases import HOST
from .measure import ROOT, BenchError, interleaved, output, playbook_seconds
from .plot import Panel
from .report import Row

RUNS = 3
FLIPS = 20
# A whole deploy.yml may take this much longer than the container itself takes to become healthy.
DEPLOY_TARGET = 12.0
ROLLBACK_TARGET = 8.0
FLIP_TARGET = 0.005
# Every kind of client, twice as many as the tests have: about 400 requests a second.
LOAD: Mapping[str, Any] = {
    "get": 20, "post": 8, "http2": 12, "slow-body": 4, "slow-read": 4, "slow-answer": 6, "sse": 6, "websocket": 6,
}  # fmt: skip

_PLAYBOOK = ["ansible-playbook", "playbooks/{}.yml"]
_IMAGES = ROOT / "inventories/lab/group_vars/all/images.yml"
_SCRIPT = Path(__file__).with_name("on_edge.py")
_SHOWN = 0.06  # the share of the whole that a step has to take to be named in the picture
_PAUSE = 0.5  # seconds between two flips
_PATIENCE = 60  # seconds that a container has to become healthy


@dataclass(frozen=True)
class Releases:
    """What was measured, in seconds.

    Attributes:
        deploys: Whole runs of deploy.yml.
        healthy: How long the container alone takes, round by round.
        rollbacks: Whole runs of rollback.yml, to a standby that is warm.
        flips: The write of each of those.
        loaded: How long each of the flips under load took.
        summary: What became of that load.
        watched: A whole deploy.yml under the load of the tests: what the load told, and the steps of the release.

    """

    deploys: list[float]
    healthy: list[float]
    rollbacks: list[float]
    flips: list[float]
    loaded: list[float]
    summary: Summary
    watched: tuple[Sequence[Line], Sequence[Mapping[str, Any]]] = field(default=((), ()), repr=False)

    @property
    def lossless(self) -> bool:
        """Whether the load noticed nothing."""
        return not (self.summary.lost or self.summary.wrong or self.summary.bad)


def measure(runs: int = RUNS, flips: int = FLIPS) -> Releases:
    """Release, roll back and flip, and leave live what the inventory declares."""
    images = [variant("nest", version) for version in ("1.0.1", "1.0.2", "1.0.3")]
    told: list[float] = []
    try:
        # Every image is on the host then. The last stays the one to come back to; the others take turns beside it.
        for image in images:
            _run("deploy", f"app=nest image={image}")
        deploys, rollbacks, healthy = interleaved(
            [
                lambda number: _run("deploy", f"app=nest image={images[number % 2]}")[0],
                lambda _number: _flip_of(_run("rollback", "app=nest"), told),
                lambda _number: _seconds_to_healthy(),
            ],
            runs,
        )
        loaded, summary = _under_load(flips)
        with Load(apps="nest") as load:
            _, told_of_it = _run("deploy", f"app=nest image={images[0]}")
            time.sleep(1)
    finally:
        declared = yaml.safe_load(_IMAGES.read_text())["nest_image"]
        _run("deploy", f"app=nest image={declared}", changed=None)
    return Releases(deploys, healthy, rollbacks, told, loaded, summary, (load.lines, told_of_it["steps"]))


def rows(measured: Releases) -> list[Row]:
    """Return what takes time, for the common table."""
    beyond = [whole - own for whole, own in zip(measured.deploys, measured.healthy, strict=True)]
    return [
        Row("a container of nest alone, from its start to healthy", measured.healthy),
        Row("a whole `deploy.yml` of nest", measured.deploys),
        Row("the same, without the container's own time", beyond, DEPLOY_TARGET),
        Row("`rollback.yml` to a warm standby", measured.rollbacks, ROLLBACK_TARGET),
        Row("the flip in it: one write", measured.flips, FLIP_TARGET),
        Row(f"a flip under full load ({measured.summary.total} requests)", measured.loaded, FLIP_TARGET),
    ]


def table(measured: Releases) -> str:
    """Return what the load noticed, in words."""
    verdict = "met" if measured.lossless else "missed"
    return f"{len(measured.loaded)} flips under full load, 0 lost or wrong: {verdict}\n{measured.summary}"


def panel(measured: Releases) -> Panel:
    """Return what is drawn of a whole release: the requests meanwhile, and its steps."""
    lines, steps = measured.watched
    # A slow client's request lasts as long as the client wants; sessions are no requests.
    quick = [line for line in lines if line.get("kind") in ("get", "post", "http2")]
    last = max((line for line in quick if line.get("colour")), key=lambda line: line["end"])
    flipped = min(line["end"] for line in quick if line.get("version") == last["version"])
    lost = [line for line in quick if line.get("failed")]
    names = [step["step"] for step in steps]
    ends = list(accumulate(step["seconds"] for step in steps))
    begins = dict(zip(names, [0.0, *ends], strict=False))
    # A step that is over at once has no room for its name.
    long = [step["step"] for step in steps if step["seconds"] > _SHOWN * (quick[-1]["end"] - quick[0]["end"])]
    marks = [(begins[name] - ends[names.index("flip")], name) for name in long]
    return Panel(
        "A whole release by deploy.yml, in the lab",
        f"{len(quick)} requests from the internet through router and TLS, {len(lost)} of them lost",
        quick,
        [(flipped, last["colour"])],
        flipped - quick[0]["end"],
        last["end"] - flipped,
        marks,
    )


def details(measured: Releases) -> dict[str, Any]:
    """Return the figures for the file that are in no row."""
    found = measured.summary
    return {
        "requests": found.total,
        "kinds": dict(found.kinds),
        "lost": len(found.lost),
        "bad": len(found.bad),
        "wrong": len(found.wrong),
        "sessions_ended": sum(session["reason"] != "stopped" for session in found.sessions),
        "lossless": measured.lossless,
    }


def _run(name: str, variables: str, changed: bool | None = True) -> tuple[float, dict[str, Any]]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [part.format(name) for part in _PLAYBOOK]
        seconds = playbook_seconds([*command, "-e", f"{variables} summary={file.name}"], changed)
        return seconds, json.loads(Path(file.name).read_text())


def _flip_of(done: tuple[float, dict[str, Any]], told: list[float]) -> float:
    told.append(done[1]["flip_seconds"])
    return done[0]


def _live() -> str:
    state = json.loads(output(["docker", "exec", HOST, "cat", "/opt/protostar/releases/state.json"]))
    return str(state["apps"]["nest"]["live"])


def _seconds_to_healthy() -> float:
    """Start the standby anew, and return how long it takes until the engine finds it healthy."""
    name = "nest-" + ("blue" if _live() == "green" else "green")
    look = "{{.State.Health.Status}}"
    script = (
        f"docker stop {name} >/dev/null; a=$(date +%s.%N); docker start {name} >/dev/null; n=0; "
        f"until [ $(docker inspect -f '{look}' {name}) = healthy ]; do sleep 0.05; n=$((n+1)); "
        f"[ $n -lt {_PATIENCE * 10} ] || exit 1; done; b=$(date +%s.%N); echo $a $b"
    )
    began, ended = map(float, output(["docker", "exec", HOST, "bash", "-c", script]).split())
    return ended - began


def _under_load(flips: int) -> tuple[list[float], Summary]:
    before = _live()
    output(["docker", "exec", "-i", HOST, "tee", "/root/on_edge.py"], text=_SCRIPT.read_text())
    process = output(["docker", "exec", HOST, "docker", "inspect", "-f", "{{.State.Pid}}", "nginx"]).strip()
    first = "blue" if before == "green" else "green"
    ask = ["docker", "exec", HOST, "python3", "/root/on_edge.py", "flip", str(flips), str(_PAUSE), process, first]
    with Load(**LOAD) as load:
        switches = json.loads(output(ask))
    if _live() != before or flips % 2:
        raise BenchError("the flips did not end where they began: run 'ansible-playbook playbooks/site.yml'")
    times = [Flip("nest", before, 0, 0)]
    times += [Flip("nest", switch["colour"], switch["began"], switch["ended"]) for switch in switches]
    return [switch["ended"] - switch["began"] for switch in switches], load.summary(times)
