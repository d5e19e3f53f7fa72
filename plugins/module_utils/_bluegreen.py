# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the `bluegreen` module does with its arguments: look, plan, and lead a release through its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _lease
from ansible_collections.protostar.platform.plugins.module_utils._app import GREEN, App, app, other
from ansible_collections.protostar.platform.plugins.module_utils._deployment import now
from ansible_collections.protostar.platform.plugins.module_utils._edge import Edge
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._host import Host
from ansible_collections.protostar.platform.plugins.module_utils._lease import Busy, Lease
from ansible_collections.protostar.platform.plugins.module_utils._ledger import AppState, Entry, Ledger, Move
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pool
from ansible_collections.protostar.platform.plugins.module_utils._rollout import (
    PROMOTION,
    PROVEN,
    RELEASE,
    ROLLBACK,
    STEPS,
    Rollout,
    kept,
)


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


class Deployer:
    """One call of the module.

    Args:
        host: This host.
        ledger: What it remembers.
        parameters: The module's.
        check: Only tell what would be done.

    """

    def __init__(self, host: Host, ledger: Ledger, parameters: Mapping[str, Any], *, check: bool) -> None:
        self._host = host
        self._ledger = ledger
        self._parameters = parameters
        self._check = check
        self._owner = parameters["owner"] or "somebody"

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

    # --- released ----------------------------------------------------------------------------------------------------

    def _released(self, lease: Lease | None) -> dict[str, Any]:
        return self._release(self._described(), lease)

    def _described(self) -> list[App]:
        apps = [app(entry, self._parameters["lock"]) for entry in self._parameters["apps"]]
        names = [made.name for made in apps]
        if not apps:
            raise ServiceError("no app is named: give at least one in apps")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ServiceError(f"{', '.join(sorted(twice))} is named twice in apps: name each once")
        return apps

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
            return {**_unchanged(f"{names}: this is what is live already"), "actions": said, "changed": bool(said)}
        entry = self._entry(RELEASE, {made.name: self._move(made.name) for made in todo})
        self._ledger.keep(entry.id, todo)
        return self._result(self._begin(entry, lease), said)

    def _changed(self, apps: Iterable[App]) -> list[App]:
        return [made for made in apps if self._live_digest(made.name) != made.digest or self._drifted(made)]

    def _drifted(self, made: App) -> list[str]:
        """Return the containers of the live colour that could only be repaired by being replaced."""
        state = self._ledger.apps()[made.name]
        return self._host.replaced(made, state.live)

    def _live_digest(self, name: str) -> str | None:
        state = self._ledger.apps().get(name)
        described = self._ledger.kept(state.slots[state.live].release, name) if state else None
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

    def _planned(self, apps: Iterable[App], entry: Entry | None) -> dict[str, Any]:
        todo = self._changed(apps)
        if entry is None and not todo:
            return _unchanged("this is what is live already")
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

    def _image(self, name: str) -> str:
        state = self._ledger.apps().get(name)
        described = self._ledger.kept(state.slots[state.live].release, name) if state else None
        return described.image if described else "nothing"

    # --- what an interrupted run left --------------------------------------------------------------------------------

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

    # --- converged ---------------------------------------------------------------------------------------------------

    def _converged(self, lease: Lease | None) -> dict[str, Any]:
        """Repair what was released, release what never was, and tell what is declared and not released."""
        apps = self._described()
        known, under_way = self._ledger.apps(), self._under_way(apps, lease)
        result: dict[str, Any] = {**_unchanged("everything is as it was released"), "pending": {}}
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

    # --- rolled back -------------------------------------------------------------------------------------------------

    def _rolled_back(self, lease: Lease | None) -> dict[str, Any]:
        entry = self._ledger.under_way()
        said: list[str] = []
        if entry is not None and lease is not None:
            if self._is_way_back(entry):
                return self._result(Rollout(self._host, self._ledger, lease, entry).run())
            said = self._settle(entry, lease)
        moves = {name: move for name in self._names() if (move := self._way_back(name))}
        if not moves:
            return {**_unchanged("this release is live already"), "actions": said, "changed": bool(said)}
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

    # --- promoted, aborted, resumed ----------------------------------------------------------------------------------

    def _promoted(self, lease: Lease | None) -> dict[str, Any]:
        entry = self._ledger.under_way()
        if entry is not None:
            promoted = entry.state == "running" and (entry.step in PROVEN or entry.step in ("flip", "verify", "bake"))
            if entry.state != "waiting" and not promoted:
                raise ServiceError(_interrupted(entry))
            if lease is None:
                return {
                    "changed": True,
                    "state": "promoted",
                    "actions": [f"would give release {entry.id} all requests"],
                }
            rollout = Rollout(self._host, self._ledger, lease, entry)
            return self._result(rollout.run() if promoted else rollout.promote())
        if not self._parameters["final"]:
            return _unchanged("nothing waits for a promotion")
        standbys = {name: state.standby for name in self._names() if (state := self._state(name)).standby}
        if not standbys:
            return _unchanged("nothing waits, and no way back is kept")
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
            return _unchanged("nothing is under way")
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
            return _unchanged("nothing is under way")
        self._refuse_waiting(entry)
        if lease is None:
            told = f"would go on with release {entry.id} at {entry.step}"
            return {"changed": True, "state": "resumed", "actions": [told]}
        return self._result(Rollout(self._host, self._ledger, lease, entry).run())

    # --- results -----------------------------------------------------------------------------------------------------

    def _result(self, entry: Entry, said: Iterable[str] = ()) -> dict[str, Any]:
        return {**outcome(entry), "changed": True, "actions": [*said, *sentences(entry)], "pending": {}}


def outcome(entry: Entry) -> dict[str, Any]:
    """Return what a release came to, as the module returns it."""
    return {
        "state": entry.state,
        "release": entry.id,
        "apps": {
            name: {**entry.images.get(name, {}), "live": move.to, "previous": move.back, "runs": move.release}
            for name, move in entry.moves.items()
        },
        "steps": list(entry.steps),
        "flip_seconds": entry.flip_seconds,
        "drained": dict(entry.drained),
        "notes": list(entry.notes),
    }


def sentences(entry: Entry) -> list[str]:
    """Tell what a release did."""
    said = []
    for name, move in entry.moves.items():
        version = entry.images.get(name, {}).get("version", "")
        what = f"{name} {version}".strip()
        if entry.state == "waiting":
            said.append(f"release {entry.id}: {what} waits in {move.to} with a part of the requests")
        elif entry.state in ("failed", "aborted"):
            said.append(f"took back release {entry.id}: {name} is served by {move.back or 'nobody'} as before")
        elif entry.state in ("released", "rolled_back"):
            way = "released" if entry.state == "released" else "rolled back to release"
            number = entry.id if entry.state == "released" else move.release
            back = f"; {move.back} is the way back" if move.back else ""
            said.append(f"{way} {number}: {what} is live in {move.to}{back}")
    for name, drained in entry.drained.items():
        said += [
            f"cut a {cut['kind']} of {name}: {cut['path']} for {cut['client']}".rstrip(" for") for cut in drained["cut"]
        ]
    return [*said, *entry.notes]


def _cut(name: str, session: Mapping[str, str]) -> str:
    whose = f": {session['path']} of {session['client']}" if session["path"] else ""
    return f"cut a {session['kind']} of {name}{whose}"


def _interrupted(entry: Entry) -> str:
    return (
        f"release {entry.id} was interrupted at {entry.step} and does not wait: finish it with deploy.yml -e "
        "resume=true, or take it back with promote.yml -e abort=true"
    )


def _unchanged(msg: str) -> dict[str, Any]:
    return {
        "changed": False,
        "state": "unchanged",
        "msg": msg,
        "actions": [],
        "release": None,
        "apps": {},
        "pending": {},
    }
