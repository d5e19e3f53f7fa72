# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Puts a certificate and its key in force together, or not at all.

A name in the directory of certificates is a symbolic link to one of the pairs in `.pairs/<name>`, which a rename
replaces, so that both change together.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from _certificate import Certificate, Unreadable, fault, key_type, read
from edge import Edge
from settings import Failed, Settings, Wanted

PAIRS = ".pairs"
FILES = {"fullchain.pem": 0o644, "privkey.pem": 0o600}


@dataclass(frozen=True)
class Pair:
    """A chain and its key, as PEM text."""

    fullchain: str
    key: str

    @classmethod
    def load(cls, directory: Path) -> Pair:
        """Read both from a directory."""
        return cls(*((directory / name).read_text(encoding="utf-8") for name in FILES))


def in_force(settings: Settings, name: str) -> Certificate | None:
    """Return what is in force under a name, if anything readable is."""
    try:
        return read(Pair.load(settings.directory / name).fullchain)
    except (OSError, Unreadable):
        return None


def deploy(
    settings: Settings, wanted: Wanted, edge: Edge, source: Path | None = None, only_check: bool = False
) -> bool:
    """Put the pair of a certificate's source in force. Return whether something changed, or would.

    Raises:
        Failed: It is no good, or nginx does not take it; the one before is in force then.

    """
    with locked(settings):
        mend(settings, wanted.name)
        try:
            pair = Pair.load(source or settings.source(wanted))
        except OSError as error:
            where = kept(settings, wanted.name)
            raise Failed(f"{wanted.name}: there is no new certificate ({error}). {where}") from error
        if why := fault(pair.fullchain, pair.key, wanted.names):
            raise Failed(f"{wanted.name}: the new certificate {why}. {kept(settings, wanted.name)} Get another.")
        link = settings.directory / wanted.name
        with contextlib.suppress(OSError):
            if Pair.load(link) == pair:
                return False
        old, new = in_force(settings, wanted.name), read(pair.fullchain)
        older = old and old.issuer == new.issuer and new.not_before < old.not_before and old.covers(wanted.names)
        if wanted.source == "acme" and older:
            raise Failed(
                f"{wanted.name}: the new certificate is older than the one in force, which stays. "
                f"Delete {link} if it shall take its place."
            )
        if only_check:
            return True
        before = adopt(link)
        replace(link, store(settings, wanted.name, new.fingerprint, pair))
        try:
            if edge.runs():
                edge.reload()
                edge.check(wanted.domains, new.fingerprint, key_type(pair.key), old.fingerprint if old else "")
        except Failed as error:
            put_back(link, before, edge)
            raise Failed(f"{wanted.name}: {error}. {kept(settings, wanted.name)} See: docker logs nginx") from error
        prune(settings, wanted.name, {before, str(link.readlink())})
        return True


def kept(settings: Settings, name: str) -> str:
    """Say what is in force all the same."""
    return "The one before stays in force." if in_force(settings, name) else "Nothing was put in force."


def store(settings: Settings, name: str, fingerprint: str, pair: Pair) -> str:
    """Write a pair beside the others, on the disk for good. Return where, seen from the directory of certificates."""
    place = settings.directory / PAIRS / name / fingerprint[:16]
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    for (file, mode), text in zip(FILES.items(), (pair.fullchain, pair.key), strict=True):
        descriptor = os.open(place / file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            os.fchmod(descriptor, mode)
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
    return str(place.relative_to(settings.directory))


def replace(link: Path, target: str) -> None:
    """Have the name lead to another pair, in one step."""
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
    directory = os.open(link.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def adopt(link: Path) -> str:
    """Return where a name leads, empty for nowhere. A directory that was put there by hand becomes a pair, too."""
    if link.is_symlink():
        return str(link.readlink())
    if not link.is_dir():
        return ""
    own = f"{PAIRS}/{link.name}/brought"
    place = link.parent / own
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    link.rename(place)
    replace(link, own)
    return own


def mend(settings: Settings, name: str) -> None:
    """Put back a directory whose move a crash interrupted."""
    link, own = settings.directory / name, f"{PAIRS}/{name}/brought"
    if not os.path.lexists(link) and (settings.directory / own).is_dir():
        replace(link, own)


def put_back(link: Path, before: str, edge: Edge) -> None:
    """Have the name lead where it led, and nginx know it."""
    if before:
        replace(link, before)
    else:
        link.unlink()
    with contextlib.suppress(Failed):
        edge.reload()


def prune(settings: Settings, name: str, keep: set[str]) -> None:
    """Remove all pairs but the one in force and the one before."""
    for place in (settings.directory / PAIRS / name).iterdir():
        if str(place.relative_to(settings.directory)) not in keep:
            shutil.rmtree(place)


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Let one at a time change something."""
    place = settings.directory / PAIRS
    place.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (place / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
