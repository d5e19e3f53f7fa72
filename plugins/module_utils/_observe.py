# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is on the host now: containers, files and the record, read without starting a process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._engine import (
    CONFIG_HASH_LABEL,
    SERVICE_LABEL,
    Engine,
)
from ansible_collections.protostar.platform.plugins.module_utils._release import Record, Running, Seal


@dataclass(frozen=True)
class Container:
    """A container of the service's Compose project."""

    service: str
    running: Running
    state: str
    health: str
    exit_code: int
    oom_killed: bool
    restarts: int
    health_log: str = ""
    details: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True)
class Current:
    """Everything that a plan is made from.

    Attributes:
        record: The release in force; None if there is none.
        compose: Digest of the live compose.yaml; None if there is no such file.
        files: Live files among those that the old or the new release names.
        containers: By service. Of several containers of one service, the last one listed.
        images: IDs of the images on this host, by reference.
        interrupted: Services whose repair was interrupted; their containers cannot be trusted.

    """

    record: Record | None = None
    compose: str | None = None
    files: Mapping[str, Seal] = field(default_factory=dict)
    containers: Mapping[str, Container] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    interrupted: frozenset[str] = frozenset()


def container(details: Mapping[str, Any]) -> Container:
    """Read what matters from the engine's description of a container."""
    state, host, labels = details["State"], details["HostConfig"], details["Config"]["Labels"] or {}
    health = state.get("Health") or {}
    log = health.get("Log") or []
    return Container(
        service=labels.get(SERVICE_LABEL, ""),
        running=Running(
            id=details["Id"],
            name=details["Name"].lstrip("/"),
            image=details["Image"],
            config_hash=labels.get(CONFIG_HASH_LABEL, ""),
            # What `docker update` can change behind our back; the engine writes "no limit" as null, 0 or -1.
            limits=(
                host.get("Memory") or 0,
                host.get("NanoCpus") or 0,
                max(host.get("PidsLimit") or 0, 0),
                (host.get("RestartPolicy") or {}).get("Name") or "no",
            ),
            networks=tuple(sorted((details.get("NetworkSettings") or {}).get("Networks") or {})),
        ),
        state=state["Status"],
        health=health.get("Status") or "none",
        exit_code=state.get("ExitCode") or 0,
        oom_killed=bool(state.get("OOMKilled")),
        restarts=details.get("RestartCount") or 0,
        health_log=(log[-1].get("Output") or "").strip() if log else "",
        details=details,
    )


def containers(engine: Engine, project: str) -> dict[str, Container]:
    """Return the containers of a Compose project by service."""
    found = (engine.container(str(summary["Id"])) for summary in engine.containers(project))
    # One that vanished between the list and the look is not there.
    return {item.service: item for item in (container(details) for details in found if details is not None)}


def images(engine: Engine, references: Iterable[str]) -> dict[str, str]:
    """Return the IDs of those images that are on this host."""
    found = {reference: engine.image(reference) for reference in set(references)}
    return {reference: str(image["Id"]) for reference, image in found.items() if image is not None}
