"""Instances, addresses and disks."""

import pytest
from compute_caller import REGION, ZONE, access, instance

RELAY = f"zones/{ZONE}/instances/relay"
ADDRESS = f"regions/{REGION}/addresses/relay"
STOPPED = "Instance should be in the STOPPED state."


def nic(google):
    """The instance's interface."""
    return google.get(RELAY)["networkInterfaces"][0]


def test_google_fills_in_what_an_instance_does_not_say(google):
    google.instance()
    made = google.get(RELAY)
    disk = google.get(f"zones/{ZONE}/disks/relay")
    assert made["scheduling"]["onHostMaintenance"] == "MIGRATE"
    assert made["shieldedInstanceConfig"] == {
        "enableSecureBoot": False,
        "enableVtpm": True,
        "enableIntegrityMonitoring": True,
    }
    assert (made["disks"][0]["source"], made["disks"][0]["diskSizeGb"]) == (disk["selfLink"], "10")
    assert disk["users"] == [made["selfLink"]]
    assert disk["type"].endswith("/diskTypes/pd-standard")
    assert nic(google)["networkIP"].startswith("10.129.0.")  # of the region's subnetwork in the default network
    assert "accessConfigs" not in nic(google)


def test_links_lead_to_google_not_to_the_fake(google):
    google.instance()
    assert google.get(RELAY)["selfLink"] == f"https://www.googleapis.com/compute/v1/projects/shop/{RELAY}"


def test_a_reserved_address_is_in_use_while_an_instance_has_it(google):
    address = google.address()
    google.instance(networkInterfaces=access(address["address"]))
    used = google.get(ADDRESS)
    assert (used["status"], used["users"]) == ("IN_USE", [google.get(RELAY)["selfLink"]])
    assert google.refused("DELETE", ADDRESS)[:2] == (400, "resourceInUseByAnotherResource")
    second = instance("second", networkInterfaces=access(address["address"]))
    assert "already in-use" in google.refused("POST", f"zones/{ZONE}/instances", second)[2]
    google.do("DELETE", RELAY)
    assert google.get(ADDRESS)["status"] == "RESERVED"
    google.do("DELETE", ADDRESS)


@pytest.mark.parametrize("tier", ["PREMIUM", None])
def test_the_tier_of_an_address_must_be_that_of_the_access_config(google, tier):
    interfaces = access(google.address()["address"], tier)
    if tier is None:
        del interfaces[0]["accessConfigs"][0]["networkTier"]
    message = google.refused("POST", f"zones/{ZONE}/instances", instance(networkInterfaces=interfaces))[2]
    assert "different network tier STANDARD" in message
    assert google.refused("GET", f"zones/{ZONE}/disks/relay")[0] == 404


def test_an_address_of_another_region_or_of_nobody_is_not_found(google):
    google.do("POST", "regions/us-central1/addresses", {"name": "far", "networkTier": "STANDARD"})
    far = google.get("regions/us-central1/addresses/far")["address"]
    for address in (far, "198.51.100.7"):
        body = instance(networkInterfaces=access(address))
        assert f"was not found in region '{REGION}'" in google.refused("POST", f"zones/{ZONE}/instances", body)[2]


def test_an_address_takes_labels_by_set_labels_alone(google):
    assert "labels" not in google.address(labels={"owner": "me"})
    fingerprint = google.get(ADDRESS)["labelFingerprint"]
    google.do("POST", f"{ADDRESS}/setLabels", {"labels": {"owner": "me"}, "labelFingerprint": fingerprint})
    assert google.get(ADDRESS)["labels"] == {"owner": "me"}


def test_an_address_that_an_instance_has_for_the_time_being_can_be_kept(google):
    google.instance(networkInterfaces=access())
    now = nic(google)["accessConfigs"][0]["natIP"]
    assert google.address(address=now)["users"] == [google.get(RELAY)["selfLink"]]
    body = {"name": "other", "networkTier": "STANDARD", "address": "198.51.100.7"}
    assert google.refused("POST", f"regions/{REGION}/addresses", body)[0] == 400


@pytest.mark.parametrize(
    ("path", "field", "content", "shown"),
    [
        ("setMetadata", "metadata", {"items": [{"key": "a", "value": "1"}]}, "items"),
        ("setTags", "tags", {"items": ["relay"]}, "items"),
    ],
)
def test_metadata_and_tags_are_replaced_as_a_whole_by_their_fingerprint(google, path, field, content, shown):
    given = {"setMetadata": {"items": [{"key": "b", "value": "2"}]}, "setTags": {"items": ["web"]}}[path]
    google.instance(**{field: given})
    before = google.get(RELAY)[field]
    google.do("POST", f"{RELAY}/{path}", {**content, "fingerprint": before["fingerprint"]})
    after = google.get(RELAY)[field]
    assert after[shown] == content[shown]
    assert after["fingerprint"] != before["fingerprint"]
    for stale in (before["fingerprint"], None, ""):
        assert google.refused("POST", f"{RELAY}/{path}", {**content, "fingerprint": stale})[:2] == (
            412,
            "conditionNotMet",
        )
    google.do("POST", f"{RELAY}/{path}", {"fingerprint": after["fingerprint"]})
    assert shown not in google.get(RELAY)[field]


def test_labels_are_replaced_as_a_whole_by_their_fingerprint(google):
    google.instance(labels={"owner": "me", "team": "web"})
    before = google.get(RELAY)["labelFingerprint"]
    google.do("POST", f"{RELAY}/setLabels", {"labels": {"owner": "you"}, "labelFingerprint": before})
    assert google.get(RELAY)["labels"] == {"owner": "you"}
    body = {"labels": {"owner": "me"}, "labelFingerprint": before}
    assert google.refused("POST", f"{RELAY}/setLabels", body)[:2] == (412, "conditionNotMet")


def test_of_two_changes_at_once_the_operation_of_the_second_fails(google):
    google.instance()
    fingerprint = google.get(RELAY)["metadata"]["fingerprint"]
    bodies = [{"items": [{"key": "a", "value": value}], "fingerprint": fingerprint} for value in "12"]
    first, second = (google.begin("POST", f"{RELAY}/setMetadata", body) for body in bodies)
    for operation in (first, first, second, second):
        last = google.poll(operation)
    assert (last["error"]["errors"][0]["code"], last["httpErrorStatusCode"]) == ("CONDITION_NOT_MET", 412)
    assert google.get(RELAY)["metadata"]["items"] == [{"key": "a", "value": "1"}]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"metadata": {"items": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}}, "resource.metadata"),
        ({"metadata": {"items": [{"key": "a b", "value": "1"}]}}, "resource.metadata.items[0].key"),
        ({"metadata": {"items": [{"key": "a", "value": "x" * 262145}]}}, "resource.metadata.items[0].value"),
        ({"metadata": {"items": [{"key": k, "value": "x" * 262000} for k in "abc"]}}, "resource.metadata"),
        ({"tags": {"items": ["Relay"]}}, "resource.tags.items[0]"),
        ({"labels": {"Owner": "me"}}, "resource.labels"),
        ({"labels": {"owner": "Me"}}, "resource.labels"),
        ({"machineType": "zones/us-west1-a/machineTypes/e2-micro"}, "resource.machineType"),
        ({"machineType": "e2-micro"}, "resource.machineType"),
        ({"disks": []}, "resource.disks"),
        ({"disks": [{"initializeParams": {"sourceImage": "debian-13"}}]}, "resource.disks[0].boot"),
        ({"networkInterfaces": []}, "resource.networkInterfaces"),
    ],
)
def test_an_instance_that_google_would_not_make_is_refused_with_the_place(google, fields, place):
    status, _, message = google.refused("POST", f"zones/{ZONE}/instances", instance(**fields))
    assert status == 400
    assert f"'{place}" in message


@pytest.mark.parametrize(
    ("parameters", "status", "words"),
    [
        ({"diskSizeGb": "9"}, 400, "smaller than the image size (10 GB)"),
        ({"diskType": f"zones/{ZONE}/diskTypes/pd-extreme"}, 404, "pd-extreme"),
        ({"diskType": "zones/us-west1-a/diskTypes/pd-ssd"}, 404, "us-west1-a"),
        ({"sourceImage": "projects/debian-cloud/global/images/family/debian-99"}, 404, "family/debian-99"),
        ({"sourceImage": "debian-cloud/debian-13"}, 400, "sourceImage"),
    ],
)
def test_a_disk_that_google_would_not_make_is_refused(google, parameters, status, words):
    body = instance()
    body["disks"][0]["initializeParams"].update(parameters)
    refused = google.refused("POST", f"zones/{ZONE}/instances", body)
    assert refused[0] == status
    assert words in refused[2]


def test_a_disk_goes_with_its_instance_only_if_it_is_said_so(google):
    google.instance()
    wanted = {"autoDelete": "false", "deviceName": "persistent-disk-0"}
    google.do("POST", f"{RELAY}/setDiskAutoDelete", **wanted)
    assert google.refused("DELETE", f"zones/{ZONE}/disks/relay")[:2] == (400, "resourceInUseByAnotherResource")
    google.do("DELETE", RELAY)
    disk = google.get(f"zones/{ZONE}/disks/relay")
    assert "users" not in disk
    assert google.refused("POST", f"zones/{ZONE}/instances", instance())[:2] == (409, "alreadyExists")
    google.instance(disks=[{"boot": True, "autoDelete": True, "source": disk["selfLink"]}])
    google.do("DELETE", RELAY)
    assert google.refused("GET", f"zones/{ZONE}/disks/relay")[0] == 404


def test_a_disk_grows_only_and_its_instance_shows_it(google):
    google.instance()
    path = f"zones/{ZONE}/disks/relay/resize"
    assert google.refused("POST", path, {"sizeGb": "10"})[0] == 400
    google.do("POST", path, {"sizeGb": "20"})
    assert google.get(RELAY)["disks"][0]["diskSizeGb"] == "20"


def test_a_protected_instance_stays(google):
    google.instance(deletionProtection=True)
    assert google.refused("DELETE", RELAY)[:2] == (400, "invalidResourceUsage")
    google.do("POST", f"{RELAY}/setDeletionProtection", deletionProtection="false")
    google.do("DELETE", RELAY)
    google.instance()
    google.do("POST", f"{RELAY}/setDeletionProtection")
    assert google.get(RELAY)["deletionProtection"] is True


@pytest.mark.parametrize(
    ("verb", "path", "body", "field", "shown"),
    [
        ("POST", "setMachineType", {"machineType": f"zones/{ZONE}/machineTypes/e2-small"}, "machineType", "e2-small"),
        ("POST", "setServiceAccount", {"email": "a@b.example", "scopes": []}, "serviceAccounts", "a@b.example"),
        ("POST", "setScheduling", {"automaticRestart": False}, "scheduling", "'automaticRestart': False"),
        (
            *("PATCH", "updateShieldedInstanceConfig", {"enableSecureBoot": True}, "shieldedInstanceConfig"),
            "{'enableSecureBoot': True, 'enableVtpm': True, 'enableIntegrityMonitoring': True}",
        ),
    ],
)
def test_some_settings_need_a_stopped_instance(google, verb, path, body, *, field, shown):
    google.instance()
    assert STOPPED in google.refused(verb, f"{RELAY}/{path}", body)[2]
    operation = google.begin("POST", f"{RELAY}/stop")
    assert google.get(RELAY)["status"] == "STOPPING"
    google.poll(operation), google.poll(operation)
    assert google.get(RELAY)["status"] == "TERMINATED"
    google.do(verb, f"{RELAY}/{path}", body)
    google.do("POST", f"{RELAY}/start")
    after = google.get(RELAY)
    assert after["status"] == "RUNNING"
    assert shown in str(after[field])


def test_starting_what_runs_and_stopping_what_is_stopped_changes_nothing(google):
    google.instance()
    google.do("POST", f"{RELAY}/start")
    assert google.get(RELAY)["status"] == "RUNNING"
    for _ in range(2):
        google.do("POST", f"{RELAY}/stop")
    assert google.get(RELAY)["status"] == "TERMINATED"
    assert google.refused("POST", f"{RELAY}/reset")[1] == "invalidResourceUsage"


@pytest.mark.parametrize("reserved", [True, False])
def test_only_a_reserved_address_outlives_a_stop(google, reserved):
    google.instance(networkInterfaces=access(google.address()["address"] if reserved else None))
    before = nic(google)["accessConfigs"][0]["natIP"]
    google.do("POST", f"{RELAY}/stop")
    assert nic(google)["accessConfigs"][0].get("natIP") == (before if reserved else None)
    google.do("POST", f"{RELAY}/start")
    assert nic(google)["accessConfigs"][0]["natIP"]


def test_the_address_of_an_access_config_changes_by_taking_it_away_and_adding_another(google):
    google.instance(networkInterfaces=access())
    address = google.address()["address"]
    change = {"natIP": address, "networkTier": "STANDARD"}
    where = {"networkInterface": "nic0"}
    assert google.refused("POST", f"{RELAY}/updateAccessConfig", change, **where)[0] == 400
    assert google.refused("POST", f"{RELAY}/addAccessConfig", change, **where)[0] == 400
    google.do("POST", f"{RELAY}/deleteAccessConfig", accessConfig="External NAT", **where)
    assert "accessConfigs" not in nic(google)
    google.do("POST", f"{RELAY}/addAccessConfig", change, **where)
    assert nic(google)["accessConfigs"][0]["natIP"] == address
    assert google.get(ADDRESS)["status"] == "IN_USE"
    google.do("POST", f"{RELAY}/updateAccessConfig", {"name": "external-nat"}, **where)
    assert nic(google)["accessConfigs"][0]["name"] == "external-nat"
    for path, query in (
        ("deleteAccessConfig", {"accessConfig": "External NAT", **where}),
        ("addAccessConfig", {"networkInterface": "nic1"}),
    ):
        body = {} if path == "addAccessConfig" else None
        assert google.refused("POST", f"{RELAY}/{path}", body, **query)[0] == 400


@pytest.mark.parametrize("config", [{}, {"enableSecureBoot": False}, {"enableSecureBoot": True}])
def test_only_an_image_that_boots_by_uefi_can_be_shielded(google, config):
    body = instance(shieldedInstanceConfig=config)
    body["disks"][0]["initializeParams"]["sourceImage"] = "projects/old-images/global/images/plain-v1"
    assert "UEFI-compatible" in google.refused("POST", f"zones/{ZONE}/instances", body)[2]
    del body["shieldedInstanceConfig"]
    google.do("POST", f"zones/{ZONE}/instances", body)


def test_update_needs_the_fingerprint_and_replaces_the_labels(google):
    google.instance(labels={"owner": "me"})
    present = google.get(RELAY)
    wanted = {**present, "labels": {"owner": "you"}, "deletionProtection": True}
    google.do("PUT", RELAY, wanted)
    after = google.get(RELAY)
    assert (after["labels"], after["deletionProtection"]) == ({"owner": "you"}, True)
    assert google.refused("PUT", RELAY, wanted)[:2] == (412, "conditionNotMet")


def test_guest_attributes_are_read_when_the_instance_allows_it(fake, google):
    path = f"{RELAY}/getGuestAttributes"
    google.instance()
    fake.guest_attributes[f"{ZONE}/relay"]["relay/status"] = "{}"
    assert google.refused("GET", path, queryPath="relay/status")[0] == 403
    fingerprint = google.get(RELAY)["metadata"]["fingerprint"]
    items = [{"key": "enable-guest-attributes", "value": "TRUE"}]
    google.do("POST", f"{RELAY}/setMetadata", {"items": items, "fingerprint": fingerprint})
    entry = {"namespace": "relay", "key": "status", "value": "{}"}
    for query in ("relay/status", "relay/", ""):
        assert google.get(path, queryPath=query)["queryValue"]["items"] == [entry]
    assert google.get(path, variableKey="relay/status")["variableValue"] == "{}"
    for query in ("relay/other", "relays/"):
        assert google.refused("GET", path, queryPath=query)[:2] == (404, "notFound")


def test_a_resource_is_found_by_its_number_too(google):
    google.instance()
    number = google.get(RELAY)["id"]
    assert google.get(f"zones/{ZONE}/instances/{number}")["name"] == "relay"
    assert google.refused("GET", f"zones/us-west1-a/instances/{number}")[0] == 404


def test_an_address_is_taken_as_soon_as_it_is_asked_for_and_free_when_that_fails(fake, google):
    google.instance()
    change = {"natIP": google.address()["address"], "networkTier": "STANDARD"}
    for failure in ("INTERNAL_ERROR", None):
        if failure:
            fake.fault("POST instances", operation_error=failure)
        operation = google.begin("POST", f"{RELAY}/addAccessConfig", change, networkInterface="nic0")
        assert google.refused("DELETE", ADDRESS)[1] == "resourceInUseByAnotherResource"
        fake.settle()
        assert ("error" in google.poll(operation)) == bool(failure)
        assert google.get(ADDRESS)["status"] == ("RESERVED" if failure else "IN_USE")


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "words"),
    [
        ("POST", f"regions/{REGION}/addresses", {"name": "a", "addressType": "INTERNAL"}, 501, "internal"),
        ("POST", f"regions/{REGION}/addresses", {"name": "a", "networkTier": "FIXED_STANDARD"}, 400, "networkTier"),
        ("POST", f"zones/{ZONE}/disks", {"name": "a", "sizeGb": "9"}, 400, "smaller than 10 GB"),
        ("POST", f"zones/{ZONE}/disks", {"name": "a", "type": "pd-ssd"}, 400, "malformed"),
        ("POST", f"{RELAY}/setDiskAutoDelete?autoDelete=true&deviceName=sda", None, 400, "deviceName"),
        ("POST", "global/networks", {"name": "auto", "autoCreateSubnetworks": True}, 501, "automatic subnetworks"),
        ("PATCH", "global/networks/default", {"name": "default", "description": "x"}, 400, "resource.description"),
    ],
)
def test_a_few_more_refusals(google, verb, path, body, *, status, words):
    google.instance()
    refused = google.refused(verb, path, body)
    assert refused[0] == status
    assert words in refused[2]
