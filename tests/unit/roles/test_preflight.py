"""The rules of compatibility: each is broken by what it is about, and none by what the roles run by default."""

import copy
import functools
import json
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.protostar.platform.plugins.action import check_capacity, check_versions
from ansible_collections.protostar.platform.plugins.plugin_utils import _stack

ROLES = Path(__file__).parents[3] / "roles"
NEWEST = {"version": "29.7.2", "compose": "5.5.0", "driver": "overlayfs", "containerd_store": True}
HOST = {"distribution": "Ubuntu", "release": "24.04", "kernel": "6.8.0"}


@functools.cache
def load(path):
    return DataLoader().load_from_file(str(ROLES / path), trusted_as_template=True)


RULES = load("preflight/vars/main/rules.yml")["__preflight_rules"]


@pytest.fixture
def facts(render):
    """What the rules see with the defaults of all roles on a new host."""
    services = sorted(path.parents[1].name for path in ROLES.glob("*/templates/compose.yaml.j2"))
    variables = {}
    for role in services:
        variables.update(load(f"{role}/defaults/main.yml"))
    containers = [container for role in services for container in _stack.describe(render(role))]
    images = {entry["container"]: {**_stack.split(entry["image"]), "read_only": True} for entry in containers}
    return {**variables, "images": images, "engine": dict(NEWEST), "host": dict(HOST)}


def broken(facts):
    templar = Templar(loader=DataLoader(), variables=facts)
    return [rule["id"] for rule in check_versions.find_broken(RULES, templar)]


def image(container, reference, read_only=True):
    return {"images": {container: {**_stack.split(reference), "read_only": read_only}}}


def thanos(reference, *, used):
    return {**image("loki", reference), "loki_config_extra": {"storage_config": {"use_thanos_objstore": used}}}


CASES = [
    # rule, what breaks it, what is next to it and does not
    ("ubuntu-before-22-04", {"host": {"release": "20.04"}}, {"host": {"release": "22.04"}}),
    (
        "debian-before-12",
        {"host": {"distribution": "Debian", "release": "11.9"}},
        {"host": {"distribution": "Debian", "release": "12.1"}},
    ),
    ("docker-before-25", {"engine": {"version": "24.0.7"}}, {"engine": {"version": "25.0.0"}}),
    ("docker-29-api", {"engine": {"version": "29.2.1"}}, {"engine": {"version": "29.3.0"}}),
    ("docker-29-api", {"engine": {"version": "29.0.0"}}, {"engine": {"version": "28.5.2+dfsg1"}}),
    ("compose-before-2-20", {"engine": {"compose": "2.19.1-4"}}, {"engine": {"compose": "2.20.2"}}),
    ("nginx-before-1-25-1", image("nginx", "nginx:1.24.0-bookworm"), image("nginx", "nginx:1.25.1")),
    (
        "cadvisor-containerd-store",
        image("cadvisor", "gcr.io/cadvisor/cadvisor:v0.53.0"),
        {**image("cadvisor", "gcr.io/cadvisor/cadvisor:v0.53.0"), "engine": {"containerd_store": False}},
    ),
    (
        "cadvisor-moved",
        image("cadvisor", "gcr.io/cadvisor/cadvisor:v0.60.5"),
        image("cadvisor", "ghcr.io/google/cadvisor:0.60.5"),
    ),
    (
        "cadvisor-moved",
        image("cadvisor", "gcr.io/cadvisor/cadvisor:v0.54.0"),
        image("cadvisor", "gcr.io/cadvisor/cadvisor:v0.53.0"),
    ),
    (
        "promtail-without-journald",
        image("promtail", "grafana/promtail:3.6.8"),
        image("promtail", "grafana/promtail:3.6.9"),
    ),
    (
        "promtail-without-journald",
        image("promtail", "grafana/promtail:3.6.0"),
        image("promtail", "grafana/promtail:3.5.8"),
    ),
    (
        "promtail-has-ended",
        image("promtail", "docker.io/grafana/promtail:3.7.0"),
        image("promtail", "grafana/promtail:3.6.11"),
    ),
    (
        "pgvector-major",
        image("pgvector", "pgvector/pgvector:0.8.6-pg17-trixie"),
        {**image("pgvector", "pgvector/pgvector:0.8.6-pg17"), "pgvector_postgres_major": 17},
    ),
    ("redis-data-in-valkey", image("redis", "valkey/valkey:8.1"), image("redis", "redis:7.2")),
    (
        "prometheus-before-2-53",
        image("prometheus", "quay.io/prometheus/prometheus:v2.52.0"),
        image("prometheus", "quay.io/prometheus/prometheus:v2.53.3"),
    ),
    (
        "alertmanager-before-0-27",
        {
            "images": {
                **image("alertmanager", "prom/alertmanager:v0.26.0")["images"],
                **image("prometheus", "prom/prometheus:v3.0.0")["images"],
            }
        },
        {
            "images": {
                **image("alertmanager", "prom/alertmanager:v0.26.0")["images"],
                **image("prometheus", "prom/prometheus:v2.53.0")["images"],
            }
        },
    ),
    (
        "grafana-oss-frozen",
        image("grafana", "docker.io/grafana/grafana-oss:12.3.0"),
        image("grafana", "grafana/grafana:12.3.0"),
    ),
    (
        "grafana-13-read-only",
        image("grafana", "grafana/grafana:13.2.1"),
        image("grafana", "grafana/grafana:13.2.1", read_only=False),
    ),
    ("loki-s3-address", image("loki", "grafana/loki:3.6.2"), image("loki", "grafana/loki:3.6.3")),
    ("loki-s3-address", image("loki", "grafana/loki:3.6.0"), image("loki", "grafana/loki:3.5.9")),
    ("loki-checksum-trailers", thanos("grafana/loki:3.7.6", used=False), thanos("grafana/loki:3.7.6", used=True)),
    ("loki-checksum-trailers", thanos("grafana/loki:3.6.11", used=False), thanos("grafana/loki:3.6.10", used=False)),
    ("minio-gone", image("minio", "docker.io/minio/minio:latest"), image("minio", "quay.io/minio/minio:latest")),
]


def changed(facts, changes):
    """Return the facts with changes merged into their first level."""
    facts = copy.copy(facts)
    for name, value in changes.items():
        merge = name in ("images", "engine", "host")
        facts[name] = {**facts[name], **value} if merge else value
    return facts


def test_the_defaults_break_no_rule(facts):
    assert broken(facts) == []


@pytest.mark.parametrize(("rule", "bad", "good"), CASES)
def test_a_rule_is_broken_by_what_it_is_about(facts, rule, bad, good):
    assert rule in broken(changed(facts, bad))
    assert rule not in broken(changed(facts, good))


def test_every_rule_has_a_case():
    assert {rule["id"] for rule in RULES} == {rule for rule, _, _ in CASES}
    assert len({rule["id"] for rule in RULES}) == len(RULES)


def test_the_readme_names_every_rule_in_order():
    lines = (ROLES / "preflight/README.md").read_text().splitlines()
    assert [line.split("`")[1] for line in lines if line.startswith("| `") and "preflight_" not in line] == [
        rule["id"] for rule in RULES
    ]


def test_what_is_not_known_breaks_no_rule(facts):
    nameless = {name: {"repository": "mirror.example.com/x", "read_only": True} for name in facts["images"]}
    assert broken({**facts, "images": nameless, "engine": {}, "host": {}}) == []
    assert broken({"images": {}, "engine": {}, "host": {}}) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["id"])
def test_a_rule_is_told_in_sentences_with_its_source(rule):
    assert rule.keys() == {"id", "condition", "reason", "remedy", "source"}
    assert rule["reason"].rstrip().endswith(".")
    assert rule["remedy"].rstrip().endswith(".")
    assert rule["source"].startswith("https://")
    assert all(text in check_versions.describe(rule) for text in (rule["id"], rule["source"], rule["remedy"]))


def test_the_nearest_rule_is_named_for_an_unknown_one():
    [problem] = check_versions.find_unknown(["docker-29", "minio-gone"], RULES)
    assert problem.startswith("docker-29 ")
    assert "docker-29-api" in problem


@pytest.mark.parametrize("play", ["main", "sub"])
def test_a_small_machine_holds_the_defaults(render, play):
    [content] = yaml.safe_load((ROLES.parent / f"playbooks/{play}.yml").read_text())
    roles = [entry["role"].rpartition(".")[2] for entry in content["roles"]]  # an app as often as the play has it
    containers = [
        {"role": role, **container}
        for role in roles
        if (ROLES / role / "templates/compose.yaml.j2").exists()
        for container in _stack.describe(render(role))
    ]
    factors = load("preflight/defaults/main.yml")
    memory, cores = 8192 * 0.95, 4  # 8 GiB, less what the kernel keeps
    excess = check_capacity.find_excess(
        check_capacity.count(containers),
        memory * factors["preflight_memory_factor"],
        cores * factors["preflight_cpu_factor"],
    )
    assert excess == ""
    assert check_capacity.find_too_big(containers, cores) == []


INFO = {
    "ServerVersion": "29.7.2",
    "Driver": "overlayfs",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "ClientInfo": {"Plugins": [{"Name": "buildx", "Version": "v0.30.0"}, {"Name": "compose", "Version": "v5.5.0"}]},
}
GRAPH_DRIVER = {"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}


@pytest.mark.parametrize(
    ("code", "info", "engine"),
    [
        (0, INFO, NEWEST),
        (0, {**INFO, **GRAPH_DRIVER}, {**NEWEST, "driver": "overlay2", "containerd_store": False}),
        (
            0,
            {**INFO, "ClientInfo": {"Plugins": None}},
            {key: value for key, value in NEWEST.items() if key != "compose"},
        ),
        (0, {"ServerVersion": "", "ServerErrors": ["no daemon"], "ClientInfo": INFO["ClientInfo"]}, {}),
        (1, {"ServerErrors": ["no daemon"]}, {}),
        (2, None, {}),
    ],
)
def test_what_docker_says_of_itself(code, info, engine):
    answer = {"rc": code, "stdout": json.dumps(info) if info else ""}
    variables = {**load("preflight/vars/main/facts.yml"), "__preflight_engine": answer}
    assert Templar(loader=DataLoader(), variables=variables).template(variables["__preflight_engine_facts"]) == engine
