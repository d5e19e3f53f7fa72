"""The catalogue lab/images.yml, typed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

LAB = Path(__file__).resolve().parent.parent
BUILD = LAB.parent / "build" / "lab"
REPOSITORY = "protostar"
SECTIONS = ("lab", "services", "apps")


@dataclass(frozen=True)
class Image:
    """One entry of the catalogue; lab/images.yml explains the fields."""

    name: str
    section: str
    directory: Path
    tag: str = ""
    package: str = ""
    version: str = ""
    flavour: str = ""
    variable: str = ""
    facts: dict[str, object] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    check: list[str] = field(default_factory=list)
    says: str = ""

    @property
    def local_name(self) -> str:
        """The image's repository in this machine's engine."""
        return f"{REPOSITORY}/{self.name}"

    def full_tag(self, version: str, source: str) -> str:
        """Name the source in the tag, so that a changed image has a new reference and its service is deployed again."""
        if self.tag:
            return self.tag
        return "-".join(part for part in (version.replace("~", "-"), self.flavour, source[:7]) if part)


def load(path: Path = LAB / "images.yml") -> list[Image]:
    """Read every image of the catalogue, in its order."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        parse(name, section, entry, path.parent) for section in SECTIONS for name, entry in document[section].items()
    ]


def parse(name: str, section: str, entry: dict[str, object], root: Path) -> Image:
    """Read one entry, with its defaults filled in."""
    values: dict[str, object] = {"flavour": "debian13" if "package" in entry else "", **entry}
    values["directory"] = root / str(entry.get("directory", f"images/{name}"))
    return Image(name=name, section=section, **values)  # type: ignore[arg-type]


def for_mode(images: Iterable[Image], mode: str) -> list[Image]:
    """Choose what is built: in upstream mode the hosts pull the services' images themselves."""
    return [image for image in images if mode == "debian" or image.section != "services"]


def inventory(mode: str, references: dict[str, str], images: Iterable[Image]) -> dict[str, object]:
    """Make the inventory variables that point the roles at the built images.

    `references` maps an image's name to its reference in the registry.
    """
    variables: dict[str, object] = {"lab_image_mode": mode}
    for image in images:
        if image.name in references:
            variables[image.variable] = references[image.name]
            variables.update(image.facts)
    return variables
