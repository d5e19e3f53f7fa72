"""Promtail's successor takes over by one variable, and back."""

import pytest
from expected import HOSTS

TAGS = ("--tags", "promtail,alloy,prometheus")


def agents(machine):
    names = machine.check_output("docker ps --all --format '{{.Names}}'").split()
    return [name for name in names if name in ("promtail", "alloy")]


@pytest.fixture(scope="module")
def alloy(playbook):
    run = playbook("site", *TAGS, platform_log_agent="alloy")
    yield run
    back = playbook("site", *TAGS)
    assert back.code == 0, back.text


def test_the_successor_runs_instead_on_both_machines(alloy, machine):
    assert alloy.code == 0, alloy.text
    # On each the one comes and the other goes; on sub Prometheus follows.
    changed = {host: alloy.recap[host]["changed"] for host in HOSTS}
    assert changed == dict(zip(HOSTS, (2, 3), strict=True))
    assert {host: agents(machine(host)) for host in HOSTS} == {host: ["alloy"] for host in HOSTS}


def test_it_is_told_of_every_container(alloy, machine):
    ask = "docker exec alloy curl -sS http://127.0.0.1:12345/metrics | sed -n 's/^protostar_stand_in_containers //p'"
    for host in HOSTS:
        told, there = machine(host).check_output(f"{ask}; docker ps --quiet | wc -l").split()
        assert told == there


def test_prometheus_reaches_it_on_both_machines(alloy, scraped):
    found = {
        (target["labels"]["job"], target["labels"]["instance"])
        for target in scraped("alloy")
        if target["health"] == "up"
    }
    assert {("alloy", "main"), ("alloy", "sub")} <= found


def test_what_promtail_had_read_is_kept_for_the_way_back(alloy, machine):
    for host in HOSTS:
        assert "protostar-promtail-data" in machine(host).check_output("docker volume ls --quiet").split()
