# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The steps of a release. Each may be killed anywhere and be begun again: what it finds done already it leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ansible_collections.protostar.platform.plugins.module_utils._app import App, other
from ansible_collections.protostar.platform.plugins.module_utils._course import (
    OUTCOME,
    PROMOTION,
    RELEASE,
    Course,
)
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._ledger import AppState, Slot
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pool, Trial


class Waiting(Exception):
    """The release waits for a person."""


class Steps(Course):
    """The steps by their names in STEPS."""

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

    def _drain(self) -> None:
        self._note(drained={**self._entry.drained, **self._drained({
            name: move.back for name, move in self._entry.moves.items() if move.back
        })})  # fmt: skip

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
        self._finish(OUTCOME[self._entry.kind])

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


def _trial(made: App, number: int) -> Trial:
    steps = made.canary.steps
    weight = steps[min(number, len(steps) - 1)].weight if steps else 0
    return Trial(weight, made.canary.cohort)


def _seconds(made: App, number: int) -> float:
    return made.canary.steps[number].seconds if number < len(made.canary.steps) else 0.0
