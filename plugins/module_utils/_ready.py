# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waiting until containers are ready, and telling as early as possible that they never will be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._observe import Container

_KILLED = 128 + 9


@dataclass(frozen=True)
class Ready:
    """When a service counts as ready; timeout and interval in seconds, successes in consecutive looks."""

    timeout: float = 60
    interval: float = 0.5
    successes: int = 2


class NotReady(ServiceError):
    """A container is not ready and will not be; `container` is None if it does not exist."""

    def __init__(self, reason: str, container: Container | None = None) -> None:
        super().__init__(reason)
        self.container = container


def is_ready(container: Container | None, before: Container | None = None) -> bool:
    """Judge one look at a container.

    Args:
        container: None if it does not exist.
        before: The same container before this release; None for a new one.

    Raises:
        NotReady: It has failed for good.

    """
    if container is None:
        raise NotReady("it has no container")
    limit = container.running.limits[0]
    size = f" (limit {limit / 2**20:.0f} MiB)" if limit else ""
    # A child that was killed some time ago, in a container that has run on since, is no failure of this release.
    if container.oom_killed and (before is None or container.state != "running"):
        raise NotReady(f"it was killed for want of memory{size}", container)
    # Not every engine can tell: one inside a container on cgroup v1 never sets the flag.
    if container.exit_code == _KILLED and container.state != "running":
        raise NotReady(f"it was killed{size and f', probably for want of memory{size}'}", container)
    if container.state in ("exited", "dead"):
        raise NotReady(f"it exited with code {container.exit_code}", container)
    if container.state == "restarting" or container.restarts > (before.restarts if before else 0):
        raise NotReady(f"it exited with code {container.exit_code} and was restarted", container)
    # One that was unhealthy already may recover from having its old files back.
    if container.health == "unhealthy" and (before is None or before.health != "unhealthy"):
        raise NotReady("its health check fails", container)
    return container.state == "running" and container.health in ("none", "healthy")


def wait(
    look: Callable[[], Mapping[str, Container]],
    services: Iterable[str],
    ready: Ready,
    before: Mapping[str, Container] | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until all services are ready in so many consecutive looks.

    Args:
        look: Reads the containers.
        services: The services to wait for.
        ready: Timeout, interval and successes.
        before: The containers before this release, by service.
        clock: Seconds that only go up.
        sleep: Waits for seconds.

    Raises:
        NotReady: One has failed for good, or the time is over.

    """
    names = sorted(services)
    deadline, seen = clock() + ready.timeout, 0
    while True:
        found = look()
        waiting = check(found, names, before or {})
        seen = 0 if waiting else seen + 1
        if seen >= ready.successes:
            return
        if clock() >= deadline:
            name = (waiting or names)[0]
            raise NotReady(f"{name}: it was not ready within {ready.timeout:g} s", found.get(name))
        sleep(ready.interval)


def check(found: Mapping[str, Container], services: Iterable[str], before: Mapping[str, Container]) -> list[str]:
    """Return the services that are not ready yet.

    Raises:
        NotReady: One has failed for good.

    """
    waiting = []
    for name in services:
        container = found.get(name)
        try:
            same = container is not None and name in before and before[name].running.id == container.running.id
            if not is_ready(container, before[name] if same else None):
                waiting.append(name)
        except NotReady as failure:
            raise NotReady(f"{name}: {failure}", failure.container) from None
    return waiting


def explain(engine: Engine, failure: NotReady) -> str:
    """Return why a container is not ready, with the last it said: to its health check, or in its log."""
    container = failure.container
    if container is None:
        return str(failure)
    said = container.health_log if container.health in ("unhealthy", "starting") else ""
    kind = "health check" if said else "log"
    said = said or engine.logs(container.running.id)
    return f"{failure}; its {kind} ends with: {' | '.join(said.splitlines()[-5:])}" if said else f"{failure}"
