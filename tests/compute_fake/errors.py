"""Errors in the shapes that Google gives them.

The shapes are those of answers quoted in public issue trackers; the texts are close to Google's, not copies of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

# google.rpc.Code of an HTTP status; https://cloud.google.com/apis/design/errors
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
NUMBER = "100200300400"  # the project's number
SERVICE = "compute.googleapis.com"
CONSOLE = "https://console.developers.google.com"


class ApiError(Exception):
    """An answer that is an error.

    Args:
        status: HTTP status.
        message: What Google's ``error.message`` says.
        reason: ``error.errors[0].reason``.
        domain: ``error.errors[0].domain``.
        location: Of what is wrong, when it is a header or a parameter.
        details: ``error.details``; with them Google also gives ``error.status``.
        headers: Of the answer.
        page: The answer's text when it is not JSON, as for an unknown path.
    """

    def __init__(
        self,
        status: int,
        message: str,
        reason: str,
        *,
        domain: str = "global",
        location: tuple[str, str] | None = None,
        details: list[Json] | None = None,
        headers: Mapping[str, str] | None = None,
        page: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.reason, self.domain = status, message, reason, domain
        self.location, self.details, self.headers, self.page = location, details, dict(headers or {}), page

    def body(self) -> Json:
        """Return the answer's JSON."""
        entry: Json = {"message": self.message, "domain": self.domain, "reason": self.reason}
        if self.location:
            entry["location"], entry["locationType"] = self.location
        error: Json = {"code": self.status, "message": self.message, "errors": [entry]}
        if self.details is not None:
            error["status"] = STATUS.get(self.status, "UNKNOWN")
            error["details"] = self.details
        return {"error": error}

    def text(self) -> tuple[str, str]:
        """Return the answer's content type and text."""
        if self.page is not None:
            return "text/html; charset=UTF-8", self.page
        return "application/json; charset=UTF-8", json.dumps(self.body(), indent=1)

    @classmethod
    def unknown_name(cls, name: str, place: str) -> ApiError:
        """Of a field or query parameter that there is not."""
        where = f" at '{place}'" if place else ""
        message = f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
        return cls(400, message, "invalid", details=[_violation(place or name, message)])

    @classmethod
    def wrong_type(cls, place: str, kind: str, value: Any) -> ApiError:
        """Of a value of the wrong type."""
        message = f"Invalid value at '{place}' ({kind}), {json.dumps(value)}"
        return cls(400, message, "invalid", details=[_violation(place, message)])

    @classmethod
    def invalid(cls, place: str, value: Any, why: str) -> ApiError:
        """Of a value that is not allowed."""
        text = value if isinstance(value, str) else json.dumps(value)
        return cls(400, f"Invalid value for field '{place}': '{text}'. {why}", "invalid")

    @classmethod
    def missing(cls, place: str) -> ApiError:
        """Of a field or parameter that must be given."""
        return cls(400, f"Required field '{place}' not specified", "required")

    @classmethod
    def not_found(cls, path: str) -> ApiError:
        """Of a resource that there is not; ``path`` as in ``projects/p/zones/z/instances/i``."""
        return cls(404, f"The resource '{path}' was not found", "notFound")

    @classmethod
    def exists(cls, path: str) -> ApiError:
        """Of a name that is taken."""
        return cls(409, f"The resource '{path}' already exists", "alreadyExists")

    @classmethod
    def not_ready(cls, path: str) -> ApiError:
        """Of a resource that is still being made or removed."""
        return cls(400, f"The resource '{path}' is not ready", "resourceNotReady")

    @classmethod
    def in_use(cls, kind: str, path: str, user: str) -> ApiError:
        """Of a resource that another one needs."""
        message = f"The {kind} resource '{path}' is already being used by '{user}'"
        return cls(400, message, "resourceInUseByAnotherResource")

    @classmethod
    def stale(cls, message: str) -> ApiError:
        """Of a fingerprint that no longer fits."""
        return cls(412, message, "conditionNotMet", location=("If-Match", "header"))

    @classmethod
    def unimplemented(cls, what: str) -> ApiError:
        """Of what the document allows and this fake does not do. Google has no such answer."""
        return cls(501, f"compute_fake does not implement {what}", "notImplemented")


def _violation(place: str, message: str) -> Json:
    return {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": place, "description": message}],
    }


def _information(reason: str, **metadata: str) -> Json:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": metadata,
    }


def _help(description: str, url: str) -> Json:
    return {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": description, "url": url}]}


def not_routed(path: str) -> ApiError:
    """Of a path that the API does not have: Google answers with a page, not with JSON."""
    page = (
        "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>Error 404 (Not Found)!!1</title>"
        f"<p><b>404.</b> <ins>That's an error.</ins><p>The requested URL <code>{path}</code> was not found on this"
        " server.</html>"
    )
    return ApiError(404, "Not Found", "notFound", page=page)


def unauthenticated(reason: str) -> ApiError:
    """Of a missing, unknown or expired token.

    Args:
        reason: ``CREDENTIALS_MISSING``, ``ACCESS_TOKEN_TYPE_UNSUPPORTED`` or ``ACCESS_TOKEN_EXPIRED``.
    """
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid"
        " authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    header = {"WWW-Authenticate": 'Bearer realm="https://accounts.google.com/", error="invalid_token"'}
    return ApiError(
        401,
        message if reason != "CREDENTIALS_MISSING" else "Request is missing required authentication credential.",
        "authError" if reason != "CREDENTIALS_MISSING" else "required",
        location=("Authorization", "header"),
        details=[_information(reason, service=SERVICE)],
        headers=header,
    )


def access_not_configured() -> ApiError:
    """Of a project in which the API is not enabled."""
    url = f"{CONSOLE}/apis/api/{SERVICE}/overview?project={NUMBER}"
    message = (
        f"Compute Engine API has not been used in project {NUMBER} before or it is disabled. Enable it by visiting"
        f" {url} then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our"
        " systems and retry."
    )
    return ApiError(
        403,
        message,
        "accessNotConfigured",
        domain="usageLimits",
        details=[
            _help("Google developers console API activation", url),
            _information("SERVICE_DISABLED", service=SERVICE, consumer=f"projects/{NUMBER}"),
        ],
    )


def billing_disabled() -> ApiError:
    """Of a project without a billing account."""
    url = f"{CONSOLE}/billing/enable?project={NUMBER}"
    message = (
        f"This API method requires billing to be enabled. Please enable billing on project #{NUMBER} by visiting {url}"
        " then retry. If you enabled billing for this project recently, wait a few minutes for the action to propagate"
        " to our systems and retry."
    )
    return ApiError(
        403,
        message,
        "accessNotConfigured",
        domain="usageLimits",
        details=[
            _help("Google developers console billing", url),
            _information("BILLING_DISABLED", service=SERVICE, consumer=f"projects/{NUMBER}"),
        ],
    )


def forbidden(method: str, path: str) -> ApiError:
    """Of a caller who may not.

    Args:
        method: As in ``instances.insert``.
        path: As in ``projects/p/zones/z/instances/i``.
    """
    collection, _, verb = method.partition(".")
    permission = {"insert": "create", "patch": "update"}.get(verb, verb)
    return ApiError(403, f"Required 'compute.{collection}.{permission}' permission for '{path}'", "forbidden")


def rate_limited(status: int) -> ApiError:
    """Of too many requests a minute."""
    message = (
        "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service"
        f" '{SERVICE}' for consumer 'project_number:{NUMBER}'."
    )
    details = [_information("RATE_LIMIT_EXCEEDED", service=SERVICE, consumer=f"projects/{NUMBER}")]
    return ApiError(status, message, "rateLimitExceeded", domain="usageLimits", details=details)


def quota_exceeded(metric: str, limit: float, region: str) -> ApiError:
    """Of more of something than the project may have."""
    message = f"Quota '{metric}' exceeded.  Limit: {limit:.1f} in region {region}."
    return ApiError(403, message, "quotaExceeded", domain="usageLimits")
