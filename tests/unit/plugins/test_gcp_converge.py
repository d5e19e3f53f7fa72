"""A relay against the fake project: made, changed, repaired, removed, and through everything that Google may answer."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._gce_apply import Failed
from gcp_world import NAME, PROJECT, REGION, ZONE, Killed, Time, mine, project, run, writes

OTHER = "/compute/v1/projects/shop-1234"


@pytest.fixture
def fake():
    return project()


@pytest.fixture
def made(fake):
    run(fake)
    fake.settle()
    fake.requests.clear()
    return fake


def test_a_relay_is_made_and_the_second_run_reads_each_resource_once(fake):
    planned = run(fake, check=True)
    assert planned.session.writes == 0
    done = run(fake)
    assert done.actions == planned.actions
    instance = mine(fake, "instances")
    (config,) = instance["networkInterfaces"][0]["accessConfigs"]
    assert instance["status"] == "RUNNING"
    assert instance["shieldedInstanceConfig"]["enableSecureBoot"] is True
    assert instance["deletionProtection"] is True
    assert "serviceAccounts" not in instance
    assert config["natIP"] == mine(fake, "addresses")["address"]
    assert mine(fake, "addresses")["labels"] == instance["labels"] == mine(fake, "disks")["labels"]
    fake.requests.clear()
    again = run(fake)
    assert again.actions == []
    paths = [entry.path for entry in fake.requests]
    assert len(paths) == len(set(paths)) == again.session.reads == 8
    assert writes(fake) == []


def test_everything_is_removed_and_nothing_else(made):
    foreign = {name: set(entries) for name, entries in project().world.resources.items()}
    done = run(made, state="absent")
    assert done.actions[0].startswith("lift the protection")
    assert {name: set(entries) for name, entries in made.world.resources.items() if entries} == {
        name: entries for name, entries in foreign.items() if entries
    }
    made.requests.clear()
    assert run(made, state="absent").actions == []
    assert writes(made) == []


def test_a_named_network_is_used_and_kept(fake):
    given = {"network": "default", "subnetwork_range": "10.103.0.0/24"}
    run(fake, **given)
    assert mine(fake, "networks") is None
    assert mine(fake, "instances")["networkInterfaces"][0]["network"].endswith("/default")
    assert run(fake, **given).actions == []
    run(fake, state="absent", **given)
    assert "default" in fake.world.resources["networks"]
    assert mine(fake, "subnetworks") is None


def test_a_change_of_tier_replaces_the_address(made):
    before = mine(made, "addresses")["address"]
    done = run(made, network_tier="premium", guard_free_tier=False)
    address = mine(made, "addresses")
    assert address["networkTier"] == "PREMIUM"
    assert f"release the address {NAME}, {before}" in "".join(done.actions)
    assert mine(made, "instances")["networkInterfaces"][0]["accessConfigs"][0]["natIP"] == address["address"]
    assert address["status"] == "IN_USE"
    assert any("address" in note for note in done.notes)


TROUBLES = [
    {"status": 503, "headers": {"Retry-After": "7"}},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 502, "page": "<html>Bad Gateway</html>"},
    {"drop_request": True},
    {"drop_reply": True},
]


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("after", range(7))
def test_a_write_is_made_again_under_its_request_id_and_nothing_is_made_twice(fake, trouble, after):
    fake.fault(lambda request: not request.read, after=after, times=2, **trouble)
    run(fake)
    assert [len(fake.world.resources[kind]) for kind in ("instances", "addresses", "disks")] == [1, 1, 1]
    identifiers = [entry.query["requestId"] for entry in fake.requests if not entry.read]
    assert len(identifiers) == len(set(identifiers)) + 2
    assert run(fake).actions == []


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("after", range(0, 24, 4))
def test_a_read_or_a_wait_is_made_again(fake, trouble, after):
    fault = fake.fault(lambda request: request.read, after=after, times=2, **trouble)
    run(fake)
    assert fault.seen > after + 2
    assert run(fake).actions == []


@pytest.mark.parametrize("code", ["INTERNAL_ERROR", "RESOURCE_OPERATION_RATE_EXCEEDED"])
def test_an_operation_that_fails_for_no_reason_of_ours_is_tried_again(fake, code):
    fault = fake.fault("POST instances.insert", operation_error=code)
    run(fake)
    assert fault.seen == 2
    assert mine(fake, "instances")["status"] == "RUNNING"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ZONE_RESOURCE_POOL_EXHAUSTED", f"zone {ZONE} has no such machine"),
        ("QUOTA_EXCEEDED", "iam-admin/quotas"),
        ("PERMISSIONS_ERROR", "compute.subnetworks.useExternalIp"),
    ],
)
def test_an_operation_that_fails_is_one_sentence_and_the_next_run_goes_on(fake, code, told):
    fault = fake.fault("POST instances.insert", operation_error=code)
    with pytest.raises(Failed, match="Could not create the instance") as failed:
        run(fake)
    assert told in str(failed.value)
    assert "\n" not in str(failed.value)
    assert "reserve the address" in "".join(failed.value.actions)
    assert fault.seen == 1
    done = run(fake)
    assert done.actions == [f"create the instance {NAME}"]


def test_what_appears_meanwhile_is_used_if_it_is_ours(fake):
    """Another run of the same playbook was quicker by one request."""
    before = fake.snapshot()
    run(fake)
    fake.settle()
    network = dict(fake.world.resources["networks"][NAME])
    fake.restore(before)

    class Rival:
        """Puts the network in place just before the first write."""

        done = False

        def __call__(self, request):
            if not request.read and not self.done:
                self.done = True
                fake.world.resources["networks"][NAME] = network
            return False

    fake.fault(Rival())
    done = run(fake)
    assert f"create the network {NAME}" not in done.actions
    assert mine(fake, "instances")["status"] == "RUNNING"


def test_what_appears_meanwhile_is_refused_if_it_is_not(fake):
    def rival(request):
        if not request.read:
            fake.world.resources["networks"].setdefault(
                NAME, {**fake.world.resources["networks"]["default"], "name": NAME}
            )
        return False

    fake.fault(rival)
    with pytest.raises(Failed, match="not marked as this relay's"):
        run(fake)


@pytest.mark.parametrize("times", [1, 3])
def test_a_stale_fingerprint_is_read_again_and_what_others_wrote_is_kept(made, times):
    count = []

    def rival(request):
        if request.name == "setMetadata" and len(count) < times:
            count.append(1)
            items = mine(made, "instances")["metadata"]["items"]
            items.append({"key": f"theirs-{len(count)}", "value": "x"})
            made.world.derive()
        return False

    made.fault(rival)
    run(made, metadata={"protostar-relay": "{}"})
    keys = {entry["key"] for entry in mine(made, "instances")["metadata"]["items"]}
    assert {f"theirs-{number + 1}" for number in range(times)} | {"protostar-relay"} <= keys
    assert len([path for _method, path in writes(made) if path.endswith("setMetadata")]) == times + 1


def test_a_fingerprint_that_never_holds_ends_the_run(made):
    made.fault("* instances.setMetadata", status=412, times=1000)
    time = Time()
    with pytest.raises(Failed, match="set the metadata"):
        run(made, metadata={"protostar-relay": "{}"}, time=time)
    assert len(writes(made)) < 20
    assert time.now < 120


def test_unused_addresses_and_second_machines_are_refused_before_anything_is_made(fake):
    run(fake, name="first", guard_free_tier=False)
    fake.requests.clear()
    with pytest.raises(Failed) as failed:
        run(fake)
    assert "first (us-west1)" in str(failed.value)
    assert f"first ({ZONE}) runs" in str(failed.value)
    assert writes(fake) == []
    run(fake, guard_free_tier=False)
    assert run(fake).actions == []  # what exists is not refused


def test_lists_are_read_to_their_last_page(fake):
    run(fake, name="first", guard_free_tier=False)
    run(fake, name="second", guard_free_tier=False)
    fake.page_size = 1
    with pytest.raises(Failed) as failed:
        run(fake)
    assert "first (us-west1), second (us-west1)" in str(failed.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"region": "us-east4", "guard_free_tier": False}, "region"),
        ({"zone": f"{REGION}-z"}, "zone"),
        ({"image": "projects/debian-cloud/global/images/family/nothing"}, "images/family/nothing"),
        ({"project": "other-1234"}, "project"),
    ],
)
def test_what_google_does_not_know_is_told(fake, given, told):
    with pytest.raises(Failed, match=told) as failed:
        run(fake, **given)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(("status", "reason"), [(403, "forbidden"), (403, "accessNotConfigured"), (401, "authError")])
def test_a_refusal_of_the_first_request_changes_nothing(fake, status, reason):
    fake.fault("* *", status=status, reason=reason, times=5)
    with pytest.raises(Failed, match="Nothing was changed"):
        run(fake)
    assert writes(fake) == []


def test_time_is_up_for_an_operation_that_never_ends(fake):
    fake.operation_polls = float("inf")
    time = Time()
    with pytest.raises(Failed, match="within 300 s"):
        run(fake, timeout=300, time=time)
    assert time.now <= 300


def test_an_instance_on_its_way_down_is_started_when_it_is_there(made):
    """A run was killed while it stopped the instance for another machine type."""
    run(made, machine_type="e2-small", guard_free_tier=False)
    before = made.snapshot()
    for moment in range(1, 60):
        made.restore(before)
        try:
            run(made, moment=moment, after=True)
        except Killed:
            if mine(made, "instances")["status"] == "STOPPING":
                break
    else:
        pytest.fail("it was never seen stopping")
    made.operation_polls = 2
    run(made)
    assert mine(made, "instances")["status"] == "RUNNING"
    assert mine(made, "instances")["machineType"].endswith("e2-micro")


@pytest.mark.parametrize("state", ["present", "absent"])
def test_an_instance_that_takes_long_to_stop_is_waited_for(made, state):
    """Somebody stops it, which takes a guest up to minutes."""
    mine(made, "instances")["status"] = "STOPPING"
    looks = []

    def stops(request):
        looks.append(request)
        if len(looks) == 100:
            mine(made, "instances")["status"] = "TERMINATED"
        return False

    made.fault(stops)
    time = Time()
    run(made, state=state, time=time, timeout=3600)
    assert len(looks) > 100
    assert time.now > 300
    assert (mine(made, "instances") is None) == (state == "absent")


def test_what_somebody_else_removes_meanwhile_is_as_good_as_removed(made):
    def rival(request):
        if request.method == "DELETE" and request.collection == "firewalls":
            made.world.resources["firewalls"].pop(f"{NAME}-allow", None)
            made.world.resources["firewalls"].pop(f"{NAME}-deny", None)
        return False

    made.fault(rival)
    done = run(made, state="absent")
    assert not [action for action in done.actions if "firewall" in action]
    assert mine(made, "networks") is None


def test_what_does_not_stay_as_set_is_told_and_not_fought_over(made):
    """A policy of somebody's turns the logs on again, at once, and changes the metadata each time it is looked at."""
    looks = []

    def policy(request):
        if request.name == "get" and request.collection == "instances":
            looks.append(request)
            made.world.resources["firewalls"][f"{NAME}-deny"]["logConfig"] = {"enable": True}
            mine(made, "instances")["metadata"]["items"][0]["value"] = str(len(looks))
        return False

    made.fault(policy)
    done = run(made)
    assert any(f"set the firewall rule {NAME}-deny" in note for note in done.notes)
    assert len(writes(made)) < 20


def test_what_was_made_by_hand_is_adopted_on_request_and_removed_on_request(made):
    """Nothing is marked: refused, taken over, and left as it is by the next run."""
    for collection in ("networks", "subnetworks", "addresses", "disks", "instances", "firewalls"):
        for name, entry in made.world.resources[collection].items():
            if name.rpartition("/")[2].startswith(NAME):
                entry.update(description="by hand")
                entry.pop("labels", None)
    made.world.derive()
    with pytest.raises(Failed, match="adopt"):
        run(made)
    assert writes(made) == []
    done = run(made, adopt=True)
    assert mine(made, "instances")["labels"]["protostar-relay"] == NAME
    assert not [action for action in done.actions if action.startswith(("create", "remove", "release"))]
    assert run(made, adopt=True).actions == []
    assert run(made, state="absent").notes  # what cannot be marked stays
    assert mine(made, "networks") is not None
    run(made, state="absent", adopt=True)
    assert mine(made, "networks") is None


def test_the_whole_project_is_asked_for_under_its_own_name(made):
    run(made)
    assert {entry.path.split("/")[4] for entry in made.requests} == {PROJECT}
