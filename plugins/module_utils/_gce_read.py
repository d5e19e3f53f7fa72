# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads what a project has under a relay's names, each resource once."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _gce_normalise as normalise
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import Place, Relay, firewall_names
from ansible_collections.protostar.platform.plugins.module_utils._gce_free_tier import MACHINE_TYPE
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import Resource, World, leaf
from ansible_collections.protostar.platform.plugins.module_utils._gce_session import Session

_STATUS = "protostar-relay/status"
_AT_REST = ("TERMINATED", "STOPPED", "SUSPENDED")


def world(session: Session, relay: Relay, *, absent: bool) -> World:
    """Return what there is.

    Args:
        session: Where to ask.
        relay: As declared.
        absent: Whether it is to be removed, so that nothing about its cost needs to be known.

    """
    where = relay.place
    instance = session.get(f"{where.zonal}/instances/{where.name}")
    boot = normalise.boot_disk_of(instance) if instance is not None else None
    disk = leaf(boot["source"]) if boot and boot.get("source") else where.name
    return World(
        network=session.get(f"global/networks/{where.network_name}"),
        subnetwork=session.get(f"{where.regional}/subnetworks/{where.name}"),
        firewalls={name: session.get(f"global/firewalls/{name}") for name in firewall_names(where)},
        addresses=addresses(session),
        disk=session.get(f"{where.zonal}/disks/{disk}"),
        instance=instance,
        other_instances=_others(session, where) if instance is None and relay.guard and not absent else (),
    )


def addresses(session: Session) -> tuple[Resource, ...]:
    """Return the reserved addresses of all regions; the relay's own is read with them."""
    return tuple(session.everywhere("addresses"))


def _others(session: Session, where: Place) -> tuple[Resource, ...]:
    """Return the machines that use up the free hours. Nobody asks once the relay's own exists."""
    return tuple(
        entry
        for entry in session.everywhere("instances")
        if leaf(entry.get("machineType")) == MACHINE_TYPE
        and entry.get("status") not in _AT_REST
        and (entry["name"], leaf(entry.get("zone"))) != (where.name, where.zone)
    )


def guest_status(session: Session, where: Place, instance: Resource) -> Any:  # noqa: ANN401  whatever JSON it reports
    """Return what the agent on the instance reported; None if it has not reported yet, or may not."""
    if normalise.metadata_of(instance).get("enable-guest-attributes", "").upper() != "TRUE":
        return None
    found = session.get(f"{where.zonal}/instances/{where.name}/getGuestAttributes", {"queryPath": _STATUS}) or {}
    values = [found.get("variableValue")]
    values += [entry.get("value") for entry in (found.get("queryValue") or {}).get("items") or ()]
    for value in filter(None, values):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return None
