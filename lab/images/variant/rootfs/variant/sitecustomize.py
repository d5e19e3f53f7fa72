"""Gives a Python app the fault that FAULT names; fault.mjs does the same for Node, and lists them."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable

Message = dict[str, object]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]

PROBES = {"/health", "/ready", "/metrics"}
FINE = 20
CRASH_AFTER = 2
FAULT = os.environ.get("FAULT", "none")
STATUS = {"unhealthy": 503, "unready": 500, "errors": 500}
IDENTITY = {
    b"x-app-version": os.environ.get("APP_VERSION", "").encode(),
    b"x-app-colour": os.environ.get("APP_COLOUR", "none").encode(),
}


class Faulty:
    """An ASGI application behind its fault."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._asked = 0

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Answer wrongly or late, or as the application does."""
        path = scope.get("path")
        self._asked += path not in PROBES and scope["type"] == "http"
        late = path not in PROBES and self._asked > FINE
        if {"unhealthy": path == "/health", "unready": path == "/ready", "errors": late}.get(FAULT):
            await send({"type": "http.response.start", "status": STATUS[FAULT], "headers": list(IDENTITY.items())})
            await send({"type": "http.response.body", "body": b'{"fault": true}'})
            return
        if FAULT == "slow" and late:
            await asyncio.sleep(1)
        await self._application(scope, receive, send)


# Only the server's own process: the health check is Python too.
if FAULT != "none" and sys.orig_argv[1:3] == ["-m", "app"]:
    import uvicorn

    load = uvicorn.Config.load

    def load_with_fault(config: uvicorn.Config) -> None:
        """Load the application, and put the fault before it."""
        load(config)
        config.loaded_app = Faulty(config.loaded_app)

    uvicorn.Config.load = load_with_fault
    if FAULT == "crash":
        threading.Timer(CRASH_AFTER, lambda: os._exit(3)).start()
