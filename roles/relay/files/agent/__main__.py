# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The relay's agent: python3 DIRECTORY_OR_ZIP check FILE | apply FILE | run | status."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import bundle as bundles
import status
import transaction
from check import check
from errors import Failed, Refused
from lock import locked
from loop import Agent
from machine import Machine
from parts import Parts
from paths import Paths


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Do what is asked. Return the exit code: 0, or 1 after one sentence on the standard error."""
    asked = _parser().parse_args(arguments)
    machine = Machine(Paths.of(environment))
    try:
        return _do(asked, machine, environment)
    except (Refused, Failed, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _do(asked: argparse.Namespace, machine: Machine, environment: Mapping[str, str]) -> int:
    if asked.command == "check":
        check(machine, bundles.load(asked.file))
    elif asked.command == "apply":
        bundle = bundles.load(asked.file)
        with locked(machine.paths):
            print(transaction.apply(machine, bundle))
            parts = Parts(machine)
            status.report(machine, parts, parts.meter.take())
    elif asked.command == "run":
        return 0 if Agent(machine, environment).run() else 1
    else:
        report = status.read(machine)
        if not report:
            raise Failed("Nothing is reported yet: start protostar-relay.service, or apply a bundle.")
        print(json.dumps(report, indent=2, sort_keys=True))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="protostar-relay", description="The agent of a Protostar relay.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("check", "validate a bundle, change nothing"), ("apply", "put a bundle in force")):
        commands.add_parser(name, help=text).add_argument("file", type=Path, metavar="FILE")
    commands.add_parser("run", help="the daemon: meter, metrics, caps, repair, metadata")
    commands.add_parser("status", help="print the last report")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
