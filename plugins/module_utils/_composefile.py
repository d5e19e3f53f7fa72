# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a Compose mapping says, without asking Compose: pure functions over the mapping as the user wrote it.

The syntax is that of the Compose specification (https://github.com/compose-spec/compose-spec).
"""

from __future__ import annotations

import json
import os.path
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEADER = """\
# Written by protostar.platform.service: change it in Ansible, an edit here is undone by the next run.
# By hand: docker compose -f {path} up -d
"""

_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Mount:
    """One entry of a service's `volumes`; kind is bind, volume or tmpfs."""

    kind: str
    source: str
    target: str
    read_only: bool


@dataclass(frozen=True)
class Port:
    """A published port; an empty address means every address of the host."""

    address: str
    number: int
    protocol: str

    def overlaps(self, other: Port) -> bool:
        """Whether both cannot be published at the same time."""
        anywhere = ("", "0.0.0.0", "::")
        return (self.number, self.protocol) == (other.number, other.protocol) and (
            self.address == other.address or self.address in anywhere or other.address in anywhere
        )

    def __str__(self) -> str:
        return f"{self.address}:{self.number}/{self.protocol}" if self.address else f"{self.number}/{self.protocol}"


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Merge mappings recursively; anything else, lists included, is replaced."""
    merged = dict(base)
    for key, value in override.items():
        below = base.get(key)
        merged[key] = merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def services(compose: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the services that `up` starts: those without a profile."""
    return {name: service for name, service in compose["services"].items() if not service.get("profiles")}


def mounts(service: Mapping[str, Any]) -> list[Mount]:
    """Return what a service mounts, short and long syntax alike."""
    return [_mount(entry) for entry in service.get("volumes") or []]


def _mount(entry: object) -> Mount:
    if isinstance(entry, Mapping):
        return Mount(
            str(entry.get("type", "volume")),
            str(entry.get("source") or ""),
            str(entry.get("target") or ""),
            bool(entry.get("read_only")),
        )
    source, _, rest = str(entry).partition(":")
    if not rest:
        return Mount("volume", "", source, False)
    target, _, options = rest.partition(":")
    kind = "bind" if source[0] in "./~" else "volume"
    return Mount(kind, source, target, "ro" in options.split(","))


def mounted_files(compose: Mapping[str, Any], service: Mapping[str, Any], directory: str) -> list[str]:
    """Return the paths, relative to the service directory, that a service mounts or reads from there."""
    sources = [mount.source for mount in mounts(service) if mount.kind == "bind"]
    for section in ("configs", "secrets"):
        declared = compose.get(section) or {}
        for entry in service.get(section) or []:
            name = entry.get("source") if isinstance(entry, Mapping) else entry
            sources.append(str((declared.get(name) or {}).get("file") or ""))
    sources += env_files(service)
    relative = (inside(source, directory) for source in sources if source)
    return [path for path in relative if path is not None]


def env_files(service: Mapping[str, Any]) -> list[str]:
    """Return the paths of a service's `env_file`."""
    entries = service.get("env_file") or []
    return [
        str(entry["path"] if isinstance(entry, Mapping) else entry)
        for entry in ([entries] if isinstance(entries, str) else entries)
    ]


def inside(source: str, directory: str) -> str | None:
    """Return a path relative to the service directory ('.' for itself); None if it lies elsewhere."""
    relative = os.path.relpath(Path(directory, source), directory)
    return None if relative.startswith("..") else relative


def covers(mounted: str, dest: str) -> bool:
    """Whether a mounted path, relative to the service directory, contains a file."""
    return mounted in (".", dest) or dest.startswith(mounted + "/")


def published(service: Mapping[str, Any]) -> list[Port]:
    """Return the host ports that a service publishes; one that the engine may choose is not among them."""
    return [port for entry in service.get("ports") or [] for port in _published(entry)]


def _published(entry: object) -> Iterator[Port]:
    if isinstance(entry, Mapping):
        address, ports = str(entry.get("host_ip") or ""), str(entry.get("published") or "")
        protocol = str(entry.get("protocol") or "tcp")
    else:
        spec, _, protocol = str(entry).partition("/")
        host, _, _target = spec.rpartition(":")
        address, _, ports = host.rpartition(":")
        protocol = protocol or "tcp"
    if not ports:
        return
    first, _, last = ports.partition("-")
    for number in range(int(first), int(last or first) + 1):
        yield Port(address.strip("[]"), number, protocol)


def external_networks(compose: Mapping[str, Any]) -> list[str]:
    """Return the names of the networks that must exist already."""
    declared = compose.get("networks") or {}
    return [str(network.get("name") or key) for key, network in declared.items() if (network or {}).get("external")]


def seconds(duration: object) -> float:
    """Read a Compose duration such as `1m30s`; a bare number is seconds."""
    text = str(duration)
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ns|us|ms|s|m|h|d)", text))


def size(text: object) -> int:
    """Read a size as the Compose specification writes it: a number of bytes, or one with a binary unit.

    Raises:
        ValueError: It is none.

    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)b?", str(text).strip().lower())
    if not found:
        raise ValueError(f"'{text}' is not a size such as 512m or 2g")
    return int(float(found[1]) * _SIZES[found[2]])


def render(compose: Mapping[str, Any], header: str = "") -> str:
    """Return the Compose file as YAML that a person would write: in the given order, block style."""
    try:
        import yaml  # noqa: PLC0415  a call that finds nothing to do never needs it
    except ImportError:  # a preview on a fresh host; JSON is YAML too
        return f"{header}---\n{json.dumps(dict(compose), indent=2, ensure_ascii=False)}\n"

    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]
    body = yaml.dump(dict(compose), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return f"{header}---\n{body}"
