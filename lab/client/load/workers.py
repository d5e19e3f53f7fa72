"""What each kind of client does over and over."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

from . import http1, sessions
from .http1 import Origin
from .record import Lost, Record, Sink, now
from .routes import EVENTS, GET, LARGE, POST, SLOW, SOCKET, Route

TIMEOUT = 15  # seconds that a request may take; the slowest of the routes takes two
PAUSE = 0.5  # seconds before a client comes back that failed, or whose session ended
RETRIES = 3


class Client:
    """What all of one load share: where it goes, what it is allowed, and whether it is over."""

    def __init__(self, origin: Origin, apps: Sequence[str], sink: Sink, requests: int) -> None:
        self.origin, self.apps, self.sink = origin, apps, sink
        self._left = requests
        self.over = asyncio.Event()

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), seconds)

    def take(self) -> bool:
        """Take one of the requests that may still be made."""
        if self.over.is_set():
            return False
        self._left -= 1
        if self._left <= 0:
            self.over.set()
        return True

    def routes(self, routes: Mapping[str, Route]) -> Iterator[Route]:
        """Go round the applications, beginning anywhere."""
        chosen = [routes[app] for app in self.apps]
        start = random.randrange(len(chosen))
        return itertools.cycle(chosen[start:] + chosen[:start])

    async def judged(self, record: Record, doing: Awaitable[None], timeout: float = TIMEOUT) -> bool:
        """Do something, note how it went, and tell whether it went well."""
        record.start = now()
        try:
            await asyncio.wait_for(doing, timeout)
            if not 200 <= record.status < 300:
                record.failed = "status"
        except Lost as error:
            record.failed = str(error)
        except TimeoutError:
            record.failed = "timeout"
        record.end = now()
        self.sink.add(record)
        return not record.failed


class Kept:
    """An HTTP/1.1 connection that is opened again when it has been closed."""

    def __init__(self, origin: Origin, **options: int) -> None:
        self._origin, self._options = origin, options
        self._connection: http1.Connection | None = None

    async def get(self, record: Record) -> http1.Connection:
        """Return a connection that may be used."""
        if self._connection and not self._connection.usable:
            self.close()
        if not self._connection:
            reader, writer = await self._origin.connect("http/1.1", **self._options)
            self._connection = http1.Connection(reader, writer, self._origin.authority)
        record.reused = self._connection.served > 0
        return self._connection

    def close(self) -> None:
        """Forget the connection, and with it whatever was wrong on it."""
        if self._connection:
            self._connection.close()
        self._connection = None


Exchange = Callable[[Kept, Route, Record], Awaitable[None]]


async def plain(kept: Kept, route: Route, record: Record) -> None:
    """Send and read at once."""
    connection = await kept.get(record)
    record.start = now()
    await connection.send(route.method, route.target, route.body)
    record.answered(*await connection.head())
    async for _ in connection.body():
        pass


async def slow_body(kept: Kept, route: Route, record: Record) -> None:
    """Send the body in single bytes, over a second and a half."""
    connection = await kept.get(record)
    record.start = now()
    await connection.send(route.method, route.target, route.body, seconds=1.5)
    record.answered(*await connection.head())
    async for _ in connection.body():
        pass


async def slow_read(kept: Kept, route: Route, record: Record) -> None:
    """Read the answer a little at a time."""
    connection = await kept.get(record)
    record.start = now()
    await connection.send(route.method, route.target)
    record.answered(*await connection.head())
    async for _ in connection.body():
        await asyncio.sleep(0.1)


async def keep_asking(
    client: Client, kind: str, routes: Mapping[str, Route], exchange: Exchange, rate: float, **options: int
) -> None:
    """Ask one request after the other over one connection, at most `rate` a second."""
    kept, route = Kept(client.origin, **options), client.routes(routes)
    await client.pause(random.random() / rate if rate else 0)
    loop = asyncio.get_running_loop()
    while client.take():
        due = loop.time() + (1 / rate if rate else 0)
        asked = next(route)
        record = Record(kind, asked.app)
        if not await client.judged(record, exchange(kept, asked, record)):
            kept.close()
            due += PAUSE
        await client.pause(due - loop.time())
    kept.close()


async def multiplex(client: Client, rate: float, streams: int) -> None:
    """Ask many requests at once over one connection of HTTP/2, each stream at most `rate` a second."""
    from . import http2  # noqa: PLC0415 - only this kind of client needs the library

    connection = http2.Connection(client.origin)
    opening = asyncio.Lock()

    async def exchange(route: Route, record: Record) -> None:
        nonlocal connection
        while True:
            async with opening:
                if not connection.usable:
                    connection = http2.Connection(client.origin)
                    await connection.open()
            record.reused = connection.served > 0
            record.start = record.start if record.retries else now()
            try:
                record.answered(*await connection.request(route.method, route.target, route.body))
            except http2.Unprocessed:
                record.retries += 1
                if record.retries > RETRIES:
                    raise Lost("refused") from None
            else:
                return

    async def stream() -> None:
        loop, route = asyncio.get_running_loop(), client.routes(GET)
        await client.pause(random.random() / rate if rate else 0)
        while client.take():
            due = loop.time() + (1 / rate if rate else 0)
            asked = next(route)
            record = Record("http2", asked.app)
            if not await client.judged(record, exchange(asked, record)):
                due += PAUSE
            await client.pause(due - loop.time())

    await asyncio.gather(*(stream() for _ in range(streams)))
    connection.close()


async def stay(client: Client, kind: str) -> None:
    """Keep a session open, and open the next one when it ends."""
    hold, app = (sessions.server_sent_events, EVENTS.app) if kind == "sse" else (sessions.websocket, SOCKET.app)
    while not client.over.is_set():
        record = Record(kind, app, start=now())
        holding = asyncio.ensure_future(hold(client.origin, record))
        ending = asyncio.ensure_future(client.over.wait())
        await asyncio.wait([holding, ending], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not holding.done():
            holding.cancel()
            record.reason = "stopped"
        await asyncio.gather(holding, return_exceptions=True)
        error = None if holding.cancelled() else holding.exception()
        if isinstance(error, Lost):
            # What had begun was cut; what never began is a request that was lost.
            established = record.status in (101, 200)
            record.reason = "cut" if established else ""
            record.failed = "" if established else str(error)
        elif error:
            raise error
        record.end = now()
        client.sink.add(record)
        await client.pause(PAUSE)


def everyone(client: Client, counts: Mapping[str, int], rate: float) -> list[Awaitable[None]]:
    """Make all clients of a load.

    Args:
        client: What they share.
        counts: How many of each kind; of http2 how many streams of the one connection.
        rate: Requests a second of each get, post and http2 client; 0 for as many as are answered.

    """
    asking: Mapping[str, tuple[Mapping[str, Route], Exchange, float, dict[str, int]]] = {
        "get": (GET, plain, rate, {}),
        "post": (POST, plain, rate, {}),
        "slow-body": (POST, slow_body, 0, {}),
        "slow-read": (LARGE, slow_read, 0, {"receive_buffer": 4096}),
        "slow-answer": (SLOW, plain, 0, {}),
    }
    clients: list[Awaitable[None]] = []
    for kind, (routes, exchange, pace, options) in asking.items():
        clients += [keep_asking(client, kind, routes, exchange, pace, **options) for _ in range(counts.get(kind, 0))]
    for kind in ("sse", "websocket"):
        clients += [stay(client, kind) for _ in range(counts.get(kind, 0))]
    if counts.get("http2"):
        clients.append(multiplex(client, rate, counts["http2"]))
    return clients
