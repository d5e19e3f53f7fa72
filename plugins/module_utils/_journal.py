# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The journal: what a transaction is about to do, on disk before it does it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _files

PREPARE = "prepare"
SWITCH = "switch"


@dataclass(frozen=True)
class Entry:
    """A transaction under way.

    Attributes:
        phase: PREPARE while nothing live has been touched, then SWITCH.
        release: The release being made; the one in force if it is being repaired.
        previous: The release to go back to; None for the first one.
        services: Services whose containers are being replaced.
        volumes: Volumes that existed before; others are removed if the first release fails.
        reload: The service that was told to reload, with how; None if none.

    """

    phase: str
    release: int
    previous: int | None
    services: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    reload: dict[str, object] | None = None

    @property
    def repair(self) -> bool:
        """Whether the release in force is being repaired."""
        return self.release == self.previous


class Journal:
    """The journal of one service."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def exists(self) -> bool:
        """Whether a run left something here, be it the half-written first entry."""
        return self._path.exists() or _files.temporary(self._path).exists()

    def read(self) -> Entry | None:
        """Return the transaction under way; None if there is none. What cannot be read was never finished writing."""
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
            fields: dict[str, Any] = {
                key: tuple(item) if isinstance(item, list) else item for key, item in data.items()
            }
            return Entry(**fields)
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def write(self, entry: Entry) -> None:
        """Put the next step on disk."""
        _files.write(self._path, json.dumps(asdict(entry), indent=2) + "\n")

    def close(self) -> None:
        """Remove the journal: nothing is under way any more."""
        _files.remove(self._path)
