"""What goes wrong on purpose, and in what shape."""

import pytest
import requests
from compute_caller import REGION, ZONE, instance
from compute_fake.operations import KNOWN

NETWORK = {"name": "relay", "autoCreateSubnetworks": False}


def test_a_fault_hits_what_it_names_and_as_often_as_it_says(fake, google):
    fault = fake.fault("POST networks", times=2, after=1, status=503, headers={"Retry-After": "7"})
    seen = []
    for number in range(4):
        response = google.session.post(
            f"{google.base}/global/networks", json={"name": f"n{number}", "autoCreateSubnetworks": False}
        )
        seen.append((response.status_code, response.headers.get("Retry-After")))
        google.get("global/firewalls")
    assert seen == [(200, None), (503, "7"), (503, "7"), (200, None)]
    assert fault.seen == 4
    assert {"n1", "n2"} & set(fake.world.resources["networks"]) == set()


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ("POST networks", True),
        ("* networks.insert", True),
        ("* *", True),
        (lambda request: request.body == NETWORK, True),
        ("GET networks", False),
        ("POST networks.patch", False),
        ("POST network", False),
        (lambda request: request.read, False),
    ],
)
def test_a_fault_matches_by_method_and_collection_or_by_a_function(fake, google, match, hit):
    fake.fault(match)
    assert google.ask("POST", "global/networks", NETWORK)[0] == (503 if hit else 200)


@pytest.mark.parametrize(
    ("status", "reason", "code", "detail"),
    [
        (403, "accessNotConfigured", "PERMISSION_DENIED", "SERVICE_DISABLED"),
        (403, "billingDisabled", "PERMISSION_DENIED", "BILLING_DISABLED"),
        (429, "rateLimitExceeded", "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"),
        (403, "rateLimitExceeded", "PERMISSION_DENIED", "RATE_LIMIT_EXCEEDED"),
    ],
)
def test_errors_with_details_have_googles_shape(fake, google, status, reason, *, code, detail):
    fake.fault("* instances", status=status, reason=reason)
    error = google.ask("POST", f"zones/{ZONE}/instances", instance())[1]["error"]
    assert (error["code"], error["status"], error["errors"][0]["domain"]) == (status, code, "usageLimits")
    assert [entry["reason"] for entry in error["details"] if entry["@type"].endswith("ErrorInfo")] == [detail]


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (403, None, "Required 'compute.addresses.create' permission for 'projects/shop/regions/us-west1/addresses/x'"),
        (403, "quotaExceeded", "in region us-west1"),
        (500, "backendError", "unavailable"),
        (412, None, "fingerprint"),
    ],
)
def test_errors_without_details_have_googles_shape(fake, google, status, reason, words):
    fake.fault("POST addresses", status=status, reason=reason)
    refused = google.refused("POST", f"regions/{REGION}/addresses", {"name": "x"})
    assert refused[0] == status
    assert words in refused[2]


def test_an_answer_may_be_a_page_of_a_proxy(fake, google):
    fake.fault(status=502, page="<html>Bad gateway</html>")
    response = google.session.get(f"{google.base}/global/networks")
    assert (response.status_code, response.text) == (502, "<html>Bad gateway</html>")
    with pytest.raises(ValueError, match="Expecting value"):
        response.json()


def test_a_lost_reply_leaves_what_was_done(fake, google):
    fake.fault("POST networks", drop_reply=True)
    with pytest.raises(requests.exceptions.ConnectionError):
        google.ask("POST", "global/networks", NETWORK)
    assert "relay" in fake.world.resources["networks"]
    assert [request.status for request in fake.requests] == [200]


def test_a_lost_request_leaves_nothing(fake, google):
    fake.fault("POST networks", drop_request=True)
    with pytest.raises(requests.exceptions.ConnectionError):
        google.ask("POST", "global/networks", NETWORK)
    assert "relay" not in fake.world.resources["networks"]
    assert [request.status for request in fake.requests] == [0]


def test_kill_after_counts_from_where_it_is_set(fake, google):
    google.get("global/networks")
    fake.kill_after = 2
    google.begin("POST", "global/networks", NETWORK)
    for _ in range(2):
        with pytest.raises(requests.exceptions.ConnectionError):
            google.ask("POST", "global/networks", {**NETWORK, "name": "second"})
    assert fake.killed == 2
    fake.kill_after = None
    google.get("global/networks/relay")
    assert "second" not in fake.world.resources["networks"]


@pytest.mark.parametrize("code", sorted(KNOWN))
def test_known_codes_of_operations_have_a_status_and_a_whole_message(fake, google, code):
    fake.fault("POST instances", operation_error=code)
    operation = google.instance()
    entry = operation["error"]["errors"][0]
    assert entry["code"] == code
    assert not set("{}") & set(entry["message"])
    assert 400 <= operation["httpErrorStatusCode"] < 600
    assert operation["httpErrorMessage"].isupper()


def test_an_operation_error_hits_the_request_it_was_meant_for_alone(fake, google):
    fake.fault("POST networks", operation_error="QUOTA_EXCEEDED")
    google.refused("POST", "global/networks", {"name": "relay"})
    assert "error" not in google.do("POST", "global/networks", NETWORK)
    assert fake.api.faults[0].seen == 2


def test_faults_can_be_cleared(fake, google):
    fake.fault(times=99)
    fake.clear_faults()
    google.get("global/networks")


def test_what_was_asked_is_remembered_without_tokens(fake, google):
    google.do("POST", "global/networks", NETWORK)
    seen = [(request.method, request.name, request.read) for request in fake.requests]
    assert seen == [("POST", "insert", False), ("POST", "wait", True), ("POST", "wait", True)]
    assert fake.requests[0].body == NETWORK
    assert "ya29" not in str(fake.requests)
