"""Plans by tables: one thing is not as declared, and exactly what repairs it is planned."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _gce_show
from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import Refusal
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import World
from ansible_collections.protostar.platform.plugins.module_utils._gce_plan import plan
from ansible_collections.protostar.platform.plugins.module_utils._gce_plan_instance import foreign_metadata
from gcp_built import (
    ADDRESS,
    ALLOW,
    DENY,
    DISK,
    GOOGLE,
    INSTANCE,
    LABELS,
    MARK,
    NETWORK,
    SSH,
    SUBNETWORK,
    instance,
    verbs,
    with_address,
    with_metadata,
    world,
)
from gcp_world import NAME, ZONE, declared


def test_a_relay_as_declared_needs_nothing():
    planned = plan(declared(), world())
    assert planned.steps == planned.changes == planned.notes == ()


def test_nothing_becomes_everything_in_the_order_of_use():
    order = [name for _method, name in verbs(plan(declared(), World()))]
    assert order == [
        "networks",
        "subnetworks",
        "firewalls",
        "firewalls",
        "addresses",
        "addresses/setLabels",
        "instances",
    ]


SHIELD = {"enableSecureBoot": False, "enableVtpm": True, "enableIntegrityMonitoring": True}
STOP_AND_START = [("POST", "instances/stop"), ("POST", "instances/start")]
DRIFTS = {
    "a port was opened": (
        {"firewalls": {f"{NAME}-allow": {**ALLOW, "allowed": [{"IPProtocol": "tcp", "ports": ["443", "8080"]}]}}},
        [("PUT", "firewalls/protostar-relay-allow")],
    ),
    "a protocol was opened": (
        {"firewalls": {f"{NAME}-allow": {**ALLOW, "allowed": [{"IPProtocol": "tcp"}]}}},
        [("PUT", "firewalls/protostar-relay-allow")],
    ),
    "a rule was turned off": (
        {"firewalls": {f"{NAME}-deny": {**DENY, "disabled": True}}},
        [("PUT", "firewalls/protostar-relay-deny")],
    ),
    "a rule was ranked lower": (
        {"firewalls": {f"{NAME}-deny": {**DENY, "priority": 65000}}},
        [("PUT", "firewalls/protostar-relay-deny")],
    ),
    "a rule is for tags of others": (
        {"firewalls": {f"{NAME}-allow": {**ALLOW, "sourceTags": ["x"]}}},
        [("PUT", "firewalls/protostar-relay-allow")],
    ),
    "a rule is for everything in the network": (
        {"firewalls": {f"{NAME}-deny": {**DENY, "targetTags": []}}},
        [("PUT", "firewalls/protostar-relay-deny")],
    ),
    "a rule is logged, which costs": (
        {"firewalls": {f"{NAME}-deny": {**DENY, "logConfig": {"enable": True}}}},
        [("PUT", "firewalls/protostar-relay-deny")],
    ),
    "a rule allows instead of denying": (
        {"firewalls": {f"{NAME}-deny": {**DENY, "denied": None, "allowed": [{"IPProtocol": "all"}]}}},
        [("DELETE", "firewalls/protostar-relay-deny"), ("POST", "firewalls")],
    ),
    "a rule is for what leaves": (
        {"firewalls": {f"{NAME}-deny": {**DENY, "direction": "EGRESS"}}},
        [("DELETE", "firewalls/protostar-relay-deny"), ("POST", "firewalls")],
    ),
    "a rule is missing": ({"firewalls": {f"{NAME}-deny": None}}, [("POST", "firewalls")]),
    "SSH is still open": ({"firewalls": {f"{NAME}-ssh": SSH}}, [("DELETE", "firewalls/protostar-relay-ssh")]),
    "another machine type": (
        {"instance": instance(machineType=f"{GOOGLE}/zones/{ZONE}/machineTypes/e2-small")},
        [STOP_AND_START[0], ("POST", "instances/setMachineType"), STOP_AND_START[1]],
    ),
    "another machine type, stopped in the middle": (
        {"instance": instance(machineType=f"{GOOGLE}/zones/{ZONE}/machineTypes/e2-small", status="TERMINATED")},
        [("POST", "instances/setMachineType"), STOP_AND_START[1]],
    ),
    "no Secure Boot": (
        {"instance": instance(shieldedInstanceConfig=SHIELD)},
        [STOP_AND_START[0], ("PATCH", "instances/updateShieldedInstanceConfig"), STOP_AND_START[1]],
    ),
    "a service account": (
        {"instance": instance(serviceAccounts=[{"email": "x@y", "scopes": ["z"]}])},
        [STOP_AND_START[0], ("POST", "instances/setServiceAccount"), STOP_AND_START[1]],
    ),
    "a machine that may be taken away": (
        {"instance": instance(scheduling={**INSTANCE["scheduling"], "preemptible": True, "automaticRestart": False})},
        [STOP_AND_START[0], ("POST", "instances/setScheduling"), STOP_AND_START[1]],
    ),
    "stopped": ({"instance": instance(status="TERMINATED")}, [("POST", "instances/start")]),
    "suspended": ({"instance": instance(status="SUSPENDED")}, [("POST", "instances/resume")]),
    "suspended, and another machine type": (
        {"instance": instance(status="SUSPENDED", machineType="x/e2-small")},
        [("POST", "instances/resume"), STOP_AND_START[0], ("POST", "instances/setMachineType"), STOP_AND_START[1]],
    ),
    "no deletion protection": (
        {"instance": instance(deletionProtection=False)},
        [("POST", "instances/setDeletionProtection")],
    ),
    "no tag": ({"instance": instance(tags={"fingerprint": "tags"})}, [("POST", "instances/setTags")]),
    "a key removed": ({"instance": with_metadata(drop=["serial-port-enable"])}, [("POST", "instances/setMetadata")]),
    "a key changed": (
        {"instance": with_metadata({"key": "serial-port-enable", "value": "TRUE"}, drop=["serial-port-enable"])},
        [("POST", "instances/setMetadata")],
    ),
    "a key added": ({"instance": with_metadata({"key": "startup-script", "value": "x"})}, []),
    "no address": ({"instance": with_address()}, [("POST", "instances/addAccessConfig")]),
    "another address": (
        {"instance": with_address(name="x", natIP="203.0.113.99", networkTier="STANDARD"),
         "addresses": ({**ADDRESS, "users": [], "status": "RESERVED"},)},
        [("POST", "instances/deleteAccessConfig"), ("POST", "instances/addAccessConfig")],
    ),
    "an address of the other tier": (
        {"addresses": ({**ADDRESS, "networkTier": "PREMIUM"},)},
        [("POST", "instances/deleteAccessConfig"), ("DELETE", "addresses"), ("POST", "addresses"),
         ("POST", "addresses/setLabels"), ("POST", "instances/addAccessConfig")],
    ),
    "an address without labels": (
        {"addresses": ({**ADDRESS, "labels": {}},)},
        [("POST", "addresses/setLabels")],
    ),
    "a disk without labels": ({"disk": {**DISK, "labels": {}}}, [("POST", "disks/setLabels")]),
    "no instance, but its disk": (
        {"instance": None, "disk": {**DISK, "users": []}, "addresses": ({**ADDRESS, "users": []},)},
        [("POST", "instances")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "repairs"), DRIFTS.values(), ids=DRIFTS)
def test_drift_is_repaired_by_no_more_than_it_takes(changed, repairs):
    planned = plan(declared(), world(**changed))
    assert verbs(planned) == repairs
    assert bool(planned.changes) == bool(repairs)
    for diff in _gce_show.diffs(planned.changes):
        assert diff["before"] != diff["after"]


OPTIONS = {
    "a port": ({"tcp_ports": [443, 80]}, [("PUT", "firewalls/protostar-relay-allow")]),
    "a tunnel": ({"udp_ports": [51820]}, [("PUT", "firewalls/protostar-relay-allow")]),
    "SSH": ({"ssh": "iap"}, [("POST", "firewalls")]),
    "a larger disk": ({"disk_size": 20}, [("POST", "disks/resize")]),
    "no protection": ({"deletion_protection": False}, [("POST", "instances/setDeletionProtection")]),
    "a label": (
        {"labels": {"team": "ops"}},
        [("POST", "addresses/setLabels"), ("POST", "disks/setLabels"), ("POST", "instances/setLabels")],
    ),
    "a key": ({"metadata": {"protostar-relay": "{}"}}, [("POST", "instances/setMetadata")]),
    "no key": ({"metadata": {"serial-port-enable": None}}, [("POST", "instances/setMetadata")]),
    "a machine": (
        {"machine_type": "e2-small"},
        [STOP_AND_START[0], ("POST", "instances/setMachineType"), STOP_AND_START[1]],
    ),
}


@pytest.mark.parametrize(("given", "changes"), OPTIONS.values(), ids=OPTIONS)
def test_a_changed_option_changes_what_it_is_about(given, changes):
    assert verbs(plan(declared(**given), world())) == changes


def test_what_others_added_is_sent_back():
    changed = with_metadata({"key": "startup-script", "value": "theirs"}, drop=["serial-port-enable"])
    changed["labels"] = {**LABELS, "theirs": "x"}
    changed["tags"] = {"items": ["theirs"], "fingerprint": "tags"}
    relay = declared(labels={"mine": "y"})
    bodies = {step.call.path.rpartition("/")[2]: step.call.body for step in plan(relay, world(instance=changed)).steps}
    assert bodies["setLabels"] == {"labels": {**LABELS, "theirs": "x", "mine": "y"}, "labelFingerprint": "labels"}
    assert bodies["setTags"] == {"items": [NAME, "theirs"], "fingerprint": "tags"}
    assert {"key": "startup-script", "value": "theirs"} in bodies["setMetadata"]["items"]
    assert bodies["setMetadata"]["fingerprint"] == "metadata"
    assert foreign_metadata(relay, changed) == ["startup-script"]


def test_what_is_not_ours_is_in_no_diff():
    changed = with_metadata({"key": "startup-script", "value": "their password"}, drop=["serial-port-enable"])
    planned = plan(
        declared(metadata={"protostar-relay": '{"files": {"nginx.conf": ["a", "b"]}}'}), world(instance=changed)
    )
    (diff,) = _gce_show.diffs(planned.changes)
    assert "their password" not in diff["before"] + diff["after"]
    assert "startup-script" in diff["before"]
    assert "nginx.conf:\n      - a\n" in diff["after"]


def test_a_key_that_somebody_put_into_our_metadata_is_not_shown():
    stolen = with_metadata({"key": "mine", "value": "-----BEGIN PRIVATE KEY-----\nabc"})
    (diff,) = _gce_show.diffs(plan(declared(metadata={"mine": "x"}), world(instance=stolen)).changes)
    assert "abc" not in diff["before"]


@pytest.mark.parametrize(
    "changed",
    [
        {"network": {**NETWORK, "description": ""}},
        {"subnetwork": {**SUBNETWORK, "description": "mine"}},
        {"firewalls": {f"{NAME}-deny": {**DENY, "description": MARK.replace("=protostar-relay", "=other")}}},
        {"addresses": ({**ADDRESS, "labels": {}, "description": ""},)},
        {"instance": instance(labels={"managed-by": "protostar-platform", "protostar-relay": "other"})},
        {"instance": instance(labels={})},
        {"instance": None, "disk": {**DISK, "labels": {}, "users": []}},
    ],
)
def test_what_is_not_marked_is_taken_over_only_on_request(changed):
    with pytest.raises(Refusal, match="adopt"):
        plan(declared(), world(**changed))
    plan(declared(adopt=True), world(**changed))


def test_an_adopted_resource_is_marked_where_google_lets():
    unmarked = world(
        instance=instance(labels={"theirs": "x"}), firewalls={f"{NAME}-allow": {**ALLOW, "description": "theirs"}}
    )
    steps = plan(declared(adopt=True), unmarked).steps
    assert [step.call.path.rpartition("/")[2] for step in steps] == [f"{NAME}-allow", "setLabels"]
    assert steps[0].call.body["description"] == MARK
    assert steps[1].call.body["labels"] == {**LABELS, "theirs": "x"}


AUTOMATIC = {"name": "default", "autoCreateSubnetworks": True}
LEGACY = {"name": "default", "IPv4Range": "10.0.0.0/8"}


@pytest.mark.parametrize(
    ("given", "changed", "told"),
    [
        ({"subnetwork_range": "10.9.0.0/24"}, {}, "subnetwork"),
        ({"network": "default"}, {"network": {"name": "default"}}, "subnetwork"),
        ({"network": "nothing"}, {"network": None}, "no network nothing"),
        (
            {"network": "default"},
            {"network": AUTOMATIC, "subnetwork": None, "instance": None, "disk": None},
            "10.103.0.0/24",
        ),
        ({"network": "default"}, {"network": LEGACY, "subnetwork": None}, "legacy"),
        ({}, {"addresses": ({**ADDRESS, "users": [f"{GOOGLE}/zones/{ZONE}/instances/other"]},)}, "instances/other"),
        ({}, {"addresses": ({**ADDRESS, "addressType": "INTERNAL", "users": []},)}, "not one of the internet"),
        ({}, {"instance": instance(networkInterfaces=[{"network": "x/global/networks/default"}])}, "network default"),
        ({}, {"instance": None, "disk": {**DISK, "users": ["x/other"]}}, "used by other"),
    ],
)
def test_what_google_does_not_change_is_refused(given, changed, told):
    with pytest.raises(Refusal, match=told):
        plan(declared(**given), world(**changed))


def test_a_disk_that_cannot_be_as_declared_is_told():
    big = {**DISK, "sizeGb": "50", "type": "x/diskTypes/pd-ssd"}
    planned = plan(declared(), world(disk=big))
    assert planned.steps == ()
    assert len(planned.notes) == 2
    assert any("pd-ssd" in note for note in planned.notes)


@pytest.mark.parametrize(
    ("status", "settle"), [("STOPPING", True), ("SUSPENDING", True), ("STAGING", False), ("RUNNING", False)]
)
def test_an_instance_on_its_way_down_is_waited_for(status, settle):
    assert plan(declared(), world(instance=instance(status=status))).settle == settle


@pytest.mark.parametrize("status", ["PROVISIONING", "STAGING"])
def test_an_instance_on_its_way_up_is_left_alone(status):
    assert plan(declared(), world(instance=instance(status=status))).steps == ()
