"""Long-lived sessions: server-sent events and WebSockets."""

from __future__ import annotations

import asyncio
import base64
import os
import struct

from .http1 import Connection, Origin
from .record import Lost, Record, now
from .routes import EVENTS, SOCKET

CLOSE, PING, PONG = 8, 9, 10
HANDSHAKE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n"


async def server_sent_events(origin: Origin, record: Record) -> None:
    """Read events until the stream ends."""
    reader, writer = await origin.connect("http/1.1")
    connection = Connection(reader, writer, origin.authority)
    try:
        record.start = now()
        await connection.send("GET", EVENTS.target, extra="Accept: text/event-stream\r\n")
        record.answered(*await connection.head())
        if record.status != 200:
            raise Lost("status")
        async for piece in connection.body():
            record.events += piece.count(b"\n\n")
        record.reason = "end"
    finally:
        connection.close()


async def websocket(origin: Origin, record: Record) -> None:
    """Send a text a second, and read what comes, until somebody closes."""
    reader, writer = await origin.connect("http/1.1")
    connection = Connection(reader, writer, origin.authority)
    talking: asyncio.Task[None] | None = None
    try:
        record.start = now()
        key = base64.b64encode(os.urandom(16)).decode()
        await connection.send("GET", SOCKET.target, extra=HANDSHAKE.format(key))
        record.answered(*await connection.head())
        if record.status != 101:
            raise Lost("status")
        talking = asyncio.create_task(_talk(writer))
        while True:
            operation, payload = await _frame(reader)
            if operation == CLOSE:
                record.reason = f"closed {struct.unpack('!H', payload[:2])[0]}" if len(payload) > 1 else "closed"
                _send(writer, CLOSE, payload[:2])
                return
            if operation == PING:
                _send(writer, PONG, payload)
            record.events += 1
    finally:
        if talking:
            talking.cancel()
        connection.close()


async def _talk(writer: asyncio.StreamWriter) -> None:
    while True:
        _send(writer, 1, b"said by the load")
        await asyncio.sleep(1)


def _send(writer: asyncio.StreamWriter, operation: int, payload: bytes) -> None:
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    if not writer.is_closing():
        writer.write(bytes([0x80 | operation, 0x80 | len(payload)]) + mask + masked)


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    try:
        first, length = await reader.readexactly(2)
        if length == 126:
            length = struct.unpack("!H", await reader.readexactly(2))[0]
        return first & 0x0F, await reader.readexactly(length)
    except (asyncio.IncompleteReadError, OSError) as error:
        raise Lost("truncated") from error
