"""The free tier: what it covers, what is refused, and at which price."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _gce_free_tier as free_tier
from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import Refusal
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import World
from gcp_world import NAME, declared

REGION = "https://www.googleapis.com/compute/v1/projects/shop-1234/regions/"
OTHER = {"name": "old", "region": f"{REGION}us-east1", "address": "203.0.113.9", "status": "RESERVED"}
OWN = {"name": NAME, "region": f"{REGION}us-west1", "address": "203.0.113.7", "status": "IN_USE"}
MICRO = {
    "name": "hobby",
    "zone": "projects/shop-1234/zones/us-central1-a",
    "machineType": "zones/x/machineTypes/e2-micro",
}


@pytest.mark.parametrize("region", ["us-west1", "us-central1", "us-east1"])
def test_the_default_relay_is_free(region):
    assert free_tier.broken(declared(region=region), World()) == {}


@pytest.mark.parametrize(
    ("given", "rule", "price"),
    [
        ({"region": "asia-northeast3"}, "region", "$6.11"),
        ({"machine_type": "e2-small"}, "machine_type", "$12.23"),
        ({"machine_type": "c4-standard-2"}, "machine_type", "list price"),
        ({"disk_type": "pd-balanced", "disk_size": 20}, "disk_type", "$2.00"),
        ({"disk_size": 31}, "disk_size", "$0.04"),
        ({"disk_size": 130}, "disk_size", "$4.00"),
        ({"network_tier": "premium"}, "network_tier", "$0.12"),
        ({"image": "projects/rhel-cloud/global/images/family/rhel-9"}, "image", "licence"),
    ],
)
def test_what_costs_money_is_refused_with_rule_and_price(given, rule, price):
    found = free_tier.broken(declared(**given), World())
    assert list(found) == [rule]
    assert price in found[rule]
    assert "https://cloud.google.com/" in found[rule]
    with pytest.raises(Refusal, match="guard_free_tier"):
        free_tier.check(declared(**given), World())
    free_tier.check(declared(**given, guard_free_tier=False), World())


@pytest.mark.parametrize("size", [10, 30])
def test_thirty_gigabytes_are_free(size):
    assert free_tier.broken(declared(disk_size=size), World()) == {}


@pytest.mark.parametrize(
    ("addresses", "refused"),
    [
        ((), False),
        ((OWN,), False),
        ((OTHER,), True),
        ((OWN, OTHER), False),  # nothing is bought any more
        (({**OTHER, "status": "IN_USE"},), True),
        (({**OTHER, "addressType": "INTERNAL"},), False),
        (({**OTHER, "address": "2600:1900::1", "ipVersion": "IPV6"},), False),
        (({**OWN, "region": f"{REGION}us-east1"},), True),
    ],
)
def test_a_second_address_is_refused(addresses, refused):
    assert ("address" in free_tier.broken(declared(), World(addresses=addresses))) == refused


def test_a_second_machine_is_refused_by_name():
    assert "hobby (us-central1-a)" in free_tier.broken(declared(), World(other_instances=(MICRO,)))["instance"]


def test_all_rules_are_told_at_once():
    with pytest.raises(Refusal) as refusal:
        free_tier.check(declared(region="europe-west1", disk_size=50, network_tier="premium"), World())
    for word in ("region is europe-west1", "disk_size is 50", "network_tier is premium"):
        assert word in str(refusal.value)
