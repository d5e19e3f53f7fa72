# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What takes the world to the declared relay: a pure function from what is to requests."""

from __future__ import annotations

import ipaddress

from ansible_collections.protostar.platform.plugins.module_utils import _gce_bodies as bodies
from ansible_collections.protostar.platform.plugins.module_utils import _gce_normalise as normalise
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import Relay, firewall_names
from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import Refusal
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import Resource, World, leaf
from ansible_collections.protostar.platform.plugins.module_utils._gce_plan_instance import attach, detach, instance
from ansible_collections.protostar.platform.plugins.module_utils._gce_steps import (
    ADDRESS,
    FINGERPRINT,
    GLOBAL,
    Call,
    Change,
    Part,
    Plan,
    Step,
    joined,
    merged,
)

# Ranges of the subnetworks that an automatic network makes: https://cloud.google.com/vpc/docs/subnets#ip-ranges
_AUTOMATIC = ipaddress.IPv4Network("10.128.0.0/9")


def plan(relay: Relay, world: World) -> Plan:
    """Return what has to be done.

    Args:
        relay: As declared.
        world: As it is.

    Raises:
        Refusal: Something of that name is not the relay's, or cannot become what is declared.

    """
    _refuse_foreign(relay, world)
    _refuse_impossible(relay, world)
    address, ip = _address(relay, world)
    status = (world.instance or {}).get("status")
    return joined(
        [
            _network(relay, world),
            _subnetwork(relay, world),
            *(_firewall(relay, world, name) for name in firewall_names(relay.place)),
            detach(relay, world.instance, ip),
            address,
            _disk(relay, world),
            attach(relay, world.instance, ip),
            instance(relay, world, ip),
        ],
        settle=status in normalise.MOVING - normalise.STARTING,
    )


def _refuse_foreign(relay: Relay, world: World) -> None:
    if relay.adopt:
        return
    where = relay.place
    found = [
        (kind, resource)
        for kind, resource in (("network", None if where.network else world.network), ("subnetwork", world.subnetwork))
        if resource is not None and not normalise.described(resource, where)
    ]
    found += [
        ("firewall rule", resource)
        for resource in world.firewalls.values()
        if resource is not None and not normalise.described(resource, where)
    ]
    # The boot disk of an instance that is the relay's is the relay's.
    loose = world.disk if world.instance is None else None
    address = world.address(where)
    if address is not None and not normalise.address_owned(address, where):
        found.append(("address", address))
    found += [
        (kind, resource)
        for kind, resource in (("disk", loose), ("instance", world.instance))
        if resource is not None and not normalise.labelled(resource, where)
    ]
    if found:
        names = ", ".join(f"the {kind} {resource['name']}" for kind, resource in found)
        labels = ", ".join(f"{key}={value}" for key, value in where.ownership.items())
        raise Refusal(
            f"{names} of the project {where.project} exists and is not marked as this relay's ({labels}): choose "
            "another name, or set adopt to true to have it taken over and changed."
        )


def _refuse_impossible(relay: Relay, world: World) -> None:
    where, network, subnetwork = relay.place, world.network, world.subnetwork
    if where.network and network is None:
        raise Refusal(
            f"The project {where.project} has no network {where.network}: correct network, or leave "
            "it empty for a network of the relay's own."
        )
    kind = normalise.network_view(network)["subnetworks"] if network is not None else "custom"
    if kind == "legacy":
        raise Refusal(
            f"The network {where.network_name} is a legacy one, which has no subnetworks: name "
            "another one, or leave network empty."
        )
    overlaps = ipaddress.IPv4Network(relay.subnetwork_range).overlaps(_AUTOMATIC)
    if kind == "automatic" and subnetwork is None and overlaps:
        raise Refusal(
            f"The network {where.network_name} makes its subnetworks itself, in {_AUTOMATIC}, which "
            f"subnetwork_range ({relay.subnetwork_range}) overlaps: choose one outside, such as "
            "10.103.0.0/24."
        )
    if subnetwork is not None:
        view = normalise.subnetwork_view(subnetwork)
        if view["range"] != relay.subnetwork_range or view["network"] != where.network_name:
            raise Refusal(
                f"The subnetwork {where.name} is {view['range']} in the network {view['network']}, which Google "
                f"does not change: declare that, or remove the relay with state: absent first."
            )
    _refuse_address(relay, world)
    if world.instance is not None:
        networks = normalise.network_of(world.instance)
        if networks != (where.network_name, where.name):
            raise Refusal(
                f"The instance {where.name} is in the network {networks[0]} (subnetwork {networks[1] or 'none'}) "
                f"instead of {where.network_name}: declare that network, or remove the instance first."
            )
    elif world.disk is not None and world.disk.get("users"):
        raise Refusal(f"The disk {where.name} is used by {leaf(world.disk['users'][0])}: choose another name.")


def _refuse_address(relay: Relay, world: World) -> None:
    where = relay.place
    address = world.address(where)
    if address is None:
        return
    if not normalise.is_external(address):
        raise Refusal(
            f"The address {where.name} in {where.region} is not one of the internet: choose another name, or remove it."
        )
    mine = where.link(where.zonal, "instances", where.name)
    others = [user for user in map(normalise.path, address.get("users") or ()) if user != mine]
    if others:
        raise Refusal(
            f"The address {where.name} in {where.region} is used by {others[0]}: take it away from there first."
        )


def _network(relay: Relay, world: World) -> Part:
    if relay.place.network or world.network is not None:
        return Part()
    body = bodies.network(relay)
    return _creation("network", GLOBAL, "networks", body, normalise.network_view(body))


def _subnetwork(relay: Relay, world: World) -> Part:
    if world.subnetwork is not None:
        return Part()
    body = bodies.subnetwork(relay)
    return _creation("subnetwork", relay.place.regional, "subnetworks", body, normalise.subnetwork_view(body))


def _firewall(relay: Relay, world: World, name: str) -> Part:
    body, current = bodies.firewalls(relay).get(name), world.firewalls.get(name)
    if current is None:
        if body is None:
            return Part()
        return _creation("firewall rule", GLOBAL, "firewalls", body, normalise.firewall_view(body))
    before = normalise.firewall_view(current)
    removal = Step(f"remove the firewall rule {name}", Call("DELETE", GLOBAL, f"firewalls/{name}"))
    if body is None:
        return Part((removal,), (Change(f"firewall rule {name}", before, None),))
    after = normalise.firewall_view(body)
    if before == after and normalise.described(current, relay.place):
        return Part()
    change = Change(f"firewall rule {name}", before, after)
    # Google changes neither of these, nor whether a rule allows or denies.
    if any(before[key] != after[key] for key in ("network", "direction")) or bool(before["deny"]) != bool(
        after["deny"]
    ):
        create = Step(f"create the firewall rule {name}", Call("POST", GLOBAL, "firewalls", body))
        return Part((removal, create), (change,))
    repair = Step(f"set the firewall rule {name}", Call("PUT", GLOBAL, f"firewalls/{name}", body))
    return Part((repair,), (change,))


def _address(relay: Relay, world: World) -> tuple[Part, str]:
    """Return the part with the address that the instance gets."""
    where = relay.place
    current, body = world.address(where), bodies.address(relay)
    before = normalise.address_view(current) if current is not None else None
    labels = merged(before["labels"] if before else {}, relay.all_labels)
    after = {**normalise.address_view(body), "labels": labels}
    reserve = Step(
        f"reserve the address {where.name} ({relay.network_tier} tier)",
        Call("POST", where.regional, "addresses", body),
        reserves=True,
    )
    fresh = {"name": where.name, "labelFingerprint": FINGERPRINT}
    reserve_and_label = (reserve, _label(where.regional, "addresses", "address", fresh, labels))
    if current is None or before is None:
        return Part(reserve_and_label, (Change(f"address {where.name}", None, after),)), ADDRESS
    change = Change(f"address {where.name}", before, after)
    if before["tier"] != after["tier"]:
        release = Step(
            f"release the address {where.name}, {current.get('address')}, whose tier cannot change",
            Call("DELETE", where.regional, f"addresses/{where.name}"),
        )
        note = f"The public address of {where.name} changes with its tier; names that lead to it have to follow."
        return Part((release, *reserve_and_label), (change,), (note,)), ADDRESS
    if before == after:
        return Part(), current["address"]
    label = _label(where.regional, "addresses", "address", current, labels)
    return Part((label,), (change,)), current["address"]


def _disk(relay: Relay, world: World) -> Part:
    """Return what becomes of a boot disk that exists: it may grow; its type is what it was made as."""
    where, current = relay.place, world.disk
    if current is None:
        return Part()
    before, name = normalise.disk_view(current), current["name"]
    size = max(before["size"], relay.disk_size)
    after = {"type": before["type"], "size": size, "labels": merged(before["labels"], relay.all_labels)}
    notes = [
        f"The disk {name} is {word} {before[key]} instead of {declared}, which only a new one can be: remove the relay "
        "and make it again."
        for key, word, declared, differs in (
            ("type", "of type", relay.disk_type, before["type"] != relay.disk_type),
            ("size", "of size", relay.disk_size, before["size"] > relay.disk_size),
        )
        if differs
    ]
    steps = []
    if after["labels"] != before["labels"]:
        steps.append(_label(where.zonal, "disks", "disk", current, after["labels"]))
    if size != before["size"]:
        resize = Call("POST", where.zonal, f"disks/{name}/resize", {"sizeGb": str(size)})
        steps.append(Step(f"grow the disk {name} to {size} GB", resize))
    changes = (Change(f"disk {name}", before, after),) if steps else ()
    return Part(tuple(steps), changes, tuple(notes))


def _creation(kind: str, scope: str, collection: str, body: bodies.Body, view: normalise.View) -> Part:
    step = Step(f"create the {kind} {body['name']}", Call("POST", scope, collection, body))
    return Part((step,), (Change(f"{kind} {body['name']}", None, view),))


def _label(scope: str, collection: str, kind: str, current: Resource, labels: dict[str, str]) -> Step:
    body = {"labels": labels, "labelFingerprint": current.get("labelFingerprint", "")}
    return Step(
        f"set the labels of the {kind} {current['name']}",
        Call("POST", scope, f"{collection}/{current['name']}/setLabels", body),
    )
