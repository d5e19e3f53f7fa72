# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Throw-away copies of services: what the next release would do, tried beside the one that runs.

A copy has the same image, files, limits and command. It publishes no port, has no name, alias or fixed address that
others could find, and sees empty volumes in place of data.
"""

from __future__ import annotations

import math
import os.path
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._composefile import (
    Mount,
    covers,
    env_files,
    inside,
    mounts,
    seconds,
)
from ansible_collections.protostar.platform.plugins.module_utils._release import Command, Release

SUFFIX = "-rehearsal"

_DROPPED = (
    "ports", "container_name", "depends_on", "links", "external_links", "mac_address", "volumes_from", "profiles",
    "restart", "scale", "network_mode", "networks", "volumes", "env_file", "healthcheck",
)  # fmt: skip


class Copies:
    """Makes the Compose file of the copies.

    Args:
        release: The new release.
        staging: Where its files are staged.
        networks: Networks that exist.
        image_health: The health check that a service's image defines, as the engine shows it.
        is_directory: Tells whether a path on the host is a directory.

    """

    def __init__(
        self,
        release: Release,
        staging: str,
        networks: Iterable[str] = (),
        image_health: Mapping[str, Mapping[str, Any]] | None = None,
        is_directory: Callable[[str], bool] = os.path.isdir,
    ) -> None:
        self._release = release
        self._staging = staging
        self._networks = set(networks)
        self._image_health = image_health or {}
        self._is_directory = is_directory

    def rehearsal(self, services: Iterable[str]) -> dict[str, Any]:
        """Return copies of services as they would run; a copy is named after its service, with a suffix."""
        copies = {}
        for name in sorted(services):
            service = self._release.services[name]
            copies[name + SUFFIX] = {**self._copy(name), "restart": "no", **self._network(service)}
            if health := _health(service.get("healthcheck"), self._image_health.get(name)):
                copies[name + SUFFIX]["healthcheck"] = health
        return {**self._shared(), "services": copies}

    def validation(self, commands: Sequence[Command]) -> dict[str, Any]:
        """Return one service for each command, named by its number, without any network."""
        copies = {
            f"validate-{number}": {
                **self._copy(command.service),
                "entrypoint": [argument.replace("$", "$$") for argument in command.command],
                "command": [],
                "network_mode": "none",
                "healthcheck": {"disable": True},
            }
            for number, command in enumerate(commands)
        }
        return {**self._shared(), "services": copies}

    def _copy(self, name: str) -> dict[str, Any]:
        service = self._release.services[name]
        copy = {key: value for key, value in service.items() if key not in _DROPPED}
        copy = {key: value for key, value in copy.items() if not str(value).startswith("service:")}
        if service.get("volumes"):
            copy["volumes"] = [
                self._volume(entry, mount) for entry, mount in zip(service["volumes"], mounts(service), strict=True)
            ]
        if files := env_files(service):
            copy["env_file"] = [self._path(path) for path in files]
        return copy

    def _volume(self, entry: object, mount: Mount) -> object:
        empty = {"type": "volume", "target": mount.target}
        if mount.kind == "tmpfs":
            return entry
        if mount.kind != "bind":
            return empty
        source = self._path(mount.source)
        if not source.startswith(self._staging) and not mount.read_only and self._is_directory(source):
            return empty
        options = entry.get("bind") if isinstance(entry, Mapping) else None
        read_only = mount.read_only or not source.startswith(self._staging)
        bind = {"type": "bind", "source": source, "target": mount.target, "read_only": read_only}
        return {**bind, "bind": options} if options else bind

    def _path(self, source: str) -> str:
        """Return the staged path if any of the release's files are there, else the live one."""
        directory = self._release.directory
        relative = inside(source, directory)
        if relative is not None and any(covers(relative, file.dest) for file in self._release.files):
            return os.path.normpath(Path(self._staging, relative))
        return os.path.normpath(Path(directory, Path(source).expanduser()))

    def _network(self, service: Mapping[str, Any]) -> dict[str, Any]:
        if service.get("network_mode") in ("bridge", "none"):
            return {"network_mode": service["network_mode"]}
        if service.get("network_mode"):
            return {"network_mode": "none"}
        return {"networks": list(service.get("networks") or ["default"])}

    def _shared(self) -> dict[str, Any]:
        compose = self._release.compose
        declared = {"default": None, **(compose.get("networks") or {})}
        shared: dict[str, Any] = {"networks": {key: self._declare(key, value) for key, value in declared.items()}}
        for section in ("configs", "secrets"):
            entries = compose.get(section) or {}
            shared[section] = {
                key: {**entry, "file": self._path(entry["file"])} if "file" in entry else entry
                for key, entry in entries.items()
            }
        return {key: value for key, value in shared.items() if value}

    def _declare(self, key: str, network: Mapping[str, Any] | None) -> dict[str, Any]:
        """Join the service's own network where it exists; one that this release brings is made for the copies."""
        name = str(
            (network or {}).get("name") or (key if (network or {}).get("external") else f"{self._release.name}_{key}")
        )
        return {"name": name, "external": True} if name in self._networks else {}


def _health(check: Mapping[str, Any] | None, image: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a health check that looks every second, and gives up after the same time as the original."""
    merged = {**_from_image(image or {}), **(check or {})}
    if not merged.get("test") or merged.get("disable"):
        return dict(check or {})
    patience = seconds(merged.get("start_period", 0)) + seconds(merged.get("interval", 30)) * int(
        merged.get("retries", 3)
    )
    return {
        "test": merged["test"],
        "timeout": merged.get("timeout", "30s"),
        "interval": "1s",
        "retries": max(1, math.ceil(patience)),
    }


def _from_image(health: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the engine's form of a health check, with durations in nanoseconds, into that of Compose."""
    names = {"Interval": "interval", "Timeout": "timeout", "StartPeriod": "start_period"}
    check: dict[str, Any] = {key: f"{health[name]}ns" for name, key in names.items() if health.get(name)}
    if health.get("Retries"):
        check["retries"] = health["Retries"]
    if health.get("Test"):
        check["test"] = [argument.replace("$", "$$") for argument in health["Test"]]
    return check
