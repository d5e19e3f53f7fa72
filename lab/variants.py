"""The demo apps under other versions and with faults, as images in the lab's registry: what tests release."""

from __future__ import annotations

import hashlib
import json
import subprocess
import urllib.request
from pathlib import Path

from .builder import engine
from .builder.build import LOGS, STATE, Built
from .builder.engine import BuildError
from .builder.push import MANIFEST, has
from .builder.source import context, fingerprint, read

DIRECTORY = Path(__file__).parent / "images/variant"
# As this machine reaches the registry, and as the lab's hosts name it.
REGISTRY = "127.0.0.1:5000"
REGISTRY_NAME = "registry.protostar.test:5000"


def variant(app: str, version: str, fault: str = "none", *, digest: bool = False) -> str:
    """Build an image if the registry does not have it, and push it.

    Args:
        app: nest or fastapi.
        version: What it says of itself.
        fault: none, or one that images/variant/rootfs/variant/fault.mjs names.
        digest: Whether to name the image by its digest too.

    Returns:
        Its reference as the lab's hosts know it.

    Raises:
        BuildError: It could not be built or pushed.

    """
    built = [Built(**entry) for entry in json.loads(STATE.read_text(encoding="utf-8"))["images"]]
    base = next(f"protostar/{image.name}:{image.tag}" for image in built if image.name == app)
    files = dict(read(DIRECTORY))
    arguments = {"APP_IMAGE": base, "VERSION": version, "FAULT": fault}
    named = [version, *([] if fault == "none" else [fault]), fingerprint(files, arguments, [])[:7]]
    image = Built(app, "-".join(named), version)
    if not has(REGISTRY, image):
        _push(f"{REGISTRY}/{app}:{image.tag}", arguments, context(files))
    reference = f"{REGISTRY_NAME}/{app}:{image.tag}"
    return f"{reference}@{_digest(app, image.tag)}" if digest else reference


def _push(reference: str, arguments: dict[str, str], archive: bytes) -> None:
    log = LOGS / "variants.log"
    command = [*engine.docker(), "build", "--force-rm", "--tag", reference]
    command += [f"--build-arg={name}={value}" for name, value in arguments.items()]
    if not engine.logged([*command, "-"], log, archive) or not engine.logged(
        [*engine.docker(), "push", reference], log
    ):
        raise BuildError(f"the image {reference} could not be built and pushed; the log is {log}.")
    # The registry has it now; here it would only be in the way of who looks for the lab's own images.
    subprocess.run([*engine.docker(), "rmi", "--no-prune", reference], capture_output=True, check=False)


def _digest(app: str, tag: str) -> str:
    address = f"http://{REGISTRY}/v2/{app}/manifests/{tag}"
    with urllib.request.urlopen(urllib.request.Request(address, headers={"Accept": MANIFEST}), timeout=10) as answer:
        return answer.headers["Docker-Content-Digest"] or f"sha256:{hashlib.sha256(answer.read()).hexdigest()}"
