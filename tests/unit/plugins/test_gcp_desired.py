"""Options of a relay: what is refused before anything is asked of Google, and what the rest comes to."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import encrypted, endpoint
from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import Refusal
from gcp_world import declared


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"project": ""}, "project"),
        ({"project": "My Project"}, "project"),
        ({"project": "shop"}, "project"),
        ({"region": "oregon"}, "region"),
        ({"region": "us-west1-b"}, "set region to us-west1 and zone to us-west1-b"),
        ({"zone": "us-east1-b"}, "zone"),
        ({"zone": "us-west1"}, "zone"),
        ({"name": "Relay"}, "name"),
        ({"name": "r" * 58}, "name"),
        ({"name": "-x"}, "name"),
        ({"network": "projects/x"}, "network"),
        ({"subnetwork_range": "10.203.0.1/24"}, "subnetwork_range"),
        ({"subnetwork_range": "8.8.8.0/24"}, "subnetwork_range"),
        ({"subnetwork_range": "10.203.0.0/30"}, "subnetwork_range"),
        ({"tcp_ports": []}, "tcp_ports"),
        ({"tcp_ports": [0]}, "tcp_ports"),
        ({"tcp_ports": [443, 22]}, "ssh to iap"),
        ({"udp_ports": [65536]}, "udp_ports"),
        ({"machine_type": "zones/x/machineTypes/e2-micro"}, "machine_type"),
        ({"image": "debian-13"}, "image"),
        ({"disk_size": 9}, "disk_size"),
        ({"labels": {"Upper": "x"}}, "labels"),
        ({"labels": {"x": "With Space"}}, "labels"),
        ({"labels": {"managed-by": "me"}}, "ownership"),
        ({"metadata": {"a b": "x"}}, "metadata"),
        ({"metadata": {"big": "x" * 262145}}, "metadata"),
        ({"metadata": {str(part): "x" * 200000 for part in range(3)}}, "metadata"),
        ({"metadata": {"k": "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"}}, "private key"),
        ({"metadata": {"k": "[Interface]\nPrivateKey = abc="}}, "private key"),
    ],
)
def test_bad_input_is_refused_by_name(given, told):
    with pytest.raises(Refusal, match=told) as refusal:
        declared(**given)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "given",
    [
        {"project": "example.com:shop-1234"},
        {"name": "r" * 57},
        {"zone": "us-west1-c"},
        {"region": "northamerica-northeast1"},
        {"image": "projects/ubuntu-os-cloud/global/images/ubuntu-2404-noble-amd64-v20260101"},
        {"image": "https://www.googleapis.com/compute/v1/projects/debian-cloud/global/images/family/debian-13"},
        {"labels": {"managed-by": "protostar-platform", "empty": ""}},
        {"metadata": {"k": "[Interface]\nPostUp = wg set %i private-key /etc/wireguard/protostar.key"}},
    ],
)
def test_good_input_is_taken(given):
    declared(**given)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, "TRUE"),
        (False, "FALSE"),
        (7, "7"),
        ({"b": 1, "a": ["x"]}, '{"a":["x"],"b":1}'),
        (["x"], '["x"]'),
        ("as it is\n", "as it is\n"),
        (None, None),
    ],
)
def test_metadata_are_text(value, stored):
    assert declared(metadata={"k": value}).all_metadata["k"] == stored


def test_declared_metadata_win_over_the_modules_own():
    assert declared(metadata={"block-project-ssh-keys": False}).all_metadata["block-project-ssh-keys"] == "FALSE"


def test_the_zone_follows_from_the_region():
    assert declared(region="us-east1").place.zone == "us-east1-b"


@pytest.mark.parametrize(
    "address",
    ["https://compute.googleapis.com/compute/v1/", "http://127.0.0.1:8080/compute/v1", "http://localhost/x",
     "http://[::1]:80/x"],
)  # fmt: skip
def test_an_endpoint_is_taken(address):
    assert endpoint(address) == address.rstrip("/")
    assert encrypted(address) == address.startswith("https")


@pytest.mark.parametrize(
    "address",
    ["http://compute.googleapis.com/compute/v1", "http://10.0.0.1/x", "http://127.0.0.1.example.com/x", "ftp://localhost",
     "http://localhost@evil.example/x", "https://user:word@host/x", "compute.googleapis.com", "", "http://[::1/x"],
)  # fmt: skip
def test_an_endpoint_in_the_clear_is_refused(address):
    with pytest.raises(Refusal, match="api_endpoint"):
        endpoint(address)
