"""Google's description of the Compute API (compute.json), as routes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from .errors import ApiError, not_routed
from .validate import Check, Parameter, compile_parameter, compile_schema

FILE = Path(__file__).with_name("compute.json")


@dataclass(frozen=True)
class Method:
    """A method of the API.

    Attributes:
        collection: The kind of resource, as in ``instances``.
        name: As in ``setMetadata``.
        verb: HTTP method.
        path: Path below the service's own, with names in braces.
        parameters: Those of the path and of the query, and those that every method takes.
        body: Checks a request's body; None when the method takes none.
        answer: Checks the answer.
        server_set: The body's fields that Google ignores, for only it sets them.
    """

    collection: str
    name: str
    verb: str
    path: str
    parameters: Mapping[str, Parameter] = field(repr=False)
    body: Check | None = field(repr=False)
    answer: Check | None = field(repr=False)
    server_set: frozenset[str] = field(repr=False)

    @property
    def id(self) -> str:
        """As in ``instances.setMetadata``."""
        return f"{self.collection}.{self.name}"

    @property
    def read(self) -> bool:
        """Whether it changes nothing. ``wait`` is a POST that only waits."""
        return self.verb == "GET" or self.name == "wait"


class Document:
    """The methods of a trimmed discovery document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.package: str = document["package"]
        self.revision: str = document["revision"]
        self.base = "/" + document["servicePath"].rstrip("/")
        self.schemas: Mapping[str, Any] = document["schemas"]
        self.methods = {
            method.id: method
            for collection, methods in document["methods"].items()
            for name, value in methods.items()
            for method in [self._method(collection, name, value, document)]
        }
        # By HTTP method and number of segments; no two of these paths fit the same request.
        self._routes: dict[tuple[str, int], list[tuple[re.Pattern[str], Method]]] = {}
        for method in self.methods.values():
            segments = method.path.split("/")
            pattern = "/".join(
                f"(?P<{segment[1:-1]}>[^/]+)" if segment.startswith("{") else re.escape(segment) for segment in segments
            )
            self._routes.setdefault((method.verb, len(segments)), []).append((re.compile(pattern), method))

    def _method(self, collection: str, name: str, value: Mapping[str, Any], document: Mapping[str, Any]) -> Method:
        described = {**document["parameters"], **value["parameters"]}
        request, response = value.get("request"), value.get("response")
        return Method(
            collection=collection,
            name=name,
            verb=value["httpMethod"],
            path=value["path"],
            parameters={key: compile_parameter(key, parameter) for key, parameter in described.items()},
            body=compile_schema(request["$ref"], self.schemas, value["id"]) if request else None,
            answer=compile_schema(response["$ref"], self.schemas, "") if response else None,
            server_set=frozenset(
                key
                for key, member in (self.schemas[request["$ref"]].get("properties", {}) if request else {}).items()
                if member.get("readOnly")
            ),
        )

    def route(self, verb: str, path: str) -> tuple[Method, dict[str, str]]:
        """Return the method that a request means, and what its path says.

        Raises:
            ApiError: 404, when the document has no such method.
        """
        if path.startswith(self.base + "/"):
            below = path[len(self.base) + 1 :]
            for pattern, method in self._routes.get((verb, below.count("/") + 1), ()):
                if found := pattern.fullmatch(below):
                    return method, found.groupdict()
        raise not_routed(path)

    @staticmethod
    def parameters(method: Method, path: Mapping[str, str], query: Mapping[str, str]) -> dict[str, Any]:
        """Return a request's parameters, converted.

        Raises:
            ApiError: 400, with the parameter that is unknown, missing or wrong.
        """
        given = {**query, **path}
        for name in given:
            if name not in method.parameters:
                raise ApiError.unknown_name(name, "")
        values: dict[str, Any] = {}
        for name, parameter in method.parameters.items():
            if name in given:
                values[name] = parameter.convert(given[name])
            elif parameter.required:
                raise ApiError.missing(name)
        return values


@cache
def load() -> Document:
    """Return the document beside this file, compiled once."""
    return Document(json.loads(FILE.read_text()))
