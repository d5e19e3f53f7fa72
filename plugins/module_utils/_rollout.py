# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A release on its way: one step after the other, each on disk before it begins, with a way back until it has baked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _pools
from ansible_collections.protostar.platform.plugins.module_utils._course import (
    PROVEN,
    STEPS,
)
from ansible_collections.protostar.platform.plugins.module_utils._edge import EdgeStopped, EdgeUnavailable
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._ledger import Entry, Move
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pool, Pools
from ansible_collections.protostar.platform.plugins.module_utils._steps import Steps, Waiting
from ansible_collections.protostar.platform.plugins.module_utils._transaction import reason


class RolloutError(ServiceError):
    """A release failed; `entry` is its record."""

    def __init__(self, message: str, entry: Entry) -> None:
        super().__init__(message)
        self.entry = entry


class Rollout(Steps):
    """A release under way, until it is finished or taken back."""

    def run(self) -> Entry:
        """Go on from the step that the journal names, and return the finished record.

        Raises:
            RolloutError: It failed; the sentence says what serves now.

        """
        if self._entry.undo:
            return self._undo()
        steps = STEPS[self._entry.kind]
        first = steps.index(self._entry.step) if self._entry.step in steps else 0
        for step in steps[first:]:
            self._note(step=step)
            self._host.say(f"release {self._entry.id}: {step}")
            began = self._host.clock()
            try:
                self._call_hooks(step)
                getattr(self, f"_{step}")()
            except Waiting:
                return self._entry
            except Exception as error:
                self._failed(step, error)
            if step != "record":
                self._timed(step, began)
        return self._entry

    def _failed(self, step: str, error: Exception) -> None:
        names = " and ".join(self._entry.moves)
        if step in PROVEN:
            raise RolloutError(
                f"release {self._entry.id} of {names} is live, but its last steps were not finished: {reason(error)}; "
                "correct this, and run it again to finish them",
                self._entry,
            ) from error
        self._note(undo=True, error=reason(error), state="failed")
        try:
            self._undo()
        except (ServiceError, OSError) as fault:
            raise RolloutError(
                f"release {self._entry.id} of {names} failed at {step}: {reason(error)}; the way back is not finished "
                f"({reason(fault)}): correct this, and the next run finishes it",
                self._entry,
            ) from error
        raise RolloutError(
            f"release {self._entry.id} of {names} failed at {step}: {reason(error)}; {self._serving()}: correct this "
            "and run again",
            self._entry,
        ) from error

    def _serving(self) -> str:
        """Tell what serves after a failure."""
        told = [
            f"{name} is served by {move.back} as before" if move.back else f"{name} was not live before and is not now"
            for name, move in self._entry.moves.items()
        ]
        return ", ".join(told)

    def abort(self) -> Entry:
        """Take the way back on purpose, and return the finished record."""
        self._note(undo=True, state="aborted")
        return self._undo()

    def promote(self) -> Entry:
        """Go on with a release that waits in its canary."""
        self._note(state="running", step="flip")
        return self.run()

    def _undo(self) -> Entry:
        """Lead all requests to where they went before, and give the other colours what they had."""
        self._generation = None
        self._restore_pools()
        if self._may_serve():
            served = {name: move.to for name, move in self._entry.moves.items() if move.back}
            self._note(drained={**self._entry.drained, **self._ended(served)})
        for name, move in self._entry.moves.items():
            if self._apps[name].migrate and name not in self._entry.migrated and self._reached("migrate"):
                self._host.drop_migration(name, self._migration(name))
            if self._reached("start"):
                self._restore(name, move)
        self._finish(self._entry.state)
        return self._entry

    def _restore_pools(self) -> None:
        """Lead all requests to where they went before.

        Raises:
            EdgeUnavailable: nginx runs and does not take it, so that it may still lead some to the new colour.

        """
        edge = self._host.edge
        try:
            pools = edge.pools()
            wanted = _before(pools, self._entry.moves)
            if wanted is not pools:
                edge.set(wanted, pools.generation)
            edge.settle(wanted)
        except EdgeUnavailable as error:
            known = _pools.load(edge.durable)
            if known is not None:
                edge.settle(_before(known, self._entry.moves))
            if self._may_serve() and not isinstance(error, EdgeStopped):
                raise

    def _ended(self, colours: Mapping[str, str]) -> dict[str, Any]:
        try:
            return self._drained(colours)
        except EdgeStopped:
            return {}

    def _restore(self, name: str, move: Move) -> None:
        standby = move.standby
        described = self._ledger.kept(standby.release, name) if standby else None
        if described is None or standby is None:
            self._host.remove(name, move.to)
            self._forget_slot(name, move.to)
            return
        try:
            self._host.start(described, move.to)
            if not standby.warm:
                self._host.stop(name, move.to)
        except ServiceError as error:
            # The way back is a comfort; what serves is not touched by its loss.
            self._host.stop(name, move.to)
            self._forget_slot(name, move.to)
            self._note(
                notes=(*self._entry.notes, f"release {standby.release} of {name} is no longer the way back: {error}")
            )


def _before(pools: Pools, moves: Mapping[str, Move]) -> Pools:
    """Return the pools as they were before a release."""
    changed = pools.changed({name: Pool(move.back) for name, move in moves.items() if move.back})
    for name, move in moves.items():
        if not move.back:
            changed = changed.without(name)
    # However many were taken away, it is one write.
    return changed if changed is pools else replace(changed, generation=pools.generation + 1)
