"""Removal by tables: what is ours goes, in the order of use, and what is not marked stays."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import World
from ansible_collections.protostar.platform.plugins.module_utils._gce_remove import removal
from gcp_built import ADDRESS, DENY, DISK, INSTANCE, NETWORK, SUBNETWORK, instance, verbs, world
from gcp_world import NAME, declared


def test_everything_goes_in_the_order_of_use():
    assert verbs(removal(declared(), world())) == [
        ("POST", "instances/setDeletionProtection"),
        ("DELETE", "instances"),
        ("DELETE", "addresses"),
        ("DELETE", "firewalls/protostar-relay-allow"),
        ("DELETE", "firewalls/protostar-relay-deny"),
        ("DELETE", "subnetworks"),
        ("DELETE", "networks"),
    ]
    assert removal(declared(), World()).steps == ()


KEPT = {
    "the instance, with all that it stands on": (
        {"instance": instance(labels={})},
        ["instances", "disks", "addresses", "subnetworks", "networks"],
    ),
    "a rule, with its network": (
        {"firewalls": {f"{NAME}-deny": {**DENY, "description": ""}}},
        ["firewalls/protostar-relay-deny", "networks"],
    ),
    "a rule of another network": (
        {"firewalls": {f"{NAME}-deny": {**DENY, "description": "", "network": "x/default"}}},
        ["firewalls/protostar-relay-deny"],
    ),
    "the address": ({"addresses": ({**ADDRESS, "labels": {}, "description": ""},)}, ["addresses"]),
    "an address that others use": ({"addresses": ({**ADDRESS, "users": ["projects/p/x"]},)}, ["addresses"]),
    "the subnetwork": ({"subnetwork": {**SUBNETWORK, "description": ""}}, ["subnetworks"]),
    "the network": ({"network": {**NETWORK, "description": ""}}, ["networks"]),
}


@pytest.mark.parametrize(("changed", "kept"), KEPT.values(), ids=KEPT)
def test_what_is_not_marked_stays(changed, kept):
    planned = removal(declared(), world(**changed))
    gone = [path for method, path in verbs(planned) if method == "DELETE"]
    assert not set(gone) & set(kept)
    assert planned.notes
    assert not removal(declared(adopt=True), world(**{**changed, "addresses": (ADDRESS,)})).notes


def test_a_named_network_stays():
    named = {"network": {"name": "default"}, "subnetwork": {**SUBNETWORK, "network": "x/default"}}
    paths = [path for _method, path in verbs(removal(declared(network="default"), world(**named)))]
    assert "subnetworks" in paths
    assert not [path for path in paths if path.startswith("networks")]


def test_a_disk_that_does_not_go_with_its_instance_goes_after_it():
    kept = instance(disks=[{**INSTANCE["disks"][0], "autoDelete": False}])
    paths = verbs(removal(declared(), world(instance=kept)))
    assert paths.index(("DELETE", "disks")) == paths.index(("DELETE", "instances")) + 1
    assert ("DELETE", "disks") in verbs(removal(declared(), World(disk={**DISK, "users": []})))
    assert removal(declared(), World(disk={**DISK, "labels": {}, "users": []})).steps == ()
