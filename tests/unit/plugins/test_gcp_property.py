"""From any state of the project that people, and runs that were killed, can leave: one run makes the relay as declared.

What "as declared" means is said here a second time, from Google's fields, so that a plan that forgets one is found.
"""

import copy

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._gce_apply import Failed
from gcp_world import KEYS, NAME, PROJECT, REGION, ZONE, Killed, declared, mine, options, project, run, writes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.once

EMPTY = project().snapshot()
FAKE = project()
LINK = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}"

OPTIONS = st.fixed_dictionaries(
    {"guard_free_tier": st.just(False)},
    optional={
        "tcp_ports": st.sampled_from([[443], [80, 443]]),
        "udp_ports": st.sampled_from([[], [51820]]),
        "ssh": st.sampled_from(["closed", "iap"]),
        "network_tier": st.sampled_from(["standard", "premium"]),
        "machine_type": st.sampled_from(["e2-micro", "e2-small"]),
        "disk_size": st.sampled_from([10, 12, 20]),
        "deletion_protection": st.booleans(),
        "labels": st.sampled_from([{}, {"team": "ops"}, {"team": "web", "old": None}]),
        "metadata": st.sampled_from([{}, {"protostar-relay": '{"format": 1}'}, {"theirs": None}]),
    },
)
# Mostly a run is left alone.
MOMENT = st.one_of(st.none(), st.tuples(st.integers(1, 45), st.booleans()))


def instance(change):
    """A change by hand of the instance, if it is there."""

    def act(fake):
        found = mine(fake, "instances")
        if found is not None:
            change(found)

    return act


def rule(suffix, **fields):
    """A change by hand of a firewall rule, if it is there; None removes a field."""

    def act(fake):
        found = fake.world.resources["firewalls"].get(f"{NAME}-{suffix}")
        if found is not None:
            found.update(copy.deepcopy(fields))
            for name in [name for name, value in fields.items() if value is None]:
                del found[name]

    return act


def remove_instance(fake, *, disk):
    """Somebody deletes the instance, with its disk or without it; a disk that nothing marks goes, or is nobody's."""
    disk = disk or not (mine(fake, "disks") or {}).get("labels")
    if fake.world.resources["instances"].pop(KEYS["instances"], None) is not None and disk:
        fake.world.resources["disks"].pop(KEYS["disks"], None)


def release_address(fake):
    """Somebody takes the address from the instance and releases it."""
    found = mine(fake, "instances")
    if found is not None:
        found["networkInterfaces"][0].pop("accessConfigs", None)
    fake.world.resources["addresses"].pop(KEYS["addresses"], None)


def remove_network(fake):
    """Somebody removes all but the address."""
    remove_instance(fake, disk=True)
    for name in [name for name in fake.world.resources["firewalls"] if name.startswith(NAME)]:
        del fake.world.resources["firewalls"][name]
    fake.world.resources["subnetworks"].pop(KEYS["subnetworks"], None)
    fake.world.resources["networks"].pop(KEYS["networks"], None)


def ephemeral(found):
    config = {"name": "hand-made", "type": "ONE_TO_ONE_NAT", "natIP": "203.0.113.250", "networkTier": "PREMIUM"}
    found["networkInterfaces"][0]["accessConfigs"] = [config]


def grow_disk(fake):
    if found := mine(fake, "disks"):
        found["sizeGb"] = "15"


def unlabel(collection):
    def act(fake):
        if (found := mine(fake, collection)) and (collection == "addresses" or mine(fake, "instances")):
            found.pop("labels", None)

    return act


def put(key, value):
    """A metadata key set by hand."""

    def change(found):
        items = [entry for entry in found["metadata"].get("items", ()) if entry["key"] != key]
        found["metadata"]["items"] = [*items, {"key": key, "value": value}]

    return change


HANDS = {
    "a port opened": rule("allow", allowed=[{"IPProtocol": "tcp", "ports": ["1-65535"]}]),
    "SSH opened": rule("ssh", sourceRanges=["0.0.0.0/0"]),
    "the deny rule off": rule("deny", disabled=True),
    "the deny rule last": rule("deny", priority=65535),
    "the deny rule allows": rule("deny", denied=None, allowed=[{"IPProtocol": "all"}]),
    "the deny rule leaves": rule("deny", direction="EGRESS"),
    "a rule for others": rule("allow", targetTags=["other"], sourceTags=["x"]),
    "a rule without target": rule("allow", targetTags=None),
    "a rule logged": rule("deny", logConfig={"enable": True}),
    "a rule gone": lambda fake: fake.world.resources["firewalls"].pop(f"{NAME}-deny", None),
    "another machine": instance(lambda found: found.update(machineType=f"{LINK}/zones/{ZONE}/machineTypes/e2-medium")),
    "stopped": instance(lambda found: found.update(status="TERMINATED")),
    "no Secure Boot": instance(lambda found: found["shieldedInstanceConfig"].update(enableSecureBoot=False)),
    "no vTPM": instance(lambda found: found["shieldedInstanceConfig"].update(enableVtpm=False)),
    "protection turned": instance(lambda found: found.update(deletionProtection=not found["deletionProtection"])),
    "no tags": instance(lambda found: found.update(tags={})),
    "a tag": instance(lambda found: found.update(tags={"items": ["theirs"]})),
    "a label": instance(lambda found: found["labels"].update(theirs="x", team="nobody", old="x")),
    "a key": instance(put("theirs", "x")),
    "a key of ours": instance(put("serial-port-enable", "TRUE")),
    "no keys": instance(lambda found: found.update(metadata={})),
    "no address": instance(lambda found: found["networkInterfaces"][0].pop("accessConfigs", None)),
    "another address": instance(ephemeral),
    "an account": instance(lambda found: found.update(serviceAccounts=[{"email": "x@example.com", "scopes": []}])),
    "a cheap machine": instance(lambda found: found["scheduling"].update(preemptible=True, automaticRestart=False)),
    "a larger disk": grow_disk,
    "a disk that stays": instance(lambda found: found["disks"][0].update(autoDelete=False)),
    "a disk without labels": unlabel("disks"),
    "an address without labels": unlabel("addresses"),
    "the instance gone": lambda fake: remove_instance(fake, disk=True),
    "the instance gone but for its disk": lambda fake: remove_instance(fake, disk=False),
    "the address gone": release_address,
    "the network gone": remove_network,
}


def reachable(history):
    """Bring the fake to where a history of runs, kills and hands leads."""
    FAKE.restore(EMPTY)
    for event in history:
        if isinstance(event, str):
            HANDS[event](FAKE)
            FAKE.world.derive()
            continue
        state, given_, moment, polls = event
        FAKE.operation_polls = polls
        attempt(moment, state=state, **given_)
    FAKE.requests.clear()


def attempt(moment, **given_):
    """Run, and be killed at the moment; whether it lived to its end."""
    number, after = moment or (None, False)
    try:
        run(FAKE, moment=number, after=after, **given_)
    except Killed:
        return False
    return True


RUN = st.tuples(st.sampled_from(["present", "present", "absent"]), OPTIONS, MOMENT, st.integers(0, 2))
HISTORY = st.lists(st.one_of(RUN, st.sampled_from(sorted(HANDS)), st.sampled_from(sorted(HANDS))), max_size=8).map(
    lambda events: [("present", {"guard_free_tier": False}, None, 1), *events]
)
PROPERTY = settings(
    max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def lacking(given_):
    """What is not as declared, by Google's fields."""
    wanted = options(**given_)
    rules = FAKE.world.resources["firewalls"]
    found = mine(FAKE, "instances")
    address = mine(FAKE, "addresses")
    if found is None or address is None:
        return ["the instance or the address"]
    ports = {
        (entry["IPProtocol"], port)
        for entry in rules[f"{NAME}-allow"]["allowed"]
        for port in entry.get("ports", ["all"])
    }
    wanted_ports = {("tcp", str(port)) for port in wanted["tcp_ports"]}
    wanted_ports |= {("udp", str(port)) for port in wanted["udp_ports"]}
    keys = {entry["key"]: entry["value"] for entry in found["metadata"].get("items", ())}
    wanted_keys = {"enable-guest-attributes": "TRUE", "block-project-ssh-keys": "TRUE", "serial-port-enable": "FALSE"}
    wanted_keys = {**wanted_keys, **(wanted["metadata"] or {})}
    labels = {"managed-by": "protostar-platform", "protostar-relay": NAME, **(wanted["labels"] or {})}
    ssh = rules.get(f"{NAME}-ssh")
    (config,) = found["networkInterfaces"][0].get("accessConfigs") or [{}]
    disk = mine(FAKE, "disks")
    facts = {
        "ports": ports == wanted_ports,
        "open to all": rules[f"{NAME}-allow"]["sourceRanges"] == ["0.0.0.0/0"],
        "denied": rules[f"{NAME}-deny"].get("denied") == [{"IPProtocol": "all"}],
        "order": rules[f"{NAME}-allow"]["priority"] < rules[f"{NAME}-deny"]["priority"] < 1000,
        "SSH": (ssh is not None) == (wanted["ssh"] == "iap")
        and (ssh is None or ssh["sourceRanges"] == ["35.235.240.0/20"]),
        "rules": all(
            entry["direction"] == "INGRESS"
            and entry["targetTags"] == [NAME]
            and not entry.get("disabled")
            and not entry.get("sourceTags")
            and not entry.get("logConfig", {}).get("enable")
            and entry["network"].endswith(f"/networks/{NAME}")
            for name, entry in rules.items()
            if name.startswith(NAME)
        ),
        "tier": address["networkTier"] == config.get("networkTier") == wanted["network_tier"].upper(),
        "address": config.get("natIP") == address["address"] and address["status"] == "IN_USE",
        "machine": found["machineType"].endswith(f"/{wanted['machine_type']}"),
        "running": found["status"] == "RUNNING",
        "shield": found["shieldedInstanceConfig"]
        == {"enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True},
        "protection": found["deletionProtection"] == wanted["deletion_protection"],
        "account": not found.get("serviceAccounts"),
        "scheduling": not found["scheduling"]["preemptible"] and found["scheduling"]["automaticRestart"],
        "tag": NAME in found["tags"]["items"],
        "metadata": all(keys.get(key) == value for key, value in wanted_keys.items()),
        "labels": all(
            (entry.get("labels") or {}).get(key) == value
            for key, value in labels.items()
            for entry in (found, address, disk)
        ),
        "disk": int(disk["sizeGb"]) >= wanted["disk_size"] and disk["users"] == [found["selfLink"]],
    }
    return [name for name, holds in facts.items() if not holds]


def strangers():
    """What is there that is not the relay's, and what others added to it."""
    others = {
        (collection, key): copy.deepcopy(entry)
        for collection, entries in FAKE.world.resources.items()
        for key, entry in entries.items()
        if not key.rpartition("/")[2].startswith(NAME)
    }
    found = mine(FAKE, "instances")
    theirs = {}
    if found is not None:
        theirs = {
            "tags": "theirs" in found["tags"].get("items", ()),
            "labels": found.get("labels", {}).get("theirs"),
            "metadata": [entry for entry in found["metadata"].get("items", ()) if entry["key"] == "theirs"],
        }
    return others, theirs


@PROPERTY
@given(HISTORY, OPTIONS, MOMENT, st.integers(0, 2))
def test_one_run_reaches_what_is_declared_and_the_second_writes_nothing(history, wanted, moment, polls):
    reachable(history)
    FAKE.operation_polls = polls
    while not attempt(moment, **wanted):
        moment = None
    FAKE.settle()
    assert lacking(wanted) == []
    FAKE.requests.clear()
    assert run(FAKE, **wanted).actions == []
    assert writes(FAKE) == []
    assert len(FAKE.requests) == 8


@PROPERTY
@given(HISTORY, OPTIONS, st.sampled_from(["present", "absent"]))
def test_a_check_writes_nothing_and_tells_what_the_run_does(history, wanted, state):
    reachable(history)
    FAKE.settle()
    before = strangers()
    planned = run(FAKE, check=True, state=state, **wanted)
    assert writes(FAKE) == []
    done = run(FAKE, state=state, **wanted)
    assert bool(planned.actions) == bool(done.actions)
    assert [action.partition(",")[0] for action in planned.actions][:1] == [
        action.partition(",")[0] for action in done.actions
    ][:1]
    assert len(planned.actions) == len(done.actions)
    FAKE.settle()
    after = strangers()
    assert after[0] == before[0]
    if before[1] and after[1] and wanted.get("metadata") != {"theirs": None}:
        assert after[1] == before[1]


@PROPERTY
@given(HISTORY, MOMENT, st.integers(0, 2))
def test_absent_removes_what_is_ours_and_keeps_what_is_not(history, moment, polls):
    reachable(history)
    FAKE.settle()
    FAKE.operation_polls = polls
    before, _theirs = strangers()
    loose = mine(FAKE, "disks") is not None and not mine(FAKE, "disks").get("labels")
    while not attempt(moment, state="absent"):
        moment = None
    FAKE.settle()
    left = {
        (collection, key)
        for collection, entries in FAKE.world.resources.items()
        for key in entries
        if key.rpartition("/")[2].startswith(NAME)
    }
    assert left <= ({("disks", KEYS["disks"])} if loose else set())
    assert strangers()[0] == before
    FAKE.requests.clear()
    assert run(FAKE, state="absent").actions == []


FOREIGN = ("networks", "subnetworks", "addresses", "instances")


@pytest.mark.parametrize("collection", FOREIGN)
@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_only_has_its_name_is_kept(collection, state):
    FAKE.restore(EMPTY)
    run(FAKE)
    FAKE.settle()
    found = mine(FAKE, collection)
    found["description"] = "somebody else's"
    found.pop("labels", None)
    found.pop("deletionProtection", None)
    FAKE.world.derive()
    FAKE.requests.clear()
    if state == "present":
        with pytest.raises(Failed, match="not marked"):
            run(FAKE)
        assert writes(FAKE) == []
    else:
        assert run(FAKE, state="absent").notes
        FAKE.settle()
        assert mine(FAKE, collection)["description"] == "somebody else's"


@pytest.mark.parametrize("polls", [0, 1, 2])
def test_a_run_killed_at_any_request_is_finished_by_the_next(polls):
    """Each request of making, changing and removing a relay, before it is sent and after it was answered."""
    changed = {"machine_type": "e2-small", "network_tier": "premium", "ssh": "iap", "guard_free_tier": False}
    FAKE.restore(EMPTY)
    run(FAKE)
    FAKE.settle()
    whole = FAKE.snapshot()
    courses = [(EMPTY, {}), (whole, changed), (whole, {"state": "absent"})]
    for start, wanted in courses:
        for after in (False, True):
            moment = 0
            lived = False
            while not lived:
                moment += 1
                FAKE.restore(start)
                FAKE.operation_polls = polls
                lived = attempt((moment, after), **wanted)
                run(FAKE, **wanted)
                FAKE.settle()
                if "state" in wanted:
                    assert not [key for key in FAKE.world.resources["networks"] if key == NAME]
                    assert not FAKE.world.resources["addresses"]
                else:
                    assert lacking(wanted) == []
            assert moment > 15


def test_the_places_are_the_relays():
    where = declared().place
    assert (where.region, where.zone, where.name) == (REGION, ZONE, NAME)
