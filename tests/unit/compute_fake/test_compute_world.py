"""The world can be changed by hand, copied, and put back; and no walk through it breaks its rules."""

import ipaddress

import pytest
from compute_caller import REGION, ZONE, ZONES, Caller, access, instance
from compute_fake.fake import Fake
from hypothesis import given, settings
from hypothesis import strategies as st

RELAY = f"zones/{ZONE}/instances/relay"


def test_a_change_by_hand_is_seen_and_changes_the_fingerprints(fake, google):
    google.instance(labels={"owner": "me"}, metadata={"items": [{"key": "a", "value": "1"}]})
    before = google.get(RELAY)
    mine = fake.world.resources["instances"][f"{ZONE}/relay"]
    mine["labels"]["owner"] = "you"
    mine["metadata"]["items"].append({"key": "b", "value": "2"})
    mine["tags"]["items"] = ["web"]
    after = google.get(RELAY)
    assert after["labels"] == {"owner": "you"}
    for old, new in (
        (before["labelFingerprint"], after["labelFingerprint"]),
        (before["metadata"]["fingerprint"], after["metadata"]["fingerprint"]),
        (before["tags"]["fingerprint"], after["tags"]["fingerprint"]),
        (before["fingerprint"], after["fingerprint"]),
    ):
        assert old != new


def test_an_instance_removed_by_hand_frees_its_address_and_disk(fake, google):
    google.instance(networkInterfaces=access(google.address()["address"]))
    del fake.world.resources["instances"][f"{ZONE}/relay"]
    assert google.get(f"regions/{REGION}/addresses/relay")["status"] == "RESERVED"
    google.do("DELETE", f"zones/{ZONE}/disks/relay")


def test_a_world_is_put_back_with_what_is_under_way(fake, google):
    google.address()
    begun = google.begin("POST", f"zones/{ZONE}/instances", instance())
    snapshot = fake.snapshot()
    before = google.get(RELAY)
    fake.settle()
    google.do("DELETE", RELAY)
    google.do("DELETE", f"regions/{REGION}/addresses/relay")
    fake.fault(times=9)
    fake.kill_after = 1
    for _ in range(2):
        fake.restore(snapshot)
        assert google.get(RELAY) == before
        google.get(f"regions/{REGION}/addresses/relay")
        google.poll(begun), google.poll(begun)
        assert google.get(RELAY)["status"] == "RUNNING"


def test_a_restored_world_gives_the_same_numbers_and_addresses(fake):
    google, snapshot = Caller(fake), fake.snapshot()
    first = google.address()
    fake.restore(snapshot)
    second = google.address()
    assert (first["id"], first["address"]) == (second["id"], second["address"])
    assert ipaddress.ip_address(first["address"]) in ipaddress.ip_network("203.0.113.0/24")


@pytest.mark.parametrize("default", [True, False])
def test_a_project_may_be_without_the_default_network(default):
    google = Caller(Fake("shop", ZONES, default_network=default))
    assert google.ask("GET", "global/networks/default")[0] == (200 if default else 404)


NAMES = st.sampled_from(["one", "two"])
ALLOWED = [{"IPProtocol": "tcp"}]
PLACES = {
    "networks": "global/networks",
    "firewalls": "global/firewalls",
    "subnetworks": f"regions/{REGION}/subnetworks",
    "addresses": f"regions/{REGION}/addresses",
    "instances": f"zones/{ZONE}/instances",
    "disks": f"zones/{ZONE}/disks",
}


def made(kind, name, other, address):
    """What a resource of a kind may be asked for with; `other` names the network that it is in."""
    network = f"global/networks/{other}"
    config = {"natIP": address} if address else {}
    interface = {"subnetwork": f"regions/{REGION}/subnetworks/{other}", "accessConfigs": [config]}
    return {
        "networks": {"name": name, "autoCreateSubnetworks": False},
        "firewalls": {"name": name, "network": network, "allowed": ALLOWED},
        "subnetworks": {"name": name, "network": network, "ipCidrRange": "10.203.0.0/24"},
        "addresses": {"name": name},
        "instances": instance(name, networkInterfaces=[interface]),
        "disks": {"name": name},
    }[kind]


MAKE = st.builds(
    lambda kind, name, other, address: ("POST", PLACES[kind], made(kind, name, other, address)),
    st.sampled_from(sorted(PLACES)),
    NAMES,
    NAMES,
    st.sampled_from(["", "203.0.113.10", "203.0.113.11"]),
)
REMOVE = st.builds(
    lambda kind, name: ("DELETE", f"{PLACES[kind]}/{name}", None), st.sampled_from(sorted(PLACES)), NAMES
)
SWITCH = st.builds(
    lambda name, verb: ("POST", f"zones/{ZONE}/instances/{name}/{verb}", None),
    NAMES,
    st.sampled_from(["start", "stop", "reset"]),
)
STEPS = st.one_of(MAKE, MAKE, REMOVE, SWITCH)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(STEPS, st.booleans(), st.sampled_from([None, None, None, "QUOTA_EXCEEDED"])), max_size=25))
def test_no_walk_breaks_the_rules_of_the_world(walk):
    fake = Fake("shop", ZONES)
    google = Caller(fake)
    google.network("one")
    google.address("one")
    for (verb, path, body), settled, failure in walk:
        fake.clear_faults()
        if failure:
            fake.fault("* *", operation_error=failure)
        status, answer = google.ask(verb, path, body)
        assert status in (200, 400, 404, 409), answer
        if settled:
            fake.settle()
        check(fake.world.resources)
    fake.settle()
    check(fake.world.resources)
    assert {one["status"] for one in fake.world.all("instances")} <= {"RUNNING", "TERMINATED"}
    for operation in fake._operations.all(ZONE).values():
        assert operation["status"] == "DONE"


def check(resources):
    """What must always be so."""
    links = {one["selfLink"] for kind in resources.values() for one in kind.values()}
    for kind in ("subnetworks", "firewalls"):
        for one in resources[kind].values():
            assert one["network"] in links
    public, private = [], []
    for one in resources["instances"].values():
        for interface in one["networkInterfaces"]:
            assert interface["subnetwork"] in links
            private.append((interface["subnetwork"], interface["networkIP"]))
            public += [config["natIP"] for config in interface["accessConfigs"] if "natIP" in config]
        for disk in one["disks"]:
            assert disk["source"] in links
    assert len(set(public)) == len(public)
    assert len(set(private)) == len(private)
    addresses = [one["address"] for one in resources["addresses"].values()]
    assert len(set(addresses)) == len(addresses)
