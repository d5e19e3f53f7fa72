# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Releases: what is described becomes live, whatever an interrupted run left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._app import GREEN, App, app, other
from ansible_collections.protostar.platform.plugins.module_utils._course import (
    PROVEN,
    RELEASE,
    STEPS,
)
from ansible_collections.protostar.platform.plugins.module_utils._deployment import now
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._host import Host
from ansible_collections.protostar.platform.plugins.module_utils._lease import Lease
from ansible_collections.protostar.platform.plugins.module_utils._ledger import Entry, Ledger, Move
from ansible_collections.protostar.platform.plugins.module_utils._outcome import (
    outcome,
    sentences,
    unchanged,
)
from ansible_collections.protostar.platform.plugins.module_utils._rollout import Rollout


class Releasing:
    """One call of the module.

    Args:
        host: The host.
        ledger: What it remembers.
        parameters: The module's.
        check: Only tell what would be done.

    """

    def __init__(self, host: Host, ledger: Ledger, parameters: Mapping[str, Any], *, check: bool) -> None:
        self._host = host
        self._ledger = ledger
        self._parameters = parameters
        self._check = check
        # As long as a name is; the lease holds it.
        self._owner = (parameters["owner"] or "somebody")[:200]

    def _described(self) -> list[App]:
        apps = [app(entry, self._parameters["lock"]) for entry in self._parameters["apps"]]
        names = [made.name for made in apps]
        if not apps:
            raise ServiceError("no app is named: give at least one in apps")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ServiceError(f"{', '.join(sorted(twice))} is named twice in apps: name each once")
        return apps

    def _changed(self, apps: Iterable[App]) -> list[App]:
        return [made for made in apps if self._live_digest(made.name) != made.digest or self._drifted(made)]

    def _drifted(self, made: App) -> list[str]:
        """Return the containers of the live colour that could only be repaired by being replaced."""
        state = self._ledger.apps()[made.name]
        return self._host.replaced(made, state.live)

    def _live(self, name: str) -> App | None:
        """Return what is live of an application."""
        state = self._ledger.apps().get(name)
        return self._ledger.kept(state.slots[state.live].release, name) if state else None

    def _live_digest(self, name: str) -> str | None:
        described = self._live(name)
        return described.digest if described else None

    def _move(self, name: str) -> Move:
        """Return the move of a new release; its number is the entry's."""
        state = self._ledger.apps().get(name)
        if state is None:
            return Move(GREEN, self._ledger.next_id(), None, None)
        return Move(other(state.live), self._ledger.next_id(), state.live, state.standby)

    def _entry(self, kind: str, moves: Mapping[str, Move]) -> Entry:
        return Entry(
            id=self._ledger.next_id(),
            kind=kind,
            moves=moves,
            owner=self._owner,
            reason=self._parameters["reason"] or "",
            started=now(),
        )

    def _begin(self, entry: Entry, lease: Lease) -> Entry:
        # On disk before its first step, so that whoever comes after a kill knows of it.
        entry = replace(entry, step=STEPS[entry.kind][0])
        self._ledger.write(entry)
        return Rollout(self._host, self._ledger, lease, entry).run()

    def _image(self, name: str) -> str:
        described = self._live(name)
        return described.image if described else "nothing"

    def _is(self, entry: Entry, apps: Iterable[App]) -> bool:
        """Whether a release under way is this one."""
        wanted = {made.name: made.digest for made in apps}
        if entry.kind != RELEASE or entry.undo or not set(entry.moves) <= set(wanted):
            return False
        if any(self._live_digest(name) != wanted[name] for name in set(wanted) - set(entry.moves)):
            return False
        described = {name: self._ledger.kept(entry.id, name) for name in entry.moves}
        return all(made is not None and made.digest == wanted[name] for name, made in described.items())

    @staticmethod
    def _refuse_waiting(entry: Entry) -> None:
        if entry.state == "waiting":
            raise ServiceError(
                f"release {entry.id} of {' and '.join(entry.moves)} waits in its canary: run promote.yml to give it "
                "all requests, or promote.yml -e abort=true to take it back"
            )

    def _settle(self, entry: Entry, lease: Lease) -> list[str]:
        """Finish or take back what another run left, and tell which."""
        self._refuse_waiting(entry)
        rollout = Rollout(self._host, self._ledger, lease, entry)
        proven = entry.step in PROVEN or entry.undo
        done = rollout.run() if proven else rollout.abort()
        verb = "took back" if done.state in ("failed", "aborted") else "finished"
        return [f"{verb} release {done.id}, which was interrupted at {entry.step}"]

    def _result(self, entry: Entry, said: Iterable[str] = ()) -> dict[str, Any]:
        return {**outcome(entry), "changed": True, "actions": [*said, *sentences(entry)], "pending": {}}

    def _release(self, apps: Sequence[App], lease: Lease | None) -> dict[str, Any]:
        entry = self._ledger.under_way()
        if lease is None:
            return self._planned(apps, entry)
        said: list[str] = []
        if entry is not None:
            if self._is(entry, apps):
                self._refuse_waiting(entry)
                return self._result(Rollout(self._host, self._ledger, lease, entry).run())
            said = self._settle(entry, lease)
        todo = self._changed(apps)
        if not todo:
            names = " and ".join(made.name for made in apps)
            return {**unchanged(f"{names}: this is what is live already"), "actions": said, "changed": bool(said)}
        entry = self._entry(RELEASE, {made.name: self._move(made.name) for made in todo})
        self._ledger.keep(entry.id, todo)
        return self._result(self._begin(entry, lease), said)

    def _planned(self, apps: Iterable[App], entry: Entry | None) -> dict[str, Any]:
        todo = self._changed(apps)
        if entry is None and not todo:
            return unchanged("this is what is live already")
        if entry is not None:
            self._refuse_waiting(entry)
        said = [f"would first settle release {entry.id}, which was interrupted at {entry.step}"] if entry else []
        moves = {made.name: self._move(made.name) for made in todo}
        for made in todo:
            move = moves[made.name]
            migration = f", after its {made.migrate.kind} migration" if made.migrate else ""
            back = f" in place of {move.back} ({self._image(made.name)})" if move.back else ", its first release"
            said.append(f"would release {made.name} {made.image} in {move.to}{back}{migration}")
        return {"changed": True, "state": "released", "actions": said, "diff": self._diff(todo, moves)}

    def _diff(self, todo: Iterable[App], moves: Mapping[str, Move]) -> list[dict[str, str]]:
        return [
            {
                "before_header": made.name,
                "after_header": made.name,
                "before": f"live: {moves[made.name].back}\nimage: {self._image(made.name)}\n",
                "after": f"live: {moves[made.name].to}\nimage: {made.image}\n",
            }
            for made in todo
        ]
