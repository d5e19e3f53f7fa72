"""`python -m bench [--runs N] [--first-up]`, from the repository's root: measures on the lab, prints a table."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from . import cases, edge, flip, machine, memory, on_lab, overhead, plot, relay, releases, report
from .cases import Case
from .measure import ROOT, BenchError, interleaved, output, playbook_seconds
from .report import Row

RESULT = ROOT / "build/bench.json"
PICTURE = ROOT / "docs/images/release.svg"
FIRST_UP = ROOT / "build/lab/first-up.json"
HOST_RUNS = 5


def say(text: str) -> None:
    """Tell what is being done, on standard error: the table is all that standard output holds."""
    print(f"[{datetime.now():%H:%M:%S}] {text}", file=sys.stderr, flush=True)


def first_up(again: bool) -> list[Row]:
    """Return the row of the first `make up` of all: as recorded, or of one that is made now."""
    if again:
        say("removing the lab with its images, and building it from nothing")
        output(["scripts/down"], PURGE="1")
        output(cases.UP, LAB_IMAGES="debian")
    if not FIRST_UP.exists():
        say("no record of a first `make up` here; FIRST_UP=1 makes one")
        return []
    record = json.loads(FIRST_UP.read_text())
    name = f"first `make up`, {record['mode']} mode ({record['when']})"
    return [Row(name, [float(record["seconds"])], cases.FIRST_UP_TARGET)]


def measured(case: Case, runs: int, redis_start: float) -> Row:
    """Measure one case and, in turns, the usual style."""
    say(f"{case.name}: {runs} runs" + (" of each" if case.usual else ""))

    def side(command: list[str], number: int) -> float:
        return playbook_seconds([*command, *case.arguments(number)], changed=case.changes)

    commands = [case.command, *([case.usual] if case.usual else [])]
    sides = [lambda number, command=command: side(command, number) for command in commands]
    ours, *usual = interleaved(sides, runs)
    target = case.target + (redis_start if case.plus_redis_start else 0)
    row = Row(case.name, ours, target, usual[0] if usual else None, case.times)
    say(" | ".join(report.cells(row)))
    return row


def service_call() -> tuple[list[Row], dict[str, Any]]:
    """Measure a call of `service` that finds nothing to do, and the modules of the usual style that do the same."""
    say(f"the modules of `--tags redis` on {cases.HOST}, without Ansible: {HOST_RUNS} runs of each")
    ours, usual = on_lab.redis_modules([cases.SITE, cases.USUAL_SITE], HOST_RUNS)
    rows = [
        Row(name, on_lab.per_round(ours, figure), target, on_lab.per_round(usual, figure))
        for name, figure, target in (
            ("a `service` call on the host, nothing to do: its work", "work", cases.SERVICE_CALL_TARGET),
            ("the same: its whole process, with Python's start and imports", "process", None),
        )
    ]
    return rows, {"modules": {"ours": ours, "usual": usual}}


def stack() -> tuple[list[str], dict[str, Any]]:
    """Measure what the platform itself takes, and tell it in tables."""
    say("the memory of the platform's own services")
    used = memory.measure()
    say(f"requests per second with and without the observability stack: {overhead.ROUNDS} rounds of each")
    lost = overhead.measure()
    details = {
        "memory": [asdict(usage) for usage in used],
        "overhead": [asdict(item) | {"lost": item.lost, "met": item.met} for item in lost],
    }
    return [memory.table(used), overhead.table(lost)], details


def colours(runs: int) -> tuple[list[Row], list[str], dict[str, Any]]:
    """Measure releases in the lab and the edge on rigs of its own, and draw a flip beside a reload."""
    say(f"releases, rollbacks and flips of nest in the lab: {runs} runs of each")
    released = releases.measure(runs)
    say(f"{flip.FLIPS} switches on a rig of its own: one write to the edge, and an include with a reload")
    switched = flip.measure()
    say("throughput of nginx with and without the choice of the colour")
    chosen = edge.measure()
    plot.write(
        PICTURE,
        [[releases.panel(released)], flip.panels(switched)],
        "Requests by colour, and how long each took",
        "By `make bench`, on one small machine that bears the whole lab. Green is the colour that was live before.",
    )
    details = {
        "releases": releases.details(released),
        "flips": flip.details(switched),
        "edge": [asdict(cost) for cost in chosen],
    }
    return releases.rows(released), [flip.table(switched), releases.table(released), edge.table(chosen)], details


def line() -> tuple[list[Row], list[str], dict[str, Any]]:
    """Measure the relay on a rig of its own, and its module against a fake of Google."""
    say(f"the ways to the home through a relay, on a rig of its own: {relay.ROUNDS} rounds of each")
    measured = relay.measure()
    return relay.rows(measured), [relay.table(measured)], {"relay": relay.details(measured)}


def measure(runs: int) -> tuple[list[Row], dict[str, Any]]:
    """Measure everything that takes time on a lab that is up; leave it as it was."""
    say("bringing the usual style up to what this checkout says, which also opens the connections")
    try:
        playbook_seconds(cases.USUAL_SITE, changed=None)
        redis_starts = on_lab.redis_start(runs)
        start = report.summary(redis_starts)["median"]
        calls, details = service_call()
        rows = [measured(case, runs, start) for case in cases.CASES]
    finally:
        say("removing the usual style, putting Redis' setting back")
        playbook_seconds(cases.USUAL_ABSENT, changed=None)
        playbook_seconds([*cases.SITE, *cases.REDIS], changed=None)
    return [*rows, Row("Redis' own start, from container start to PONG", redis_starts), *calls], details


def main() -> int:
    """Measure, print, write; a problem is one sentence."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how often each command is run (default 3)")
    parser.add_argument("--first-up", action="store_true", help="also throw the lab away and build it from nothing")
    options = parser.parse_args()
    try:
        first = first_up(options.first_up)
        facts = {**machine.describe(cases.HOST), "load_before": machine.load()}
        say("bringing the lab up to what this checkout says")
        playbook_seconds(cases.UP, changed=None)
        tables, taken = stack()
        rows, details = measure(options.runs)
        more_rows, more_tables, more_details = colours(options.runs)
        line_rows, line_tables, line_details = line()
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; nothing was written.", file=sys.stderr)
        return 130
    facts |= {"load_after": machine.load(), "when": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    rows = [*first, *rows, *more_rows, *line_rows]
    report.write(RESULT, rows, facts, details | taken | more_details | line_details)
    print("\n\n".join([report.table(rows), *tables, *more_tables, *line_tables]))
    print(f"\nMeasured {facts['when']} on {report.sentence(facts)}.\nAll figures: {RESULT.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
