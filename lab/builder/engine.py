"""The Docker engine of this machine, through its command line."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

from .catalogue import REPOSITORY

SOURCE_LABEL = "protostar.source"
VERSION_LABEL = "org.opencontainers.image.version"
TITLE_LABEL = "org.opencontainers.image.title"


class BuildError(Exception):
    """One sentence for the user."""


def as_root() -> list[str]:
    """Make the prefix of a command that needs root."""
    return [] if os.geteuid() == 0 else ["sudo"]


@functools.cache
def docker() -> tuple[str, ...]:
    """Find the client's command; with sudo where this user may not use the engine's socket."""
    command = ["docker", "version"]
    for prefix in ([], as_root()):
        if subprocess.run([*prefix, *command], capture_output=True, check=False).returncode == 0:
            return (*prefix, "docker")
    raise BuildError("the Docker engine does not answer; start it, or run `make up`, which does.")


def output(*arguments: str) -> str:
    """Return what a docker command prints; its failure is a BuildError."""
    result = subprocess.run([*docker(), *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"docker {arguments[0]} failed: {result.stderr.strip().splitlines()[-1:] or result.stdout}")
    return result.stdout


def logged(command: Iterable[str], log: Path, stdin: bytes = b"") -> bool:
    """Run a command with all its output in `log`; return whether it succeeded."""
    # The legacy builder: Debian's docker.io comes without buildx.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    with log.open("ab") as stream:
        return (
            subprocess.run(
                list(command), input=stdin, stdout=stream, stderr=subprocess.STDOUT, env=environment, check=False
            ).returncode
            == 0
        )


def built() -> dict[str, Mapping[str, str]]:
    """Read the labels of every image that this builder made, by reference."""
    listed = output("image", "ls", "--filter", f"label={SOURCE_LABEL}", "--format", "{{.Repository}}:{{.Tag}}")
    references = [line for line in listed.split() if line.startswith(f"{REPOSITORY}/") and "<none>" not in line]
    if not references:
        return {}
    inspected = output("image", "inspect", "--format", "{{json .Config.Labels}}", *references)
    return dict(zip(references, map(json.loads, inspected.splitlines()), strict=True))


def exists(reference: str) -> bool:
    """Tell whether an image is in the engine."""
    return bool(output("image", "ls", "--quiet", reference).strip())


def age(reference: str) -> timedelta:
    """Tell how long ago an image was made."""
    created = output("image", "inspect", "--format", "{{.Created}}", reference).strip()
    made = datetime.fromisoformat(created[:19]).replace(tzinfo=timezone.utc)
    return datetime.now(timezone.utc) - made


def package_versions(base: str, packages: Iterable[str]) -> dict[str, str]:
    """Read the upstream versions that the base image's package lists offer."""
    shown = output("run", "--rm", base, "apt-cache", "show", "--no-all-versions", *packages)
    versions: dict[str, str] = {}
    package = ""
    for line in shown.splitlines():
        name, _, value = line.partition(": ")
        if name == "Package":
            package = value
        elif name == "Version":
            versions[package] = upstream_version(value)
    return versions


def upstream_version(version: str) -> str:
    """Strip epoch, revision and the mark of repacking from a Debian version: 5:8.0.2+ds-3 is 8.0.2."""
    return re.sub(r"^\d+:|-[^-]*$|[+](?:ds|dfsg)[^-]*(?=-|$)", "", version)
