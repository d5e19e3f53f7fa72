"""Asynchronous operations, and the memory of request IDs."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from . import links
from .clock import Clock
from .errors import ApiError
from .world import World

Json = dict[str, Any]

# Code: HTTP status, message. They are Google's where an issue tracker quotes one.
KNOWN = {
    "CONDITION_NOT_MET": (412, "Supplied fingerprint does not match current metadata fingerprint."),
    "CONFLICT": (409, "The operation was interrupted by another one."),
    "INTERNAL_ERROR": (500, "Internal error. Please try again or contact Google Support. (Code: '0')"),
    "PERMISSIONS_ERROR": (
        403,
        "Required 'compute.subnetworks.useExternalIp' permission for 'projects/{project}/{scope}/subnetworks/x'",
    ),
    "QUOTA_EXCEEDED": (403, "Quota 'IN_USE_ADDRESSES' exceeded.  Limit: 1.0 in region {region}."),
    "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE": (400, "The resource '{target}' is already being used by another resource"),
    "RESOURCE_NOT_FOUND": (404, "The resource '{target}' was not found"),
    "RESOURCE_OPERATION_RATE_EXCEEDED": (
        429,
        "Operation rate exceeded for resource '{target}'. Too frequent operations.",
    ),
    "ZONE_RESOURCE_POOL_EXHAUSTED": (
        503,
        "The zone 'projects/{project}/zones/{zone}' does not have enough resources available to fulfill the request."
        "  Try a different zone, or try again later.",
    ),
}
# An operation that nobody asks about is done after so many requests for other things.
PATIENCE = 5


class OperationError(Exception):
    """What an operation ends with when it cannot do what it was for."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(message or code)
        self.code, self.message = code, message


@dataclass
class Operation:
    """An operation under way.

    Attributes:
        resource: What the API shows of it.
        key: ``<scope>/<name>``, or ``<name>`` of a global one.
        effect: What happens when it is done; may raise OperationError.
        undo: What happens when it fails.
        failure: Fails with this instead of doing the effect.
        polls: How often it was asked for.
        others: How many other requests there were meanwhile.
    """

    resource: Json
    key: str
    effect: Callable[[], None] | None
    undo: Callable[[], None] | None
    failure: Json | None = None
    polls: int = 0
    others: int = 0

    @property
    def running(self) -> bool:
        """Whether it is not done yet."""
        return self.resource["status"] != "DONE"


@dataclass
class Operations:
    """All operations since the beginning.

    Attributes:
        polls: For how many times that it is asked for an operation stays RUNNING. 0: done at once.
        user: Who asks, for what the API shows.
        failure: The error that the next operation is to end with.
    """

    world: World
    clock: Clock
    polls: float = 1
    user: str = ""
    failure: Json | None = None
    _all: dict[str, Operation] = field(default_factory=dict)
    _running: dict[str, Operation] = field(default_factory=dict)
    # By request ID: the method and path that it came with, the request's content, and the operation's key.
    _requests: dict[str, tuple[str, Any, str]] = field(default_factory=dict)
    _count: int = 0

    def start(
        self,
        kind: str,
        target: str,
        *,
        identifier: str,
        effect: Callable[[], None] | None = None,
        undo: Callable[[], None] | None = None,
        request_id: str | None = None,
    ) -> Operation:
        """Begin one.

        Args:
            kind: As in ``insert``.
            target: Path of the resource.
            identifier: The resource's ``id``.
            effect: Called when it is done. It must name what it changes by key, for `restore` replaces the resources.
            undo: Called when it fails.
            request_id: The request's.
        """
        self._count += 1
        stamp = self.clock.stamp()
        name = f"operation-{int(self.clock.now() * 1000)}-{self._count:013x}-{self._count * 2654435761 % 2**32:08x}"
        scope = target.split("/")[2:4] if "/global/" not in target else ["global"]
        resource: Json = {
            "kind": "compute#operation",
            "id": self.world.new_id(),
            "name": name,
            "operationType": kind,
            "targetLink": links.url(target),
            "targetId": identifier,
            "status": "RUNNING",
            "user": self.user,
            "progress": 0,
            "insertTime": stamp,
            "startTime": stamp,
            "selfLink": links.url(f"projects/{self.world.project}/{'/'.join(scope)}/operations/{name}"),
        }
        if len(scope) == 2:
            resource[scope[0][:-1]] = links.url(f"projects/{self.world.project}/{'/'.join(scope)}")
        if request_id:
            resource["clientOperationId"] = request_id
        key = name if len(scope) == 1 else f"{scope[1]}/{name}"
        operation = Operation(resource, key, effect, undo, self.failure)
        self.failure = None
        self._all[key] = self._running[key] = operation
        if self.polls == 0:
            self._finish(operation)
        return operation

    def _finish(self, operation: Operation) -> None:
        del self._running[operation.key]
        resource, error = operation.resource, operation.failure
        if error is None and operation.effect:
            try:
                operation.effect()
            except OperationError as problem:
                error = {"code": problem.code, **({"message": problem.message} if problem.message else {})}
        if error is not None:
            if operation.undo:
                operation.undo()
            self._fail(resource, error)
        resource.update(status="DONE", progress=100, endTime=self.clock.stamp())

    def _fail(self, resource: Json, error: Json) -> None:
        target = links.path(resource["targetLink"])
        status, message = KNOWN.get(error["code"], (400, "The request was refused."))
        place = target.split("/")[3] if "/global/" not in target else "global"
        words = {
            "project": self.world.project,
            "target": target,
            "scope": "/".join(target.split("/")[2:4]),
            "zone": place,
            "region": place.rsplit("-", 1)[0] if "/zones/" in target else place,
        }
        entry = {key: value for key, value in error.items() if key != "status"}
        entry.setdefault("message", message.format(**words))
        status = error.get("status", status)
        resource["error"] = {"errors": [entry]}
        resource["httpErrorStatusCode"] = status
        resource["httpErrorMessage"] = HTTPStatus(status).phrase.upper()

    def get(self, key: str, *, poll: bool) -> Json:
        """Return one as the API shows it.

        Args:
            key: ``<scope>/<name>`` or ``<name>``.
            poll: Whether somebody waits for it, which brings it on.
        """
        operation = self._all.get(key)
        if operation is None:
            raise ApiError.not_found(self.world.path("operations", key))
        if operation.running and poll:
            operation.polls += 1
            if operation.polls > self.polls:
                self._finish(operation)
        return operation.resource

    def tick(self, but: str = "") -> None:
        """Count a request that is for none of the operations but ``but``."""
        for operation in tuple(self._running.values()):
            if operation.key != but:
                operation.others += 1
                if operation.others > self.polls + PATIENCE:
                    self._finish(operation)

    def settle(self) -> None:
        """Let time pass until all are done."""
        if not math.isinf(self.polls):
            for operation in tuple(self._running.values()):
                self._finish(operation)

    def pending(self, target: str, *kinds: str) -> bool:
        """Whether an operation of one of the kinds is under way on a resource (its path)."""
        link = links.url(target)
        return any(
            operation.resource["targetLink"] == link and operation.resource["operationType"] in kinds
            for operation in self._running.values()
        )

    def all(self, scope: str) -> dict[str, Json]:
        """Return those of a zone or region, or the global ones when it is empty, by name."""
        return {
            operation.resource["name"]: operation.resource
            for operation in self._all.values()
            if operation.key.rpartition("/")[0] == scope
        }

    def replay(self, request_id: str, method: str, content: Any) -> Json | None:
        """Return the operation that an earlier request with this ID began, if there was one.

        Raises:
            ApiError: 400, when that request said something else.
        """
        known = self._requests.get(request_id)
        if known is None:
            return None
        if known[:2] != (method, content):
            raise ApiError.invalid("requestId", request_id, "It was used before, by another request")
        return self._all[known[2]].resource

    def remember(self, request_id: str, method: str, content: Any, operation: Operation) -> None:
        """Keep what a request ID meant."""
        self._requests[request_id] = (method, copy.deepcopy(content), operation.key)

    def snapshot(self) -> Any:
        """Return a copy of everything, for ``restore``."""
        return copy.deepcopy((self._all, self._running, self._requests, self._count, self.failure, self.polls))

    def restore(self, snapshot: Any) -> None:
        """Make everything what it was."""
        parts = copy.deepcopy(snapshot)
        self._all, self._running, self._requests, self._count, self.failure, self.polls = parts
