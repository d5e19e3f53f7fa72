"""Operations take time, may fail, and a request with the same ID begins only one."""

import math
import uuid

import pytest
from compute_caller import REGION, ZONE, access, instance

NETWORK = {"name": "relay", "autoCreateSubnetworks": False}


@pytest.mark.parametrize("polls", [0, 1, 3])
def test_an_operation_runs_for_so_many_polls(fake, google, polls):
    fake.operation_polls = polls
    operation = google.begin("POST", "global/networks", NETWORK)
    seen = [operation["status"], *(google.poll(operation)["status"] for _ in range(polls + 1))]
    assert seen == ["RUNNING"] * (polls + 1) + ["DONE"] if polls else ["DONE", "DONE"]


def test_get_brings_an_operation_on_as_wait_does(google):
    operation = google.begin("POST", "global/networks", NETWORK)
    seen = [google.get(f"global/operations/{operation['name']}")["status"] for _ in range(2)]
    assert seen == ["RUNNING", "DONE"]


def test_an_operation_that_nobody_asks_for_is_done_some_day(google):
    operation = google.begin("POST", "global/networks", NETWORK)
    for _ in range(10):
        google.get("regions")
    assert google.get("global/operations", filter=f"name={operation['name']}")["items"][0]["status"] == "DONE"


def test_an_operation_may_never_be_done(fake, google):
    fake.operation_polls = math.inf
    operation = google.begin("POST", "global/networks", NETWORK)
    assert [google.poll(operation)["status"] for _ in range(50)] == ["RUNNING"] * 50


def test_settle_lets_time_pass(fake, google):
    google.begin("POST", f"zones/{ZONE}/instances", instance())
    fake.settle()
    assert google.get(f"zones/{ZONE}/instances/relay")["status"] == "RUNNING"


def test_an_operation_is_where_its_resource_is(google):
    for path, body, place in [
        ("global/networks", NETWORK, "global"),
        (f"regions/{REGION}/addresses", {"name": "relay"}, f"regions/{REGION}"),
        (f"zones/{ZONE}/instances", instance(), f"zones/{ZONE}"),
    ]:
        operation = google.begin("POST", path, body)
        assert operation["selfLink"].endswith(f"projects/shop/{place}/operations/{operation['name']}")
        assert operation["targetLink"].endswith(f"{path}/relay")
        for other in {"global", f"regions/{REGION}", f"zones/{ZONE}"} - {place}:
            assert google.refused("GET", f"{other}/operations/{operation['name']}")[0] == 404


def test_what_is_being_made_can_be_seen_but_not_used_or_changed(google):
    google.begin("POST", "global/networks", NETWORK)
    google.get("global/networks/relay")
    body = {"name": "relay", "network": "global/networks/relay", "ipCidrRange": "10.0.0.0/24"}
    assert google.refused("POST", f"regions/{REGION}/subnetworks", body)[:2] == (400, "resourceNotReady")
    assert google.refused("DELETE", "global/networks/relay")[:2] == (400, "resourceNotReady")
    assert google.refused("POST", "global/networks", NETWORK)[:2] == (409, "alreadyExists")


def test_an_instance_is_provisioned_then_runs_and_an_address_is_reserved_later(google):
    operation = google.begin("POST", f"zones/{ZONE}/instances", instance())
    assert google.get(f"zones/{ZONE}/instances/relay")["status"] == "PROVISIONING"
    google.poll(operation), google.poll(operation)
    assert google.get(f"zones/{ZONE}/instances/relay")["status"] == "RUNNING"
    google.begin("POST", f"regions/{REGION}/addresses", {"name": "relay"})
    assert google.get(f"regions/{REGION}/addresses/relay")["status"] == "RESERVING"


def test_what_is_being_removed_is_still_there(google):
    google.instance()
    operation = google.begin("DELETE", f"zones/{ZONE}/instances/relay")
    assert google.get(f"zones/{ZONE}/instances/relay")["status"] == "STOPPING"
    assert google.refused("POST", f"zones/{ZONE}/instances", instance())[0] == 409
    google.poll(operation), google.poll(operation)
    assert google.refused("GET", f"zones/{ZONE}/instances/relay")[:2] == (404, "notFound")
    google.instance()


def test_an_instance_removed_while_it_is_made_fails_the_making(google):
    making = google.begin("POST", f"zones/{ZONE}/instances", instance())
    google.do("DELETE", f"zones/{ZONE}/instances/relay")
    google.poll(making)
    made = google.poll(making)
    assert (made["error"]["errors"][0]["code"], made["httpErrorStatusCode"]) == ("CONFLICT", 409)
    assert google.refused("GET", f"zones/{ZONE}/disks/relay")[0] == 404


def test_a_failed_making_leaves_nothing(fake, google):
    address = google.address()
    fake.fault("POST instances", operation_error="ZONE_RESOURCE_POOL_EXHAUSTED")
    operation = google.instance(networkInterfaces=access(address["address"]))
    assert operation["error"]["errors"][0]["code"] == "ZONE_RESOURCE_POOL_EXHAUSTED"
    assert ZONE in operation["error"]["errors"][0]["message"]
    assert operation["httpErrorStatusCode"] == 503
    for gone in ("instances", "disks"):
        assert google.refused("GET", f"zones/{ZONE}/{gone}/relay")[0] == 404
    assert google.get(f"regions/{REGION}/addresses/relay")["status"] == "RESERVED"
    google.instance()


@pytest.mark.parametrize("verb", ["stop", "delete"])
def test_a_failed_stop_or_removal_leaves_it_running(fake, google, verb):
    google.instance()
    fake.fault("* instances", operation_error={"code": "INTERNAL_ERROR", "message": "Oh.", "status": 500})
    method, path = ("POST", "/stop") if verb == "stop" else ("DELETE", "")
    operation = google.do(method, f"zones/{ZONE}/instances/relay{path}")
    assert operation["error"]["errors"] == [{"code": "INTERNAL_ERROR", "message": "Oh."}]
    assert google.get(f"zones/{ZONE}/instances/relay")["status"] == "RUNNING"


def test_the_same_request_id_begins_one_operation(fake, google):
    identifier = str(uuid.uuid4())
    first = google.do("POST", "global/networks", NETWORK, requestId=identifier)
    second = google.begin("POST", "global/networks", NETWORK, requestId=identifier)
    assert (second["name"], second["status"], second["clientOperationId"]) == (first["name"], "DONE", identifier)
    google.do("DELETE", "global/networks/relay")
    again = google.begin("POST", "global/networks", NETWORK, requestId=identifier)
    assert again["name"] == first["name"]
    assert "relay" not in fake.world.resources["networks"]


def test_a_request_id_means_one_request(google):
    identifier = str(uuid.uuid4())
    google.do("POST", "global/networks", NETWORK, requestId=identifier)
    for path, body in (("global/networks", {**NETWORK, "name": "other"}), ("global/firewalls", {"name": "relay"})):
        status, _, message = google.refused("POST", path, body, requestId=identifier)
        assert status == 400
        assert "requestId" in message


def test_a_request_id_of_a_refused_request_may_be_used_again(google):
    identifier = str(uuid.uuid4())
    google.refused("POST", "global/networks", {"name": "relay"}, requestId=identifier)
    google.do("POST", "global/networks", NETWORK, requestId=identifier)


@pytest.mark.parametrize("identifier", ["relay-1", str(uuid.UUID(int=0))])
def test_a_request_id_is_a_uuid(google, identifier):
    assert google.refused("POST", "global/networks", NETWORK, requestId=identifier)[0] == 400


def test_a_failed_operation_is_replayed_as_failed(fake, google):
    identifier = str(uuid.uuid4())
    fake.fault("POST instances", operation_error="QUOTA_EXCEEDED")
    google.do("POST", f"zones/{ZONE}/instances", instance(), requestId=identifier)
    again = google.begin("POST", f"zones/{ZONE}/instances", instance(), requestId=identifier)
    assert (again["status"], again["error"]["errors"][0]["code"]) == ("DONE", "QUOTA_EXCEEDED")
