"""`build`: makes the images that are missing or whose sources changed."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from . import engine, progress
from .catalogue import BUILD, Image
from .engine import BuildError
from .source import Source, collect, context, private_cas

DEBIAN = "protostar/debian:trixie"
SUITE = "trixie"
BASE = "base"
BASE_REFERENCE = "protostar/base:trixie"
# Older package lists name files that the mirrors no longer have.
LISTS_LAST = timedelta(days=1)
LOGS = BUILD / "logs"
STATE = BUILD / "images.json"


@dataclass(frozen=True)
class Built:
    """An image in this machine's engine."""

    name: str
    tag: str
    version: str


def build(images: list[Image], names: list[str], mode: str, jobs: int) -> list[Built]:
    """Build what is missing of `names` (all, when empty), and record the whole when all were asked for."""
    began = time.monotonic()
    LOGS.mkdir(parents=True, exist_ok=True)
    mirrors = machine_mirrors()
    sources = collect(chosen(images, names), mirrors, {"base": private_cas()})
    wanted = with_parents(names or sources, sources)
    todo = outdated(wanted, sources)
    ensure_debian(mirrors.get("MIRROR"))
    # The base first: its package lists tell the versions of the others.
    run([BASE] if BASE in todo else [], sources, jobs)
    run([name for name in todo if name != BASE], sources, jobs)
    have = engine.built()
    result = [located(sources[name], have) for name in wanted]
    progress.say(f"images: {len(todo)} built, {len(wanted) - len(todo)} unchanged, {time.monotonic() - began:.0f} s")
    if not names:
        STATE.write_text(json.dumps({"mode": mode, "images": [asdict(image) for image in result]}, indent=2) + "\n")
    return result


def chosen(images: list[Image], names: list[str]) -> list[Image]:
    """Choose the named images (all, when none is named), and those that they may start from."""
    unknown = sorted(set(names) - {image.name for image in images})
    if unknown:
        raise BuildError(f"there is no image {unknown[0]} in this mode; lab/images.yml lists them.")
    return [image for image in images if not names or image.name in names or image.section == "lab"]


def with_parents(names: Iterable[str], sources: Mapping[str, Source]) -> list[str]:
    """Add all that the names are built from, parents first."""
    unknown = sorted(set(names) - set(sources))
    if unknown:
        raise BuildError(
            f"there is no image {unknown[0]} in lab/images.yml for this mode; it has {', '.join(sources)}."
        )
    wanted: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        wanted.add(name)
        todo += sources[name].parents
    return [name for name in sources if name in wanted]


def outdated(wanted: list[str], sources: Mapping[str, Source]) -> list[str]:
    """Choose what must be built; with old package lists, also what it starts from."""
    have = engine.built()
    missing = [name for name in wanted if not find(sources[name], have)]
    if not missing or BASE in missing or engine.age(BASE_REFERENCE) < LISTS_LAST:
        return missing
    return with_parents(missing, sources)


def run(names: list[str], sources: Mapping[str, Source], jobs: int) -> None:
    """Build images, each after those it starts from."""
    versions = package_versions([sources[name].image for name in names])
    progress.run({name: partial(make, sources[name], versions[name]) for name in names}, order(sources), jobs)


def order(sources: Mapping[str, Source]) -> dict[str, list[str]]:
    """Tell after which others each image is built: its parents, and the first of its directory, to share its layers."""
    first: dict[Path, str] = {}
    for name, source in sources.items():
        first.setdefault(source.image.directory, name)
    return {name: [*source.parents, *({first[source.image.directory]} - {name})] for name, source in sources.items()}


def find(source: Source, have: Mapping[str, Mapping[str, str]]) -> Built | None:
    """Find the image that was built from exactly this source, if the engine has one."""
    for reference, labels in have.items():
        repository, _, tag = reference.rpartition(":")
        if repository == source.image.local_name and labels[engine.SOURCE_LABEL] == source.digest:
            return Built(source.image.name, tag, labels[engine.VERSION_LABEL])
    return None


def located(source: Source, have: Mapping[str, Mapping[str, str]]) -> Built:
    """Find it where it must be."""
    found = find(source, have)
    if not found:
        raise BuildError(f"the image {source.image.name} vanished while others were built; run this again.")
    return found


def make(source: Source, version: str) -> str:
    """Build one image."""
    image = source.image
    reference = f"{image.local_name}:{image.full_tag(version, source.digest)}"
    labels = {
        engine.SOURCE_LABEL: source.digest,
        engine.VERSION_LABEL: version,
        engine.TITLE_LABEL: image.name,
    }
    command = [*engine.docker(), "build", "--force-rm", "--tag", reference]
    # The engine's cache would bring back the base's old package lists.
    command += ["--no-cache"] if image.name == BASE else []
    command += [f"--label={name}={value}" for name, value in labels.items()]
    command += [f"--build-arg={name}={value}" for name, value in source.arguments.items()]
    log = LOGS / f"{image.name}.log"
    log.write_bytes(b"")
    if not engine.logged([*command, "-"], log, context(source.files)):
        raise BuildError(
            f"the image {image.name} could not be built; its log is {log}, and running again goes on here."
        )
    return "built"


def package_versions(images: list[Image]) -> dict[str, str]:
    """Give each image its version: its own, or its package's."""
    packages = sorted({image.package for image in images if image.package})
    offered = engine.package_versions(BASE_REFERENCE, packages) if packages else {}
    try:
        return {image.name: image.version or offered[image.package] for image in images}
    except KeyError as error:
        raise BuildError(f"Debian has no package {error.args[0]}, which lab/images.yml names.") from None


def ensure_debian(mirror: str | None) -> None:
    """Make Debian itself, which everything starts from; 20 to 40 seconds, once."""
    if not engine.exists(DEBIAN):
        progress.run({"debian": partial(bootstrap, mirror)}, {}, 1)


def bootstrap(mirror: str | None) -> str:
    """Import a minimal Debian, made from packages, as an image. mmdebstrap knows a mirror of its own."""
    log = LOGS / "debian.log"
    tarball = BUILD / "debian.tar"
    made = [
        "mmdebstrap",
        "--variant=minbase",
        "--include=ca-certificates",
        SUITE,
        str(tarball),
        *([mirror] if mirror else []),
    ]
    try:
        log.write_bytes(b"")
        succeeded = engine.logged([*engine.as_root(), *made], log) and engine.logged(
            [*engine.docker(), "import", str(tarball), DEBIAN], log
        )
    except FileNotFoundError:
        raise BuildError("mmdebstrap is missing; install it, or run `make up`, which does.") from None
    finally:
        subprocess.run([*engine.as_root(), "rm", "--force", str(tarball)], check=True)
    if not succeeded:
        raise BuildError(f"Debian could not be bootstrapped; the log is {log}.")
    return "built"


def machine_mirrors(etc: Path = Path("/etc")) -> dict[str, str]:
    """Find the mirrors that a Debian machine uses itself; a company's own may be all that can be reached.

    Empty on another system: the images then keep the mirrors that mmdebstrap chose.
    """
    release = etc / "os-release"
    if not release.exists() or not re.search(r"^ID=debian$", release.read_text(encoding="utf-8"), re.MULTILINE):
        return {}
    lists = [etc / "apt/sources.list", *sorted((etc / "apt/sources.list.d").glob("debian*"))]
    text = "\n".join(path.read_text(encoding="utf-8") for path in lists if path.exists())
    uris = re.findall(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s+)?)(https?://[^\s]+)", text, re.MULTILINE)
    main = [uri for uri in uris if "security" not in uri]
    security = [uri for uri in uris if "security" in uri]
    if not main:
        return {}
    return {"MIRROR": main[0], **({"SECURITY_MIRROR": security[0]} if security else {})}
