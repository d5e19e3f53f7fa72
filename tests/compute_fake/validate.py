"""Checks of values by the schemas of a discovery document, compiled once into functions."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ApiError

# Takes a value and the place where it stands, as in `resource.disks[0].boot`; raises ApiError (400).
Check = Callable[[Any, str], None]

INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a path or query."""

    name: str
    required: bool
    convert: Callable[[str], Any]


def compile_parameter(name: str, described: Mapping[str, Any]) -> Parameter:
    """Return how a parameter's text becomes its value."""
    kind, pattern = described["type"], re.compile(described.get("pattern", "(?s:.*)"))
    values = described.get("enum")
    low, high = INTEGERS.get(described.get("format", "int64"), INTEGERS["int64"])

    def convert(text: str) -> Any:
        if kind == "boolean":
            if text not in ("true", "false"):
                raise ApiError.wrong_type(name, "TYPE_BOOL", text)
            return text == "true"
        if kind == "integer":
            if not re.fullmatch(r"-?[0-9]+", text) or not low <= int(text) <= high:
                raise ApiError.wrong_type(name, f"TYPE_{described.get('format', 'int64').upper()}", text)
            return int(text)
        if values is not None and text not in values:
            raise ApiError.invalid(name, text, "Unknown value")
        if not pattern.fullmatch(text):
            raise ApiError.invalid(name, text, f"Must be a match of regex '{pattern.pattern}'")
        return text

    return Parameter(name, bool(described.get("required")), convert)


def compile_schema(name: str, schemas: Mapping[str, Any], method: str) -> Check:
    """Return the check of a schema.

    Args:
        name: Name of the schema.
        schemas: All schemas of the document.
        method: Whole name of the method, as in ``compute.instances.insert``, for the fields that it alone requires;
            empty for an answer, which requires none.
    """
    done: dict[str, Check] = {}

    def reference(name: str) -> Check:
        if name not in done:
            # A schema may contain itself: whoever asks meanwhile is given a name to look up later.
            done[name] = lambda value, place: done[name](value, place)  # noqa: PLW0108  it is another one by then
            done[name] = compiled(schemas[name])
        return done[name]

    def compiled(schema: Mapping[str, Any]) -> Check:
        if "$ref" in schema:
            return reference(schema["$ref"])
        if schema["type"] == "object":
            return members(schema)
        if schema["type"] == "array":
            return elements(compiled(schema["items"]))
        return scalar(schema)

    def members(schema: Mapping[str, Any]) -> Check:
        checks = {key: compiled(value) for key, value in schema.get("properties", {}).items()}
        required = [
            key
            for key, value in schema.get("properties", {}).items()
            if method in value.get("annotations", {}).get("required", ())
        ]
        other = compiled(schema["additionalProperties"]) if "additionalProperties" in schema else None

        def check(value: Any, place: str) -> None:
            if not isinstance(value, dict):
                raise ApiError.wrong_type(place, "an object", value)
            for key, member in value.items():
                test = checks.get(key, other)
                if test is None:
                    raise ApiError.unknown_name(key, place)
                if member is not None:
                    test(member, f"{place}.{key}" if place else key)
            for key in required:
                if value.get(key) is None:
                    raise ApiError.missing(f"{place}.{key}")

        return check

    return reference(name)


def elements(test: Check) -> Check:
    """Return the check of a list whose elements pass another check."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list):
            raise ApiError.wrong_type(place, "a list", value)
        for number, element in enumerate(value):
            test(element, f"{place}[{number}]")

    return check


def scalar(schema: Mapping[str, Any]) -> Check:
    """Return the check of a value that has no parts."""
    kind, form, values = schema["type"], schema.get("format"), frozenset(schema.get("enum", ()))
    pattern = re.compile(schema["pattern"]) if "pattern" in schema else None

    def string(value: Any, place: str) -> None:
        # Google takes a number where it writes a 64-bit one as text.
        if form in INTEGERS and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise ApiError.wrong_type(place, "TYPE_STRING", value)
        if form in INTEGERS:
            low, high = INTEGERS[form]
            if not re.fullmatch(r"-?[0-9]+", value) or not low <= int(value) <= high:
                raise ApiError.wrong_type(place, f"TYPE_{form.upper()}", value)
        if form == "byte":
            try:
                base64.b64decode(value.translate(URL_SAFE), validate=True)
            except binascii.Error:
                raise ApiError.wrong_type(place, "TYPE_BYTES", value) from None
        if values and value not in values:
            raise ApiError.invalid(place, value, "Unknown value")
        if pattern and not pattern.fullmatch(value):
            raise ApiError.invalid(place, value, f"Must be a match of regex '{pattern.pattern}'")

    def integer(value: Any, place: str) -> None:
        low, high = INTEGERS[form or "int64"]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ApiError.wrong_type(place, f"TYPE_{(form or 'int64').upper()}", value)

    def number(value: Any, place: str) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ApiError.wrong_type(place, "TYPE_DOUBLE", value)

    def boolean(value: Any, place: str) -> None:
        if not isinstance(value, bool):
            raise ApiError.wrong_type(place, "TYPE_BOOL", value)

    def anything(value: Any, place: str) -> None:
        """Pass whatever there is."""

    return {"string": string, "integer": integer, "number": number, "boolean": boolean, "any": anything}[kind]


URL_SAFE = str.maketrans("-_", "+/")
