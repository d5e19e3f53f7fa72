"""`push`: the built images into the lab's registry, and their references into the inventory."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import yaml

from . import engine, progress
from .build import LOGS, STATE, Built
from .catalogue import Image, inventory
from .engine import BuildError

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
HEADER = "---\n# Written by lab/builder; do not edit.\n"


def push(images: list[Image], registry: str, registry_name: str, inventory_file: Path, jobs: int) -> None:
    """Push what `registry` does not have yet; the inventory names it `registry_name`, as the hosts do."""
    try:
        state = json.loads(STATE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BuildError("no images were built yet; run the build first.") from None
    catalogue = {image.name: image for image in images}
    built = [image for image in (Built(**entry) for entry in state["images"]) if catalogue[image.name].section != "lab"]
    missing = [image for image in built if not has(registry, image)]
    # The first push brings the layers that all share; the others then find them there.
    for part in (missing[:1], missing[1:]):
        progress.run({image.name: partial(upload, registry, image) for image in part}, {}, jobs)
    references = {image.name: f"{registry_name}/{image.name}:{image.tag}" for image in built}
    write(inventory_file, HEADER + yaml.safe_dump(inventory(state["mode"], references, images)))
    progress.say(f"registry: {len(missing)} pushed, {len(built) - len(missing)} unchanged")


def has(registry: str, image: Built) -> bool:
    """Tell whether the registry has this tag; tags name their content."""
    request = urllib.request.Request(
        f"http://{registry}/v2/{image.name}/manifests/{image.tag}", headers={"Accept": MANIFEST}, method="HEAD"
    )
    try:
        with urllib.request.urlopen(request, timeout=10):
            return True
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise BuildError(f"the registry {registry} answers {error.code} when asked for {image.name}.") from None
    except OSError as error:
        raise BuildError(f"the registry {registry} does not answer ({error}); is the lab running?") from None


def upload(registry: str, image: Built) -> str:
    """Push one image."""
    log = LOGS / f"{image.name}.push.log"
    log.write_bytes(b"")
    remote = f"{registry}/{image.name}:{image.tag}"
    engine.output("tag", f"protostar/{image.name}:{image.tag}", remote)
    if not engine.logged([*engine.docker(), "push", remote], log):
        raise BuildError(f"the image {image.name} could not be pushed to {registry}; the log is {log}.")
    return "pushed"


def write(path: Path, text: str) -> None:
    """Replace a file at once, and only when it differs."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
