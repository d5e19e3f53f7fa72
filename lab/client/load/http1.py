"""HTTP/1.1 over connections that are kept, without ever sending a request twice."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from .record import Lost

PIECE = 1024


@dataclass(frozen=True)
class Origin:
    """Where requests go: scheme, host and port of a URL."""

    url: str

    @property
    def host(self) -> str:
        """The host's name."""
        return urlsplit(self.url).hostname or ""

    @property
    def authority(self) -> str:
        """The host as requests name it."""
        return urlsplit(self.url).netloc

    @property
    def tls(self) -> bool:
        """Whether it is asked over TLS."""
        return urlsplit(self.url).scheme == "https"

    async def connect(
        self, *protocols: str, receive_buffer: int = 0
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection.

        Args:
            protocols: What is offered by ALPN.
            receive_buffer: Bytes that the system may keep unread; 0 for its own choice.

        """
        context = ssl.create_default_context() if self.tls else None
        if context and protocols:
            context.set_alpn_protocols(list(protocols))
        port = urlsplit(self.url).port or (443 if self.tls else 80)
        try:
            plain = socket.socket()
            if receive_buffer:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            plain.setblocking(False)
            address = (await asyncio.get_running_loop().getaddrinfo(self.host, port, family=socket.AF_INET))[0][4]
            await asyncio.get_running_loop().sock_connect(plain, address)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return await asyncio.open_connection(
                sock=plain, ssl=context, server_hostname=self.host if context else None, limit=2**16
            )
        except OSError as error:
            plain.close()
            raise Lost("connect") from error


class Connection:
    """A connection that serves one request after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str) -> None:
        self.reader, self.writer = reader, writer
        self._authority = authority
        self._length: int | None = None
        self._last = False
        self.served = 0

    @property
    def usable(self) -> bool:
        """Whether another request may be sent; what the server has closed by now is seen, as any client does."""
        return not (self._last or self.reader.at_eof() or self.writer.is_closing())

    async def send(self, method: str, path: str, body: bytes = b"", extra: str = "", seconds: float = 0) -> None:
        """Send a request, its body spread over some seconds."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._authority}\r\n{extra}"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        try:
            if not seconds:
                self.writer.write(head.encode() + b"\r\n" + body)
                return
            self.writer.write(head.encode() + b"\r\n")
            for byte in body:
                self.writer.write(bytes([byte]))
                await self.writer.drain()
                await asyncio.sleep(seconds / len(body))
        except OSError:
            # An answer may have come all the same; who reads sees what it is.
            return

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read the head of the answer."""
        try:
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError as error:
            raise Lost("truncated" if error.partial else "unanswered") from error
        except OSError as error:
            raise Lost("reset") from error
        first, *lines = text.split("\r\n")
        headers = {
            name.lower(): value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon
        }
        self.served += 1
        self._last = headers.get("connection", "").lower() == "close"
        length = headers.get("content-length")
        self._length = int(length) if length is not None else None if "transfer-encoding" in headers else -1
        return int(first.split()[1]), headers

    async def body(self) -> AsyncIterator[bytes]:
        """Read the body in pieces; what ends before its end is truncated."""
        try:
            if self._length is None:
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    yield (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            elif self._length < 0:  # until the connection ends
                self._last = True
                while piece := await self.reader.read(PIECE):
                    yield piece
            else:
                left = self._length
                while left:
                    piece = await self.reader.readexactly(min(left, PIECE))
                    left -= len(piece)
                    yield piece
        except (asyncio.IncompleteReadError, OSError, ValueError) as error:
            raise Lost("truncated") from error

    def close(self) -> None:
        """Close it without waiting for the other side."""
        with contextlib.suppress(OSError):
            self.writer.transport.abort()
