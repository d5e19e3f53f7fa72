"""Prometheus on sub sees both hosts and the stores."""

import json

import pytest
import yaml
from expected import HOSTS, ROOT

# Where each exporter runs; those of both machines, and those of one.
JOBS = {
    "main": {"postgres", "postgres_database", "redis"},
    "sub": {"alertmanager", "blackbox", "grafana", "loki", "minio", "prometheus"},
}
RELAY = {("relay", "relay")}
BOTH = {"cadvisor", "nginx", "nginx_exporter", "node", "promtail"}


@pytest.fixture(scope="module")
def prometheus(sub):
    """Ask Prometheus, from the host that it runs on."""
    return lambda path, **query: json.loads(
        sub.check_output(
            "curl -sS --get http://127.0.0.1:9090/api/v1/%s" + " --data-urlencode %s" * len(query),
            path, *(f"{key}={value}" for key, value in query.items()),
        )
    )["data"]  # fmt: skip


def test_every_target_is_up(scraped):
    targets = scraped("promtail")
    assert [target["scrapeUrl"] + ": " + target["lastError"] for target in targets if target["health"] != "up"] == []
    found = {(target["labels"]["job"], target["labels"]["instance"]) for target in targets}
    expected = {(job, instance) for instance, jobs in JOBS.items() for job in jobs | BOTH}
    assert {entry for entry in found if entry[0] != "probe"} == expected | RELAY
    assert {target["scrapeUrl"].partition(":")[0] for target in targets if target["labels"]["instance"] == "main"} == {
        "https"
    }


def test_every_rule_is_loaded_and_evaluated(prometheus):
    files = (ROOT / "roles/prometheus/files/rules").glob("*.yml")
    declared = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    loaded = {rule["name"]: rule for group in prometheus("rules")["groups"] for rule in group["rules"]}
    assert {rule.get("alert", rule.get("record")) for group in declared for rule in group["rules"]} == set(loaded)
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
