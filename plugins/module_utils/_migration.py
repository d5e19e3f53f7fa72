# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A migration: a one-off command in the new image, with the environment and secrets that the release will have."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _files
from ansible_collections.protostar.platform.plugins.module_utils._app import App, Migration
from ansible_collections.protostar.platform.plugins.module_utils._compose import Compose
from ansible_collections.protostar.platform.plugins.module_utils._composefile import render
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._release import File

_LABEL = "platform.protostar.release"
# What belongs to a service that stays, is reachable and is watched; a migration is none of it.
_LEFT_OUT = ("container_name", "ports", "expose", "healthcheck", "depends_on", "profiles")


def run(engine: Engine, made: App, colour: str, release: int, directory: Path) -> None:
    """Run the migration of an application and wait for its end; one that is running already is waited for.

    Args:
        engine: The engine of this host.
        made: The application.
        colour: The colour whose description it runs with.
        release: The release it belongs to.
        directory: Where its files are put meanwhile.

    Raises:
        ServiceError: It failed or did not end in its time; the text has the last it said.

    """
    wanted = made.migrate
    if wanted is None:
        return
    name = f"{made.name}-migration"
    compose = Compose(name, directory, directory / "compose.yaml")
    found = engine.container(name)
    if found is None or (found["Config"]["Labels"] or {}).get(_LABEL) != str(release):
        _files.remove_tree(directory)
        _files.make_directory(directory.parent)
        _files.make_directory(directory)
        for secret in made.secrets:
            _files.put(directory, File(secret["dest"], str(secret["content"]), 0o400, int(secret["owner"]), True))
        described = mapping(made.compose(colour), wanted, name, release, made.lock)
        _files.write(directory / "compose.yaml", render(described))
        Compose(name, directory).down(grace=0)
        compose.up([name], [name], wanted.timeout)
    try:
        _wait(engine, name, wanted)
    finally:
        compose.down(grace=5)
        _files.remove_tree(directory)


def drop(engine: Engine, name: str, directory: Path) -> None:
    """Remove what an interrupted migration of an application left."""
    if engine.container(f"{name}-migration") is not None:
        Compose(f"{name}-migration", directory).down(grace=5)
    _files.remove_tree(directory)


def mapping(
    compose: Mapping[str, Any], wanted: Migration, name: str, release: int, lock: Mapping[str, str]
) -> dict[str, Any]:
    """Return the Compose file of the migration: the application's first service, with another command."""
    first = next(iter(compose["services"].values()))
    service = {key: value for key, value in first.items() if key not in _LEFT_OUT}
    networks = service.get("networks") or {}
    return {
        **{key: value for key, value in compose.items() if key not in ("name", "services")},
        "name": name,
        "services": {
            name: {
                **service,
                "image": lock.get(str(service["image"]), service["image"]),
                "container_name": name,
                # Compose takes a dollar sign for a variable of its own.
                "command": [word.replace("$", "$$") for word in wanted.command],
                "restart": "no",
                "healthcheck": {"disable": True},
                # Addresses are those of a colour.
                "networks": {network: {} for network in networks},
                "labels": {_LABEL: str(release)},
            }
        },
    }


def _wait(engine: Engine, name: str, wanted: Migration) -> None:
    deadline = time.monotonic() + wanted.timeout
    while True:
        found = engine.container(name)
        if found is None:
            raise ServiceError("the migration's container was removed by somebody else")
        state = found["State"]
        if state["Status"] in ("exited", "dead"):
            break
        if time.monotonic() >= deadline:
            raise ServiceError(f"the migration did not end within {wanted.timeout:g} s; it {_said(engine, name)}")
        time.sleep(0.2)
    if state.get("ExitCode"):
        raise ServiceError(f"the migration ended with {state['ExitCode']}; it {_said(engine, name)}")


def _said(engine: Engine, name: str) -> str:
    text = " | ".join(engine.logs(name).splitlines()[-5:])
    return f"said last: {text}" if text else "said nothing"
