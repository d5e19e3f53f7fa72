"""The lab's images: `python -m lab.builder build|push|check`, from the repository's root."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import catalogue, progress
from .build import build
from .check import check
from .engine import BuildError
from .mode import choose
from .push import push

INVENTORY = catalogue.LAB.parent / "inventories/lab/group_vars/all/images.yml"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="lab.builder", description=__doc__)
    parser.add_argument("verb", choices=["build", "push", "check"])
    parser.add_argument("names", nargs="*", help="build and check: only these images, and what they start from")
    parser.add_argument("--mode", choices=["auto", "upstream", "debian"], default="auto", help="where images come from")
    parser.add_argument("--jobs", type=int, default=3, help="images at a time")
    parser.add_argument("--registry", default="127.0.0.1:5000", help="push: the registry, as this machine reaches it")
    parser.add_argument("--registry-name", default="registry.protostar.test:5000", help="push: as the hosts reach it")
    parser.add_argument("--output", type=Path, default=INVENTORY, help="push: the inventory file that names the images")
    return parser.parse_intermixed_args()


def main() -> int:
    """Run a verb; a problem is one sentence."""
    options = arguments()
    try:
        images = catalogue.load()
        if options.verb == "push":
            push(images, options.registry, options.registry_name, options.output, options.jobs)
            return 0
        mode, reason = choose(options.mode)
        progress.say(f"images: {mode} mode: {reason}")
        built = build(catalogue.for_mode(images, mode), options.names, mode, options.jobs)
        if options.verb == "check":
            check(images, built)
    except BuildError as error:
        print(f"lab.builder: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab.builder: interrupted; running again goes on where this stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
