"""Lists: filters and pages."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

from .errors import ApiError

Json = dict[str, Any]

PART = (
    r"(?P<{0}field>[A-Za-z][A-Za-z0-9_.-]*?)\s*(?P<{0}operator>!=|=|:|\s(?:eq|ne)\s)\s*"
    r"(?:\"(?P<{0}quoted>[^\"]*)\"|(?P<{0}bare>[^\s()\"=][^\s()\"]*))"
)
TERM = re.compile(rf"\s*(?:\(\s*{PART.format('in_')}\s*\)|{PART.format('')}(?=\s|$))\s*(?P<more>AND\s+)?")


def matches(expression: str, resource: Json) -> bool:
    """Return whether a resource passes a filter.

    Known are ``field=value``, ``field!=value``, ``field:*`` (is there), ``field:text`` (contains) and
    ``field eq regex``, joined by ``AND`` or put in parentheses one after another.

    Raises:
        ApiError: 400, when the expression is none of these.
    """
    position, result, more = 0, True, True
    while more or position < len(expression):
        found = TERM.match(expression, position)
        if not found:
            raise ApiError.invalid("filter", expression, "Invalid list filter expression.")
        part = {name.removeprefix("in_"): text for name, text in found.groupdict().items() if text is not None}
        text = part.get("quoted", part.get("bare", ""))
        result = _passes(_field(resource, part["field"]), part["operator"].strip(), text) and result
        position, more = found.end(), bool(found["more"])
    return result


def _field(resource: Json, name: str) -> Any:
    value: Any = resource
    while name:
        if not isinstance(value, dict):
            return None
        if name in value:
            return value[name]
        head, _, name = name.partition(".")
        value = value.get(head)
    return value


def _passes(value: Any, operator: str, text: str) -> bool:
    given = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if operator == ":":
        return value is not None if text == "*" else text in given
    if operator in ("eq", "ne"):
        return bool(re.fullmatch(text, given)) == (operator == "eq")
    return (given == text) == (operator == "=")


def page(
    entries: Iterable[tuple[str, Json]], parameters: Json, limit: int
) -> tuple[list[tuple[str, Json]], str | None]:
    """Return one page of entries that pass the request's filter, and the token of the next page.

    Args:
        entries: Sort keys with resources.
        parameters: The request's.
        limit: How many a page has at most, whatever the request asks for: Google may always give fewer.
    """
    maximum = parameters.get("maxResults", 500)
    if maximum > 500:
        raise ApiError.invalid("maxResults", str(maximum), "Must be less than or equal to '500'")
    expression = parameters.get("filter", "")
    chosen = sorted(
        ((key, resource) for key, resource in entries if not expression or matches(expression, resource)),
        key=lambda entry: entry[0],
    )
    if token := parameters.get("pageToken"):
        try:
            after = base64.b64decode(token, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ApiError.invalid("pageToken", token, "The page token is not valid.") from None
        chosen = [entry for entry in chosen if entry[0] > after]
    size = min(maximum or limit, limit)
    more = len(chosen) > size
    return chosen[:size], base64.b64encode(chosen[size - 1][0].encode()).decode() if more else None
