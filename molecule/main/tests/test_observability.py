"""Prometheus on sub sees both hosts and the stores."""

import json
import time

import pytest
import yaml
from expected import HOSTS, ROOT

MAIN, SUB = "198.19.0.10", "198.19.0.20"
TARGETS = {
    ("prometheus", "localhost:9090"),
    ("node", f"{MAIN}:9100"),
    ("node", f"{SUB}:9100"),
    ("postgres", f"{MAIN}:9187"),
    ("redis", f"{MAIN}:9121"),
}


@pytest.fixture(scope="module")
def prometheus(sub):
    """Ask Prometheus, from the host that it runs on."""
    return lambda path, **query: json.loads(
        sub.check_output(
            "curl -sS --get http://127.0.0.1:9090/api/v1/%s" + " --data-urlencode %s" * len(query),
            path, *(f"{key}={value}" for key, value in query.items()),
        )
    )["data"]  # fmt: skip


def test_every_target_is_up(prometheus):
    # A target that was redeployed a moment ago is seen up at the next scrape only.
    deadline = time.monotonic() + 45
    while True:
        targets = prometheus("targets")["activeTargets"]
        down = [
            target["labels"]["instance"] + ": " + target["lastError"] for target in targets if target["health"] != "up"
        ]
        if not down or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert not down
    assert {(target["labels"]["job"], target["labels"]["instance"]) for target in targets} == TARGETS


def test_every_rule_is_loaded_and_evaluated(prometheus):
    declared = yaml.safe_load((ROOT / "roles/prometheus/files/rules/platform.yml").read_text())
    loaded = {rule["name"]: rule for group in prometheus("rules")["groups"] for rule in group["rules"]}
    assert {rule["alert"] for group in declared["groups"] for rule in group["rules"]} <= set(loaded)
    assert {name: rule["lastError"] for name, rule in loaded.items() if rule["health"] == "err"} == {}


@pytest.mark.parametrize("metric", ["pg_up", "redis_up"])
def test_the_exporters_are_let_in(prometheus, metric):
    assert [sample["value"][1] for sample in prometheus("query", query=metric)["result"]] == ["1"]


@pytest.mark.parametrize("host", HOSTS)
def test_the_metrics_are_the_hosts_own(prometheus, machine, host):
    names = {
        sample["metric"]["nodename"]: sample["metric"]["instance"]
        for sample in prometheus("query", query="node_uname_info")["result"]
    }

    def value(metric, **labels):
        selector = ",".join(f'{key}="{label}"' for key, label in {"instance": names[host], **labels}.items())
        return int(prometheus("query", query=f"{metric}{{{selector}}}")["result"][0]["value"][1])

    total = machine(host).check_output("awk '/^MemTotal/ {print $2}' /proc/meminfo")
    assert value("node_memory_MemTotal_bytes") == int(total) * 1024
    # A file system of the host, seen from inside the exporter's container.
    blocks, size = machine(host).check_output("stat --file-system --format '%b %S' /opt/protostar").split()
    assert value("node_filesystem_size_bytes", mountpoint="/opt/protostar") == int(blocks) * int(size)
