"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .measure import output

_ENGINE = ["docker", "version", "--format", "{{.Server.Version}}"]


def _field(path: str, pattern: str) -> str:
    found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    return found.group(1) if found else "unknown"


def describe(host: str) -> dict[str, Any]:
    """Describe this machine.

    Args:
        host: A host of the lab, whose own engine and Python are named too.

    """
    inside: Sequence[str] = ["docker", "exec", host]
    memory_kib = _field("/proc/meminfo", r"^MemTotal:\s+(\d+)")
    return {
        "cpu": _field("/proc/cpuinfo", r"^model name\s*: (.*)"),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory_kib) / 2**20, 1),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "engine": output(_ENGINE).strip(),
        "ansible_core": version("ansible-core"),
        "community_docker": _collection_version("community.docker"),
        "python": platform.python_version(),
        "host_engine": output([*inside, *_ENGINE]).strip(),
        "host_python": output([*inside, "python3", "-c", "import platform; print(platform.python_version())"]).strip(),
    }


def load() -> float:
    """Return the load average of the last minute: how many processes wanted a core."""
    return round(os.getloadavg()[0], 2)


def _collection_version(name: str) -> str:
    listing = output(["ansible-galaxy", "collection", "list", name])
    found = re.search(rf"^{re.escape(name)}\s+(\S+)", listing, re.MULTILINE)
    return found.group(1) if found else "unknown"
