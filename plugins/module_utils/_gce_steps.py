# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a plan is made of: requests in order, and what they change. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import View

# Stand in a request for the address that an earlier step reserves, and for the fingerprint of its labels.
ADDRESS = "(reserved by this run)"
FINGERPRINT = "(fingerprint of what this run reserves)"
GLOBAL = "global"


@dataclass(frozen=True)
class Call:
    """A request that changes something.

    Attributes:
        method: HTTP method.
        scope: "global", "regions/<region>" or "zones/<zone>", where its operation is too.
        path: What follows the scope.

    """

    method: str
    scope: str
    path: str
    body: Mapping[str, Any] | None = None
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A request with the sentence that tells it.

    Attributes:
        action: As in "create the network x".
        reserves: Whether it reserves the address that `ADDRESS` and `FINGERPRINT` are about.

    """

    action: str
    call: Call
    reserves: bool = False


@dataclass(frozen=True)
class Change:
    """What becomes of a resource; None where it does not exist."""

    resource: str
    before: View | None
    after: View | None


@dataclass(frozen=True)
class Plan:
    """Steps in order.

    Attributes:
        changes: What they change, for the diff.
        notes: What the reader should know and the module does not change.
        settle: Whether the instance is on its way to another status, so that the plan is made anew once it is there.

    """

    steps: tuple[Step, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    settle: bool = False


@dataclass(frozen=True)
class Part:
    """The part of a plan that is about one resource."""

    steps: tuple[Step, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()


def joined(parts: Sequence[Part], *, settle: bool = False) -> Plan:
    """Return the plan of the parts, in their order."""
    return Plan(
        steps=tuple(step for part in parts for step in part.steps),
        changes=tuple(change for part in parts for change in part.changes),
        notes=tuple(note for part in parts for note in part.notes),
        settle=settle,
    )


def merged(current: Mapping[str, str], declared: Mapping[str, str | None]) -> dict[str, str]:
    """Return a set of labels or metadata with what is declared put in, and what is declared as None taken out.

    Google replaces such a set as a whole, so that what is somebody else's has to be sent back.
    """
    kept = {key: value for key, value in current.items() if key not in declared}
    return {**kept, **{key: value for key, value in declared.items() if value is not None}}
