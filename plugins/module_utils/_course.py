# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all steps of a release use: the journal, the lease, the edge, and the look at who still uses a colour."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _limits
from ansible_collections.protostar.platform.plugins.module_utils._app import App
from ansible_collections.protostar.platform.plugins.module_utils._deployment import now
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._host import Host
from ansible_collections.protostar.platform.plugins.module_utils._lease import Lease
from ansible_collections.protostar.platform.plugins.module_utils._ledger import Entry, Ledger
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pool

RELEASE, ROLLBACK, PROMOTION = "release", "rollback", "promotion"
STEPS = {
    RELEASE: (
        "preflight", "migrate", "start", "smoke", "canary", "flip", "verify", "bake", "drain", "standby", "prune",
        "record",
    ),
    ROLLBACK: ("preflight", "start", "smoke", "flip", "verify", "drain", "standby", "record"),
    PROMOTION: ("retire", "record"),
}  # fmt: skip
# From here on a release has proved itself: what fails now is finished by the next run, not undone.
PROVEN = ("drain", "standby", "prune", "retire", "record")
OUTCOME = {RELEASE: "released", ROLLBACK: "rolled_back", PROMOTION: "promoted"}
# How often the counters are read while a release is watched, in seconds.
_LOOK = 0.25
# How long a step may hold the lease without a sign of life, in seconds; pulling and starting take longest.
STEP_TIME = 2700


class Course:
    """A release, and how far it has come.

    Args:
        host: The host.
        ledger: What it remembers.
        lease: The right to do this.
        entry: The release.

    Raises:
        ServiceError: Its description is not kept any more.

    """

    def __init__(self, host: Host, ledger: Ledger, lease: Lease, entry: Entry) -> None:
        self._host = host
        self._ledger = ledger
        self._lease = lease
        self._entry = entry
        self._apps = {name: kept(ledger, move.release, name) for name, move in entry.moves.items()}
        self._generation: int | None = None
        self._began = host.clock()

    def _live(self, name: str) -> str | None:
        return self._host.edge.pools().live(name)

    def _set(self, wanted: Mapping[str, Pool]) -> float | None:
        """Put pools in force, and return how long the write took; None if they are already.

        The generation is the one that this run has seen or written last: whoever writes in between is found out.
        """
        pools = self._host.edge.pools()
        if self._generation is None:
            self._generation = pools.generation
        changed = pools.changed(wanted)
        if changed is pools:
            return None
        changed = replace(changed, generation=self._generation + 1)
        seconds = self._host.edge.set(changed, self._generation)
        self._generation = changed.generation
        return seconds

    def _note(self, **changes: Any) -> None:  # noqa: ANN401  the fields of an Entry
        """Put something on disk, and stay the owner."""
        self._entry = replace(self._entry, **changes)
        self._ledger.write(self._entry)
        self._lease.renew(STEP_TIME, self._entry.id)

    def _timed(self, step: str, began: float) -> None:
        seconds = round(self._host.clock() - began, 3)
        self._note(steps=(*self._entry.steps, {"step": step, "seconds": seconds}))

    def _finish(self, state: str) -> None:
        seconds = round(self._host.clock() - self._began, 3)
        self._entry = replace(self._entry, state=state, finished=now(), seconds=seconds, undo=False)
        self._ledger.close(self._entry)
        if state in ("failed", "aborted") and self._entry.kind == RELEASE:
            for name in self._entry.moves:
                self._ledger.forget(self._entry.id, name)
        if state in ("failed", "released", "rolled_back"):
            self._tell("failed" if state == "failed" else "released")

    def _call_hooks(self, step: str) -> None:
        for hook in self._hooks(step):
            self._host.call(hook, self._document(step))

    def _tell(self, end: str) -> None:
        """Call the hooks of the end; one that fails changes nothing any more."""
        for hook in self._hooks(end):
            try:
                self._host.call(hook, self._document(end))
            except ServiceError as error:
                self._entry = replace(self._entry, notes=(*self._entry.notes, str(error)))

    def _hooks(self, at: str) -> Iterable[Any]:
        return dict.fromkeys(hook for made in self._apps.values() for hook in made.hooks if hook.at == at)

    def _document(self, step: str) -> str:
        return json.dumps({"step": step, "time": time.time(), **asdict(replace(self._entry, notes=()))})

    def _each(self, act: Callable[[str, App], None]) -> None:
        """Do something for all applications at once, and fail with the first that failed."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            for done in [pool.submit(act, name, made) for name, made in self._apps.items()]:
                done.result()

    def _watch(self, apps: Mapping[str, App], before: Mapping[str, Any], seconds: float) -> None:
        """Watch the new colours for a while.

        Raises:
            ServiceError: One is worse than its limits, or has failed.

        """
        deadline = self._host.clock() + seconds
        while True:
            counted = self._host.edge.counters()
            for name, made in apps.items():
                colour = self._entry.moves[name].to
                worse = _limits.verdict(made.bake, _limits.since(before[name][colour], counted[name][colour]))
                if worse:
                    raise ServiceError(f"{name} in {colour} is worse than allowed: {worse}")
                self._host.check_alive(made, colour)
            self._lease.renew(STEP_TIME, self._entry.id)
            if self._host.clock() >= deadline:
                return
            self._host.sleep(min(_LOOK, max(0.01, deadline - self._host.clock())))

    def _drained(self, colours: Mapping[str, str]) -> dict[str, Any]:
        """Wait until nobody uses these colours any more, and end what lasts longer than it may.

        Returns:
            For each application how long it took, and what was cut.

        """
        began, left = self._host.clock(), dict(colours)
        result: dict[str, Any] = {}
        while left:
            counted = self._host.edge.counters()
            passed = self._host.clock() - began
            for name, colour in list(left.items()):
                drain, counts = self._apps[name].drain, counted[name][colour]
                requests, streams = counts["in_flight"], counts["websockets"] + counts["streams"]
                patient = (requests > 0 and passed < drain.timeout) or (streams > 0 and passed < drain.streams)
                if not patient:
                    cut = self._cut(name, colour, requests) if requests > 0 or streams > 0 else []
                    result[name] = {"seconds": round(passed, 2), "cut": cut}
                    del left[name]
            self._lease.renew(STEP_TIME, self._entry.id)
            if left:
                self._host.sleep(_LOOK)
        return result

    def _cut(self, name: str, colour: str, requests: int) -> list[dict[str, Any]]:
        """End what still goes on in a colour, and tell what that was."""
        sessions = self._host.edge.sessions(name, colour)
        named = [{key: session[key] for key in ("kind", "path", "client")} for session in sessions]
        # The application is told to end (SIGTERM), so that it says goodbye, and is there again as the way back.
        self._host.restart(name, colour)
        return [*named, *({"kind": "request", "path": "", "client": ""} for _ in range(max(0, requests)))]

    def _reached(self, step: str) -> bool:
        steps = STEPS[self._entry.kind]
        return step in steps and steps.index(self._entry.step) >= steps.index(step)

    def _may_serve(self) -> bool:
        """Whether the new colour may have got requests of visitors."""
        return self._reached("canary" if self._entry.kind == RELEASE else "flip")

    def _forget_slot(self, name: str, colour: str) -> None:
        apps = self._ledger.apps()
        if name in apps and colour in apps[name].slots:
            self._ledger.save({**apps, name: apps[name].changed(colour, None)})


def kept(ledger: Ledger, release: int, name: str) -> App:
    """Return what an application of a release was made of.

    Raises:
        ServiceError: It is not kept.

    """
    found = ledger.kept(release, name)
    if found is None:
        listed = ", ".join(map(str, ledger.kept_releases(name))) or "none"
        raise ServiceError(f"release {release} of {name} is not kept here: choose one of {listed}, or release anew")
    return found
