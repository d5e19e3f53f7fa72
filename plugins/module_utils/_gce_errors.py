# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Google refuses, told in one sentence with the remedy: pure functions over status and answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError

# Errors of operations spell these QUOTA_EXCEEDED, errors of requests quotaExceeded; both are compared as the former.
# Worth another try though the status is not one that says so. Google's own client libraries retry the first two.
TRANSIENT = frozenset(
    {
        "RATE_LIMIT_EXCEEDED",
        "USER_RATE_LIMIT_EXCEEDED",
        "RESOURCE_NOT_READY",
        "RESOURCE_OPERATION_RATE_EXCEEDED",
        "BACKEND_ERROR",
    }
)
_MOVED_ON_STATUS = frozenset({409, 412})
_TRANSIENT_STATUS = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Cause:
    """What an error means, and what helps. The texts know {project}, {zone}, {message}, {permission} and {role}."""

    reasons: frozenset[str]
    meaning: str
    remedy: str


def _cause(*reasons: str, meaning: str, remedy: str) -> Cause:
    return Cause(frozenset(reasons), meaning, remedy)


# Reasons: https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-vm-creation,
# https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability and
# https://cloud.google.com/service-infrastructure/docs/reference/rest/Shared.Types/ErrorReason
_DISABLED = _cause(
    "ACCESS_NOT_CONFIGURED",
    "SERVICE_DISABLED",
    meaning="the Compute Engine API is not enabled in the project {project}",
    remedy="run 'gcloud services enable compute.googleapis.com --project {project}' or enable it at "
    "https://console.cloud.google.com/apis/library/compute.googleapis.com?project={project}, wait a minute and run "
    "again",
)
_BILLING = _cause(
    "BILLING_DISABLED",
    "BILLING_NOT_ENABLED",
    "BILLING_NOT_ACTIVE",
    "UREQ_PROJECT_BILLING_NOT_FOUND",
    meaning="the project {project} has no active billing account, which the free tier needs too",
    remedy="link one at https://console.cloud.google.com/billing/linkedaccount?project={project} and run again",
)
_PERMISSION = _cause(
    "FORBIDDEN",
    "IAM_PERMISSION_DENIED",
    "PERMISSION_DENIED",
    "PERMISSIONS_ERROR",
    "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
    "INSUFFICIENT_PERMISSIONS",
    meaning="these credentials lack the permission {permission} in the project {project}",
    remedy="grant their account the role {role} at https://console.cloud.google.com/iam-admin/iam?project={project} "
    "and run again",
)
_QUOTA = _cause(
    "QUOTA_EXCEEDED",
    "LIMIT_EXCEEDED",
    meaning="a quota of the project {project} is used up ({message})",
    remedy="remove something that is not needed, or ask for more at "
    "https://console.cloud.google.com/iam-admin/quotas?project={project}, and run again",
)
_STOCK = _cause(
    "ZONE_RESOURCE_POOL_EXHAUSTED",
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
    "RESOURCE_POOL_EXHAUSTED",
    "RESOURCE_AVAILABILITY",
    "STOCKOUT",
    meaning="the zone {zone} has no such machine free at the moment",
    remedy="run again later, or set zone to another one of the region",
)
_CREDENTIALS = _cause(
    "AUTH_ERROR",
    "UNAUTHENTICATED",
    "UNAUTHORIZED",
    "LOGIN_REQUIRED",
    "ACCESS_TOKEN_EXPIRED",
    "CREDENTIALS_MISSING",
    meaning="Google does not accept these credentials",
    remedy="make a new key for service_account_file, or run 'gcloud auth application-default login', and run again",
)
_PROJECT = _cause(
    "PROJECT_NOT_FOUND",
    "USER_PROJECT_DENIED",
    "CONSUMER_INVALID",
    meaning="there is no project {project} that these credentials may see",
    remedy="correct project (its ID, not its name or number), or use the credentials of an account that belongs to it",
)
_USED = _cause(
    "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE",
    "RESOURCE_IN_USE",
    meaning="something that is not this relay's still uses it ({message})",
    remedy="remove that first, and run again",
)
_RATE = _cause(
    "RATE_LIMIT_EXCEEDED",
    "USER_RATE_LIMIT_EXCEEDED",
    "RESOURCE_OPERATION_RATE_EXCEEDED",
    meaning="Google limits the rate of requests to the project {project}, and waiting for longer than timeout did not "
    "help",
    remedy="run again in some minutes",
)
_POLICY = _cause(
    "CONSTRAINT_VIOLATION",
    "ORG_POLICY_CONSTRAINT_FAILED",
    "CONDITION_NOT_MET_BY_ORGANIZATION_POLICY",
    meaning="a policy of the organisation forbids it ({message})",
    remedy="have it lifted for the project {project}, or use a project that it does not cover",
)
_PLACE = _cause(
    "UNKNOWN_PLACE",
    meaning="Google has no such zone or region ({message})",
    remedy="correct region and zone as 'gcloud compute zones list' shows them, and run again",
)
_CAUSES = (
    _DISABLED, _BILLING, _PERMISSION, _QUOTA, _STOCK, _CREDENTIALS, _PROJECT, _USED, _RATE, _POLICY, _PLACE,
)  # fmt: skip
# Where Google tells the cause in words only. The first that matches counts.
_WORDS = (
    (re.compile(r"has not been used in project|API .*is (?:not enabled|disabled)", re.I), _DISABLED),
    (re.compile(r"\bbilling\b", re.I), _BILLING),
    (re.compile(r"unknown (?:zone|region)|'projects/[^/']+/(?:zones|regions)/[^/']+' was not found", re.I), _PLACE),
    (re.compile(r"constraints?/", re.I), _POLICY),
    (re.compile(r"failed to find project|unknown project id|resource 'projects/[^/']+' was not found", re.I), _PROJECT),
    (re.compile(r"does not have enough resources|currently unavailable in the", re.I), _STOCK),
    (re.compile(r"quota .*exceeded", re.I), _QUOTA),
    (re.compile(r"required '.*' permission", re.I), _PERMISSION),
)
_BY_STATUS = {401: _CREDENTIALS, 403: _PERMISSION, 429: _RATE}
# The narrowest predefined role that has the permission: https://cloud.google.com/compute/docs/access/iam
_ROLES = (
    (re.compile(r"^compute\.firewalls\."), "roles/compute.securityAdmin"),
    (re.compile(r"^compute\.(networks|subnetworks|addresses|routes)\."), "roles/compute.networkAdmin"),
    (re.compile(r"^compute\."), "roles/compute.instanceAdmin.v1"),
)
_ALL_ROLES = "roles/compute.instanceAdmin.v1, roles/compute.networkAdmin and roles/compute.securityAdmin"
_PERMISSION_NAME = re.compile(r"'(compute\.[A-Za-z.]+)'")
_LONGEST_MESSAGE = 400


class GoogleError(ServiceError):
    """Google refused a request, or an operation failed.

    Attributes:
        status: HTTP status; 0 if the error is that of an operation without one.
        reason: Google's word for it in upper case, such as QUOTA_EXCEEDED; empty if it gave none.

    """

    def __init__(self, sentence: str, status: int, reason: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason


class Conflict(GoogleError):
    """The world may not be as it was read: something appeared, changed or went away meanwhile.

    Google tells that by status 409 or 412, but also, if a run that was killed has left an operation under way, as any
    other fault of the request. Another look tells it from a request that is wrong.

    Attributes:
        passing: Whether the same error may come again and pass all the same.

    """

    passing = False


class Refusal(ServiceError):
    """The module refuses, before anything is changed."""


class Overdue(ServiceError):
    """The time that the run may take is over."""


class Unreachable(Exception):
    """No answer came; whether the request arrived is unknown."""


def transient(status: int, reason: str) -> bool:
    """Whether the same request may succeed later. A zone that is out of machines answers 503 too, for hours."""
    return reason in TRANSIENT or (status in _TRANSIENT_STATUS and reason not in _STOCK.reasons)


def reason_of(document: Any) -> tuple[str, str]:  # noqa: ANN401  whatever was answered
    """Return reason and message of an answer that is an error.

    Args:
        document: The answer's JSON, or anything else that a proxy may have put in its place.

    """
    error = document.get("error") if isinstance(document, Mapping) else None
    if isinstance(error, str):  # as token endpoints answer: RFC 6749, 5.2
        return _upper(error), str(document.get("error_description", ""))
    if not isinstance(error, Mapping):
        return "", ""
    details = [entry for entry in error.get("details") or () if isinstance(entry, Mapping)]
    errors = [entry for entry in error.get("errors") or () if isinstance(entry, Mapping)]
    message = str(error.get("message") or (errors[0].get("message") if errors else "") or "")
    # ErrorInfo is the most exact, the gRPC status the least.
    reasons = [str(entry["reason"]) for entry in [*details, *errors] if entry.get("reason")]
    known = [reason for reason in map(_upper, reasons) if any(reason in cause.reasons for cause in _CAUSES)]
    return (known or [*map(_upper, reasons), str(error.get("status", ""))])[0], message


def operation_error(operation: Mapping[str, Any]) -> tuple[str, str, int] | None:
    """Return reason, message and status of a failed operation; None if it did not fail."""
    errors = (operation.get("error") or {}).get("errors") or ()
    status = int(operation.get("httpErrorStatusCode") or 0)
    if errors:
        first = errors[0]
        localized = [
            detail["localizedMessage"]["message"]
            for detail in first.get("errorDetails") or ()
            if (detail.get("localizedMessage") or {}).get("message")
        ]
        return _upper(str(first.get("code", ""))), str(first.get("message") or "".join(localized[:1])), status
    if status >= 400:
        return "", str(operation.get("httpErrorMessage", "")), status
    return None


def failure(
    action: str, status: int, reason: str, message: str, *, project: str, zone: str, operation: bool = False
) -> GoogleError:
    """Return the exception for an error.

    Args:
        action: What was tried, as in "create the address x".
        status: HTTP status; 0 if unknown.
        reason: From `reason_of` or `operation_error`.
        message: Google's message.
        project: The project.
        zone: The zone of the relay.
        operation: Whether it is an operation that failed: one of these is not made again under its request ID, so that
            another try needs another look.

    """
    message = _shortened(message)
    cause = _find(status, reason, message)
    passing = status in _MOVED_ON_STATUS or (operation and transient(status, reason))
    if cause is None:
        what = message or reason or f"HTTP status {status}"
        remedy = "somebody else is changing it too: run again" if passing else "correct that and run again"
        sentence = f"Could not {action}: Google answered '{what}'; {remedy}."
    else:
        sentence = _sentence(action, cause, message or reason, project, zone)
    if cause not in (None, _USED, _RATE) or (cause is not _USED and not operation and status in _TRANSIENT_STATUS):
        return GoogleError(sentence, status, reason)
    conflict = Conflict(sentence, status, reason)
    conflict.passing = passing
    return conflict


def _sentence(action: str, cause: Cause, message: str, project: str, zone: str) -> str:
    permission = _PERMISSION_NAME.search(message)
    words = {
        "project": project,
        "zone": zone,
        "message": message,
        "permission": permission.group(1) if permission else "for it",
        "role": _role(permission.group(1)) if permission else _ALL_ROLES,
    }
    return f"Could not {action}: {cause.meaning.format(**words)}; {cause.remedy.format(**words)}."


def refused_credentials(message: str, source: str) -> ServiceError:
    """Return the exception for credentials that give no token.

    Args:
        message: What the library said.
        source: Where the credentials are from.

    """
    cause = "have expired or were revoked" if "invalid_grant" in message else "give no access token"
    remedy = _CREDENTIALS.remedy
    return ServiceError(f"The credentials from {source} {cause} ({_shortened(message)}): {remedy}.")


def _find(status: int, reason: str, message: str) -> Cause | None:
    # A bare "forbidden" covers many causes, which only the words tell apart.
    exact = next((cause for cause in _CAUSES if reason in cause.reasons), None)
    if exact is not None and exact is not _PERMISSION:
        return exact
    told = next((cause for pattern, cause in _WORDS if pattern.search(message)), None)
    return told or exact or _BY_STATUS.get(status)


def _role(permission: str) -> str:
    return next((role for pattern, role in _ROLES if pattern.search(permission)), _ALL_ROLES)


def _upper(reason: str) -> str:
    """Turn quotaExceeded into QUOTA_EXCEEDED."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", reason).upper()


def _shortened(message: str) -> str:
    """Return the message on one line, without its last full stop and without what could be a token."""
    line = re.sub(r"ya29\.[\w.-]+|Bearer\s+\S+", "(hidden)", " ".join(message.split()))
    return line[:_LONGEST_MESSAGE].rstrip(".")
