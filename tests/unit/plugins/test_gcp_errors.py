"""Google's errors as sentences. The answers are Google's, as its documentation and issue trackers quote them."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import (
    Conflict,
    failure,
    operation_error,
    reason_of,
    refused_credentials,
    transient,
)


def answer(code, message, reason="", **more):
    """An error as requests get it."""
    errors = [{"message": message, "domain": "global", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": message, "errors": errors, **more}}


def info(reason, **metadata):
    return [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}]


DISABLED = (
    "Compute Engine API has not been used in project 123 before or it is disabled. Enable it by visiting "
    "https://console.developers.google.com/apis/api/compute.googleapis.com/overview?project=123 then retry."
)
ANSWERS = {
    "disabled": (answer(403, DISABLED, "accessNotConfigured"), "services enable compute.googleapis.com"),
    "disabled, in details": (
        answer(403, DISABLED, "forbidden", status="PERMISSION_DENIED", details=info("SERVICE_DISABLED")),
        "services enable compute.googleapis.com",
    ),
    "billing": (
        answer(403, "This API method requires billing to be enabled.", "forbidden", details=info("BILLING_DISABLED")),
        "billing/linkedaccount?project=shop-1234",
    ),
    "billing, in words": (
        answer(403, "The billing account for the owning project is disabled in state absent", "accountDisabled"),
        "billing/linkedaccount?project=shop-1234",
    ),
    "disabled, in words": (answer(403, DISABLED, "forbidden"), "services enable compute.googleapis.com"),
    "permission": (
        answer(
            403,
            "Required 'compute.instances.create' permission for 'projects/p/zones/z/instances/i'",
            "forbidden",
        ),
        "compute.instances.create in the project shop-1234; grant their account the role roles/compute.instanceAdmin",
    ),
    "permission for firewalls": (
        answer(403, "Required 'compute.firewalls.create' permission for 'projects/p/global/firewalls/f'", "forbidden"),
        "roles/compute.securityAdmin",
    ),
    "permission for networks": (
        answer(403, "Required 'compute.networks.create' permission for 'projects/p/global/networks/n'", "forbidden"),
        "roles/compute.networkAdmin",
    ),
    "scope": (
        answer(403, "Request had insufficient authentication scopes.", "insufficientPermissions"),
        "grant their account",
    ),
    "quota": (
        answer(403, "Quota 'STATIC_ADDRESSES' exceeded.  Limit: 1.0 in region us-west1.", "quotaExceeded"),
        "iam-admin/quotas?project=shop-1234",
    ),
    "token": (answer(401, "Request had invalid authentication credentials.", "authError"), "service_account_file"),
    "project": (answer(404, "Failed to find project nothing", "notFound"), "there is no project shop-1234"),
    "project, as a resource": (
        answer(404, "The resource 'projects/shop-1234' was not found", "notFound"),
        "there is no project shop-1234",
    ),
    "zone": (
        answer(400, "Invalid value for field 'zone': 'us-west1-z'. Unknown zone.", "invalid"),
        "correct region and zone",
    ),
    "in use": (
        answer(
            400,
            "The network resource 'projects/p/global/networks/n' is already being used by 'projects/p/x'",
            "resourceInUseByAnotherResource",
        ),
        "already being used by 'projects/p/x'",
    ),
    "policy": (
        answer(412, "Constraint constraints/compute.vmExternalIpAccess violated for project 123.", "conditionNotMet"),
        "a policy of the organisation",
    ),
    "rate": (answer(403, "Rate Limit Exceeded", "rateLimitExceeded"), "limits the rate of requests"),
    "anything else": (
        answer(400, "Invalid value for field 'resource.name': ''.", "invalid"),
        "Google answered 'Invalid value for field 'resource.name': '''",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "remedy"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_one_sentence_with_its_remedy(document, remedy):
    reason, message = reason_of(document)
    error = failure("create it", document["error"]["code"], reason, message, project="shop-1234", zone="us-west1-b")
    assert remedy in str(error)
    assert str(error).startswith("Could not create it: ")
    assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["disabled", "billing", "permission", "quota", "token", "project", "zone", "policy"])
def test_what_another_look_does_not_change_is_told_at_once(name):
    document, _remedy = ANSWERS[name]
    found = reason_of(document)
    assert not isinstance(failure("do it", document["error"]["code"], *found, project="p", zone="z"), Conflict)


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (409, "alreadyExists", "The resource 'projects/p/global/networks/n' already exists"),
        (412, "conditionNotMet", "Supplied fingerprint does not match current metadata fingerprint."),
        (404, "notFound", "The resource 'projects/p/global/networks/n' was not found"),
        (400, "invalid", "Invalid value for field 'accessConfig': 'External NAT'. No such access config."),
        (400, "resourceInUseByAnotherResource", "The resource 'x' is already being used by 'y'"),
        (400, "invalid", "The specified external IP address '203.0.113.7' was not found in region 'us-west1'."),
    ],
)
def test_a_world_that_moved_on_is_told_apart(status, reason, message):
    found = reason_of(answer(status, message, reason))
    assert isinstance(failure("do it", status, *found, project="p", zone="z"), Conflict)


@pytest.mark.parametrize(
    ("operation", "told", "conflict"),
    [
        ({"status": "DONE"}, None, False),
        ({"status": "DONE", "error": {"errors": []}}, None, False),
        (
            {
                "error": {
                    "errors": [
                        {
                            "code": "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
                            "message": "The zone 'projects/p/zones/us-west1-b' does not have enough resources.",
                        }
                    ]
                },
                "httpErrorStatusCode": 503,
            },
            "the zone us-west1-b has no such machine free",
            False,
        ),
        (
            {"error": {"errors": [{"code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded."}]}},
            "Quota 'CPUS' exceeded",
            False,
        ),
        (
            {"error": {"errors": [{"code": "RESOURCE_ALREADY_EXISTS"}]}, "httpErrorStatusCode": 409},
            "RESOURCE_ALREADY_EXISTS",
            True,
        ),
        (
            {
                "error": {"errors": [{"code": "INTERNAL_ERROR", "message": "Internal error."}]},
                "httpErrorStatusCode": 500,
            },
            "Internal error",
            True,
        ),
        ({"httpErrorStatusCode": 400, "httpErrorMessage": "BAD REQUEST"}, "BAD REQUEST", True),
    ],
)
def test_an_operation_is_judged_by_its_error(operation, told, conflict):
    found = operation_error(operation)
    if told is None:
        assert found is None
        return
    reason, message, status = found
    error = failure("create it", status, reason, message, project="p", zone="us-west1-b", operation=True)
    assert told in str(error)
    assert isinstance(error, Conflict) == conflict


@pytest.mark.parametrize(
    ("status", "reason", "again"),
    [
        (429, "", True),
        (503, "BACKEND_ERROR", True),
        (500, "", True),
        (403, "RATE_LIMIT_EXCEEDED", True),
        (400, "RESOURCE_NOT_READY", True),
        (503, "ZONE_RESOURCE_POOL_EXHAUSTED", False),
        (403, "QUOTA_EXCEEDED", False),
        (400, "INVALID", False),
        (404, "NOT_FOUND", False),
    ],
)
def test_what_is_worth_another_try(status, reason, again):
    assert transient(status, reason) == again


@pytest.mark.parametrize("document", [None, "<html>", [], {}, {"error": None}, {"error": {}}])
def test_an_answer_that_is_no_error_of_google_is_told_by_its_status(document):
    assert "HTTP status 418" in str(failure("do it", 418, *reason_of(document), project="p", zone="z"))


def test_expired_credentials_say_what_to_do():
    said = str(refused_credentials("('invalid_grant: Token has been expired or revoked.',", "the file /x.json"))
    assert "/x.json have expired or were revoked" in said
    assert "application-default login" in said


def test_what_could_be_a_token_is_hidden():
    said = str(failure("do it", 400, "", "no Bearer abc.def and ya29.a0Af_x-y.z here", project="p", zone="z"))
    assert "abc.def" not in said
    assert "ya29" not in said
