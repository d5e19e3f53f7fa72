# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One service on this host: its directory, the engine, and Compose."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _files, _observe, _ready
from ansible_collections.protostar.platform.plugins.module_utils._compose import Compose, ComposeError
from ansible_collections.protostar.platform.plugins.module_utils._desired import signal_number
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._journal import Journal
from ansible_collections.protostar.platform.plugins.module_utils._observe import Container
from ansible_collections.protostar.platform.plugins.module_utils._plan import COMPOSE
from ansible_collections.protostar.platform.plugins.module_utils._ready import NotReady, Ready
from ansible_collections.protostar.platform.plugins.module_utils._rehearsal import SUFFIX
from ansible_collections.protostar.platform.plugins.module_utils._store import Store

# What Compose may need to stop old containers, on top of the time that new ones have to become ready, in seconds.
_COMPOSE_TIME = 120


class Deployment:
    """What every step of a transaction works on.

    Args:
        store: The service's directory.
        engine: The engine of this host.
        ready: When the service counts as ready.
        compose: Makes a Compose for a project, a directory and a file.

    """

    def __init__(self, store: Store, engine: Engine, ready: Ready, compose: Callable[..., Compose] = Compose) -> None:
        self.store = store
        self.engine = engine
        self.ready = ready
        self.journal = Journal(store.journal_file)
        self._compose = compose

    def compose(self) -> Compose:
        """Return Compose for the live file, or for whatever containers there are if that is missing."""
        file = self.store.compose_file
        return self._compose(self.store.name, self.store.directory, file if file.exists() else None)

    def staged(self) -> Compose:
        """Return Compose for the staged file, as if it were live."""
        return self._compose(self.store.name, self.store.directory, self.store.staging / COMPOSE)

    def copies(self, file: str | None = None) -> Compose:
        """Return Compose for the throw-away copies."""
        return self._compose(
            self.store.name + SUFFIX, self.store.staging, self.store.staging / file if file is not None else None
        )

    def containers(self) -> dict[str, Container]:
        """Return the service's containers."""
        return _observe.containers(self.engine, self.store.name)

    def _copied_containers(self) -> dict[str, Container]:
        """Return the throw-away copies, under the names of the services they stand for."""
        found = _observe.containers(self.engine, self.store.name + SUFFIX)
        return {name.removesuffix(SUFFIX): container for name, container in found.items()}

    def up(self, recreate: Iterable[str], everything: Iterable[str], before: Mapping[str, Container]) -> None:
        """Bring the containers up from the live file.

        Args:
            recreate: Services whose containers are replaced.
            everything: All services.
            before: The containers before.

        Raises:
            ServiceError: A container failed, or Compose did.

        """
        services = list(everything)
        try:
            self.compose().up(recreate, services, self.ready.timeout + _COMPOSE_TIME)
        except ComposeError:
            # Compose says no more than that a dependency failed; the container says why.
            self._told(lambda: _ready.check(self.containers(), services, before))
            raise

    def wait(self, services: Iterable[str], before: Mapping[str, Container]) -> None:
        """Wait until the containers are ready.

        Args:
            services: The services to wait for.
            before: The containers before: one that was restarted in the past has not failed now.

        Raises:
            ServiceError: They did not become ready; the text holds the last that the failed one said.

        """
        self._told(lambda: _ready.wait(self.containers, services, self.ready, before))

    def rehearse(self, file: str, services: Iterable[str]) -> None:
        """Start throw-away copies and wait until they are ready.

        Raises:
            ServiceError: They did not become ready; the text holds the last that the failed one said.

        """
        names = list(services)
        self.copies(file).up([], [name + SUFFIX for name in names], self.ready.timeout + _COMPOSE_TIME)
        self._told(lambda: _ready.wait(self._copied_containers, names, self.ready))

    def _told(self, step: Callable[[], object]) -> None:
        try:
            step()
        except NotReady as failure:
            raise ServiceError(_ready.explain(self.engine, failure)) from failure

    def reload(self, way: Mapping[str, Any]) -> None:
        """Have a service take over its files without recreating it.

        Args:
            way: A `Reload` as a mapping, as the journal holds it.

        """
        service = str(way["service"])
        try:
            if way["signal"]:
                self._signal(service, str(way["signal"]))
            elif way["command"]:
                self.compose().execute(service, list(way["command"]), self.ready.timeout)
            else:
                _request(str(way["method"]), str(way["url"]), self.ready.timeout)
        except (ComposeError, OSError) as error:
            raise ServiceError(f"{service} did not reload: {error}") from error
        self._confirm(service)

    def _signal(self, service: str, name: str) -> None:
        container = self.containers().get(service)
        if container is None:
            raise ServiceError(f"{service} did not reload: it has no container")
        self.engine.signal(container.running.id, signal_number(name))

    def _confirm(self, service: str) -> None:
        """Run the health check now: the engine's verdict is older than the reload, and its next look may be far off."""
        container = self.containers().get(service)
        check = (container.details["Config"].get("Healthcheck") or {}) if container else {}
        kind, *command = check.get("Test") or ["NONE"]
        if kind == "NONE":
            return
        if kind == "CMD-SHELL":
            command = ["/bin/sh", "-c", *command]
        # As patient as the engine would be; its defaults are in the Dockerfile reference, HEALTHCHECK.
        patience = (check.get("Interval") or 30e9) / 1e9 * (check.get("Retries") or 3)
        deadline, seen = time.monotonic() + min(patience, self.ready.timeout), 0
        while True:
            try:
                self.compose().execute(service, command, self.ready.timeout)
                seen += 1
            except ComposeError as error:
                seen = 0
                if time.monotonic() >= deadline:
                    raise ServiceError(f"{service}: its health check fails after the reload: {error}") from error
            if seen >= self.ready.successes:
                return
            time.sleep(self.ready.interval)

    def pin(self, images: Mapping[str, str]) -> None:
        """Make tags point to the images that were released under them, where those are still here."""
        for reference, image in images.items():
            found = self.engine.image(reference)
            if (found is None or found["Id"] != image) and "@" not in reference and self.engine.image(image):
                self.engine.tag(image, reference)

    def clear_copies(self) -> None:
        """Remove the throw-away copies and what was staged for them."""
        project = self.store.name + SUFFIX
        if self.engine.containers(project, one_off=True) or self.engine.volumes(project):
            self.copies().down(volumes=True, grace=0)
        for volume in self.engine.volumes(project):
            self.engine.remove_volume(volume)
        _files.remove_tree(self.store.staging)


def now() -> str:
    """Return the time as it is written into records."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _request(method: str, url: str, timeout: float) -> None:
    import urllib.request  # noqa: PLC0415  only a reload over HTTP needs it

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(urllib.request.Request(url, method=method), timeout=timeout):
        pass  # an answer other than 2xx is raised as an OSError
