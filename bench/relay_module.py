"""What a run of `gcp_l4_relay` asks of Google when nothing is to be done, and how long it works, against the fake."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .measure import ROOT, BenchError, summary
from .report import Row, aligned

MODULE = "gcp_l4_relay"
# So often each resource may be read.
TARGET = 1

_RUN = Path(__file__).with_name("relay_rig") / "run_module.py"
_FAKE = ROOT / "tests"
_PROJECT, _REGION, _ZONE = "bench-project", "us-west1", "us-west1-b"


@dataclass(frozen=True)
class Unchanged:
    """Runs that found nothing to do.

    Attributes:
        process: Seconds of the whole process, with the start of Python and the imports, of each run.
        work: Seconds of the module's main function.
        reads: How often a run read which resource or list at most, by its path.

    """

    process: list[float]
    work: list[float]
    reads: Mapping[str, int]

    @property
    def calls(self) -> int:
        """How many calls of the API that is."""
        return sum(self.reads.values())

    @property
    def met(self) -> bool:
        """Whether it read, and nothing more often than it may."""
        return 0 < max(self.reads.values(), default=0) <= TARGET


def measure(runs: int) -> Unchanged:
    """Make a relay in a fake project, and run the module again and again.

    Raises:
        BenchError: It fails, or finds something to do.

    """
    # The fake belongs to the tests, which find it there.
    sys.path.insert(0, str(_FAKE))
    try:
        serve = importlib.import_module("compute_fake").serve
    finally:
        sys.path.remove(str(_FAKE))

    with serve(project=_PROJECT, zones=[_ZONE]) as fake, tempfile.TemporaryDirectory() as place:
        arguments = {
            "project": _PROJECT,
            "region": _REGION,
            "zone": _ZONE,
            "name": "protostar-relay",
            "api_endpoint": fake.endpoint,
            "service_account_file": str(fake.service_account(Path(place) / "account.json")),
        }
        _run(arguments)
        asked: Counter[str] = Counter()
        figures = []
        for _ in range(runs):
            earlier = len(fake.requests)
            result, *seconds = _run(arguments)
            asked |= reads((request.method, request.path) for request in fake.requests[earlier:])
            if result["changed"]:
                raise BenchError(f"a second run of {MODULE} changed something: {result.get('actions')}")
            figures.append(seconds)
    process, work = map(list, zip(*figures, strict=True))
    return Unchanged(process, work, asked)


def reads(requests: Iterable[tuple[str, str]]) -> Counter[str]:
    """Count what was read, by path.

    Args:
        requests: Method and path of each request, but for those for a token.

    Raises:
        BenchError: One of them was to write.

    """
    counts: Counter[str] = Counter()
    for method, path in requests:
        if method != "GET":
            raise BenchError(f"a run of {MODULE} with nothing to do asked for {method} {path}")
        counts[path] += 1
    return counts


def rows(unchanged: Unchanged) -> list[Row]:
    """Return what takes seconds."""
    return [
        Row(f"a `{MODULE}` run against a fake of Google, nothing to do: its work", unchanged.work),
        Row("the same: its whole process, with Python's start and imports", unchanged.process),
    ]


def table(unchanged: Unchanged) -> str:
    """Return a table of what was asked of Google."""
    most = max(unchanged.reads.values(), default=0)
    return aligned(
        [f"a `{MODULE}` run with nothing to do", "", "target", ""],
        [
            ["calls of Google's API, all of them reads", str(unchanged.calls), "", ""],
            ["at most of one resource", str(most), f"≤ {TARGET}", "met" if unchanged.met else "missed"],
        ],
    )


def details(unchanged: Unchanged) -> dict[str, Any]:
    """Return the figures for the file."""
    return {
        "process": summary(unchanged.process),
        "work": summary(unchanged.work),
        "reads": dict(unchanged.reads),
        "calls": unchanged.calls,
        "met": unchanged.met,
    }


def _run(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], float, float]:
    """Run the module. Return its result, and the seconds of its process and of its main function."""
    paths = os.pathsep.join([str(ROOT / ".ansible/collections"), os.environ.get("PYTHONPATH", "")])
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, str(_RUN), MODULE],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths.rstrip(os.pathsep)},
        check=False,
    )
    process = time.perf_counter() - began
    try:
        result, work = json.loads(done.stdout.splitlines()[-1]), float(done.stderr.splitlines()[-1])
    except (IndexError, ValueError):
        raise BenchError(f"{MODULE} said no result: {(done.stdout + done.stderr).strip()[-300:]}") from None
    if done.returncode or result.get("failed"):
        raise BenchError(f"{MODULE} failed: {result.get('msg')}")
    return result, process, work
