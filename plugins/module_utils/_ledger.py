# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the host remembers of releases: which one each colour has, what they were made of, and what became of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _files
from ansible_collections.protostar.platform.plugins.module_utils._app import App, app, other
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._release import File

_RECORDS = 500


@dataclass(frozen=True)
class Slot:
    """What a colour has: the release whose description it runs, since when, and whether it runs."""

    release: int
    since: str
    warm: bool = True


@dataclass(frozen=True)
class AppState:
    """An application on this host.

    Attributes:
        live: Its live colour.
        slots: By colour. The one that is not live is the way back.
        contract: The last release whose migration took something away from the releases before it; 0 for none.

    """

    live: str
    slots: Mapping[str, Slot] = field(default_factory=dict)
    contract: int = 0

    @property
    def standby(self) -> Slot | None:
        """Return the way back."""
        return self.slots.get(other(self.live))

    def changed(self, colour: str, slot: Slot | None) -> AppState:
        """Return it with another slot in a colour."""
        slots = {key: kept for key, kept in self.slots.items() if key != colour}
        return replace(self, slots={**slots, colour: slot} if slot else slots)


@dataclass(frozen=True)
class Move:
    """What a release does with one application.

    Attributes:
        to: The colour that becomes live.
        release: The release whose description is run there.
        back: The colour that was live before; None for none.
        standby: What the colour had before; None for nothing.

    """

    to: str
    release: int
    back: str | None
    standby: Slot | None


@dataclass(frozen=True)
class Entry:
    """A release, under way in the journal or finished in the ledger; times are UTC, durations in seconds.

    Attributes:
        kind: release or rollback.
        state: running, waiting (for a promotion), released, rolled_back, promoted, failed or aborted.
        step: The step under way; its beginning is on disk before it begins.
        undo: Whether the way back is being taken.
        flipped: Whether the edge was, or is just being, told to change colours.
        migrated: Applications whose migration is done.

    """

    id: int
    kind: str
    moves: Mapping[str, Move]
    owner: str
    reason: str
    started: str
    state: str = "running"
    step: str = ""
    undo: bool = False
    flipped: bool = False
    migrated: tuple[str, ...] = ()
    images: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    steps: tuple[Mapping[str, Any], ...] = ()
    flip_seconds: float | None = None
    drained: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    error: str = ""
    finished: str = ""
    seconds: float = 0

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Entry:
        """Read it.

        Raises:
            ValueError, KeyError, TypeError: The text is none.

        """
        data = json.loads(text)
        data["moves"] = {
            name: Move(**{**move, "standby": Slot(**move["standby"]) if move["standby"] else None})
            for name, move in data["moves"].items()
        }
        for key in ("migrated", "steps", "notes"):
            data[key] = tuple(data[key])
        return cls(**data)


class Ledger:
    """The directory of releases.

    state.json is what each colour has, journal.json a release under way, <id>/record.json what became of a release, and
    <id>/apps, <id>/secrets what it was made of, for as long as it is kept.
    """

    def __init__(self, root: str) -> None:
        self.root = Path(root)
        self.lease_file = self.root / ".lease"
        self._state = self.root / "state.json"
        self._journal = self.root / "journal.json"

    def apps(self) -> dict[str, AppState]:
        """Return the applications of this host.

        Raises:
            ServiceError: The file cannot be read.

        """
        try:
            data = json.loads(self._state.read_text(encoding="utf-8"))
            return {
                name: AppState(
                    state["live"],
                    {colour: Slot(**slot) for colour, slot in state["slots"].items()},
                    state["contract"],
                )
                for name, state in data["apps"].items()
            }
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServiceError(
                f"{self._state} cannot be read ({error}): put it back from a backup, and run again"
            ) from error

    def save(self, apps: Mapping[str, AppState]) -> None:
        """Replace what is remembered of all applications, in one rename."""
        _files.make_directory(self.root)
        document = {"apps": {name: asdict(state) for name, state in sorted(apps.items())}}
        _files.write(self._state, json.dumps(document, indent=2) + "\n")

    def under_way(self) -> Entry | None:
        """Return the release under way; None if there is none."""
        try:
            return Entry.from_json(self._journal.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, entry: Entry) -> None:
        """Put the next step of the release under way on disk."""
        _files.make_directory(self.root)
        _files.write(self._journal, entry.to_json())

    def close(self, entry: Entry) -> None:
        """Put a finished release on record, and the journal away."""
        _files.make_directory(self.root / str(entry.id))
        _files.write(self.root / str(entry.id) / "record.json", entry.to_json())
        _files.remove(self._journal)

    def records(self, newest: int = _RECORDS) -> list[Entry]:
        """Return finished releases, newest first."""
        found: list[Entry] = []
        for number in sorted(self._numbers(), reverse=True):
            if len(found) == newest:
                break
            try:
                found.append(Entry.from_json((self.root / str(number) / "record.json").read_text(encoding="utf-8")))
            except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
                continue  # one that is under way, or was interrupted before its first step
        return found

    def next_id(self) -> int:
        """Return the number of the next release."""
        return max([0, *self._numbers()]) + 1

    def keep(self, release: int, apps: Iterable[App]) -> None:
        """Write what a release is made of, its secrets in files of their own."""
        directory = self.root / str(release)
        _files.remove_tree(directory)
        for path in (self.root, directory, directory / "apps"):
            _files.make_directory(path)
        for made in apps:
            document = asdict(made)
            for number, secret in enumerate(document["secrets"]):
                dest = f"secrets/{made.name}/{number}"
                _files.put(directory, File(dest, str(secret["content"]), 0o400, os.geteuid(), True))
                secret["content"] = dest
            _files.write(directory / "apps" / f"{made.name}.json", json.dumps(document, indent=2) + "\n")

    def kept(self, release: int, name: str) -> App | None:
        """Read what an application of a release was made of; None if that is not kept."""
        directory = self.root / str(release)
        try:
            document = json.loads((directory / "apps" / f"{name}.json").read_text(encoding="utf-8"))
            for secret in document["secrets"]:
                with (directory / str(secret["content"])).open(encoding="utf-8", newline="") as stream:
                    secret["content"] = stream.read()
            return app(document, {})
        except (OSError, ValueError, KeyError, TypeError, ServiceError):
            return None

    def kept_releases(self, name: str) -> list[int]:
        """Return the releases of an application that are kept, newest first."""
        return [
            number
            for number in sorted(self._numbers(), reverse=True)
            if (self.root / str(number) / "apps" / f"{name}.json").exists()
        ]

    def forget(self, release: int, name: str) -> None:
        """Remove what an application of a release was made of; its record stays."""
        _files.remove_tree(self.root / str(release) / "secrets" / name)
        _files.remove(self.root / str(release) / "apps" / f"{name}.json")

    def prune_records(self) -> None:
        """Remove the oldest records of which nothing else is kept."""
        for number in sorted(self._numbers(), reverse=True)[_RECORDS:]:
            if not any((self.root / str(number) / "apps").glob("*.json")):
                _files.remove_tree(self.root / str(number))

    def _numbers(self) -> list[int]:
        if not self.root.is_dir():
            return []
        return [int(path.name) for path in self.root.iterdir() if path.name.isdigit()]
