"""Every request is judged by Google's discovery document."""

import json
import re
from pathlib import Path

import pytest
from compute_caller import REGION, ZONE, instance
from compute_fake import document, trim
from compute_fake.api import Api

ROOT = Path(__file__).parents[3]
RULE = {"name": "x", "allowed": [{"IPProtocol": "tcp", "ports": ["443"]}]}

SMALL = {
    "id": "compute:v1",
    "revision": "20260101",
    "rootUrl": "https://compute.example/",
    "servicePath": "compute/v1/",
    "description": "long",
    "parameters": {"alt": {"type": "string", "description": "long", "location": "query"}},
    "resources": {
        "cats": {
            "methods": {
                "insert": {
                    "id": "compute.cats.insert",
                    "httpMethod": "POST",
                    "path": "cats",
                    "description": "long",
                    "scopes": ["all"],
                    "parameters": {},
                    "request": {"$ref": "Cat"},
                },
                "delete": {"id": "compute.cats.delete", "httpMethod": "DELETE", "path": "cats/{cat}", "parameters": {}},
            }
        },
        "dogs": {"methods": {"get": {"id": "compute.dogs.get", "httpMethod": "GET", "path": "dogs", "parameters": {}}}},
    },
    "schemas": {
        "Cat": {
            "id": "Cat",
            "type": "object",
            "properties": {
                "name": {"type": "string", "annotations": {"required": ["compute.cats.insert", "compute.dogs.get"]}},
                "color": {"type": "string", "enum": ["RED"], "enumDescriptions": ["long"], "description": "long"},
                "mood": {"type": "string", "description": "[Output Only] What it feels."},
                "kittens": {"type": "array", "items": {"$ref": "Kitten"}},
            },
        },
        "Kitten": {"id": "Kitten", "type": "object", "properties": {"mother": {"$ref": "Cat"}}},
        "Dog": {"id": "Dog", "type": "object"},
    },
}


def test_trimming_keeps_what_the_methods_reach_and_what_says_how_a_request_looks():
    trimmed = trim.trim(SMALL, {"cats": "insert"}, "package-1")
    assert list(trimmed["methods"]) == ["cats"]
    assert list(trimmed["methods"]["cats"]) == ["insert"]
    assert list(trimmed["schemas"]) == ["Cat", "Kitten"]
    assert "long" not in json.dumps(trimmed)
    cat = trimmed["schemas"]["Cat"]["properties"]
    assert cat["color"] == {"type": "string", "enum": ["RED"]}
    assert cat["name"]["annotations"] == {"required": ["compute.cats.insert"]}
    assert cat["mood"]["readOnly"] is True
    assert (trimmed["package"], trimmed["revision"]) == ("package-1", "20260101")


def test_the_text_of_a_trimmed_document_is_itself_with_a_line_per_method_and_schema():
    trimmed = trim.trim(SMALL, {"cats": "insert delete"}, "package-1")
    text = trim.text(trimmed)
    assert json.loads(text) == trimmed
    names = ('"insert"', '"delete"', '"Cat"', '"Kitten"')
    assert sum(line.lstrip().startswith(names) for line in text.splitlines()) == len(names)


def test_the_document_is_of_the_package_that_the_script_names():
    version = re.search(r"^VERSION=(.+)$", (ROOT / "scripts/discovery").read_text(), re.MULTILINE)[1]
    here = document.load()
    assert here.package == f"google-api-python-client-{version}"
    assert re.fullmatch(r"20[0-9]{6}", here.revision)


def test_the_document_has_the_methods_that_the_script_keeps_and_the_fake_answers_each(fake):
    wanted = {f"{collection}.{name}" for collection, names in trim.METHODS.items() for name in names.split()}
    assert set(document.load().methods) == wanted
    Api(fake._state, fake.tokens)  # which finds a handler for each, or fails


@pytest.mark.parametrize("path", ["global/nonsense", "networks", "zones/us-west1-b/instances/x/explode", "global"])
def test_a_path_that_google_does_not_have_is_answered_by_a_page(google, path):
    response = google.session.get(f"{google.base}/{path}")
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")


def test_a_path_that_google_has_is_not_there_for_another_method(google):
    assert google.session.put(f"{google.base}/global/networks").status_code == 404


def test_the_family_of_an_image_is_not_taken_for_an_image(google):
    image = google.session.get(f"{google.fake.endpoint}/projects/debian-cloud/global/images/family/debian-13").json()
    assert image["family"] == "debian-13"


@pytest.mark.parametrize(
    ("verb", "path", "body", "query", "place"),
    [
        ("GET", "global/networks", None, {"foo": "1"}, '"foo"'),
        ("POST", "global/networks", {"name": "x", "mtus": 1}, {}, "\"mtus\" at 'resource'"),
        ("POST", "global/firewalls", {**RULE, "allowed": [{"protocol": "tcp"}]}, {}, "at 'resource.allowed[0]'"),
        ("POST", f"zones/{ZONE}/instances", instance(disks=[{"boot": "yes"}]), {}, "'resource.disks[0].boot'"),
        ("POST", f"zones/{ZONE}/instances", instance(tags=["relay"]), {}, "'resource.tags'"),
        ("POST", f"zones/{ZONE}/instances", instance(deletionProtection="no"), {}, "'resource.deletionProtection'"),
        ("POST", f"zones/{ZONE}/instances", instance(labels={"a": 1}), {}, "'resource.labels.a'"),
        ("POST", "global/firewalls", {**RULE, "priority": "high"}, {}, "'resource.priority'"),
        ("POST", "global/firewalls", {**RULE, "priority": True}, {}, "'resource.priority'"),
        ("POST", "global/firewalls", {**RULE, "priority": 2**31}, {}, "'resource.priority'"),
        ("POST", "global/firewalls", {**RULE, "sourceRanges": "0.0.0.0/0"}, {}, "'resource.sourceRanges'"),
        ("POST", "global/firewalls", {**RULE, "direction": "INBOUND"}, {}, "'resource.direction'"),
        ("POST", f"regions/{REGION}/addresses", {"name": "x", "networkTier": "standard"}, {}, "resource.networkTier"),
        ("POST", f"zones/{ZONE}/disks", {"name": "x", "sizeGb": "ten"}, {}, "'resource.sizeGb'"),
        ("POST", "global/networks", {"name": "X"}, {}, "'resource.name'"),
        ("POST", "global/networks", {"autoCreateSubnetworks": False}, {}, "'resource.name'"),
        ("POST", "global/networks", None, {}, "'resource'"),
        ("GET", "global/networks", None, {"maxResults": "many"}, "'maxResults'"),
        ("GET", "global/networks", None, {"maxResults": "-1"}, "'maxResults'"),
        ("GET", "global/networks", None, {"maxResults": "501"}, "'maxResults'"),
        ("POST", f"zones/{ZONE}/instances/x/setDeletionProtection", None, {"deletionProtection": 1}, "deletionProt"),
        ("GET", "global/networks/Relay", None, {}, "'network'"),
        ("DELETE", "global/networks/default", {"force": True}, {}, '"force"'),
        ("POST", f"zones/{ZONE}/instances/x/updateAccessConfig", {}, {}, "'networkInterface'"),
        ("GET", "zones/us-west1-z/instances", None, {}, "'zone'"),
        ("GET", "regions/us-west9/addresses", None, {}, "'region'"),
    ],
)
def test_what_the_document_does_not_allow_is_refused_with_its_place(google, verb, path, body, *, query, place):
    status, _, message = google.refused(verb, path, body, **query)
    assert status == 400
    assert place in message
    assert [request.status for request in google.fake.requests] == [400]


def test_text_that_is_not_json_is_refused(google):
    response = google.session.post(f"{google.base}/global/networks", data="{")
    assert (response.status_code, response.json()["error"]["errors"][0]["reason"]) == (400, "parseError")


def test_large_numbers_may_be_text_or_numbers(google):
    for name, size in (("one", 12), ("two", "13")):
        google.do("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": size})
        assert google.get(f"zones/{ZONE}/disks/{name}")["sizeGb"] == str(size)


def test_what_only_the_server_sets_is_ignored(google):
    google.do("POST", "global/firewalls", {**RULE, "id": "7", "kind": "mine", "creationTimestamp": "never"})
    rule = google.get("global/firewalls/x")
    assert (rule["kind"], rule["id"] == "7", rule["creationTimestamp"][:2]) == ("compute#firewall", False, "20")


def test_what_the_document_allows_and_the_fake_does_not_is_said(google):
    assert google.refused("GET", "global/networks", fields="items/name")[:2] == (501, "notImplemented")


def test_another_project_is_not_found(google):
    response = google.session.get(f"{google.fake.endpoint}/projects/other/global/networks")
    assert response.status_code == 404


def test_an_answer_that_google_could_not_give_is_no_answer(google):
    google.fake.world.resources["networks"]["default"]["colour"] = "red"
    with pytest.raises(AssertionError, match=r"networks\.get.*colour"):
        google.get("global/networks/default")


@pytest.mark.parametrize(
    "path",
    [
        *("aggregated/addresses", "aggregated/disks", "aggregated/instances", "global/firewalls", "global/networks"),
        *(f"regions/{REGION}/addresses", f"regions/{REGION}/subnetworks", "regions", "zones", "global/operations"),
        *(f"zones/{ZONE}/{name}" for name in ("instances", "disks", "machineTypes", "diskTypes", "operations")),
        f"regions/{REGION}/operations",
    ],
)
def test_the_kind_of_a_list_is_the_one_of_the_document(google, path):
    method, _ = document.load().route("GET", f"/compute/v1/projects/shop/{path}")
    schema = json.loads(document.FILE.read_text())["methods"][method.collection][method.name]["response"]["$ref"]
    assert google.get(path)["kind"] == document.load().schemas[schema]["properties"]["kind"]["default"]
