# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `bluegreen_info` tells: releases as the ledger, the edge and the containers have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _lease
from ansible_collections.protostar.platform.plugins.module_utils._app import other
from ansible_collections.protostar.platform.plugins.module_utils._edge import Edge
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._host import Host
from ansible_collections.protostar.platform.plugins.module_utils._ledger import Entry, Ledger, Slot
from ansible_collections.protostar.platform.plugins.module_utils._pools import Pools

_UNKNOWN: Mapping[str, Any] = {"in_flight": None, "websockets": None, "streams": None}


def described(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the applications and releases of this host.

    Args:
        parameters: The module's.

    Raises:
        ServiceError: The ledger cannot be read, or the engine does not answer.

    """
    engine = Engine()
    host = Host(
        parameters["services"],
        Edge(engine, parameters["edge"]["container"], parameters["edge"]["directory"]),
        engine,
        "",
    )
    ledger = Ledger(parameters["root"])
    records, under_way = ledger.records(), ledger.under_way()
    holder = _lease.holder(ledger.lease_file)
    newest = records[: parameters["history"]]
    return {
        "apps": _apps(host, ledger, records),
        "releases": [recorded(entry) for entry in ([under_way] if under_way else []) + newest],
        "under_way": {"release": under_way.id, "step": under_way.step, "state": under_way.state} if under_way else None,
        "deployer": {"owner": holder["owner"], "age": round(_lease.clock() - holder["since"])} if holder else None,
    }


def recorded(entry: Entry) -> dict[str, Any]:
    """Describe a release as a person reads it."""
    document = asdict(entry)
    moves = document.pop("moves")
    document.pop("images")
    apps = {
        name: {**entry.images.get(name, {}), "from": move["back"], "to": move["to"], "release": move["release"]}
        for name, move in moves.items()
    }
    return {**document, "apps": apps}


def _apps(host: Host, ledger: Ledger, records: list[Entry]) -> list[dict[str, Any]]:
    found = []
    pools, counted = _edge(host)
    for name, state in ledger.apps().items():
        for colour in (state.live, other(state.live)):
            slot = state.slots.get(colour)
            if slot is None:
                continue
            found.append(
                {
                    "app": name,
                    "colour": colour,
                    "role": "live" if colour == state.live else "standby",
                    **_made(name, slot, records, ledger),
                    "health": _health(host.healths(name, colour)),
                    **{key: counted.get(name, {}).get(colour, _UNKNOWN)[key] for key in _UNKNOWN},
                    "edge": pools is not None and pools.live(name) == colour,
                }
            )
    return found


def _edge(host: Host) -> tuple[Pools | None, Mapping[str, Any]]:
    try:
        return host.edge.pools(), host.edge.counters()
    except ServiceError:
        return None, {}


def _made(name: str, slot: Slot, records: list[Entry], ledger: Ledger) -> dict[str, Any]:
    made = next((entry for entry in records if entry.id == slot.release), None)
    kept = ledger.kept(slot.release, name)
    image = made.images.get(name, {}) if made else {}
    return {
        "release": slot.release,
        "image": image.get("image") or (kept.image if kept else ""),
        "version": image.get("version", ""),
        "since": slot.since,
        "owner": made.owner if made else "",
    }


def _health(found: Mapping[str, str]) -> str:
    if not found:
        return "missing"
    return ", ".join(sorted({state for state in found.values() if state != "healthy"})) or "healthy"
