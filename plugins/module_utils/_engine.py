# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small client of the Docker Engine API over its unix socket, with the standard library only.

Reading costs one to three milliseconds a request, where starting the `docker` program costs tens: this is what keeps a
call that finds nothing to do cheap.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
from typing import Any
from urllib.parse import quote, urlencode

from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError

SOCKET = "/var/run/docker.sock"
# Engine 20.10 speaks up to 1.41; engine 29.0 refuses anything older than 1.44 (its release notes).
NEWEST_API = (1, 44)

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
CONFIG_HASH_LABEL = "com.docker.compose.config-hash"


class EngineUnavailable(ServiceError):
    """The engine does not answer on its socket."""


class EngineError(ServiceError):
    """The engine answered a request with an error."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host and port."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Engine:
    """The engine of this host.

    Args:
        path: The engine's unix socket.
        timeout: Seconds to wait for each answer.

    """

    def __init__(self, path: str = SOCKET, timeout: float = 60) -> None:
        self.path = path
        self._timeout = timeout
        self._own = threading.local()
        self._api: str | None = None

    @property
    def _connection(self) -> UnixConnection:
        """Return this thread's connection: one cannot carry two requests at once."""
        if not hasattr(self._own, "connection"):
            self._own.connection = UnixConnection(self.path, self._timeout)
        connection: UnixConnection = self._own.connection
        return connection

    def containers(self, project: str | None = None, *, one_off: bool = False) -> list[dict[str, Any]]:
        """List containers in any state: all of them, or those of one Compose project, with or without one-off ones."""
        query = {"all": "1"}
        if project is not None:
            labels = [f"{PROJECT_LABEL}={project}"] + ([] if one_off else [f"{ONE_OFF_LABEL}=False"])
            query["filters"] = json.dumps({"label": labels})
        return list(self._get("/containers/json", query) or [])

    def container(self, name: str) -> dict[str, Any] | None:
        """Inspect a container; None if it does not exist."""
        found = self._get(f"/containers/{quote(name)}/json")
        return None if found is None else dict(found)

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a container's main process.

        Not by the engine's own kill, which takes every signal for the beginning of a stop by hand: it would then
        neither restart the container after a crash nor start it at boot (seen with 26.1).

        Raises:
            ProcessLookupError: It does not run.

        """
        found = self.container(name) or {"State": {}}
        process = found["State"].get("Pid") or 0
        if process <= 0:  # 0 would be this very process group
            raise ProcessLookupError(f"the container {name} does not run")
        os.kill(process, number)

    def image(self, reference: str) -> dict[str, Any] | None:
        """Inspect an image that is on this host; None if it is not."""
        found = self._get(f"/images/{quote(reference)}/json")
        return None if found is None else dict(found)

    def info(self) -> dict[str, Any]:
        """Return what the engine says of itself."""
        return dict(self._get("/info") or {})

    def networks(self) -> set[str]:
        """Names of the networks."""
        return {str(network["Name"]) for network in self._get("/networks") or []}

    def volumes(self, project: str) -> set[str]:
        """Names of the volumes that belong to a Compose project."""
        query = {"filters": json.dumps({"label": [f"{PROJECT_LABEL}={project}"]})}
        return {str(volume["Name"]) for volume in (self._get("/volumes", query) or {}).get("Volumes") or []}

    def logs(self, container: str, lines: int = 5) -> str:
        """Return the last lines that a container wrote; empty if its log driver cannot be read."""
        query = {"stdout": "1", "stderr": "1", "tail": str(lines)}
        try:
            status, body = self._request("GET", f"/containers/{quote(container)}/logs", query)
        except EngineError:
            return ""
        return _demultiplex(body).decode(errors="replace").strip() if status == 200 else ""

    def tag(self, image_id: str, reference: str) -> None:
        """Make a `name:tag` reference point to an image that is on this host."""
        repository, _, tag = (
            reference.rpartition(":") if ":" in reference.rpartition("/")[2] else (reference, "", "latest")
        )
        self._change("POST", f"/images/{quote(image_id)}/tag", {"repo": repository, "tag": tag})

    def remove_volume(self, name: str) -> None:
        """Remove a volume."""
        self._change("DELETE", f"/volumes/{quote(name)}", {})

    def _get(self, path: str, query: dict[str, str] | None = None) -> Any:  # noqa: ANN401  whatever JSON the engine answers
        status, body = self._request("GET", path, query or {})
        if status == 404:
            return None
        return json.loads(body)

    def _change(self, method: str, path: str, query: dict[str, str]) -> None:
        self._request(method, path, query)

    def _request(self, method: str, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        if self._api is None:
            self._api = self._negotiate()
        target = f"/v{self._api}{path}" + (f"?{urlencode(query)}" if query else "")
        status, body, _headers = self._exchange(method, target)
        if status >= 400 and status != 404:
            raise EngineError(f"the Docker engine refused {method} {path}: {_message(body)}")
        return status, body

    def _negotiate(self) -> str:
        """Choose the newest API version that both sides know."""
        _status, _body, headers = self._exchange("GET", "/_ping")
        offered = tuple(int(part) for part in (headers.get("Api-Version") or "1.41").split("."))
        return ".".join(str(part) for part in min(offered, NEWEST_API))

    def _exchange(self, method: str, target: str) -> tuple[int, bytes, http.client.HTTPMessage]:
        try:
            self._connection.request(method, target)
            response = self._connection.getresponse()
            return response.status, response.read(), response.headers
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise EngineUnavailable(
                f"the Docker engine does not answer on {self.path} ({error}): start it with "
                "'systemctl start docker' and run again"
            ) from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace").strip()


def _demultiplex(stream: bytes) -> bytes:
    """Strip the 8-byte frame headers of a log stream; a container with a terminal has none.

    The format is in the Engine API reference, "ContainerAttach: Stream format".
    """
    text, position = b"", 0
    while position + 8 <= len(stream):
        header = stream[position : position + 8]
        if header[0] > 2 or header[1:4] != b"\0\0\0":
            return stream
        size = int.from_bytes(header[4:], "big")
        text += stream[position + 8 : position + 8 + size]
        position += 8 + size
    return text
