# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs, as the modules return it and the status table shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._observe import Container, containers
from ansible_collections.protostar.platform.plugins.module_utils._release import Record

VERSION_LABEL = "org.opencontainers.image.version"
STAND_IN_LABEL = "protostar.stand-in"


def services(engine: Engine, project: str, record: Record | None) -> list[dict[str, Any]]:
    """Describe a service's containers, and those that were released and are gone."""
    return described(project, containers(engine, project), record)


def described(project: str, found: Mapping[str, Container], record: Record | None) -> list[dict[str, Any]]:
    """Describe containers that were looked at already."""
    released = record.containers if record else {}
    lost = [_missing(project, running.name) for name, running in released.items() if name not in found]
    there = [_describe(project, container) for container in found.values()]
    return sorted([*there, *lost], key=lambda item: str(item["container"]))


def _describe(project: str, seen: Container) -> dict[str, Any]:
    details = seen.details
    image, labels = details["Config"]["Image"], details["Config"]["Labels"] or {}
    return {
        "service": project,
        "container": seen.running.name,
        "image": image,
        "version": labels.get(VERSION_LABEL) or tag(image),
        "state": seen.state,
        "health": seen.health,
        "addresses": _addresses(details.get("NetworkSettings") or {}),
        "stand_in": labels.get(STAND_IN_LABEL) == "true",
        "since": details["State"].get("StartedAt", ""),
    }


def _missing(project: str, name: str) -> dict[str, Any]:
    empty = {"image": "", "version": "", "health": "none", "addresses": [], "stand_in": False, "since": ""}
    return {"service": project, "container": name, "state": "missing", **empty}


def tag(image: str) -> str:
    """Return the tag of a reference, else its digest."""
    name, _, image_digest = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    return tag if colon else image_digest or "latest"


def _addresses(network: Mapping[str, Any]) -> list[str]:
    """Return where it is reached: its published ports, else its addresses on its networks."""
    published = sorted(
        {
            f"{entry['HostIp']}:{entry['HostPort']}→{port}"
            for port, entries in (network.get("Ports") or {}).items()
            # The engine lists a port published on all addresses a second time for IPv6.
            for entry in entries or []
            if ":" not in entry["HostIp"]
        }
    )
    attached = (network.get("Networks") or {}).values()
    return published or sorted(str(item["IPAddress"]) for item in attached if item.get("IPAddress"))
