"""HTTP/2: many requests at once over one connection."""

from __future__ import annotations

import asyncio
import contextlib

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from hyperframe.frame import Frame, GoAwayFrame

from .http1 import Origin
from .record import Lost


class Unprocessed(Exception):
    """The server said that it did nothing for this stream, so it may be sent again (RFC 9113, 6.8)."""


class Stream:
    """An answer under way."""

    def __init__(self) -> None:
        self.done: asyncio.Future[tuple[int, dict[str, str]]] = asyncio.get_running_loop().create_future()
        self.head: tuple[int, dict[str, str]] | None = None

    def fail(self, error: Exception) -> None:
        """End it without success, unless it has ended."""
        if not self.done.done():
            self.done.set_exception(error)


class Connection:
    """A connection; `request` may be called by many tasks at once."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._protocol = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        # h2 takes a connection that the server leaves for closed, and would refuse the answers that are still to come.
        self._protocol._frame_dispatch_table[GoAwayFrame] = self._leave
        self._streams: dict[int, Stream] = {}
        self.usable = False
        self.served = 0

    async def open(self) -> None:
        """Connect, and begin to read."""
        self._reader, self._writer = await self._origin.connect("h2")
        chosen = self._writer.get_extra_info("ssl_object")
        if chosen is None or chosen.selected_alpn_protocol() != "h2":
            raise Lost("connect")
        self._protocol.initiate_connection()
        self._flush()
        self.usable = True
        self._task = asyncio.create_task(self._read())

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
        """Send a request and return the head of its answer, once it is whole."""
        try:
            number = self._protocol.get_next_available_stream_id()
            headers = [
                (":method", method), (":authority", self._origin.authority), (":scheme", "https"), (":path", path),
                *([("content-type", "application/json"), ("content-length", str(len(body)))] if body else []),
            ]  # fmt: skip
            self._protocol.send_headers(number, headers, end_stream=not body)
            if body:
                self._protocol.send_data(number, body, end_stream=True)
        except h2.exceptions.ProtocolError as error:
            raise Unprocessed from error
        stream = self._streams[number] = Stream()
        self._flush()
        return await stream.done

    def close(self) -> None:
        """End the connection and what is under way on it."""
        self.usable = False
        if hasattr(self, "_task"):
            self._task.cancel()
            self._writer.transport.abort()

    def _flush(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.write(self._protocol.data_to_send())

    async def _read(self) -> None:
        reason = "unanswered"
        try:
            while data := await self._reader.read(2**16):
                for event in self._protocol.receive_data(data):
                    self._handle(event)
                self._flush()
        except OSError:
            reason = "reset"
        except h2.exceptions.ProtocolError:
            reason = "protocol"
        finally:
            self.usable = False
            for stream in self._streams.values():
                stream.fail(Lost("truncated" if stream.head else reason))
            self._streams.clear()
            self._writer.transport.abort()

    def _handle(self, event: h2.events.Event) -> None:
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            headers = {str(name): str(value) for name, value in event.headers}
            stream.head = (int(headers[":status"]), headers)
        elif isinstance(event, h2.events.DataReceived):
            self._protocol.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.served += 1
            if not stream.done.done() and stream.head:
                stream.done.set_result(stream.head)
            self._streams.pop(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            refused = event.error_code == 7  # REFUSED_STREAM
            stream.fail(Unprocessed() if refused else Lost("truncated" if stream.head else "reset"))
            self._streams.pop(event.stream_id)

    def _leave(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        """Send nothing more over this connection; what the server took on is still answered."""
        self.usable = False
        for number in [number for number in self._streams if number > frame.last_stream_id]:
            self._streams.pop(number).fail(Unprocessed())
        return [], []
