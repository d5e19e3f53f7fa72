# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compares what containers may take with what a host has. The module of this name documents it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.protostar.platform.plugins.filter.table import table

# While a release of an app takes over, the one before it still runs. Where it has colours, they are listed both.
COPIES = {"app": 2}


def count(containers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what each container asks for in MiB and cores, all of its copies counted, the biggest first."""
    rows = []
    for container in containers:
        copies = 1 if container.get("colour") else COPIES.get(container["role"], 1)
        name = container["container"]
        rows.append(
            {
                "container": name if copies == 1 else f"{copies} of {name}",
                "memory": container["memory"] * copies / (1 << 20),
                "cpus": container["cpus"] * copies,
            }
        )
    return sorted(rows, key=lambda row: (-row["memory"], -row["cpus"], row["container"]))


def find_too_big(containers: Iterable[Mapping[str, Any]], cores: int) -> list[str]:
    """Return a sentence for every container with a CPU limit that the engine refuses on this host."""
    return [
        f"{container['container']} has a limit of {container['cpus']:g} CPUs, and Docker starts no container with more "
        f"than the {cores} of this host. Lower "
        f"{'cpus in its definition' if container['role'] == 'app' else container['role'] + '_cpus'}."
        for container in containers
        if container["cpus"] > cores
    ]


def find_excess(rows: list[dict[str, Any]], memory: float, cpus: float) -> str:
    """Return what `rows` ask for beyond `memory` MiB and `cpus` cores, as text with a table; empty if it is nothing."""
    total = {key: sum(row[key] for row in rows) for key in ("memory", "cpus")}
    what = [name for name, key, limit in (("memory", "memory", memory), ("CPU", "cpus", cpus)) if total[key] > limit]
    if not what:
        return ""
    lines = [*rows, {"container": "sum", **total}, {"container": "available", "memory": memory, "cpus": cpus}]
    shown = [
        {"container": line["container"], "memory": f"{line['memory']:.0f} MiB", "cpus": f"{line['cpus']:g}"}
        for line in lines
    ]
    return (
        f"The {' and '.join(what)} limits of all services together are more than this host has to give.\n"
        f"{table(shown, ['container', 'memory', 'cpus'])}\n"
        "Lower the limits of the biggest, give the host more, or overcommit it knowingly with "
        "preflight_memory_factor and preflight_cpu_factor."
    )


class ActionModule(ActionBase):
    """Compares the containers with the host of the task."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with a table if the host is too small."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "containers": {"type": "list", "elements": "dict", "required": True},
                "memory": {"type": "float", "required": True},
                "cores": {"type": "int", "required": True},
                "memory_factor": {"type": "float", "default": 1.0},
                "cpu_factor": {"type": "float", "default": 1.0},
            }
        )
        problems = find_too_big(arguments["containers"], arguments["cores"])
        excess = find_excess(
            count(arguments["containers"]),
            arguments["memory"] * arguments["memory_factor"],
            arguments["cores"] * arguments["cpu_factor"],
        )
        if problems or excess:
            result.update(
                failed=True, msg="\n".join(["Nothing was changed:", *problems, *([excess] if excess else [])])
            )
        return result
