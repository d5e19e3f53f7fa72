# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A release on its way: one step after the other, each on disk before it begins, with a way back until it has baked.

A step may be killed anywhere and be begun again: what it finds done already it leaves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _limits, _pools
from ansible_collections.protostar.platform.plugins.module_utils._app import App, other
from ansible_collections.protostar.platform.plugins.module_utils._deployment import now
from ansible_collections.protostar.platform.plugins.module_utils._edge import EdgeStopped, EdgeUnavailable
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._host import Host
from ansible_collections.protostar.platform.plugins.module_utils._lease import Lease
from ansible_collections.protostar.platform.plugins.module_utils._ledger import AppState, Entry, Ledger, Move, Slot
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pool, Pools, Trial
from ansible_collections.protostar.platform.plugins.module_utils._transaction import reason

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
_OUTCOME = {RELEASE: "released", ROLLBACK: "rolled_back", PROMOTION: "promoted"}
# How often the counters are read while a release is watched, in seconds.
_LOOK = 0.25
# How long a step may hold the lease without a sign of life, in seconds; pulling and starting take longest.
_STEP_TIME = 2700


class Waiting(Exception):
    """The release waits for a person."""


class RolloutError(ServiceError):
    """A release failed; `entry` is its record."""

    def __init__(self, message: str, entry: Entry) -> None:
        super().__init__(message)
        self.entry = entry


class Rollout:
    """One release under way.

    Args:
        host: This host.
        ledger: What it remembers.
        lease: The right to do this.
        entry: The release, and how far it has come.

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

    # --- the steps ---------------------------------------------------------------------------------------------------

    def _preflight(self) -> None:
        counted = self._host.edge.counters()
        for name, made in self._apps.items():
            if name not in counted:
                raise ServiceError(
                    f"nginx does not know the app {name}: add it to nginx_apps and run site.yml with --tags nginx"
                )
            if made.smoke and not self._host.can_preview:
                raise ServiceError(f"{name} has smoke tests, and no preview secret to make them with: set one")
            for image in made.images:
                self._host.bring(image)
            self._host.check_room(made, self._entry.moves[name].to)
        if self._entry.kind == RELEASE:
            self._check_contracts()
        self._note(images={name: self._described(name) for name in self._apps})

    def _described(self, name: str) -> dict[str, str]:
        made = self._apps[name]
        return {"image": made.image, "version": self._host.version(made.images[0])}

    def _check_contracts(self) -> None:
        for name, made in self._apps.items():
            standby = self._entry.moves[name].standby
            if made.migrate and made.migrate.kind == "contract" and name not in self._entry.migrated and standby:
                raise ServiceError(
                    f"the contract migration of {name} would take away what release {standby.release} needs, which is "
                    f"still the way back: give that up with promote.yml -e app={name} -e final=true, and release again"
                )

    def _migrate(self) -> None:
        for name, made in self._apps.items():
            if not made.migrate or name in self._entry.migrated:
                continue
            if made.migrate.kind == "contract":
                self._remember_contract(name)
            try:
                self._host.migrate(made, self._entry.moves[name].to, self._entry.id, self._migration(name))
            except ServiceError as error:
                raise ServiceError(f"{name}: {error}") from error
            self._note(migrated=(*self._entry.migrated, name))

    def _migration(self, name: str) -> Path:
        return self._ledger.root / str(self._entry.id) / "migration" / name

    def _remember_contract(self, name: str) -> None:
        """Close the way back across it before it begins: one that is killed may have done its work."""
        apps = self._ledger.apps()
        if name in apps:
            self._ledger.save({**apps, name: replace(apps[name], contract=self._entry.id)})

    def _start(self) -> None:
        self._each(lambda name, made: self._host.start(made, self._entry.moves[name].to))
        # A standby has been healthy all the time; one look is enough.
        once = self._entry.kind != RELEASE
        self._each(lambda name, made: self._host.confirm(made, self._entry.moves[name].to, 1 if once else None))

    def _each(self, act: Callable[[str, App], None]) -> None:
        """Do something for all applications at once, and fail with the first that failed."""
        with ThreadPoolExecutor(max_workers=8) as pool:
            for done in [pool.submit(act, name, made) for name, made in self._apps.items()]:
                done.result()

    def _smoke(self) -> None:
        for name, made in self._apps.items():
            move = self._entry.moves[name]
            # nginx leads a preview to the colour that is not live; a first release has no other.
            if move.back is None or self._live(name) == move.to:
                continue
            for check in made.smoke:
                for _replica in made.addresses[move.to]:
                    self._host.preview(check, move.to)

    def _canary(self) -> None:
        tried = {
            name: made
            for name, made in self._apps.items()
            if made.canary.wanted and self._entry.moves[name].back and self._live(name) != self._entry.moves[name].to
        }
        if not tried:
            return
        before = self._host.edge.counters()
        for number in range(max(len(made.canary.steps) for made in tried.values()) or 1):
            shares = {name: _trial(made, number) for name, made in tried.items()}
            self._set({name: Pool(str(self._entry.moves[name].back), trial) for name, trial in shares.items()})
            seconds = max((_seconds(made, number) for made in tried.values()), default=0.0)
            self._watch(tried, before, seconds)
        if any(made.canary.wait for made in tried.values()):
            self._note(state="waiting")
            raise Waiting

    def _flip(self) -> None:
        wanted = {name: Pool(move.to) for name, move in self._entry.moves.items()}
        if not self._entry.flipped:
            self._note(flipped=True)
        seconds = self._set(wanted)
        if seconds is not None:
            self._note(flip_seconds=seconds)

    def _verify(self) -> None:
        for name, made in self._apps.items():
            for check in made.verify:
                for _replica in made.addresses[self._entry.moves[name].to]:
                    self._host.probe(check, self._entry.moves[name].to)

    def _bake(self) -> None:
        # A first release has nothing to be worse than, and no way back.
        watched = {name: made for name, made in self._apps.items() if self._entry.moves[name].back}
        if watched:
            before = self._host.edge.counters()
            self._watch(watched, before, max(made.bake.seconds for made in watched.values()))

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
            self._lease.renew(_STEP_TIME, self._entry.id)
            if self._host.clock() >= deadline:
                return
            self._host.sleep(min(_LOOK, max(0.01, deadline - self._host.clock())))

    def _drain(self) -> None:
        self._note(drained={**self._entry.drained, **self._drained({
            name: move.back for name, move in self._entry.moves.items() if move.back
        })})  # fmt: skip

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
            self._lease.renew(_STEP_TIME, self._entry.id)
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

    def _standby(self) -> None:
        for name, made in self._apps.items():
            back = self._entry.moves[name].back
            if back and made.standby == "stopped":
                self._host.stop(name, back)

    def _prune(self) -> None:
        apps = self._ledger.apps()
        was_live = {record.id for record in self._ledger.records() if record.state == "released"}
        for name, made in self._apps.items():
            used = {slot.release for slot in apps[name].slots.values()} if name in apps else set()
            used.add(self._entry.moves[name].release)
            listed = self._ledger.kept_releases(name)
            wanted = [release for release in listed if release in was_live | {self._entry.id}][: made.keep + 1]
            for release in listed:
                if release not in wanted and release not in used:
                    self._ledger.forget(release, name)
        self._ledger.prune_records()

    def _retire(self) -> None:
        for name, move in self._entry.moves.items():
            self._host.remove(name, other(move.to))
            self._forget_slot(name, other(move.to))

    def _record(self) -> None:
        if self._entry.kind != PROMOTION:
            self._remember()
        self._finish(_OUTCOME[self._entry.kind])

    def _remember(self) -> None:
        """Put on record which release each colour has now."""
        apps = self._ledger.apps()
        for name, move in self._entry.moves.items():
            state = apps.get(name) or AppState(move.to)
            slots = state.changed(move.to, Slot(move.release, self._entry.started))
            back = slots.slots.get(str(move.back)) if move.back else None
            if back and move.back:
                slots = slots.changed(move.back, replace(back, warm=self._apps[name].standby != "stopped"))
            contract = self._entry.id if name in self._entry.migrated and self._contracts(name) else state.contract
            apps[name] = replace(slots, live=move.to, contract=contract)
        self._ledger.save(apps)

    def _contracts(self, name: str) -> bool:
        migrate = self._apps[name].migrate
        return migrate is not None and migrate.kind == "contract"

    # --- the way back ------------------------------------------------------------------------------------------------

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

    def _reached(self, step: str) -> bool:
        steps = STEPS[self._entry.kind]
        return step in steps and steps.index(self._entry.step) >= steps.index(step)

    def _may_serve(self) -> bool:
        """Whether the new colour may have got requests of visitors."""
        return self._reached("canary" if self._entry.kind == RELEASE else "flip")

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
        except EdgeUnavailable:
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

    def _forget_slot(self, name: str, colour: str) -> None:
        apps = self._ledger.apps()
        if name in apps and colour in apps[name].slots:
            self._ledger.save({**apps, name: apps[name].changed(colour, None)})

    # --- what all steps use ------------------------------------------------------------------------------------------

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
        self._lease.renew(_STEP_TIME, self._entry.id)

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


def _before(pools: Pools, moves: Mapping[str, Move]) -> Pools:
    """Return the pools as they were before a release."""
    changed = pools.changed({name: Pool(move.back) for name, move in moves.items() if move.back})
    for name, move in moves.items():
        if not move.back:
            changed = changed.without(name)
    # However many were taken away, it is one write.
    return changed if changed is pools else replace(changed, generation=pools.generation + 1)


def _trial(made: App, number: int) -> Trial:
    steps = made.canary.steps
    weight = steps[min(number, len(steps) - 1)].weight if steps else 0
    return Trial(weight, made.canary.cohort)


def _seconds(made: App, number: int) -> float:
    return made.canary.steps[number].seconds if number < len(made.canary.steps) else 0.0
