# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What removes a relay, and nothing else: a pure function from what is to requests."""

from __future__ import annotations

from ansible_collections.protostar.platform.plugins.module_utils import _gce_normalise as normalise
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import Relay, firewall_names
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import Resource, World, leaf
from ansible_collections.protostar.platform.plugins.module_utils._gce_plan_instance import protection, shown
from ansible_collections.protostar.platform.plugins.module_utils._gce_steps import (
    GLOBAL,
    Call,
    Change,
    Part,
    Plan,
    Step,
    joined,
)


def removal(relay: Relay, world: World) -> Plan:
    """Return what has to be done: from the instance down to the network, each before what it uses.

    Args:
        relay: As declared; its place and adopt count.
        world: As it is.

    """
    where = relay.place
    ours = relay.adopt or (world.instance is not None and normalise.labelled(world.instance, where))
    instance = world.instance if ours else None
    foreign = world.instance if not ours else None
    others = (foreign, world.subnetwork, *world.firewalls.values())
    kept = [resource for resource in others if resource is not None]
    kept = [resource for resource in kept if resource is foreign or not _described(relay, resource)]
    # Whatever is kept in the network keeps it.
    stay = any(
        where.network_name in (leaf(resource.get("network")), normalise.network_of(resource)[0]) for resource in kept
    )
    held = foreign is not None and normalise.network_of(foreign)[1] == where.name
    parts = [
        _instance(relay, instance),
        _disk(relay, world, instance),
        _address(relay, world, instance),
        *(_plain(relay, "firewall rule", GLOBAL, "firewalls", world.firewalls.get(n)) for n in firewall_names(where)),
        _plain(relay, "subnetwork", where.regional, "subnetworks", world.subnetwork, stay=held),
    ]
    if not where.network:
        parts.append(_plain(relay, "network", GLOBAL, "networks", world.network, stay=stay))
    if foreign is not None:
        parts.append(Part(notes=(_kept("instance", foreign, "it is not marked as this relay's"),)))
    status = (instance or {}).get("status")
    return joined(parts, settle=status in normalise.MOVING)


def _described(relay: Relay, resource: Resource) -> bool:
    return relay.adopt or normalise.described(resource, relay.place)


def _instance(relay: Relay, instance: Resource | None) -> Part:
    if instance is None:
        return Part()
    name, steps = relay.place.name, []
    if instance.get("deletionProtection"):
        steps.append(Step(f"lift the protection of the instance {name}", protection(relay, on=False)))
    call = Call("DELETE", relay.place.zonal, f"instances/{name}")
    steps.append(Step(f"remove the instance {name}", call))
    return Part(tuple(steps), (Change(f"instance {name}", shown(relay, normalise.instance_view(instance)), None),))


def _disk(relay: Relay, world: World, instance: Resource | None) -> Part:
    """Return what removes a boot disk that does not go with its instance."""
    disk, where = world.disk, relay.place
    if disk is None or (world.instance is not None and instance is None):
        return Part()
    change = (Change(f"disk {disk['name']}", normalise.disk_view(disk), None),)
    attached = normalise.boot_disk_of(instance) if instance is not None else None
    if attached is not None and attached.get("autoDelete"):
        return Part(changes=change)
    users = [user for user in disk.get("users") or () if instance is None or leaf(user) != instance["name"]]
    if not relay.adopt and not normalise.labelled(disk, where):
        return Part(notes=(_kept("disk", disk, "it is not marked as this relay's"),))
    if users:
        return Part(notes=(_kept("disk", disk, f"{leaf(users[0])} uses it"),))
    call = Call("DELETE", where.zonal, f"disks/{disk['name']}")
    return Part((Step(f"remove the disk {disk['name']}", call),), change)


def _address(relay: Relay, world: World, instance: Resource | None) -> Part:
    where = relay.place
    address = world.address(where)
    if address is None:
        return Part()
    if not relay.adopt and not normalise.address_owned(address, where):
        return Part(notes=(_kept("address", address, "it is not marked as this relay's"),))
    mine = {where.link(where.zonal, "instances", where.name)} if instance is not None else set()
    users = [user for user in map(normalise.path, address.get("users") or ()) if user not in mine]
    if users:
        return Part(notes=(_kept("address", address, f"{users[0]} uses it"),))
    call = Call("DELETE", where.regional, f"addresses/{where.name}")
    step = Step(f"release the address {where.name}, {address.get('address')}", call)
    return Part((step,), (Change(f"address {where.name}", normalise.address_view(address), None),))


def _plain(
    relay: Relay, kind: str, scope: str, collection: str, resource: Resource | None, *, stay: bool = False
) -> Part:
    """Return what removes a resource that is marked by its description."""
    if resource is None:
        return Part()
    if not _described(relay, resource):
        return Part(notes=(_kept(kind, resource, "it is not marked as this relay's"),))
    if stay:
        return Part(notes=(_kept(kind, resource, "something that is not this relay's is in it"),))
    name = resource["name"]
    views = {
        "firewalls": normalise.firewall_view,
        "subnetworks": normalise.subnetwork_view,
        "networks": normalise.network_view,
    }
    step = Step(f"remove the {kind} {name}", Call("DELETE", scope, f"{collection}/{name}"))
    return Part((step,), (Change(f"{kind} {name}", views[collection](resource), None),))


def _kept(kind: str, resource: Resource, why: str) -> str:
    return f"The {kind} {resource['name']} was kept: {why}."
