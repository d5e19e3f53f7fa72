"""The way of a request: faults, token, document, replay, and then the kind of resource that it is for."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from . import document
from .addresses import Addresses
from .disks import Disks, Images
from .document import Method
from .errors import ApiError, not_routed
from .faults import Fault, Request
from .instances import Instances
from .kind import Call, Kind, State
from .networks import Firewalls, Networks, Subnetworks
from .operations import Operation
from .places import (
    DiskTypes,
    GlobalOperations,
    MachineTypes,
    Projects,
    RegionOperations,
    Regions,
    ZoneOperations,
    Zones,
)
from .seed import IMAGES
from .tokens import Refused, Tokens

Json = dict[str, Any]

KINDS: dict[str, type[Kind]] = {
    "addresses": Addresses,
    "disks": Disks,
    "diskTypes": DiskTypes,
    "firewalls": Firewalls,
    "globalOperations": GlobalOperations,
    "images": Images,
    "instances": Instances,
    "machineTypes": MachineTypes,
    "networks": Networks,
    "projects": Projects,
    "regionOperations": RegionOperations,
    "regions": Regions,
    "subnetworks": Subnetworks,
    "zoneOperations": ZoneOperations,
    "zones": Zones,
}
TOKEN_PATH = "/token"
# What the document allows and would change the answer, but is not done here.
UNKNOWN_PARAMETERS = ("fields", "callback", "includeAllScopes", "serviceProjectNumber", "userIp", "access_token", "key")


class Dropped(Exception):
    """The connection ends without an answer."""


@dataclass
class Reply:
    """An answer.

    Attributes:
        status: HTTP status.
        text: Its body.
        kind: Its content type.
        headers: Further headers.
    """

    status: int
    text: str
    kind: str = "application/json; charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)


class Api:
    """Answers requests.

    Attributes:
        requests: All that came, but those for tokens.
        faults: What goes wrong.
        kill_after: The request with this number (from 1, counted from when it was set) and all later ones find the
            connection closed, and nothing is done for them; None never.
        killed: How many did.
        token_url: Where tokens are asked for.
    """

    def __init__(self, state: State, tokens: Tokens) -> None:
        self.state = state
        self.tokens = tokens
        self.document = document.load()
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.kill_after: int | None = None
        self.killed = 0
        self.token_url = ""
        self._counted = 0
        self._lock = threading.RLock()
        kinds = {name: kind(state) for name, kind in KINDS.items()}
        self._handlers: dict[str, Callable[[Call], Json | Operation]] = {
            method.id: getattr(kinds[method.collection], snake(method.name))
            for method in self.document.methods.values()
        }

    def kill(self, after: int | None) -> None:
        """Set ``kill_after``, and count from here."""
        self.kill_after, self._counted, self.killed = after, 0, 0

    def answer(
        self, verb: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        """Answer a request.

        Args:
            verb: HTTP method.
            path: Without the query.
            query: Its parameters.
            headers: At least ``Authorization``.
            body: As it came.

        Raises:
            Dropped: when there is to be no answer.
        """
        with self._lock:
            if path == TOKEN_PATH:
                return self._token(body)
            self._counted += 1
            if self.kill_after is not None and self._counted >= self.kill_after:
                self.killed += 1
                raise Dropped
            request = Request(verb, path, dict(query), None)
            self.requests.append(request)
            routed = self._route(request)
            request.body, problem = _parsed(body)
            fault = next((fault for fault in self.faults if fault.takes(request)), None)
            if fault and fault.drop_request:
                raise Dropped
            try:
                if fault and fault.status is not None:
                    raise fault.error(request)
                if problem or not routed:
                    raise problem or not_routed(path)
                reply = Reply(200, self._carry_out(*routed, request, headers.get("Authorization"), fault))
            except ApiError as error:
                kind, text = error.text()
                reply = Reply(error.status, text, kind, error.headers)
            request.status = reply.status
            if fault and fault.drop_reply:
                raise Dropped
            return reply

    def _route(self, request: Request) -> tuple[Method, dict[str, str]] | None:
        try:
            method, path = self.document.route(request.method, request.path)
        except ApiError:
            return None
        request.collection, request.name, request.read = method.collection, method.name, method.read
        return method, path

    def _carry_out(
        self, method: Method, path: Mapping[str, str], request: Request, authorization: str | None, fault: Fault | None
    ) -> str:
        self.tokens.check(authorization)
        self.state.world.derive()
        self.state.operations.failure = fault.failure if fault else None
        answer = self._call(method, path, request)
        if method.answer:
            self._check_answer(method, answer)
        return json.dumps(answer)

    @staticmethod
    def _check_answer(method: Method, answer: Json) -> None:
        """Make sure that the fake, or whoever changed its world by hand, says nothing that Google cannot say."""
        try:
            assert method.answer
            method.answer(answer, "")
        except ApiError as error:
            raise AssertionError(f"what {method.id} answers is not what the document says: {error}") from error

    def _call(self, method: Method, path: Mapping[str, str], request: Request) -> Json:
        world, operations = self.state.world, self.state.operations
        parameters = self.document.parameters(method, path, request.query)
        for name in UNKNOWN_PARAMETERS:
            if name in parameters:
                raise ApiError.unimplemented(f"the parameter {name}")
        body = self._body(method, request.body)
        self._check_place(method, parameters)
        call = Call(method, parameters, body)
        if method.collection.endswith("Operations"):
            operations.tick(but=f"{call.scope}/{parameters.get('operation')}".lstrip("/"))
        else:
            operations.tick()
        world.derive()  # for what was done meanwhile
        identifier = parameters.get("requestId")
        content = [method.id, dict(path), {k: v for k, v in request.query.items() if k != "requestId"}, request.body]
        if identifier is not None:
            _check_request_id(identifier)
            earlier = operations.replay(identifier, method.id, content)
            if earlier is not None:
                return earlier
        result = self._handlers[method.id](call)
        if isinstance(result, Operation):
            world.derive()
            if identifier is not None:
                operations.remember(identifier, method.id, content, result)
            return result.resource
        return result

    def _body(self, method: Method, given: Any) -> Json:
        if method.body is None:
            if given:
                raise ApiError.unknown_name(next(iter(given)) if isinstance(given, dict) else "body", "")
            return {}
        if given is None:
            raise ApiError.missing("resource")
        method.body(given, "resource")
        return {
            name: value
            for name, value in given.items()
            if name not in method.server_set and (value is not None or method.verb == "PATCH")
        }

    def _check_place(self, method: Method, parameters: Mapping[str, Any]) -> None:
        world, project = self.state.world, parameters["project"]
        if project != world.project and not (method.collection == "images" and project in IMAGES):
            raise ApiError(404, f"The resource 'projects/{project}' was not found", "notFound")
        for name, known in (("zone", world.zones), ("region", world.regions)):
            if parameters.get(name, known[0]) not in known and method.collection not in ("zones", "regions"):
                raise ApiError.invalid(name, parameters[name], f"Unknown {name}.")

    def _token(self, body: bytes | None) -> Reply:
        if self.kill_after is not None and self._counted >= self.kill_after:
            raise Dropped
        request = Request("POST", TOKEN_PATH, {}, None, collection="token", name="token")
        fault = next((fault for fault in self.faults if fault.takes(request)), None)
        if fault and (fault.drop_request or fault.drop_reply):
            raise Dropped
        if fault and fault.status:
            return Reply(fault.status, fault.page or "{}", headers=fault.headers)
        fields = dict(parse_qsl((body or b"").decode()))
        try:
            return Reply(200, json.dumps(self.tokens.answer(fields, self.token_url)))
        except Refused as refused:
            return Reply(400, json.dumps(refused.body()))


def snake(name: str) -> str:
    """Return a name of the API as Python writes it, as in ``set_metadata`` of ``setMetadata``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _parsed(body: bytes | None) -> tuple[Any, ApiError | None]:
    try:
        return (json.loads(body) if body else None), None
    except ValueError:
        return None, ApiError(400, "Invalid JSON payload received.", "parseError")


def _check_request_id(identifier: str) -> None:
    try:
        value = uuid.UUID(identifier)
    except ValueError:
        raise ApiError.invalid("requestId", identifier, "Must be a UUID.") from None
    if value.int == 0:
        raise ApiError.invalid("requestId", identifier, "The zero UUID is not supported.")
