# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""protostar-certificates prepare | request NAME | issue | deploy [NAME] | renewed: what the role, certbot and you call.

It prints a line for everything that it changes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import issuing
import made
import textfile
from _certificate import Certificate, Unreadable, read
from edge import Edge
from settings import Failed, Settings, Wanted, load
from swap import Pair, deploy, in_force, kept


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Do what is asked. Return the exit code: 0, or 1 after a sentence for each failure on the standard error."""
    asked = _parser().parse_args(arguments)
    try:
        settings = load()
        edge = Edge(settings.served_at)
        if asked.command == "request":
            wanted = settings.find(asked.name)
            print(made.request(settings, wanted, sys.stdin.read()), end="")
            return 0
        failures = _do(asked, settings, edge, environment)
    except Failed as error:
        failures = [str(error)]
    print(*failures, sep="\n", end="\n" if failures else "", file=sys.stderr)
    return 1 if failures else 0


def _do(asked: argparse.Namespace, settings: Settings, edge: Edge, environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each failure."""
    check = getattr(asked, "check", False)
    from_acme = [wanted for wanted in settings.certificates if wanted.source == "acme"]
    attempt = None
    if asked.command == "prepare":
        failures = each(settings.certificates, lambda wanted: prepare(settings, wanted, edge, check))
    elif asked.command == "deploy":
        name = asked.name or Path(environment.get("RENEWED_LINEAGE", "")).name
        failures = each([settings.find(name)], lambda wanted: deployed(settings, wanted, edge))
    elif asked.command == "issue":
        failures = each(from_acme, lambda wanted: issue(settings, wanted, edge, check))
        attempt = (time.time(), not failures)
    else:
        # What certbot's hook could not put in force is tried again.
        failures = each(
            [wanted for wanted in from_acme if settings.source(wanted).exists()],
            lambda wanted: deployed(settings, wanted, edge),
        )
        attempt = (time.time(), not failures and environment.get("SERVICE_RESULT", "success") == "success")
    if not check:
        textfile.write(settings, attempt)
    return failures


def each(certificates: Iterable[Wanted], act: Callable[[Wanted], None]) -> list[str]:
    """Act on each certificate; the failure of one does not keep the others from theirs."""
    failures = []
    for wanted in certificates:
        try:
            act(wanted)
        except Failed as error:
            failures.append(str(error))
    return failures


def prepare(settings: Settings, wanted: Wanted, edge: Edge, check: bool = False) -> None:
    """Have something in force with which nginx starts: what the user brought or an authority signed, or a bootstrap."""
    source = settings.source(wanted)
    if wanted.source != "acme" and (source / "fullchain.pem").exists():
        deployed(settings, wanted, edge, check)
    elif in_force(settings, wanted.name) is None:
        if (source / "fullchain.pem").exists():
            with contextlib.suppress(Failed):  # it may be long over
                return deployed(settings, wanted, edge, check)
        with tempfile.TemporaryDirectory() as place:
            made.bootstrap(wanted, Path(place))
            deploy(settings, wanted, edge, Path(place), check)
        print(f"{wanted.name}: a bootstrap certificate is in force")
    return None


def deployed(settings: Settings, wanted: Wanted, edge: Edge, check: bool = False) -> None:
    """Put what is new in force."""
    if deploy(settings, wanted, edge, only_check=check):
        print(f"{wanted.name}: the new certificate is in force")


def issue(settings: Settings, wanted: Wanted, edge: Edge, check: bool = False) -> None:
    """Ask certbot, if there is a reason to, and put what it got in force."""
    why = issuing.reason(wanted, settings.acme, _of_certbot(settings, wanted), _renewal(settings, wanted), time.time())
    if why and not check:
        done = subprocess.run(
            issuing.command(wanted, settings.acme),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            said = f"{done.stdout}\n{done.stderr}"
            raise Failed(issuing.explain(wanted, settings.acme, said, kept(settings, wanted.name)))
        print(f"{wanted.name}: certbot got a certificate, since {why}")
    elif why:
        print(f"{wanted.name}: certbot would be asked, since {why}")
        return
    # certbot's hook has done it by now, unless it failed, of which certbot only tells its log.
    deployed(settings, wanted, edge, check)


def _of_certbot(settings: Settings, wanted: Wanted) -> Certificate | None:
    try:
        return read(Pair.load(settings.source(wanted)).fullchain)
    except (OSError, Unreadable):
        return None


def _renewal(settings: Settings, wanted: Wanted) -> dict[str, str]:
    try:
        return issuing.parameters(issuing.renewal_file(settings.letsencrypt, wanted.name).read_text(encoding="utf-8"))
    except OSError:
        return {}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="protostar-certificates", description="The certificates of this host.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("prepare", "have something in force with which nginx starts"),
        ("issue", "have certbot get what is missing"),
    ):
        commands.add_parser(name, help=text).add_argument("--check", action="store_true", help="only say what")
    request = commands.add_parser("request", help="print what a private authority, given on the input, shall sign")
    request.add_argument("name", metavar="NAME")
    deploying = commands.add_parser("deploy", help="put what certbot, or you, got in force")
    deploying.add_argument("name", metavar="NAME", nargs="?", default="")
    commands.add_parser("renewed", help="certbot has looked: put in force what is new, and tell Prometheus")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
