# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Google's resources as views: what the relay declares of them, in the words of the module's options. Pure.

A view of what is and one of what should be are compared key by key, so that both have the same keys. What Google adds
by itself (IDs, URLs, times, defaults) is in neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import Place

Resource = Mapping[str, Any]
View = dict[str, Any]

RUNNING = "RUNNING"
# https://cloud.google.com/compute/docs/instances/instance-lifecycle
STARTING = frozenset({"PROVISIONING", "STAGING", "PENDING", "REPAIRING"})
MOVING = STARTING | {"STOPPING", "SUSPENDING", "PENDING_STOP", "DEPROVISIONING"}
_PROTOCOLS = {"6": "tcp", "17": "udp", "1": "icmp"}
_SELECTORS = {
    "sourceTags": "from_tags",
    "sourceServiceAccounts": "from_service_accounts",
    "targetServiceAccounts": "to_service_accounts",
    "destinationRanges": "to",
}
_EVERYWHERE = ["0.0.0.0/0"]


@dataclass(frozen=True)
class World:
    """What the project has under the relay's names, as Google tells it; None for what does not exist.

    Attributes:
        firewalls: By name.
        addresses: All external addresses of the project that are reserved, the relay's own included.
        other_instances: The other e2-micro instances that run; empty if nobody asked.

    """

    network: Resource | None = None
    subnetwork: Resource | None = None
    firewalls: Mapping[str, Resource | None] = field(default_factory=dict)
    addresses: tuple[Resource, ...] = ()
    disk: Resource | None = None
    instance: Resource | None = None
    other_instances: tuple[Resource, ...] = ()

    def address(self, place: Place) -> Resource | None:
        """Return the relay's own address."""
        return next((entry for entry in self.addresses if _is(entry, place)), None)

    def other_addresses(self, place: Place) -> list[Resource]:
        """Return the addresses that are not the relay's own."""
        return [entry for entry in self.addresses if not _is(entry, place)]


def _is(address: Resource, place: Place) -> bool:
    return address["name"] == place.name and leaf(address.get("region")) == place.region


def leaf(link: str | None) -> str:
    """Return the name at the end of a URL."""
    return (link or "").rpartition("/")[2]


def path(link: str | None) -> str:
    """Return a URL from its project on, which is the same for all of Google's hosts and API versions."""
    text = link or ""
    at = text.find("projects/")
    return text[at:] if at >= 0 else text


def labelled(resource: Resource, place: Place) -> bool:
    """Whether a disk or an instance is this relay's."""
    labels = resource.get("labels") or {}
    return all(labels.get(key) == value for key, value in place.ownership.items())


def described(resource: Resource, place: Place) -> bool:
    """Whether a network, a subnetwork or a firewall rule, which have no labels, is this relay's."""
    return resource.get("description") == place.marker


def address_owned(resource: Resource, place: Place) -> bool:
    """Whether an address is this relay's. It gets its labels in a request of their own, which a run may not live to."""
    return labelled(resource, place) or described(resource, place)


def network_view(resource: Resource) -> View:
    """Return a network."""
    automatic = resource.get("autoCreateSubnetworks")
    kind = "legacy" if resource.get("IPv4Range") else "automatic" if automatic else "custom"
    return {"subnetworks": kind}


def subnetwork_view(resource: Resource) -> View:
    """Return a subnetwork."""
    return {"network": leaf(resource.get("network")), "range": resource.get("ipCidrRange")}


def firewall_view(resource: Resource) -> View:
    """Return a firewall rule. Whom else it concerns is there only if it is set, which a rule of ours never does."""
    ingress = resource.get("direction", "INGRESS") == "INGRESS"
    sources = resource.get("sourceRanges") or ()
    anyone = not sources and ingress and not resource.get("sourceTags") and not resource.get("sourceServiceAccounts")
    return {
        "network": leaf(resource.get("network")),
        "direction": resource.get("direction", "INGRESS"),
        "priority": resource.get("priority", 1000),
        "allow": _rules(resource.get("allowed") or ()),
        "deny": _rules(resource.get("denied") or ()),
        "from": sorted(sources) if not anyone else _EVERYWHERE,
        "to_tags": sorted(resource.get("targetTags") or ()),
        "enabled": not resource.get("disabled", False),
        "logged": bool((resource.get("logConfig") or {}).get("enable", False)),
        **{word: sorted(resource[key]) for key, word in _SELECTORS.items() if resource.get(key)},
    }


def _rules(entries: Iterable[Resource]) -> list[str]:
    found = set()
    for entry in entries:
        protocol = str(entry["IPProtocol"]).lower()
        protocol = _PROTOCOLS.get(protocol, protocol)
        found |= {f"{protocol}:{port}" for port in entry.get("ports") or ()} or {protocol}
    return sorted(found, key=lambda rule: (rule.partition(":")[0], rule.partition(":")[2].rjust(11)))


def address_view(resource: Resource) -> View:
    """Return a reserved address."""
    return {
        "tier": resource.get("networkTier", "PREMIUM").lower(),
        "type": resource.get("addressType", "EXTERNAL").lower(),
        "labels": dict(resource.get("labels") or {}),
    }


def disk_view(resource: Resource) -> View:
    """Return a disk."""
    return {
        "type": leaf(resource.get("type")),
        "size": int(resource.get("sizeGb") or 0),
        "labels": dict(resource.get("labels") or {}),
    }


def instance_view(resource: Resource) -> View:
    """Return an instance. All its metadata are there, foreign ones included."""
    shielded = resource.get("shieldedInstanceConfig") or {}
    scheduling = resource.get("scheduling") or {}
    interface = (resource.get("networkInterfaces") or [{}])[0]
    configs = interface.get("accessConfigs") or ()
    status = resource.get("status", RUNNING)
    return {
        "status": RUNNING if status in STARTING else status,
        "machine_type": leaf(resource.get("machineType")),
        "secure_boot": bool(shielded.get("enableSecureBoot")),
        "vtpm": bool(shielded.get("enableVtpm")),
        "integrity_monitoring": bool(shielded.get("enableIntegrityMonitoring")),
        "deletion_protection": bool(resource.get("deletionProtection")),
        "service_account": next((entry.get("email", "") for entry in resource.get("serviceAccounts") or ()), "none"),
        "provisioning": _provisioning(scheduling),
        "automatic_restart": bool(scheduling.get("automaticRestart", True)),
        "on_host_maintenance": scheduling.get("onHostMaintenance", "MIGRATE"),
        "addresses": [config.get("natIP") or "none yet" for config in configs],
        "tiers": [str(config.get("networkTier", "PREMIUM")).lower() for config in configs],
        "tags": sorted((resource.get("tags") or {}).get("items") or ()),
        "labels": dict(resource.get("labels") or {}),
        "metadata": metadata_of(resource),
    }


def _provisioning(scheduling: Resource) -> str:
    if scheduling.get("preemptible"):
        return "PREEMPTIBLE" if scheduling.get("provisioningModel") != "SPOT" else "SPOT"
    return str(scheduling.get("provisioningModel") or "STANDARD")


def metadata_of(resource: Resource) -> dict[str, str]:
    """Return an instance's metadata by key."""
    return {entry["key"]: entry.get("value", "") for entry in (resource.get("metadata") or {}).get("items") or ()}


def network_of(resource: Resource) -> tuple[str, str]:
    """Return the names of the network and the subnetwork that an instance is in."""
    interface = (resource.get("networkInterfaces") or [{}])[0]
    return leaf(interface.get("network")), leaf(interface.get("subnetwork"))


def boot_disk_of(resource: Resource) -> Resource | None:
    """Return how an instance's boot disk is attached."""
    return next((disk for disk in resource.get("disks") or () if disk.get("boot")), None)


def unused_addresses(addresses: Iterable[Resource]) -> list[dict[str, str]]:
    """Return the addresses that are reserved and not used, each with name, region and tier."""
    return [
        {
            "name": entry["name"],
            "address": entry.get("address", ""),
            "region": leaf(entry.get("region")) or "global",
            "tier": entry.get("networkTier", "PREMIUM").lower(),
        }
        for entry in addresses
        if entry.get("status") == "RESERVED" and not entry.get("users")
    ]


def is_external(address: Resource) -> bool:
    """Whether it is an address of the internet, and IPv4, which is what Google charges for."""
    return (
        address.get("addressType", "EXTERNAL") == "EXTERNAL"
        and address.get("ipVersion", "IPV4") != "IPV6"
        and ":" not in str(address.get("address", ""))
    )
