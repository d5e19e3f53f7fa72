"""Measure on a host of the lab, without Ansible's own part."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .cases import HOST, REDIS
from .measure import check_recap, output

_SCRIPT = Path(__file__).with_name("on_host.py")
_REDIS_PASSWORD = "/opt/usual/redis/secrets/redis/monitor_password"


@contextmanager
def _directory() -> Iterator[str]:
    """Make a directory on the host for what is measured there; it holds secrets, so it goes whatever happens."""
    inside = ["docker", "exec", "-i", HOST]
    # The modules are left there by Ansible's user and run by root.
    directory = output([*inside, "su", "protostar", "-c", "mktemp --directory --tmpdir protostar-bench.XXXXXX"]).strip()
    try:
        output([*inside, "tee", f"{directory}/on_host.py"], text=_SCRIPT.read_text())
        yield directory
    finally:
        output([*inside, "rm", "-rf", directory])


def _run(directory: str, *arguments: str) -> list[Any]:
    return json.loads(output(["docker", "exec", HOST, "python3", f"{directory}/on_host.py", *arguments]))


def redis_start(runs: int) -> list[float]:
    """Return the seconds that Redis itself takes to start; the one of the usual style, which nobody needs."""
    with _directory() as directory:
        return _run(directory, "start", "usual-redis", _REDIS_PASSWORD, str(runs))


def redis_modules(sites: Sequence[Sequence[str]], runs: int) -> list[list[dict[str, Any]]]:
    """Return what the modules of `--tags redis` take on the host when there is nothing to do.

    Args:
        sites: Commands that run a playbook; their modules are measured in turns.
        runs: How often each module is run.

    Returns:
        For each site its modules: name, and figures of `process` and `work` in seconds.

    """
    with _directory() as directory:
        places = [f"{directory}/{number}" for number in range(len(sites))]
        for site, place in zip(sites, places, strict=True):
            told = output([*site, *REDIS, "-e", f"ansible_remote_tmp={place}"], ANSIBLE_KEEP_REMOTE_FILES="1")
            check_recap(told, changed=False)
        return _run(directory, "modules", str(runs), *places)


def per_round(found: Sequence[dict[str, Any]], figure: str) -> list[float]:
    """Return, for each round, the sum over all modules of one figure."""
    return [sum(values) for values in zip(*(module[figure] for module in found), strict=True)]
