"""Networks, subnetworks, firewall rules: what Google fills in, replaces and refuses."""

import pytest
from compute_caller import REGION, ZONE, instance

RULE = {"name": "relay", "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}]}
IN_RELAY = [{"subnetwork": f"regions/{REGION}/subnetworks/relay"}]


def test_google_fills_in_what_a_rule_does_not_say(google):
    google.do("POST", "global/firewalls", RULE)
    rule = google.get("global/firewalls/relay")
    assert rule["network"] == "https://www.googleapis.com/compute/v1/projects/shop/global/networks/default"
    assert {name: rule[name] for name in ("direction", "priority", "disabled", "sourceRanges", "logConfig")} == {
        "direction": "INGRESS",
        "priority": 1000,
        "disabled": False,
        "sourceRanges": ["0.0.0.0/0"],
        "logConfig": {"enable": False},
    }


def test_a_rule_with_source_tags_alone_is_not_for_everyone(google):
    google.do("POST", "global/firewalls", {**RULE, "sourceTags": ["web"]})
    assert "sourceRanges" not in google.get("global/firewalls/relay")


def test_patch_replaces_arrays_and_keeps_the_rest(google):
    google.do("POST", "global/firewalls", {**RULE, "sourceRanges": ["192.0.2.0/24", "198.51.100.0/24"], "priority": 7})
    allowed = [{"IPProtocol": "TCP", "ports": ["80"]}]
    google.do("PATCH", "global/firewalls/relay", {"name": "relay", "allowed": allowed, "logConfig": {"enable": True}})
    rule = google.get("global/firewalls/relay")
    assert rule["allowed"] == [{"IPProtocol": "tcp", "ports": ["80"]}]
    assert (rule["sourceRanges"], rule["priority"]) == (["192.0.2.0/24", "198.51.100.0/24"], 7)
    assert rule["logConfig"] == {"enable": True}


def test_update_replaces_all(google):
    google.do("POST", "global/firewalls", {**RULE, "sourceRanges": ["192.0.2.0/24"], "priority": 7})
    google.do("PUT", "global/firewalls/relay", RULE)
    rule = google.get("global/firewalls/relay")
    assert (rule["sourceRanges"], rule["priority"]) == (["0.0.0.0/0"], 1000)


def test_an_emptied_array_is_gone_and_without_sources_a_rule_is_for_everyone(google):
    google.do("POST", "global/firewalls", {**RULE, "sourceTags": ["web"], "targetTags": ["relay"]})
    google.do("PATCH", "global/firewalls/relay", {"name": "relay", "sourceTags": [], "targetTags": None})
    rule = google.get("global/firewalls/relay")
    assert not {"sourceTags", "targetTags"} & set(rule)
    assert rule["sourceRanges"] == ["0.0.0.0/0"]


@pytest.mark.parametrize(
    "change",
    [
        {"direction": "EGRESS", "sourceRanges": None},
        {"network": "global/networks/relay"},
        {"priority": 65536},
        {"allowed": [{"IPProtocol": "http"}]},
        {"allowed": [{"ports": ["80"]}]},
        {"allowed": [{"IPProtocol": "icmp", "ports": ["80"]}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["443-80"]}]},
        {"allowed": [{"IPProtocol": "tcp", "ports": ["https"]}]},
        {"sourceRanges": ["example.org"]},
        {"denied": [{"IPProtocol": "udp"}]},
    ],
)
def test_a_rule_that_makes_no_sense_or_cannot_be_changed_so_is_refused(google, change):
    google.network()
    google.do("POST", "global/firewalls", RULE)
    before = google.get("global/firewalls/relay")
    assert google.refused("PATCH", "global/firewalls/relay", {"name": "relay", **change})[:2][0] == 400
    assert google.get("global/firewalls/relay") == before


def test_a_network_is_shown_with_what_is_in_it(google):
    google.network()
    network = google.get("global/networks/relay")
    assert [link.rsplit("/", 1)[1] for link in network["subnetworks"]] == ["relay"]
    assert (network["mtu"], network["routingConfig"]["routingMode"]) == (1460, "REGIONAL")


def test_a_network_that_is_in_use_stays_which_only_its_operation_says(google):
    google.network()
    google.do("POST", "global/firewalls", {**RULE, "network": "global/networks/relay"})
    operation = google.do("DELETE", "global/networks/relay")
    assert operation["error"]["errors"][0]["code"] == "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"
    google.do("DELETE", f"regions/{REGION}/subnetworks/relay")
    message = google.do("DELETE", "global/networks/relay")["error"]["errors"][0]["message"]
    assert "projects/shop/global/firewalls/relay" in message
    google.do("DELETE", "global/firewalls/relay")
    assert "error" not in google.do("DELETE", "global/networks/relay")
    assert google.refused("GET", "global/networks/relay")[0] == 404


def test_a_subnetwork_with_an_instance_in_it_stays(google):
    google.network()
    google.instance(networkInterfaces=IN_RELAY)
    refused = google.refused("DELETE", f"regions/{REGION}/subnetworks/relay")
    assert refused[:2] == (400, "resourceInUseByAnotherResource")
    assert f"projects/shop/zones/{ZONE}/instances/relay" in refused[2]
    google.do("DELETE", f"zones/{ZONE}/instances/relay")
    google.do("DELETE", f"regions/{REGION}/subnetworks/relay")


@pytest.mark.parametrize(
    ("network", "block"),
    [
        ("relay", "10.203.0.128/25"),
        ("relay", "10.203.0.1/24"),
        ("relay", "10.0.0.0/30"),
        ("relay", "ten"),
        ("default", "10.200.0.0/24"),
    ],
)
def test_a_range_that_is_none_or_overlaps_is_refused(google, network, block):
    google.network()
    body = {"name": "other", "network": f"global/networks/{network}", "ipCidrRange": block}
    status, reason, message = google.refused("POST", f"regions/{REGION}/subnetworks", body)
    assert (status, reason) == (400, "invalid")
    assert f"'resource.ipCidrRange': '{block}'" in message


def test_a_subnetwork_is_changed_by_its_fingerprint_and_widened(google):
    google.network()
    path = f"regions/{REGION}/subnetworks/relay"
    before = google.get(path)
    change = {"privateIpGoogleAccess": True, "fingerprint": before["fingerprint"]}
    google.do("PATCH", path, change)
    assert google.get(path)["privateIpGoogleAccess"] is True
    assert google.refused("PATCH", path, change)[:2] == (412, "conditionNotMet")
    assert google.refused("POST", f"{path}/expandIpCidrRange", {"ipCidrRange": "10.203.0.0/25"})[0] == 400
    google.do("POST", f"{path}/expandIpCidrRange", {"ipCidrRange": "10.203.0.0/23"})
    assert google.get(path)["ipCidrRange"] == "10.203.0.0/23"


def test_the_default_network_lets_the_world_in_by_ssh_as_googles_does(google):
    assert google.get("global/firewalls/default-allow-ssh")["sourceRanges"] == ["0.0.0.0/0"]


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        ("global/networks/absent", 404),
        ("projects/other/global/networks/default", 404),
        ("https://compute.googleapis.com/compute/v1/projects/shop/global/networks/default", 200),
        ("https://www.googleapis.com/compute/v1/projects/shop/global/networks/default", 200),
        ("http://127.0.0.1/compute/v1/projects/shop/global/networks/default", 400),
        ("default", 400),
        ("global/firewalls/default-allow-ssh", 400),
    ],
)
def test_a_reference_is_a_url_of_google_or_a_path(google, reference, status):
    assert google.ask("POST", "global/firewalls", {**RULE, "network": reference})[0] == status


def test_a_network_with_custom_subnetworks_needs_one_named(google):
    google.network()
    body = instance(networkInterfaces=[{"network": "global/networks/relay"}])
    assert "networkInterfaces[0].subnetwork" in google.refused("POST", f"zones/{ZONE}/instances", body)[2]


def test_patch_merges_objects(google):
    google.network()
    before = google.get("global/networks/relay")["routingConfig"]
    google.do("PATCH", "global/networks/relay", {"name": "relay", "routingConfig": {"routingMode": "GLOBAL"}})
    assert google.get("global/networks/relay")["routingConfig"] == {**before, "routingMode": "GLOBAL"}
    assert len(before) > 1
