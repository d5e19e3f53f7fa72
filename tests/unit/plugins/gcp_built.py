"""What stands at Google once a relay is as declared, and what a test changes of it."""

import copy
import re

from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import World
from gcp_world import NAME, PROJECT, REGION, ZONE

GOOGLE = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}"
MARK = f"managed-by=protostar-platform protostar-relay={NAME}"
LABELS = {"managed-by": "protostar-platform", "protostar-relay": NAME}
NETWORK = {
    "name": NAME,
    "description": MARK,
    "autoCreateSubnetworks": False,
    "selfLink": f"{GOOGLE}/global/networks/{NAME}",
}
SUBNETWORK = {
    "name": NAME,
    "description": MARK,
    "network": f"{GOOGLE}/global/networks/{NAME}",
    "ipCidrRange": "10.203.0.0/24",
}
RULE = {
    "description": MARK,
    "network": f"{GOOGLE}/global/networks/{NAME}",
    "direction": "INGRESS",
    "sourceRanges": ["0.0.0.0/0"],
    "targetTags": [NAME],
    "disabled": False,
    "logConfig": {"enable": False},
}
ALLOW = {**RULE, "name": f"{NAME}-allow", "priority": 800, "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}]}
DENY = {**RULE, "name": f"{NAME}-deny", "priority": 900, "denied": [{"IPProtocol": "all"}]}
SSH = {
    **RULE,
    "name": f"{NAME}-ssh",
    "priority": 800,
    "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    "sourceRanges": ["35.235.240.0/20"],
}
ADDRESS = {
    "name": NAME,
    "description": MARK,
    "region": f"{GOOGLE}/regions/{REGION}",
    "address": "203.0.113.7",
    "networkTier": "STANDARD",
    "addressType": "EXTERNAL",
    "status": "IN_USE",
    "users": [f"{GOOGLE}/zones/{ZONE}/instances/{NAME}"],
    "labels": LABELS,
    "labelFingerprint": "address-labels",
}
DISK = {
    "name": NAME,
    "type": f"{GOOGLE}/zones/{ZONE}/diskTypes/pd-standard",
    "sizeGb": "10",
    "labels": LABELS,
    "labelFingerprint": "disk-labels",
    "users": [f"{GOOGLE}/zones/{ZONE}/instances/{NAME}"],
}
INSTANCE = {
    "name": NAME,
    "zone": f"{GOOGLE}/zones/{ZONE}",
    "machineType": f"{GOOGLE}/zones/{ZONE}/machineTypes/e2-micro",
    "status": "RUNNING",
    "labels": LABELS,
    "labelFingerprint": "labels",
    "tags": {"items": [NAME], "fingerprint": "tags"},
    "metadata": {
        "fingerprint": "metadata",
        "items": [
            {"key": "block-project-ssh-keys", "value": "TRUE"},
            {"key": "enable-guest-attributes", "value": "TRUE"},
            {"key": "serial-port-enable", "value": "FALSE"},
        ],
    },
    "disks": [{"boot": True, "autoDelete": True, "source": f"{GOOGLE}/zones/{ZONE}/disks/{NAME}", "diskSizeGb": "10"}],
    "networkInterfaces": [
        {
            "name": "nic0",
            "network": f"{GOOGLE}/global/networks/{NAME}",
            "subnetwork": f"{GOOGLE}/regions/{REGION}/subnetworks/{NAME}",
            "accessConfigs": [
                {"name": "External NAT", "natIP": "203.0.113.7", "networkTier": "STANDARD", "type": "ONE_TO_ONE_NAT"}
            ],
        }
    ],
    "shieldedInstanceConfig": {"enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True},
    "scheduling": {
        "automaticRestart": True,
        "onHostMaintenance": "MIGRATE",
        "preemptible": False,
        "provisioningModel": "STANDARD",
    },
    "deletionProtection": True,
}


def world(**changed):
    """The world as the default relay wants it, but for what is given."""
    firewalls = {f"{NAME}-allow": ALLOW, f"{NAME}-deny": DENY, f"{NAME}-ssh": None, **changed.pop("firewalls", {})}
    whole = {
        "network": NETWORK,
        "subnetwork": SUBNETWORK,
        "firewalls": firewalls,
        "addresses": (ADDRESS,),
        "disk": DISK,
        "instance": INSTANCE,
    }
    return World(**{**whole, **changed})


def instance(**changed):
    """The instance, changed by hand."""
    return {**copy.deepcopy(INSTANCE), **changed}


def with_metadata(*items, drop=()):
    kept = [entry for entry in INSTANCE["metadata"]["items"] if entry["key"] not in drop]
    return instance(metadata={"fingerprint": "metadata", "items": [*kept, *items]})


def with_address(**config):
    interface = {**INSTANCE["networkInterfaces"][0], "accessConfigs": [config] if config else []}
    return instance(networkInterfaces=[interface])


def verbs(planned):
    """Method and what the paths of the calls end in, with the bodies."""
    return [(step.call.method, re.sub(f"/{NAME}(?=/|$)", "", step.call.path)) for step in planned.steps]
