# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Google's metadata server: https://cloud.google.com/compute/docs/metadata/querying-metadata.

A request waits until the value changes (wait_for_change) from the one it knows (last_etag), or for so many seconds
(timeout_sec), and is then answered with the value and its ETag. A header tells a metadata server from anything else
that may answer at its address, both ways.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlencode

DEFAULT_HOST = "metadata.google.internal"
KEY = "protostar-relay"
GUEST_ATTRIBUTE = "protostar-relay/status"
FLAVOR = "Google"
# No ETag: answered at once.
NO_ETAG = "0"
# Seconds: how long the server may wait for a change, and how long everything else may take.
WAIT = 60
TIMEOUT = 10.0
_ROOT = "/computeMetadata/v1/instance"


class Unreachable(Exception):
    """No answer that a metadata server gives. The message says what came instead."""


@dataclass(frozen=True)
class Value:
    """An attribute's value and its ETag; empty if the server sent none."""

    data: bytes
    etag: str


class Metadata:
    """A client.

    Args:
        environment: GCE_METADATA_HOST names another server, as Google's own clients have it.
        largest: Bytes of a value that are read at most.
        wait: Seconds that the server may wait for a change.
        timeout: Seconds that an answer may take beyond that.

    """

    def __init__(
        self, environment: Mapping[str, str], largest: int, wait: int = WAIT, timeout: float = TIMEOUT
    ) -> None:
        self.host = environment.get("GCE_METADATA_HOST") or DEFAULT_HOST
        self.largest = largest
        self.wait = wait
        self.timeout = timeout

    def follow(self, etag: str) -> Value:
        """Wait for another value than the one with this ETag, and return what there is then.

        Raises:
            Unreachable: There is no such server or attribute.

        """
        query = {"wait_for_change": "true", "last_etag": etag, "timeout_sec": str(self.wait)}
        return self._request("GET", f"{_ROOT}/attributes/{KEY}?{urlencode(query)}", None, self.wait + self.timeout)

    def report(self, data: bytes) -> None:
        """Write the guest attribute.

        Raises:
            Unreachable: It cannot be written.

        """
        self._request("PUT", f"{_ROOT}/guest-attributes/{GUEST_ATTRIBUTE}", data, self.timeout)

    def _request(self, method: str, path: str, data: bytes | None, seconds: float) -> Value:
        try:
            connection = http.client.HTTPConnection(self.host, timeout=seconds)
            with closing(connection), _within(connection, seconds):
                connection.request(method, path, data, {"Metadata-Flavor": FLAVOR})
                response = connection.getresponse()
                body = response.read(self.largest + 1)
                if response.length and len(body) <= self.largest:
                    raise http.client.IncompleteRead(body, response.length)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{self.host} gives no whole answer ({error or type(error).__name__})") from error
        if response.headers.get("Metadata-Flavor") != FLAVOR:
            raise Unreachable(f"{self.host} is no metadata server: its answer lacks Metadata-Flavor: {FLAVOR}")
        if response.status != 200:
            raise Unreachable(f"{self.host} answers {response.status} for {path.partition('?')[0]}")
        return Value(body, response.headers.get("ETag", ""))


@contextmanager
def _within(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Cut a connection off after some seconds, also from a server that sends a byte now and then."""
    connection.connect()
    stream: socket.socket = connection.sock
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if late.is_set():
            raise TimeoutError("timed out") from error
        raise
    finally:
        timer.cancel()
    if late.is_set():
        raise TimeoutError("timed out")
