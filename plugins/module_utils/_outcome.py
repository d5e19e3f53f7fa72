# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a release came to, as the `bluegreen` module returns it and tells it in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._ledger import Entry


def outcome(entry: Entry) -> dict[str, Any]:
    """Return what a release came to, as the module returns it."""
    return {
        "state": entry.state,
        "release": entry.id,
        "apps": {
            name: {**entry.images.get(name, {}), "live": move.to, "previous": move.back, "runs": move.release}
            for name, move in entry.moves.items()
        },
        "steps": list(entry.steps),
        "flip_seconds": entry.flip_seconds,
        "drained": dict(entry.drained),
        "notes": list(entry.notes),
    }


def sentences(entry: Entry) -> list[str]:
    """Tell what a release did."""
    said = []
    for name, move in entry.moves.items():
        version = entry.images.get(name, {}).get("version", "")
        what = f"{name} {version}".strip()
        if entry.state == "waiting":
            said.append(f"release {entry.id}: {what} waits in {move.to} with a part of the requests")
        elif entry.state in ("failed", "aborted"):
            said.append(f"took back release {entry.id}: {name} is served by {move.back or 'nobody'} as before")
        elif entry.state in ("released", "rolled_back"):
            way = "released" if entry.state == "released" else "rolled back to release"
            number = entry.id if entry.state == "released" else move.release
            back = f"; {move.back} is the way back" if move.back else ""
            said.append(f"{way} {number}: {what} is live in {move.to}{back}")
    for name, drained in entry.drained.items():
        said += [
            f"cut a {cut['kind']} of {name}: {cut['path']} for {cut['client']}".rstrip(" for") for cut in drained["cut"]
        ]
    return [*said, *entry.notes]


def _cut(name: str, session: Mapping[str, str]) -> str:
    whose = f": {session['path']} of {session['client']}" if session["path"] else ""
    return f"cut a {session['kind']} of {name}{whose}"


def interrupted(entry: Entry) -> str:
    return (
        f"release {entry.id} was interrupted at {entry.step} and does not wait: finish it with deploy.yml -e "
        "resume=true, or take it back with promote.yml -e abort=true"
    )


def unchanged(msg: str) -> dict[str, Any]:
    return {
        "changed": False,
        "state": "unchanged",
        "msg": msg,
        "actions": [],
        "release": None,
        "apps": {},
        "pending": {},
    }
