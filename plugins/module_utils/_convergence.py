# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Convergence: what was released stays as it was, and what is declared otherwise is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _lease
from ansible_collections.protostar.platform.plugins.module_utils._app import App
from ansible_collections.protostar.platform.plugins.module_utils._lease import Lease
from ansible_collections.protostar.platform.plugins.module_utils._ledger import AppState
from ansible_collections.protostar.platform.plugins.module_utils._outcome import (
    unchanged,
)
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pool
from ansible_collections.protostar.platform.plugins.module_utils._releasing import Releasing


class Convergence(Releasing):
    """Repairs that never stop who serves."""

    def _converged(self, lease: Lease | None) -> dict[str, Any]:
        """Repair what was released, release what never was, and tell what is declared and not released."""
        apps = self._described()
        known, under_way = self._ledger.apps(), self._under_way(apps, lease)
        result: dict[str, Any] = {**unchanged("everything is as it was released"), "pending": {}}
        if lease is not None or self._check:
            for made in apps:
                if made.name in known and made.name not in under_way:
                    result["actions"] += self._repaired(made.name, known[made.name])
        result["changed"] = bool(result["actions"])
        pending = {made.name: reason for made in apps if (reason := self._pending(made, known, under_way))}
        todo = [made for made in self._new(apps) if made.name not in under_way]
        if self._parameters["auto_release"]:
            todo += [made for made in apps if made.name in pending and made.name not in under_way]
            pending = {name: text for name, text in pending.items() if name in under_way}
        result["pending"] = pending
        if pending:
            result.update(state="pending", msg="; ".join(f"{name}: {text}" for name, text in pending.items()))
        if not todo or (lease is None and not self._check):
            return result
        done = self._release(todo, lease)
        changed = result["changed"] or done["changed"]
        return {**done, "pending": pending, "changed": changed, "actions": result["actions"] + done["actions"]}

    def _new(self, apps: Iterable[App]) -> list[App]:
        known = self._ledger.apps()
        return [made for made in apps if made.name not in known]

    def _under_way(self, apps: Iterable[App], lease: Lease | None) -> dict[str, str]:
        """Return what is being released, or was interrupted, by application: nothing of it is touched."""
        entry = self._ledger.under_way()
        if entry is None:
            return {}
        if entry.state == "waiting":
            text = f"release {entry.id} waits in its canary: promote it with promote.yml"
        elif lease is None and _lease.holder(self._ledger.lease_file):
            text = f"release {entry.id} is being made by {entry.owner} ({entry.step})"
        else:
            text = f"release {entry.id} was interrupted at {entry.step}: finish it with deploy.yml -e resume=true"
        # A first release that was interrupted serves nobody, and is simply made.
        if not any(move.back for move in entry.moves.values()):
            return {}
        new = {made.name for made in self._new(apps)}
        return {made.name: text for made in apps if made.name in entry.moves or made.name in new}

    def _repaired(self, name: str, state: AppState) -> list[str]:
        said: list[str] = []
        for colour, slot in state.slots.items():
            described = self._ledger.kept(slot.release, name)
            if described is None or not (slot.warm or colour == state.live):
                continue
            # Who serves is not stopped: that takes a release.
            if colour != state.live or not self._host.replaced(described, colour):
                said += (self._host.drift if self._check else self._host.repair)(described, colour)
        pools = self._host.edge.pools()
        if not self._check:
            self._host.edge.settle(pools)
        if pools.live(name) != state.live:
            said.append(f"{'would lead' if self._check else 'led'} the requests of {name} to {state.live} again")
            if not self._check:
                self._host.edge.set(pools.changed({name: Pool(state.live)}), pools.generation)
        return said

    def _pending(self, made: App, known: Mapping[str, AppState], waiting: Mapping[str, str]) -> str:
        if made.name in waiting:
            return waiting[made.name]
        if made.name not in known:
            return ""
        live = self._image(made.name)
        if live != made.image:
            what = f"{live} is live and {made.image} is declared"
        elif self._live_digest(made.name) != made.digest:
            what = "its declaration has changed"
        elif drifted := self._drifted(made):
            what = f"{' and '.join(drifted)} is not as it was released"
        else:
            return ""
        return f"{what}: release it with deploy.yml -e app={made.name} -e image={made.image}"
