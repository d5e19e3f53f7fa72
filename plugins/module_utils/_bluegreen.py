# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the `bluegreen` module does with its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _lease
from ansible_collections.protostar.platform.plugins.module_utils._convergence import Convergence
from ansible_collections.protostar.platform.plugins.module_utils._course import (
    PROMOTION,
    PROVEN,
)
from ansible_collections.protostar.platform.plugins.module_utils._edge import Edge
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._host import Host
from ansible_collections.protostar.platform.plugins.module_utils._lease import Busy, Lease
from ansible_collections.protostar.platform.plugins.module_utils._ledger import Ledger, Move
from ansible_collections.protostar.platform.plugins.module_utils._outcome import (
    interrupted,
    unchanged,
)
from ansible_collections.protostar.platform.plugins.module_utils._rollout import Rollout
from ansible_collections.protostar.platform.plugins.module_utils._way_back import WayBack


def run(parameters: Mapping[str, Any], *, check: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Bring the applications to a state.

    Args:
        parameters: The module's.
        check: Only tell what would be done.
        say: Tells the host's log what is being done.

    Raises:
        ServiceError: It could not be; the sentence says what serves now. `Busy` if another deployer is at work.

    """
    edge, engine = parameters["edge"], Engine()
    host = Host(
        parameters["services"],
        Edge(engine, edge["container"], edge["directory"], edge["keepalive"]),
        engine,
        parameters["preview_secret"] or "",
        say,
    )
    return Deployer(host, Ledger(parameters["root"]), parameters, check=check).run()


class Deployer(Convergence, WayBack):
    """One call of the module, whatever state it asks for."""

    def run(self) -> dict[str, Any]:
        """Do what the state asks for."""
        state = self._parameters["state"]
        act = {
            "released": self._released,
            "converged": self._converged,
            "rolled_back": self._rolled_back,
            "promoted": self._promoted,
            "aborted": self._aborted,
            "resumed": self._resumed,
        }[state]
        if self._check:
            return act(None)
        try:
            with _lease.held(self._ledger.lease_file, self._owner) as lease:
                return act(lease)
        except Busy:
            if state != "converged" or self._new(self._described()):
                raise
            # Who makes a release leaves nothing to repair; what is declared can be told all the same.
            return self._converged(None)

    def _released(self, lease: Lease | None) -> dict[str, Any]:
        return self._release(self._described(), lease)

    def _promoted(self, lease: Lease | None) -> dict[str, Any]:
        entry = self._ledger.under_way()
        if entry is not None:
            promoted = entry.state == "running" and (entry.step in PROVEN or entry.step in ("flip", "verify", "bake"))
            if entry.state != "waiting" and not promoted:
                raise ServiceError(interrupted(entry))
            if lease is None:
                return {
                    "changed": True,
                    "state": "promoted",
                    "actions": [f"would give release {entry.id} all requests"],
                }
            rollout = Rollout(self._host, self._ledger, lease, entry)
            return self._result(rollout.run() if promoted else rollout.promote())
        if not self._parameters["final"]:
            return unchanged("nothing waits for a promotion")
        standbys = {name: state.standby for name in self._names() if (state := self._state(name)).standby}
        if not standbys:
            return unchanged("nothing waits, and no way back is kept")
        said = [
            f"{'would give' if lease is None else 'gave'} up release {slot.release} of {name} as the way back"
            for name, slot in standbys.items()
            if slot
        ]
        if lease is None:
            return {"changed": True, "state": "promoted", "actions": said}
        states = self._ledger.apps()
        moves = {
            name: Move(states[name].live, states[name].slots[states[name].live].release, states[name].live, slot)
            for name, slot in standbys.items()
        }
        return {**self._result(self._begin(self._entry(PROMOTION, moves), lease)), "actions": said}

    def _aborted(self, lease: Lease | None) -> dict[str, Any]:
        entry = self._ledger.under_way()
        if entry is None:
            return unchanged("nothing is under way")
        if entry.step in PROVEN and not entry.undo:
            raise ServiceError(
                f"release {entry.id} is live and has proved itself: finish it with deploy.yml -e resume=true, or run "
                "rollback.yml"
            )
        if lease is None:
            return {"changed": True, "state": "aborted", "actions": [f"would take back release {entry.id}"]}
        return self._result(Rollout(self._host, self._ledger, lease, entry).abort())

    def _resumed(self, lease: Lease | None) -> dict[str, Any]:
        entry = self._ledger.under_way()
        if entry is None:
            return unchanged("nothing is under way")
        self._refuse_waiting(entry)
        if lease is None:
            told = f"would go on with release {entry.id} at {entry.step}"
            return {"changed": True, "state": "resumed", "actions": [told]}
        return self._result(Rollout(self._host, self._ledger, lease, entry).run())
