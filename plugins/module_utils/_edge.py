# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The edge: nginx in its container, spoken to over a socket that only root reaches."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _pools
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine, UnixConnection
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pools

_SOCKET = "run/protostar/edge.sock"
_ANSWER_TIME = 5.0


class EdgeUnavailable(ServiceError):
    """nginx does not run, or does not answer on its socket."""


class EdgeStopped(EdgeUnavailable):
    """nginx does not run: nobody is led anywhere, and it reads the durable pools when it starts."""


class StaleWriter(ServiceError):
    """Somebody else changed the pools meanwhile."""


class Edge:
    """The edge of this host.

    Args:
        engine: The engine that nginx runs in.
        container: The container's name.
        directory: Where the durable pools are.
        keepalive: How many seconds nginx keeps an idle connection to an application.

    """

    def __init__(self, engine: Engine, container: str, directory: str, keepalive: float = 60) -> None:
        self._engine = engine
        self._container = container
        self.keepalive = keepalive
        self.durable = Path(directory) / "pools.json"

    def pools(self) -> Pools:
        """Return the pools in force."""
        return Pools.read(self._ask("GET", "/pools"))

    def set(self, pools: Pools, expected: int) -> float:
        """Put pools in force: on disk first, then in one write for all requests from then on.

        Returns:
            How many seconds the write took.

        Raises:
            StaleWriter: The generation in force is not the expected one; nothing was changed there.

        """
        _pools.save(self.durable, pools)
        body = {"expected": expected, **pools.document()}
        connection = self._connected()
        began = time.monotonic()
        try:
            self._exchange(connection, "PUT", "/pools", body)
        except StaleWriter:
            # On disk is what is in force, or the next start of nginx would change colours.
            _pools.save(self.durable, self.pools())
            raise
        return time.monotonic() - began

    def settle(self, pools: Pools) -> None:
        """Have on disk what is in force."""
        if _pools.load(self.durable) != pools:
            _pools.save(self.durable, pools)

    def counters(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return what was counted, by application and colour, with the bounds of the buckets."""
        document = self._ask("GET", "/counters")
        return {
            name: {colour: {**counts, "bounds": document["bounds"]} for colour, counts in colours.items()}
            for name, colours in document["apps"].items()
        }

    def sessions(self, name: str, colour: str) -> list[dict[str, Any]]:
        """Return the WebSockets and event streams that are open now."""
        return list(self._ask("GET", f"/sessions?app={name}&colour={colour}"))

    def address(self) -> str:
        """Return an address at which this host reaches nginx."""
        networks = (self._described().get("NetworkSettings") or {}).get("Networks") or {}
        for network in networks.values():
            if network.get("IPAddress"):
                return str(network["IPAddress"])
        raise EdgeUnavailable(f"the container {self._container} has no address: run site.yml with --tags nginx")

    def _described(self) -> Mapping[str, Any]:
        found = self._engine.container(self._container)
        if found is None or not found["State"].get("Pid"):
            raise EdgeStopped(
                f"the container {self._container} does not run, so that no request can be led to a release: "
                "run site.yml with --tags nginx"
            )
        return found

    def _connected(self) -> UnixConnection:
        path = f"/proc/{self._described()['State']['Pid']}/root/{_SOCKET}"
        connection = UnixConnection(path, _ANSWER_TIME)
        try:
            connection.connect()
        except OSError as error:
            raise EdgeUnavailable(
                f"nginx in {self._container} does not answer on its socket ({error}): run site.yml with --tags nginx"
            ) from error
        return connection

    def _ask(self, method: str, path: str) -> Any:  # noqa: ANN401  whatever JSON nginx answers
        return self._exchange(self._connected(), method, path)

    def _exchange(
        self, connection: UnixConnection, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Any:  # noqa: ANN401  whatever JSON nginx answers
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            text = response.read()
            document = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EdgeUnavailable(
                f"nginx in {self._container} did not answer {method} {path} ({error}): read docker logs "
                f"{self._container}"
            ) from error
        finally:
            connection.close()
        if response.status == 409:
            raise StaleWriter(
                f"somebody else changed the edge meanwhile (its generation is {document.get('generation')}): "
                "look at status.yml and run again"
            )
        if response.status != 200:
            raise ServiceError(f"nginx refused {method} {path}: {document.get('error', response.status)}")
        return document
