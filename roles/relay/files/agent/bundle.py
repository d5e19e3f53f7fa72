# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bundle: everything that configures a relay, as one JSON object."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from errors import Refused

FORMAT = 1
# A metadata value's limit (https://cloud.google.com/compute/docs/metadata/setting-custom-metadata).
LARGEST = 256 * 1024
NGINX = "nginx.conf"
RULES = "relay.nft"
TUNNEL = "tunnel.conf"
NAMES = {NGINX: True, RULES: True, TUNNEL: False}  # whether each must be there
VERSION = "@VERSION@"
_KEYS_OF_WIREGUARD = re.compile(r"^\s*(PrivateKey|PresharedKey)\s*=", re.IGNORECASE)
_REMEDY = "render it with the role relay of the same release as the agent"


@dataclass(frozen=True)
class Bundle:
    """A bundle of known format.

    Attributes:
        version: First 16 hexadecimal digits of the SHA-256 of the canonical JSON.
        files: Text of each file by its name.
        soft_cap: Bytes of egress per calendar month (UTC) that warn; 0 for none.
        hard_cap: Bytes of egress per calendar month (UTC) that close the line; 0 for none.
        value: The JSON object itself.

    """

    version: str
    files: Mapping[str, str]
    soft_cap: int
    hard_cap: int
    value: Mapping[str, Any]


def version_of(value: object) -> str:
    """Return the version of a JSON value: sorted keys, no spaces, other than ASCII escaped."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def version_of_text(data: bytes) -> str:
    """Return the version of what is delivered, also of what is no JSON: then of the bytes."""
    try:
        return version_of(json.loads(data))
    except (ValueError, RecursionError):
        return hashlib.sha256(data).hexdigest()[:16]


def load(path: Path) -> Bundle:
    """Read a bundle from a file.

    Raises:
        Refused: It cannot be read, or is no bundle.

    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error.strerror}): nothing was changed; check the path.") from error
    return parse(data)


def parse(data: bytes) -> Bundle:
    """Return the bundle of a text.

    Raises:
        Refused: It is too large, no JSON, or not of the known format.

    """
    if len(data) > LARGEST:
        _refuse(f"is larger than {LARGEST // 1024} KiB, which metadata cannot hold", "shorten its SNI list")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _refuse(f"is no JSON ({error})", "deliver it again, whole")
    if not isinstance(value, dict):
        _refuse("is no JSON object")
    _known("the bundle", value, {"format", "files", "agent"})
    if type(value.get("format")) is not int or value["format"] != FORMAT:
        _refuse(f"is of format {value.get('format')!r}, and this agent knows {FORMAT}")
    caps = value.get("agent", {})
    if not isinstance(caps, dict):
        _refuse("has an agent that is no JSON object")
    _known("agent", caps, {"egress_soft_cap_bytes", "egress_hard_cap_bytes"})
    return Bundle(
        version_of(value),
        _files(value.get("files")),
        _bytes(caps, "egress_soft_cap_bytes"),
        _bytes(caps, "egress_hard_cap_bytes"),
        value,
    )


def _files(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        _refuse("has no files")
    _known("files", value, set(NAMES))
    missing = [name for name, required in NAMES.items() if required and name not in value]
    if missing:
        _refuse(f"lacks {missing[0]}")
    texts = {name: _text(name, lines) for name, lines in value.items()}
    if VERSION not in texts[NGINX]:
        _refuse(f"has a {NGINX} without {VERSION}, by which it is known to be in force")
    if any(_KEYS_OF_WIREGUARD.match(line) for line in texts.get(TUNNEL, "").splitlines()):
        _refuse(f"has a key in {TUNNEL}: keys are made on each end and never delivered")
    return texts


def _text(name: str, lines: object) -> str:
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        _refuse(f"has a {name} that is no list of lines")
    for number, line in enumerate(lines, 1):
        if any(not character.isprintable() and character != "\t" for character in line):
            _refuse(f"has a character in {name}, line {number}, that cannot be printed")
    return "".join(f"{line}\n" for line in lines)


def _bytes(caps: dict[str, Any], name: str) -> int:
    value = caps.get(name, 0)
    if type(value) is not int or value < 0:
        _refuse(f"has {name} = {value!r}, which is no number of bytes")
    return int(value)


def _known(where: str, value: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(value) - known)
    if unknown:
        _refuse(f"has something unknown in {where}: {unknown[0]!r}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _refuse(what: str, remedy: str = _REMEDY) -> NoReturn:
    raise Refused(f"The bundle {what}: nothing was changed; {remedy}.")
