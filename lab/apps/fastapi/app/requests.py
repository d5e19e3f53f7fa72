"""ASGI middleware: says who answers, measures every request, logs all but the probes."""

import logging
import time

from prometheus_client import Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import IDENTITY

PROBES = {"/health", "/ready", "/metrics"}
logger = logging.getLogger("request")

Gauge("app_info", "What runs here; always 1", list(IDENTITY)).labels(**IDENTITY).set(1)
DURATION = Histogram(
    "http_request_duration_seconds", "Time from request to the end of its response", ["method", "route", "status"]
)


class Observe:
    """The middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and watch its response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def identify(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(
                    {"x-app-version": IDENTITY["version"], "x-app-colour": IDENTITY["colour"]}
                )
            await send(message)

        try:
            await self.app(scope, receive, identify)
        finally:
            seconds = time.perf_counter() - started
            # Paths that nobody declared share one label, or a scanner could grow the metrics without bound.
            route = getattr(scope.get("route"), "path", "unmatched")
            DURATION.labels(scope["method"], route, status).observe(seconds)
            if scope["path"] not in PROBES:
                logger.info(
                    {
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "seconds": round(seconds, 6),
                        "request_id": Headers(scope=scope).get("x-request-id"),
                    }
                )
