"""What is asked of which application."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Route:
    """A request: application, method, path below /api/<application>, and the body of a POST."""

    app: str
    method: str
    path: str
    body: bytes = b""

    @property
    def target(self) -> str:
        """The path as the edge knows it."""
        return f"/api/{self.app}{self.path}"


def _post(app: str, path: str, **body: str) -> Route:
    return Route(app, "POST", path, json.dumps(body).encode())


GET: Mapping[str, Route] = {app: Route(app, "GET", "/version") for app in ("nest", "fastapi")}
# Each does its work: one queues a job in Redis, the other replaces a document in PostgreSQL.
POST: Mapping[str, Route] = {
    "nest": _post("nest", "/jobs", text="sent by the load"),
    "fastapi": _post("fastapi", "/documents", title="The load", text="What a load writes over and over."),
}
# Metrics would be longer, but are not for everybody.
LARGE: Mapping[str, Route] = {"nest": GET["nest"], "fastapi": Route("fastapi", "GET", "/openapi.json")}
SLOW: Mapping[str, Route] = {app: Route(app, "GET", "/slow?seconds=2") for app in ("nest", "fastapi")}
EVENTS = Route("nest", "GET", "/events")
SOCKET = Route("nest", "GET", "/ws")
