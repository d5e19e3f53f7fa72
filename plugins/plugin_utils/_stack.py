# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The containers that roles would run, computed on the controller from the tasks of the roles themselves.

They are what the one `service` task of a role asks for, or its `bluegreen` task, which runs an application in two
colours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.protostar.platform.plugins.module_utils._composefile import merge, size

ROLES = Path(__file__).parents[2] / "roles"
SERVICE = "protostar.platform.service"
BLUEGREEN = "protostar.platform.bluegreen"


def containers(
    roles: Iterable[str], apps: Mapping[str, Any], variables: Mapping[str, Any], loader: DataLoader
) -> list[dict[str, Any]]:
    """Return the containers of `roles`, in their order.

    Args:
        roles: Names of roles of this collection; one without a Compose file has no container.
        apps: Applications by name, each of which the role `app` runs.
        variables: The variables of the host. They win over the defaults of the roles, which need not be among them.
        loader: Reads the roles' files.

    Raises:
        AnsibleError: A role's service cannot be made of these variables; the text is one sentence.

    """
    found = []
    for role in dict.fromkeys(roles):
        path = ROLES / role
        if not (path / "templates/compose.yaml.j2").exists():
            continue
        context = {**_load(loader, path / "defaults/main.yml"), **_load(loader, path / "vars/main.yml"), **variables}
        given = [{"app_name": name, "app_definition": apps[name]} for name in apps] if role == "app" else [{}]
        for parameters in given:
            owner = parameters.get("app_name", role)
            try:
                for colour, service in _services(path, {**context, **parameters}, loader):
                    found += [{"role": role, "colour": colour, **container} for container in describe(service)]
            except (AnsibleError, ValueError, TypeError, AttributeError) as error:
                raise AnsibleError(f"What {owner} would run cannot be told: {_sentence(error)}") from error
    return found


def _sentence(error: Exception) -> str:
    return f"{' '.join(str(error).split()).rstrip('.')}."


def _load(loader: DataLoader, path: Path) -> Any:  # noqa: ANN401  whatever YAML the file holds
    """Return the YAML at `path`, its expressions trusted as those of any role. It must not be changed: it is cached."""
    return (loader.load_from_file(str(path), unsafe=True, trusted_as_template=True) if path.exists() else None) or {}


def _services(path: Path, variables: Mapping[str, Any], loader: DataLoader) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield those arguments of a role's task that tell what it runs, with the colour where it has colours."""
    task, templar = _task(path, variables, loader)
    if SERVICE in task:
        arguments = {key: task[SERVICE].get(key) for key in ("state", "compose", "overrides")}
        yield "", dict(templar.template(arguments))
        return
    for app in templar.template(task[BLUEGREEN]["apps"]):
        for colour, described in app["colours"].items():
            yield colour, {"compose": described["compose"], "overrides": app.get("overrides")}


def _task(path: Path, variables: Mapping[str, Any], loader: DataLoader) -> tuple[Mapping[str, Any], Templar]:
    """Return that of a role's tasks which runs containers with these variables, and what evaluates its arguments."""
    for task in _load(loader, path / "tasks/main.yml"):
        if SERVICE not in task and BLUEGREEN not in task:
            continue
        context = {
            **variables,
            **task.get("vars", {}),
            "role_path": str(path),
            "ansible_search_path": [str(path)],
        }
        templar = Templar(loader=loader, variables=context)
        if templar.evaluate_conditional(task.get("when", True)):
            return task, templar
    raise ValueError(f"none of the tasks of the role {path.name} would run.")


def describe(service: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what is asked for each container of a `service` task, after the overrides."""
    if service.get("state") == "absent":
        return
    compose = merge(service["compose"], service.get("overrides") or {})
    for name, entry in compose["services"].items():
        yield {
            "service": name,
            "container": str(entry.get("container_name") or name),
            "image": str(entry["image"]),
            "memory": size(entry.get("mem_limit") or 0),
            "cpus": float(entry.get("cpus") or 0),
            "read_only": bool(entry.get("read_only")),
        }


def split(image: str) -> dict[str, str]:
    """Return the `repository` of an image, and where it has them its `tag`, `digest` and the `version` in the tag.

    A tag such as `latest` has no version. Docker's own names are written as Docker does, without `docker.io/`.
    """
    name, _, digest = image.partition("@")
    head, colon, tag = name.rpartition(":")
    repository, tag = (head, tag) if colon and "/" not in tag else (name, "")
    version = re.match(r"v?(\d+(?:\.\d+)*)(?=$|[-_+])", tag)
    parts = {
        "repository": re.sub(r"^docker\.io/(library/)?", "", repository),
        "tag": tag,
        "digest": digest,
        "version": version[1] if version else "",
    }
    return {key: value for key, value in parts.items() if value}
