# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a service lives on the host, and what is kept there: the live files, the record, the releases."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from ansible_collections.protostar.platform.plugins.module_utils import _files
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._release import File, Record, Seal

_CONTENTS = "release.json"


class Store:
    """The directory of a service.

    compose.yaml and the files are live; release.json is the release in force, journal.json a transaction under way,
    releases/<id>/ the releases that can be put back, staging/ what is being rehearsed.
    """

    def __init__(self, root: str, name: str) -> None:
        self.root = Path(root)
        self.name = name
        self.directory = self.root / name
        self.compose_file = self.directory / "compose.yaml"
        self.record_file = self.directory / _CONTENTS
        self.journal_file = self.directory / "journal.json"
        self.lock_file = self.root / f".{name}.lock"
        self.releases = self.directory / "releases"
        self.staging = self.directory / "staging"

    def record(self) -> Record | None:
        """Read the release in force; None if there is none."""
        try:
            return Record.from_json(self.record_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceError(
                f"{self.record_file} cannot be read ({error}): "
                "put it back from a backup, or move it away to have the service released anew, and run again"
            ) from error

    def compose_digest(self) -> str | None:
        """Return the digest of the live compose.yaml; None if there is none."""
        seal = _files.look(self.compose_file)
        return None if seal is None else seal.sha256

    def files(self, dests: Iterable[str]) -> dict[str, Seal]:
        """Return what is there of these live files."""
        found = {dest: _files.look(self.directory / dest) for dest in dests}
        return {dest: seal for dest, seal in found.items() if seal is not None}

    def next_id(self, record: Record | None) -> int:
        """Return the number of the next release."""
        return max([record.id if record else 0, *self._kept()]) + 1

    def keep(self, release: int, compose: str, files: Iterable[File]) -> None:
        """Write a release's own copy, from which it is put back."""
        directory = self.releases / str(release)
        _files.remove_tree(directory)
        _files.make_directory(directory)
        _files.write(directory / "compose.yaml", compose)
        kept = []
        for file in files:
            _files.put(directory / "files", file)
            kept.append({"dest": file.dest, "secret": file.secret, **asdict(file.seal)})
        _files.write(directory / "files.json", json.dumps(kept, indent=2) + "\n")

    def kept(self, release: int) -> tuple[str, list[File]]:
        """Read a release's own copy: compose.yaml and the files. A release that was not kept whole has none."""
        directory = self.releases / str(release)
        try:
            listed = json.loads((directory / "files.json").read_text(encoding="utf-8"))
            compose = (directory / "compose.yaml").read_text(encoding="utf-8")
            return compose, [self._file(directory / "files", entry) for entry in listed]
        except FileNotFoundError:
            return "", []

    @staticmethod
    def _file(directory: Path, entry: Mapping[str, object]) -> File:
        dest = str(entry["dest"])
        with (directory / dest).open(encoding="utf-8", newline="") as stream:
            content = stream.read()
        return File(dest, content, int(str(entry["mode"])), int(str(entry["owner"])), bool(entry["secret"]))

    def commit(self, record: Record) -> None:
        """Make a release the one in force. This single rename is the moment a transaction is done."""
        _files.write(self.releases / str(record.id) / _CONTENTS, record.to_json())
        _files.write(self.record_file, record.to_json())

    def forget(self, release: int) -> None:
        """Remove a release's own copy."""
        _files.remove_tree(self.releases / str(release))

    def prune(self, current: int, keep: int) -> None:
        """Keep the release in force and so many before it."""
        for release in sorted(self._kept() - {current}, reverse=True)[keep:]:
            self.forget(release)

    def written(self) -> bool:
        """Whether anything is here that `clear` would remove."""
        return any(
            path.exists()
            for path in (self.compose_file, self.record_file, self.journal_file, self.releases, self.staging)
        )

    def clear(self) -> None:
        """Remove everything that was written here, and nothing that something else put here."""
        record = self.record()
        for dest in record.files if record else ():
            _files.remove(self.directory / dest)
        _files.remove(self.compose_file)
        _files.remove_tree(self.releases)
        _files.remove_tree(self.staging)
        # The record and the journal go last: they tell a next run what is left to remove.
        _files.remove(self.record_file)
        _files.remove(self.journal_file)
        _files.remove_empty(self.directory)

    def free_bytes(self) -> int:
        """Return how much can be written where the service lives."""
        existing = next(path for path in (self.directory, *self.directory.parents) if path.is_dir())
        status = os.statvfs(existing)
        return status.f_bavail * status.f_frsize

    def _kept(self) -> set[int]:
        if not self.releases.is_dir():
            return set()
        return {int(path.name) for path in self.releases.iterdir() if path.name.isdigit()}
