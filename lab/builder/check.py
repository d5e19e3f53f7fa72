"""`check`: every built image starts, and says the version that its label says."""

from __future__ import annotations

import subprocess

from . import engine, progress
from .build import Built
from .catalogue import Image
from .engine import BuildError


def check(images: list[Image], built: list[Built]) -> None:
    """Run each image's check command, without a network."""
    catalogue = {image.name: image for image in images}
    failures = []
    for item in built:
        image = catalogue[item.name]
        if not image.check:
            continue
        problem = problem_of(item, image.check, image.says or item.version)
        progress.say(f"  {item.name:<18} {problem or item.version}")
        if problem:
            failures.append(item.name)
    if failures:
        raise BuildError(f"these images do not work: {', '.join(failures)}.")


def problem_of(item: Built, command: list[str], expected: str) -> str:
    """Say what is wrong with one image, or nothing."""
    run = ["run", "--rm", "--network=none", f"--entrypoint={command[0]}", f"protostar/{item.name}:{item.tag}"]
    result = subprocess.run(
        [*engine.docker(), *run, *command[1:]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = result.stdout + result.stderr
    if result.returncode:
        return f"`{' '.join(command)}` failed: {said.strip()}"
    return "" if expected in said else f"says {said.strip()!r} where {expected} is expected"
