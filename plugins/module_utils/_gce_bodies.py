# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The declared relay as Google's resources, to be created. Pure.

Fields: https://cloud.google.com/compute/docs/reference/rest/v1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import Relay
from ansible_collections.protostar.platform.plugins.module_utils._gce_steps import GLOBAL, merged

Body = dict[str, Any]

# From here alone does Google's identity-aware proxy connect: https://cloud.google.com/iap/docs/using-tcp-forwarding
_IAP = "35.235.240.0/20"
_EVERYWHERE = "0.0.0.0/0"
# Before the rules that come with a network that is named (65534), and before what others may add to it (1000 if they
# say nothing), so that what is not allowed here stays closed.
_ALLOW, _DENY = 800, 900
NAT = "External NAT"
SHIELDED = {"enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True}
SCHEDULING = {
    "automaticRestart": True,
    "onHostMaintenance": "MIGRATE",
    "preemptible": False,
    "provisioningModel": "STANDARD",
}


def network(relay: Relay) -> Body:
    """Return the relay's own network, which has nothing in it that opens a port."""
    where = relay.place
    return {
        "name": where.name,
        "description": where.marker,
        "autoCreateSubnetworks": False,
        "routingConfig": {"routingMode": "REGIONAL"},
    }


def subnetwork(relay: Relay) -> Body:
    """Return the relay's subnetwork."""
    where = relay.place
    return {
        "name": where.name,
        "description": where.marker,
        "network": where.link(GLOBAL, "networks", where.network_name),
        "ipCidrRange": relay.subnetwork_range,
    }


def firewalls(relay: Relay) -> dict[str, Body]:
    """Return the firewall rules by name."""
    where = relay.place
    allowed: list[Body] = [{"IPProtocol": "tcp", "ports": [str(port) for port in relay.tcp_ports]}]
    if relay.udp_ports:
        allowed.append({"IPProtocol": "udp", "ports": [str(port) for port in relay.udp_ports]})
    rules = {
        "allow": {"priority": _ALLOW, "allowed": allowed, "sourceRanges": [_EVERYWHERE]},
        "deny": {"priority": _DENY, "denied": [{"IPProtocol": "all"}], "sourceRanges": [_EVERYWHERE]},
    }
    if relay.ssh == "iap":
        ssh = [{"IPProtocol": "tcp", "ports": ["22"]}]
        rules["ssh"] = {"priority": _ALLOW, "allowed": ssh, "sourceRanges": [_IAP]}
    return {
        f"{where.name}-{suffix}": {
            "name": f"{where.name}-{suffix}",
            "description": where.marker,
            "network": where.link(GLOBAL, "networks", where.network_name),
            "direction": "INGRESS",
            "targetTags": [where.name],
            "disabled": False,
            "logConfig": {"enable": False},
            **rule,
        }
        for suffix, rule in rules.items()
    }


def address(relay: Relay) -> Body:
    """Return the address. Its tier must be that of the access configuration that uses it.

    Google takes labels of an address afterwards only, so that it is marked by its description until then.
    """
    where = relay.place
    return {
        "name": where.name,
        "description": where.marker,
        "addressType": "EXTERNAL",
        "networkTier": relay.network_tier.upper(),
    }


def access(relay: Relay, ip: str) -> Body:
    """Return how the instance is reached."""
    return {"name": NAT, "type": "ONE_TO_ONE_NAT", "natIP": ip, "networkTier": relay.network_tier.upper()}


def instance(relay: Relay, ip: str, disk: str | None) -> Body:
    """Return the instance. No service account is attached, so that whoever gets into it can ask nothing of Google.

    Args:
        relay: As declared.
        ip: Its public address.
        disk: Name of a disk that exists and is to be its boot disk; None for a new one.

    """
    where = relay.place
    boot: Body = {"boot": True, "autoDelete": True, "mode": "READ_WRITE", "type": "PERSISTENT"}
    if disk is not None:
        boot["source"] = where.link(where.zonal, "disks", disk)
    else:
        boot["initializeParams"] = {
            "diskName": where.name,
            "sourceImage": relay.image,
            "diskType": where.link(where.zonal, "diskTypes", relay.disk_type),
            "diskSizeGb": str(relay.disk_size),
            "labels": merged({}, relay.all_labels),
        }
    return {
        "name": where.name,
        "description": where.marker,
        "machineType": where.link(where.zonal, "machineTypes", relay.machine_type),
        "labels": merged({}, relay.all_labels),
        "tags": {"items": [where.name]},
        "metadata": {"items": items(merged({}, relay.all_metadata))},
        "disks": [boot],
        "networkInterfaces": [
            {
                "network": where.link(GLOBAL, "networks", where.network_name),
                "subnetwork": where.link(where.regional, "subnetworks", where.name),
                "accessConfigs": [access(relay, ip)],
            }
        ],
        "shieldedInstanceConfig": dict(SHIELDED),
        "scheduling": dict(SCHEDULING),
        "deletionProtection": relay.deletion_protection,
    }


def items(metadata: Mapping[str, str]) -> list[Body]:
    """Return metadata as Google stores them."""
    return [{"key": key, "value": value} for key, value in sorted(metadata.items())]
