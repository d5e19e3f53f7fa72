# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run changes, as Ansible's --diff shows it. The content of a secret is never part of it."""

from __future__ import annotations

from ansible_collections.protostar.platform.plugins.module_utils import _files
from ansible_collections.protostar.platform.plugins.module_utils._observe import Current
from ansible_collections.protostar.platform.plugins.module_utils._plan import COMPOSE, Plan
from ansible_collections.protostar.platform.plugins.module_utils._release import Release, Seal
from ansible_collections.protostar.platform.plugins.module_utils._store import Store


def entries(plan: Plan, current: Current, release: Release, store: Store, compose: str) -> list[dict[str, str]]:
    """Return one entry for each file that changes, and one for the containers.

    Args:
        plan: What changes.
        current: What is on the host.
        release: The desired release.
        store: Where the live files are.
        compose: The text of the new compose.yaml.

    """
    after = {COMPOSE: compose, **{file.dest: file.content for file in release.files}}
    found = [
        _file(store, dest, after.get(dest, ""), _hidden(dest, current, release), plan.write.get(dest, "removed"))
        for dest in [*plan.write, *plan.remove]
    ]
    containers = {**plan.start, **plan.recreate, **dict.fromkeys(plan.orphans, "not in the release")}
    if containers:
        header = f"{release.name}: containers"
        found.append(
            {
                "before_header": header,
                "after_header": header,
                "before": "".join(f"{name}: {why}\n" for name, why in containers.items()),
                "after": "".join(f"{name}: as released\n" for name in containers if name in release.services),
            }
        )
    return found


def _file(store: Store, dest: str, after: str, hidden: bool, why: str) -> dict[str, str]:
    path = store.directory / dest
    before = _files.read(path)
    if hidden:
        before, after = "", f"secret {why}\n"
    elif before == after:
        before, after = "", f"{why}\n"
    return {"before_header": str(path), "after_header": f"{path} ({why})", "before": before, "after": after}


def _hidden(dest: str, current: Current, release: Release) -> bool:
    """Whether the file is, was or may have been a secret: such a file is readable by its owner only."""
    recorded = current.record.files.get(dest) if current.record else None
    seals: list[Seal | None] = [recorded, current.files.get(dest), release.seals.get(dest)]
    return any(seal is not None and not seal.mode & 0o077 for seal in seals)
