# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a service should be (`Release`), and what was last released (`Record`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._composefile import (
    covers,
    mounted_files,
    services,
)


def digest(value: object) -> str:
    """Return the SHA-256 of text, or of any JSON value in canonical form."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Seal:
    """What is remembered of a file, and compared with the one on the host: never its content."""

    sha256: str
    mode: int
    owner: int


@dataclass(frozen=True)
class File:
    """A file of the release; dest is relative to the service directory."""

    dest: str
    content: str
    mode: int
    owner: int
    secret: bool = False

    @cached_property
    def seal(self) -> Seal:
        """Return what identifies the file."""
        return Seal(digest(self.content), self.mode, self.owner)


@dataclass(frozen=True)
class Command:
    """A command run in a service's image or container."""

    service: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Release:
    """The desired state of a service: its Compose mapping, with overrides merged in, and its files."""

    name: str
    directory: str
    compose: Mapping[str, Any]
    files: tuple[File, ...] = ()
    provision: tuple[Command, ...] = ()

    @cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        """Return the services that are started."""
        return services(self.compose)

    @cached_property
    def definitions(self) -> dict[str, str]:
        """Return a digest of each service's definition, with what it may refer to at the top level."""
        return {name: self.definition(name) for name in self.services}

    def definition(self, name: str, **changes: str) -> str:
        """Return the digest of a service's definition, as it would be with these changes."""
        shared = {key: value for key, value in self.compose.items() if key != "services"}
        return digest([{**self.services[name], **changes}, shared])

    @cached_property
    def seals(self) -> dict[str, Seal]:
        """Return the files' seals by dest."""
        return {file.dest: file.seal for file in self.files}

    @cached_property
    def digest(self) -> str:
        """Return what makes this release the same as another one."""
        return digest(
            [
                self.compose,
                {dest: asdict(seal) for dest, seal in self.seals.items()},
                [asdict(command) for command in self.provision],
            ]
        )

    def readers(self, dest: str) -> set[str]:
        """Return the services that mount a file."""
        return {
            name
            for name, service in self.services.items()
            if any(covers(path, dest) for path in mounted_files(self.compose, service, self.directory))
        }


@dataclass(frozen=True)
class Running:
    """A container as it was when the release was committed; a later difference is drift."""

    id: str
    name: str
    image: str
    config_hash: str
    limits: tuple[Any, ...]
    networks: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """The content of release.json: the release that is in force.

    Attributes:
        compose: Digest of the Compose mapping.
        compose_file: Digest of compose.yaml as written.
        images: IDs by reference. A tag that moves later, on a registry or here, does not change the release.

    """

    id: int
    digest: str
    created: str
    compose: str
    compose_file: str
    definitions: dict[str, str] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    files: dict[str, Seal] = field(default_factory=dict)
    containers: dict[str, Running] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the record as text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Record:
        """Read a record.

        Raises:
            ValueError, KeyError, TypeError: The text is not a record.

        """
        data = json.loads(text)
        data["files"] = {dest: Seal(**seal) for dest, seal in data["files"].items()}
        data["containers"] = {name: _running(value) for name, value in data["containers"].items()}
        return cls(**data)


def _running(value: Mapping[str, Any]) -> Running:
    fields: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
    return Running(**fields)
