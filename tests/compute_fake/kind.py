"""What all kinds of resources have in common."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from . import links
from .clock import Clock
from .contents import check_labels
from .document import Method
from .errors import ApiError
from .listing import page
from .operations import Operation, OperationError, Operations
from .world import Json, World, fingerprint

STALE_LABELS = "Labels fingerprint either invalid or resource labels have changed"


@dataclass(frozen=True)
class Call:
    """A request that passed the document's checks.

    Attributes:
        method: What is asked for.
        parameters: Of path and query, converted.
        body: The request's, without what only the server sets.
    """

    method: Method
    parameters: Mapping[str, Any]
    body: Json

    @property
    def scope(self) -> str:
        """The zone or region that the request names; empty when it names none."""
        return self.parameters.get("zone") or self.parameters.get("region") or ""

    @property
    def name(self) -> str:
        """The resource that the path names."""
        return self.parameters[self.method.path.rpartition("{")[2].partition("}")[0]]

    @property
    def request_id(self) -> str | None:
        """The ID that makes a repetition of the request harmless."""
        return self.parameters.get("requestId")


@dataclass
class State:
    """What every kind works on.

    Attributes:
        page_size: How many entries a page of a list has at most. Google's is 500.
    """

    world: World
    operations: Operations
    clock: Clock
    page_size: int = 2


class Kind:
    """A kind of resource; its subclasses have a method per method of the API.

    Attributes:
        collection: As in ``networks``.
        noun: As in ``network``.
        scopes: ``zones``, ``regions``, or empty for what has neither.
    """

    collection: ClassVar[str]
    noun: ClassVar[str]
    scopes: ClassVar[str] = ""

    def __init__(self, state: State) -> None:
        self.state = state
        self.world, self.operations = state.world, state.operations

    @property
    def mine(self) -> dict[str, Json]:
        """The resources of this kind, by key."""
        return self.world.resources[self.collection]

    def path(self, key: str) -> str:
        """Return the path of a resource."""
        return self.world.path(self.collection, key)

    def key(self, call: Call, name: str) -> str:
        """Return the key of a name in the request's zone or region."""
        return f"{call.scope}/{name}" if call.scope else name

    def fetch(self, call: Call) -> tuple[str, Json]:
        """Return the key of the resource that a request names, and the resource.

        Raises:
            ApiError: 404.
        """
        key = self.key(call, call.name)
        if key not in self.mine and call.name.isdigit():
            key = next((self.key(call, name) for name, one in self.visible(call) if one["id"] == call.name), key)
        if key not in self.mine:
            raise ApiError.not_found(self.path(key))
        return key, self.mine[key]

    def fetch_ready(self, call: Call) -> tuple[str, Json]:
        """Like ``fetch``, for a change: refused while the resource is being made or removed."""
        key, resource = self.fetch(call)
        if self.operations.pending(self.path(key), "insert", "delete"):
            raise ApiError.not_ready(self.path(key))
        return key, resource

    def refer(self, reference: str, place: str, collection: str, *, ready: bool = True) -> tuple[str, Json]:
        """Return the key of another resource that a request refers to, and the resource.

        Args:
            reference: What the request says.
            place: Where it says so.
            collection: What it must be one of.
            ready: Whether it must have been made completely.

        Raises:
            ApiError: 400 when it is malformed or not ready, 404 when there is none.
        """
        path = links.whole(reference, self.world.project)
        if path is None or path.split("/")[-2] != collection:
            raise ApiError.invalid(place, reference, "The URL is malformed.")
        found, key = self.world.key(path)
        if not found or key not in self.world.resources[collection]:
            raise ApiError.not_found(path)
        if ready and self.operations.pending(path, "insert", "delete"):
            raise ApiError.not_ready(path)
        return key, self.world.resources[collection][key]

    def create(
        self, call: Call, key: str, resource: Json, *, ready: Json | None = None, undo: Callable[[], None] | None = None
    ) -> Operation:
        """Add a resource, and begin the operation that makes it ready.

        Args:
            call: The request.
            key: Of the resource.
            resource: What the kind knows of it.
            ready: The fields that change when it is ready.
            undo: What else is undone when the operation fails.

        Raises:
            ApiError: 409, when the name is taken.
        """
        if key in self.mine:
            raise ApiError.exists(self.path(key))
        path = self.path(key)
        identifier = self.world.new_id()
        self.mine[key] = {
            "kind": f"compute#{self.noun}",
            "id": identifier,
            "creationTimestamp": self.state.clock.stamp(),
            **copy.deepcopy(resource),
            "selfLink": links.url(path),
        }

        def finish() -> None:
            if self.mine.get(key, {}).get("id") != identifier:
                raise OperationError("CONFLICT", f"The resource '{path}' was deleted meanwhile.")
            if not self.operations.pending(path, "delete"):
                self.mine[key].update(copy.deepcopy(ready or {}))

        def remove() -> None:
            if self.mine.get(key, {}).get("id") == identifier:
                del self.mine[key]
                if undo:
                    undo()

        return self.operations.start(
            "insert", path, identifier=identifier, effect=finish, undo=remove, request_id=call.request_id
        )

    def change(
        self, call: Call, key: str, effect: Callable[[Json], None], *, undo: Callable[[Json], None] | None = None
    ) -> Operation:
        """Begin an operation that changes a resource when it is done."""

        def on(action: Callable[[Json], None]) -> Callable[[], None]:
            def run() -> None:
                if key in self.mine:
                    action(self.mine[key])

            return run

        return self.operations.start(
            call.method.name,
            self.path(key),
            identifier=self.mine[key]["id"],
            effect=on(effect),
            undo=on(undo) if undo else None,
            request_id=call.request_id,
        )

    def remove(
        self,
        call: Call,
        key: str,
        *,
        before: Callable[[], None] | None = None,
        undo: Callable[[], None] | None = None,
    ) -> Operation:
        """Begin an operation that removes a resource.

        Args:
            call: The request.
            key: Of the resource.
            before: Called just before; may raise OperationError.
            undo: Called when the operation fails.
        """

        def gone() -> None:
            if before:
                before()
            self.mine.pop(key, None)

        return self.operations.start(
            "delete",
            self.path(key),
            identifier=self.mine[key]["id"],
            effect=gone,
            undo=undo,
            request_id=call.request_id,
        )

    def replace_labels(self, call: Call) -> Operation:
        """Replace all labels of a resource.

        Raises:
            ApiError: 412, when the request does not have their present fingerprint.
        """
        key, resource = self.fetch_ready(call)
        check_labels(call.body.get("labels"), "labels")
        if call.body.get("labelFingerprint") != fingerprint(resource.get("labels")):
            raise ApiError.stale(STALE_LABELS)
        labels = dict(call.body.get("labels") or {})

        def effect(resource: Json) -> None:
            resource.pop("labels", None)
            if labels:
                resource["labels"] = labels

        return self.change(call, key, effect)

    def get(self, call: Call) -> Json:
        """Answer a ``get``."""
        return self.fetch(call)[1]

    def visible(self, call: Call) -> Iterable[tuple[str, Json]]:
        """Go through the names and resources that a list has."""
        for key, resource in self.mine.items():
            scope, _, name = key.rpartition("/")
            if scope == call.scope:
                yield name, resource

    def list(self, call: Call) -> Json:
        """Answer a ``list``."""
        if "orderBy" in call.parameters:
            raise ApiError.unimplemented("orderBy")
        entries, token = page(self.visible(call), dict(call.parameters), self.state.page_size)
        path = self.path(self.key(call, "x")).removesuffix("/x")
        answer: Json = {"kind": f"compute#{self.noun}List", "id": path, "selfLink": links.url(path)}
        if entries:
            answer["items"] = [resource for _, resource in entries]
        if token:
            answer["nextPageToken"] = token
        return answer

    def aggregated_list(self, call: Call) -> Json:
        """Answer an ``aggregatedList``: the resources of all zones or regions."""
        if "orderBy" in call.parameters:
            raise ApiError.unimplemented("orderBy")
        entries, token = page(self.mine.items(), dict(call.parameters), self.state.page_size)
        items: Json = {}
        for key, resource in entries:
            scope = "/".join(self.path(key).split("/")[2:4])
            items.setdefault(scope, {self.collection: []})[self.collection].append(resource)
        for name in self.world.zones if self.scopes == "zones" else self.world.regions:
            scope = f"{self.scopes}/{name}"
            items.setdefault(scope, {"warning": _nothing(scope)})
        path = f"projects/{self.world.project}/aggregated/{self.collection}"
        kind = f"compute#{self.noun}AggregatedList"
        answer: Json = {"kind": kind, "id": path, "items": items, "selfLink": links.url(path)}
        if token:
            answer["nextPageToken"] = token
        return answer


def _nothing(scope: str) -> Json:
    return {
        "code": "NO_RESULTS_ON_PAGE",
        "message": f"There are no results for scope '{scope}' on this page.",
        "data": [{"key": "scope", "value": scope}],
    }


def merge(into: Json, patch: Mapping[str, Any]) -> None:
    """Apply a JSON merge patch (RFC 7396): objects are merged, arrays replaced, nulls remove."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = copy.deepcopy(value)
