"""What goes wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import errors
from .errors import ApiError
from .world import region_of

Json = dict[str, Any]


@dataclass
class Request:
    """A request as the fake saw it.

    Attributes:
        method: HTTP method.
        path: With the service's own, as in ``/compute/v1/projects/...``.
        query: Its parameters.
        body: Its JSON; None without one.
        status: Of the answer; 0 while there is none, or when the connection was closed before anything was done.
        read: Whether it could change nothing. Waiting for an operation is one of those.
        collection: As in ``instances``; empty for a path that there is not.
        name: As in ``setMetadata``.
    """

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int = 0
    read: bool = False
    collection: str = ""
    name: str = ""


Match = Callable[[Request], bool] | str


@dataclass
class Fault:
    """Something that goes wrong with the requests that it matches.

    Attributes:
        match: What it is for: a function, or ``<HTTP method or *> <collection or collection.method or *>``, as in
            ``POST instances`` or ``* firewalls.patch``.
        times: How often.
        after: How many matching requests pass before.
        status: Of the answer; None lets the request be carried out.
        reason: Of the error, as in ``quotaExceeded``; by default what the status usually has.
        message: Of the error; by default like Google's.
        headers: Of the answer.
        page: An answer that is not JSON, as of a proxy.
        drop_request: The connection is closed, and nothing is done.
        drop_reply: The request is carried out, and the connection closed without an answer.
        operation_error: What the operation that the request begins ends with: a code, as in ``QUOTA_EXCEEDED``, or a
            dict with ``code``, ``message``, ``errorDetails`` and ``status``.
        seen: How many matching requests there were.
    """

    match: Match
    times: int = 1
    after: int = 0
    status: int | None = 503
    reason: str | None = None
    message: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    page: str | None = None
    drop_request: bool = False
    drop_reply: bool = False
    operation_error: str | Json | None = None
    seen: int = 0

    def takes(self, request: Request) -> bool:
        """Return whether it is for this request, and count it."""
        if not self._matches(request):
            return False
        self.seen += 1
        return self.after < self.seen <= self.after + self.times

    def _matches(self, request: Request) -> bool:
        if not isinstance(self.match, str):
            return self.match(request)
        method, _, target = self.match.partition(" ")
        named = (request.collection, f"{request.collection}.{request.name}", "*")
        return method in (request.method, "*") and (target or "*") in named

    @property
    def failure(self) -> Json | None:
        """What the operation ends with."""
        return {"code": self.operation_error} if isinstance(self.operation_error, str) else self.operation_error

    def error(self, request: Request) -> ApiError:
        """Return the answer."""
        status = self.status or 500
        path = request.path.removeprefix("/compute/v1/")
        reason = self.reason or USUAL.get(status, "backendError")
        error = _known(status, reason, request, path)
        if self.message is not None:
            error.message = self.message
        error.headers.update(self.headers)
        if self.page is not None:
            error.page = self.page
        return error


USUAL = {403: "forbidden", 404: "notFound", 409: "alreadyExists", 412: "conditionNotMet", 429: "rateLimitExceeded"}


def _known(status: int, reason: str, request: Request, path: str) -> ApiError:
    """Return Google's answer for a reason."""
    if reason == "quotaExceeded":
        place = [*path.split("/"), "", "", ""][3]
        region = region_of(place) if "/zones/" in path else place
        return errors.quota_exceeded(QUOTAS.get(request.collection, "NETWORKS"), 8, region or "global")
    if reason == "forbidden":
        name = request.body.get("name") if isinstance(request.body, dict) and request.name == "insert" else None
        return errors.forbidden(f"{request.collection}.{request.name}", f"{path}/{name}" if name else path)
    if reason in SHAPES:
        return SHAPES[reason](status)
    return ApiError(status, TEXTS.get(reason, "The service is currently unavailable."), reason)


# ``billingDisabled`` is the fake's own name: Google's reason is ``accessNotConfigured`` then too.
SHAPES: dict[str, Callable[[int], ApiError]] = {
    "accessNotConfigured": lambda _: errors.access_not_configured(),
    "billingDisabled": lambda _: errors.billing_disabled(),
    "conditionNotMet": lambda _: ApiError.stale("Supplied fingerprint does not match current fingerprint."),
    "rateLimitExceeded": errors.rate_limited,
}
QUOTAS = {"addresses": "STATIC_ADDRESSES", "firewalls": "FIREWALLS", "instances": "CPUS", "networks": "NETWORKS"}
TEXTS = {
    "alreadyExists": "The resource already exists",
    "notFound": "The resource was not found",
}
