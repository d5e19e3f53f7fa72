# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a release does on this host: containers, requests, commands, and the look at memory and disk."""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import (
    _hooks,
    _migration,
    _observe,
    _probe,
    _ready,
    _run,
)
from ansible_collections.protostar.platform.plugins.module_utils._app import App, Check, Hook, project
from ansible_collections.protostar.platform.plugins.module_utils._compose import Compose
from ansible_collections.protostar.platform.plugins.module_utils._composefile import size
from ansible_collections.protostar.platform.plugins.module_utils._edge import Edge
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._observe import Container
from ansible_collections.protostar.platform.plugins.module_utils._ready import NotReady
from ansible_collections.protostar.platform.plugins.module_utils._status import VERSION_LABEL, tag
from ansible_collections.protostar.platform.plugins.module_utils._store import Store
from ansible_collections.protostar.platform.plugins.module_utils._transaction import reason

# What must stay free for the engine after an image has come, in bytes.
_SPARE_DISK = 256 << 20
_PULL_TIME = 1800


class Host:
    """The host of a release.

    Args:
        services: Directory of the services.
        edge: The edge of this host.
        engine: The engine of this host.
        preview_secret: What opens the colour that is not live; empty if nothing does.
        say: Tells the host's log what is being done.

    """

    clock = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    def __init__(
        self,
        services: str,
        edge: Edge,
        engine: Engine,
        preview_secret: str = "",
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.services = services
        self.edge = edge
        self.engine = engine
        self.say = say
        self._secret = preview_secret

    @property
    def can_preview(self) -> bool:
        """Whether the colour that is not live can be asked through the edge."""
        return bool(self._secret)

    def bring(self, reference: str) -> None:
        """Have an image on this host.

        Raises:
            ServiceError: It cannot be had.

        """
        if self.engine.image(reference):
            return
        try:
            done = subprocess.run(
                ["docker", "pull", "--quiet", reference],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_PULL_TIME,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServiceError(f"cannot pull {reference}: {error}") from error
        if done.returncode:
            raise ServiceError(f"cannot pull {reference}: {' '.join(done.stderr.split())}")

    def version(self, reference: str) -> str:
        """Return what an image says its version is, else its tag."""
        found = self.engine.image(reference) or {}
        labels = (found.get("Config") or {}).get("Labels") or {}
        return str(labels.get(VERSION_LABEL) or tag(reference))

    def check_room(self, made: App, colour: str) -> None:
        """Refuse a colour that would not fit beside the one that serves.

        Raises:
            ServiceError: Memory or disk is short.

        """
        wanted = sum(size(service.get("mem_limit") or 0) for service in made.compose(colour)["services"].values())
        # What runs there now makes room for what comes.
        freed = sum(
            container.running.limits[0]
            for container in self.containers(made.name, colour).values()
            if container.state == "running"
        )
        memory = Path("/proc/meminfo").read_text(encoding="utf-8")
        free = int((re.search(r"^MemAvailable:\s+(\d+)", memory, re.MULTILINE) or [0, 0])[1]) << 10
        if wanted > free + freed:
            raise ServiceError(
                f"{made.name} in {colour} may take {wanted >> 20} MiB, and {(free + freed) >> 20} MiB are free: stop "
                "something, lower its memory, or set standby to stopped for other apps"
            )
        root = str(self.engine.info().get("DockerRootDir") or "/var/lib/docker")
        status = os.statvfs(root if Path(root).exists() else "/")
        left = status.f_bavail * status.f_frsize
        if left < _SPARE_DISK:
            raise ServiceError(
                f"{root} has {left >> 20} MiB free, and a release needs {_SPARE_DISK >> 20} MiB beside its image: make "
                "room, for example with docker image prune"
            )

    def start(self, made: App, colour: str) -> None:
        """Run a release in a colour, and wait until every replica is ready.

        Raises:
            ServiceError: It did not become ready; what the colour had before was put back.

        """
        try:
            _run.present(made.service(colour, self.services), check=False, diff=False)
        except ServiceError as error:
            # What the service says of its own releases would be taken for these.
            raise ServiceError(
                reason(error.__cause__) if isinstance(error.__cause__, Exception) else str(error)
            ) from error

    def repair(self, made: App, colour: str) -> list[str]:
        """Put a colour back to what was released there, and return what was done."""
        parameters = made.service(colour, self.services)
        return list(_run.present(parameters, check=False, diff=False)["actions"])

    def drift(self, made: App, colour: str) -> list[str]:
        """Return what `repair` would do."""
        parameters = made.service(colour, self.services)
        return list(_run.present(parameters, check=True, diff=False)["actions"])

    def replaced(self, made: App, colour: str) -> list[str]:
        """Return the running containers that `repair` would replace, because they were changed by hand."""
        return _run.replaced(made.service(colour, self.services))

    def confirm(self, made: App, colour: str, successes: int | None = None) -> None:
        """Run the health check of every replica, and look at the order of keepalives.

        Args:
            made: The application.
            colour: The colour.
            successes: How often in a row; None for as often as the release wants.

        Raises:
            ServiceError: One failed.

        """
        for service, container in self.containers(made.name, colour).items():
            command = _health_command(container)
            for number in range((successes or made.ready.successes) if command else 0):
                self.sleep(made.ready.interval if number else 0)
                self._execute(service, container, command)
        for address in made.addresses[colour]:
            self._check_keepalive(made, address)

    def _execute(self, service: str, container: Container, command: list[str]) -> None:
        try:
            done = subprocess.run(
                ["docker", "exec", container.running.id, *command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServiceError(f"{service}: its health check could not be run: {error}") from error
        if done.returncode:
            said = " ".join((done.stdout + done.stderr).split())[-300:]
            raise ServiceError(f"{service}: its health check fails: {said or f'exit code {done.returncode}'}")

    def _check_keepalive(self, made: App, address: str) -> None:
        """Refuse an application that says it closes idle connections before the edge does; most say nothing."""
        connection = http.client.HTTPConnection(address, made.port, timeout=5)
        try:
            connection.request("HEAD", "/", headers={"Host": made.name, "User-Agent": "protostar"})
            said = connection.getresponse().headers.get("Keep-Alive", "")
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()
        found = re.search(r"timeout=(\d+)", said)
        if found and int(found[1]) <= self.edge.keepalive:
            raise ServiceError(
                f"{made.name} closes idle connections after {found[1]} s and nginx keeps them for "
                f"{self.edge.keepalive:g} s, so that requests would meet a connection that is being closed: raise the "
                "app's keep-alive time-out, or lower nginx_upstream_keepalive_timeout"
            )

    def check_alive(self, made: App, colour: str) -> None:
        """Refuse a colour of which a replica has failed since it was started.

        Raises:
            ServiceError: One has.

        """
        found = self.containers(made.name, colour)
        try:
            for service in made.compose(colour)["services"]:
                try:
                    _ready.is_ready(found.get(service))
                except NotReady as failure:
                    raise NotReady(f"{service}: {failure}", failure.container) from None
        except NotReady as failure:
            raise ServiceError(_ready.explain(self.engine, failure)) from failure

    def containers(self, name: str, colour: str) -> dict[str, Container]:
        """Return the containers of a colour, by service."""
        return _observe.containers(self.engine, project(name, colour))

    def stop(self, name: str, colour: str) -> None:
        """Stop a colour; it is still there."""
        self._compose(name, colour).stop()

    def restart(self, name: str, colour: str) -> None:
        """Restart a colour, which ends what it still does."""
        self._compose(name, colour).restart()

    def remove(self, name: str, colour: str) -> None:
        """Remove a colour; its volumes stay."""
        _run.absent({"name": project(name, colour), "purge": False, "root": self.services}, check=False, diff=False)

    def _compose(self, name: str, colour: str) -> Compose:
        store = Store(self.services, project(name, colour))
        return Compose(store.name, store.directory, store.compose_file if store.compose_file.exists() else None)

    def preview(self, check: Check, colour: str) -> None:
        """Ask the colour that is not live, through the edge.

        Raises:
            CheckFailed: The answer is another one.

        """
        _probe.ask(check, self.edge.address(), {_probe.PREVIEW: self._secret}, colour)

    def probe(self, check: Check, colour: str) -> None:
        """Ask as any visitor would, through the edge.

        Raises:
            CheckFailed: The answer is another one, or another colour's.

        """
        headers = {_probe.PROBE: self._secret} if self._secret else {}
        _probe.ask(check, self.edge.address(), headers, colour if self._secret else "")

    def migrate(self, made: App, colour: str, release: int, directory: Path) -> None:
        """Run the application's migration.

        Raises:
            ServiceError: It failed.

        """
        _migration.run(self.engine, made, colour, release, directory)

    def drop_migration(self, name: str, directory: Path) -> None:
        """Remove what an interrupted migration left."""
        _migration.drop(self.engine, name, directory)

    def call(self, hook: Hook, document: str) -> None:
        """Run a hook.

        Raises:
            ServiceError: It failed.

        """
        _hooks.call(hook, document)

    def healths(self, name: str, colour: str) -> Mapping[str, str]:
        """Return state or health of each container of a colour."""
        return {
            service: container.state if container.state != "running" or container.health == "none" else container.health
            for service, container in self.containers(name, colour).items()
        }


def _health_command(container: Container) -> list[str]:
    check: Mapping[str, Any] = container.details["Config"].get("Healthcheck") or {}
    kind, *command = check.get("Test") or ["NONE"]
    if kind == "NONE":
        return []
    return ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command
