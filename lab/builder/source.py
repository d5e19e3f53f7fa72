"""What an image is made of: files, build arguments, parents; and the hash that says whether they changed."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .catalogue import Image

# What package managers and builds leave in a working copy; an image makes its own.
GENERATED = {"node_modules", ".next", "dist", "coverage", "__pycache__", ".venv", ".pytest_cache", ".mypy_cache"}
PARENTS = {"BASE_IMAGE": "base", "SERVICE_IMAGE": "service", "HOST_IMAGE": "host"}
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
PUBLIC_CAS = Path("/usr/share/ca-certificates")
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """An image, all that its build is given, and the hash of it."""

    image: Image
    arguments: dict[str, str]
    parents: list[str]
    files: dict[str, tuple[bytes, bool]]
    digest: str


def collect(
    images: Iterable[Image], machine: Mapping[str, str], extra: Mapping[str, dict[str, bytes]]
) -> dict[str, Source]:
    """Collect the sources by image name. Parents stand before their children in `images`.

    `machine` holds build arguments that this machine decides (mirrors); `extra` files that only it has, by image name.
    """
    sources: dict[str, Source] = {}
    for image in images:
        files = dict(read(image.directory))
        files.update({path: (data, False) for path, data in extra.get(image.name, {}).items()})
        dockerfile = files["Dockerfile"][0].decode()
        declared = set(re.findall(r"^ARG\s+(\w+)", dockerfile, re.MULTILINE))
        parents = [parent for argument, parent in PARENTS.items() if argument in declared]
        offered = {**machine, "VERSION": image.version, **image.arguments}
        arguments = {name: value for name, value in offered.items() if name in declared}
        digest = fingerprint(files, arguments, [sources[parent].digest for parent in parents])
        sources[image.name] = Source(image, arguments, parents, files, digest)
    return sources


def read(directory: Path) -> Iterator[tuple[str, tuple[bytes, bool]]]:
    """Read every file of a directory as (path, (content, executable)), sorted, without generated directories."""
    for parent, directories, names in os.walk(directory):
        directories[:] = sorted(set(directories) - GENERATED)
        for name in sorted(names):
            path = Path(parent, name)
            yield str(path.relative_to(directory)), (path.read_bytes(), os.access(path, os.X_OK))


def fingerprint(files: Mapping[str, tuple[bytes, bool]], arguments: Mapping[str, str], parents: Iterable[str]) -> str:
    """Hash files, arguments and parents; no order and no time stamp matters."""
    total = hashlib.sha256()
    for path, (data, executable) in sorted(files.items()):
        total.update(f"{path}\0{executable}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    for item in [*(f"{name}={value}" for name, value in arguments.items()), *parents]:
        total.update(hashlib.sha256(item.encode()).digest())
    return total.hexdigest()


def context(files: Mapping[str, tuple[bytes, bool]]) -> bytes:
    """Pack the build context as a tar, the same whatever this machine's umask, user and clock are."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, (data, executable) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            entry.mode = 0o755 if executable else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def private_cas(bundle: Path = CA_BUNDLE, public: Path = PUBLIC_CAS) -> dict[str, bytes]:
    """Find the certificates this machine trusts beyond its distribution's, one per file below ca/."""
    known = {found for path in public.rglob("*.crt") for found in certificates(path)}
    private = [found for found in certificates(bundle) if found not in known] if bundle.exists() else []
    files = {f"ca/machine-{hashlib.sha256(data).hexdigest()[:12]}.crt": data + b"\n" for data in private}
    # The Dockerfile copies the directory, so there is one even where nothing private is trusted.
    return {"ca/README": b"CAs that the building machine trusts beyond Debian's.\n", **files}


def certificates(path: Path) -> list[bytes]:
    """Read the PEM certificates in a file, in one spelling of line ends."""
    text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
    return [found.encode() for found in CERTIFICATE.findall(text)]
