# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which colour of each application is live, as the edge has it in memory and on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _files
from ansible_collections.protostar.platform.plugins.module_utils._app import GREEN


@dataclass(frozen=True)
class Trial:
    """The part of the visitors who get the colour that is not live: percent of new ones, and a cohort by name."""

    weight: int
    cohort: str = ""


@dataclass(frozen=True)
class Pool:
    """The colours of one application."""

    live: str = GREEN
    canary: Trial | None = None


@dataclass(frozen=True)
class Pools:
    """All of them, with the generation that a writer must know to replace them."""

    generation: int = 0
    apps: Mapping[str, Pool] = field(default_factory=dict)

    def live(self, name: str) -> str | None:
        """Return the live colour of an application; None if it never had one."""
        return self.apps[name].live if name in self.apps else None

    def changed(self, pools: Mapping[str, Pool]) -> Pools:
        """Return the next generation, with some applications changed."""
        apps = {**self.apps, **pools}
        return self if apps == dict(self.apps) else replace(self, generation=self.generation + 1, apps=apps)

    def without(self, name: str) -> Pools:
        """Return the next generation, without an application."""
        if name not in self.apps:
            return self
        apps = {key: pool for key, pool in self.apps.items() if key != name}
        return replace(self, generation=self.generation + 1, apps=apps)

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"generation": self.generation, "apps": {name: _entry(pool) for name, pool in self.apps.items()}}

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Pools:
        """Read it.

        Raises:
            KeyError, TypeError, ValueError: It is none.

        """
        return cls(
            int(document["generation"]),
            {
                name: Pool(entry["live"], Trial(**entry["canary"]) if entry.get("canary") else None)
                for name, entry in document["apps"].items()
            },
        )


def _entry(pool: Pool) -> dict[str, Any]:
    entry: dict[str, Any] = {"live": pool.live}
    if pool.canary:
        cohort = {"cohort": pool.canary.cohort} if pool.canary.cohort else {}
        entry["canary"] = {"weight": pool.canary.weight, **cohort}
    return entry


def load(path: Path) -> Pools | None:
    """Read the durable pools; None if they are missing or damaged."""
    try:
        return Pools.read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save(path: Path, pools: Pools) -> None:
    """Write the durable pools, which nginx reads at its next start."""
    _files.write(path, json.dumps(pools.document(), indent=2) + "\n", 0o644)
