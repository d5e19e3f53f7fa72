# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rollbacks: which release can come back, and which cannot."""

from __future__ import annotations

from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._app import other
from ansible_collections.protostar.platform.plugins.module_utils._course import (
    RELEASE,
    ROLLBACK,
    kept,
)
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._lease import Lease
from ansible_collections.protostar.platform.plugins.module_utils._ledger import AppState, Entry, Move
from ansible_collections.protostar.platform.plugins.module_utils._outcome import (
    unchanged,
)
from ansible_collections.protostar.platform.plugins.module_utils._releasing import Releasing
from ansible_collections.protostar.platform.plugins.module_utils._rollout import Rollout


class WayBack(Releasing):
    """Rollbacks to the standby or to any kept release."""

    def _rolled_back(self, lease: Lease | None) -> dict[str, Any]:
        entry = self._ledger.under_way()
        said: list[str] = []
        if entry is not None and lease is not None:
            if self._is_way_back(entry):
                return self._result(Rollout(self._host, self._ledger, lease, entry).run())
            said = self._settle(entry, lease)
        elif entry is not None:
            self._refuse_waiting(entry)
            told = [f"would first finish or take back release {entry.id}, which was interrupted at {entry.step}"]
            return {"changed": True, "state": "rolled_back", "actions": told}
        moves = {name: move for name in self._names() if (move := self._way_back(name))}
        if not moves:
            return {**unchanged("this release is live already"), "actions": said, "changed": bool(said)}
        if lease is None:
            told = [f"would lead {name} back to release {move.release} in {move.to}" for name, move in moves.items()]
            return {"changed": True, "state": "rolled_back", "actions": told}
        return self._result(self._begin(self._entry(ROLLBACK, moves), lease), said)

    def _is_way_back(self, entry: Entry) -> bool:
        """Whether a rollback under way is this one."""
        named = {described["name"] for described in self._parameters["apps"]}
        wanted = self._parameters["release"]
        return (
            entry.kind == ROLLBACK
            and not entry.undo
            and named in (set(), set(entry.moves))
            and all(wanted in (None, move.release) for move in entry.moves.values())
        )

    def _names(self) -> list[str]:
        """Return the applications that are named, else those of the release that is asked for, else of the last one."""
        named = [entry["name"] for entry in self._parameters["apps"]]
        if named:
            return named
        wanted = self._parameters["release"]
        records = [record for record in self._ledger.records() if record.state in ("released", "rolled_back")]
        for record in records:
            if wanted in (None, record.id):
                return list(record.moves)
        raise ServiceError(
            f"there is no release {wanted}: history.yml lists them" if wanted else "nothing was released here yet"
        )

    def _way_back(self, name: str) -> Move | None:
        state = self._state(name)
        target = self._parameters["release"] or (state.standby.release if state.standby else None)
        if target is None:
            raise ServiceError(
                f"{name} has no way back at hand: name a release with -e to=, one of {self._kept_list(name)}"
            )
        if state.slots[state.live].release == target:
            return None
        if not self._was_live(target, name):
            raise ServiceError(
                f"there is no release {target} of {name} that was ever live: choose one of {self._kept_list(name)}"
            )
        if target < state.contract:
            raise ServiceError(
                f"release {target} of {name} cannot come back: the contract migration of release {state.contract} took "
                "away what it needs; release a new image instead"
            )
        kept(self._ledger, target, name)
        return Move(other(state.live), target, state.live, state.standby)

    def _state(self, name: str) -> AppState:
        states = self._ledger.apps()
        if name not in states:
            raise ServiceError(f"there is no app {name} here: there are {', '.join(sorted(states)) or 'none'}")
        return states[name]

    def _was_live(self, release: int, name: str) -> bool:
        return any(
            record.id == release and record.kind == RELEASE and record.state == "released" and name in record.moves
            for record in self._ledger.records()
        )

    def _kept_list(self, name: str) -> str:
        live = self._ledger.apps()[name]
        found = [
            number
            for number in self._ledger.kept_releases(name)
            if self._was_live(number, name)
            and number != live.slots[live.live].release
            and number >= live.contract
        ]  # fmt: skip
        return ", ".join(map(str, found)) or "none"
