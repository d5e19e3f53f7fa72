# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must hold on the host before a release is tried; each is refused in one sentence, with nothing touched."""

from __future__ import annotations

from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _ports
from ansible_collections.protostar.platform.plugins.module_utils._composefile import external_networks, published
from ansible_collections.protostar.platform.plugins.module_utils._engine import PROJECT_LABEL, Engine
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._release import Release
from ansible_collections.protostar.platform.plugins.module_utils._store import Store

_DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
# The files are written three times: staged, kept with the release, and live beside the old ones.
_COPIES = 3
_SPARE = 1 << 20


def check(release: Release, engine: Engine, *, networks: bool = True) -> None:
    """Refuse what another container, process or a missing network makes impossible.

    Args:
        release: The release to be tried.
        engine: The engine of this host.
        networks: Whether external networks must exist; in check mode an earlier task may be about to make them.

    Raises:
        ServiceError: In one sentence, why.

    """
    summaries = engine.containers()
    _check_names(release, summaries)
    if networks:
        existing = engine.networks()
        for network in external_networks(release.compose):
            if network not in existing:
                raise ServiceError(
                    f"the network {network} does not exist: add it to docker_networks, or make it with "
                    f"'docker network create {network}'"
                )
    wanted = [port for service in release.services.values() for port in published(service)]
    for conflict in _ports.conflicts(wanted, release.name, summaries):
        raise ServiceError(f"{conflict}: free it or publish another one")


def check_disk(release: Release, store: Store) -> None:
    """Refuse when the files would not fit."""
    needed = _COPIES * sum(len(file.content.encode()) for file in release.files) + _SPARE
    free = store.free_bytes()
    if free < needed:
        raise ServiceError(
            f"{store.root} has {free // 1024} KiB free and the files need {needed // 1024} KiB: make room on the disk"
        )


def _check_names(release: Release, summaries: list[dict[str, Any]]) -> None:
    wanted = {str(entry["container_name"]) for entry in release.services.values() if entry.get("container_name")}
    for summary in summaries:
        labels = summary.get("Labels") or {}
        project = labels.get(PROJECT_LABEL)
        if project == release.name:
            directory = labels.get(_DIRECTORY_LABEL, release.directory)
            if directory != release.directory:
                raise ServiceError(
                    f"a Compose project named {release.name} already runs from {directory}: two services with one "
                    "name; give this one another name, or take that one down"
                )
            continue
        for name in (name.lstrip("/") for name in summary.get("Names") or []):
            if name in wanted:
                owner = f"the service {project}" if project else "a container made by hand"
                raise ServiceError(
                    f"the container name {name} belongs to {owner}: two services with one name; "
                    "change container_name, or remove that container"
                )
