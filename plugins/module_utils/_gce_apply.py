# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read, plan, apply, and read again until the world is as declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _gce_free_tier as free_tier
from ansible_collections.protostar.platform.plugins.module_utils import _gce_normalise as normalise
from ansible_collections.protostar.platform.plugins.module_utils import _gce_read as read
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import Relay
from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import Conflict, Overdue
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import Resource, World
from ansible_collections.protostar.platform.plugins.module_utils._gce_plan import plan
from ansible_collections.protostar.platform.plugins.module_utils._gce_remove import removal
from ansible_collections.protostar.platform.plugins.module_utils._gce_session import Session
from ansible_collections.protostar.platform.plugins.module_utils._gce_steps import (
    ADDRESS,
    FINGERPRINT,
    Change,
    Plan,
    Step,
)

# How often a run looks again when somebody else changes the same things.
_ROUNDS = 6


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        world: As it is at the end; in check mode as it is.
        actions: What was done, or would be.
        changes: What that changes.
        notes: What the reader should know.

    """

    world: World = field(default_factory=World)
    actions: list[str] = field(default_factory=list)
    changes: tuple[Change, ...] = ()
    notes: list[str] = field(default_factory=list)


class Failed(ServiceError):
    """A run ended early.

    Attributes:
        actions: What was done before.

    """

    def __init__(self, error: ServiceError, actions: list[str]) -> None:
        done = f"Done before: {'; '.join(actions)}. The next run goes on from there." if actions else ""
        super().__init__(f"{error} {done or 'Nothing was changed.'}")
        self.actions = actions


def converge(relay: Relay, session: Session, *, absent: bool = False, check: bool = False) -> Outcome:
    """Bring the relay to what is declared, or remove it.

    Args:
        relay: As declared.
        session: Where to ask.
        absent: Whether to remove it.
        check: Whether only to tell what would be done.

    Raises:
        Failed: It was refused, or ended early.

    """
    outcome = Outcome()
    try:
        _converge(relay, session, outcome, absent=absent, check=check)
    except ServiceError as error:
        raise Failed(error, outcome.actions) from None
    return outcome


def _converge(relay: Relay, session: Session, outcome: Outcome, *, absent: bool, check: bool) -> None:
    attempt, tried, said = 0, [""], ""
    while True:
        outcome.world = read.world(session, relay, absent=absent)
        if not absent:
            free_tier.check(relay, outcome.world)
        planned = removal(relay, outcome.world) if absent else plan(relay, outcome.world)
        outcome.notes += [note for note in planned.notes if note not in outcome.notes]
        if not outcome.actions:
            outcome.changes = planned.changes
        if check:
            outcome.actions = [step.action for step in planned.steps]
        if check or not planned.steps:
            return
        if planned.settle:
            _settle(relay, session)
            continue
        actions = [step.action for step in planned.steps]
        if tried == actions or attempt >= _ROUNDS:
            outcome.notes.append(
                f"Google still does not show that this was done: {'; '.join(actions)}; run again, and report it if it "
                "comes back."
            )
            return
        try:
            attempt += 1
            _apply(planned, session, outcome)
            tried = actions
        except Conflict as error:
            # A request that is wrong is answered alike after another look.
            if attempt >= _ROUNDS or (not error.passing and str(error) == said):
                raise
            said = str(error)
            try:
                session.pause(attempt - 1, "find the project at rest")
            except Overdue:
                raise error from None


def _apply(planned: Plan, session: Session, outcome: Outcome) -> None:
    known: dict[str, str] = {}
    for step in planned.steps:
        action = step.action.replace(ADDRESS, known.get(ADDRESS, ""))
        session.write(replace(step.call, body=_filled(step.call.body, known)), action)
        outcome.actions.append(action)
        if step.reserves:
            address = _reserved(step, session)
            known = {ADDRESS: str(address["address"]), FINGERPRINT: str(address.get("labelFingerprint", ""))}


def _reserved(step: Step, session: Session) -> Resource:
    """Return the address that a step has reserved."""
    name = (step.call.body or {})["name"]
    found = session.get(f"{step.call.scope}/addresses/{name}")
    if not found or not found.get("address"):
        raise Conflict(f"Could not {step.action}: it is gone again; run again.", 404, "NOT_FOUND")
    return found


def _filled(value: Any, known: Mapping[str, str]) -> Any:  # noqa: ANN401  any JSON
    """Return a body with what its placeholders stand for."""
    if isinstance(value, Mapping):
        return {key: _filled(entry, known) for key, entry in value.items()}
    if isinstance(value, list):
        return [_filled(entry, known) for entry in value]
    return known.get(value, value) if isinstance(value, str) else value


def _settle(relay: Relay, session: Session) -> None:
    """Wait until an instance that is on its way to another status has arrived; a run that was killed leaves such."""
    where, attempt = relay.place, 0
    while True:
        instance = session.get(f"{where.zonal}/instances/{where.name}")
        if instance is None or instance.get("status") not in normalise.MOVING:
            return
        session.pause(attempt, f"see the instance {where.name} leave the status {instance['status']}")
        attempt += 1
