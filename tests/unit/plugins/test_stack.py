"""What the roles would run, and whether it fits: evaluated by Ansible from the roles' own files."""

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import trust_as_template
from ansible_collections.protostar.platform.plugins.action import check_capacity
from ansible_collections.protostar.platform.plugins.plugin_utils import _stack

MIB = 1 << 20


def stack(*roles, apps=None, **variables):
    found = _stack.containers(roles, apps or {}, variables, DataLoader())
    return {container["container"]: container for container in found}


def test_the_variables_of_the_host_win_over_the_defaults():
    name = trust_as_template("mirror/{{ tag }}")
    found = stack("preflight", "redis", redis_image=name, tag="redis:9", redis_memory="1g", redis_cpus=2)
    assert list(found) == ["redis", "redis-exporter"]
    assert found["redis"] == {
        **{"role": "redis", "colour": "", "service": "redis", "container": "redis", "image": "mirror/redis:9"},
        **{"memory": 1 << 30, "cpus": 2.0, "read_only": True},
    }


def test_the_overrides_count():
    overrides = {"services": {"redis": {"mem_limit": "64m", "read_only": False}}}
    found = stack("redis", redis_compose_overrides=overrides)
    assert (found["redis"]["memory"], found["redis"]["read_only"]) == (64 * MIB, False)


def test_every_app_is_told_once():
    apps = {"shop": {"image": "shop:1", "memory": "1g"}, "blog": {"image": "blog:2"}}
    found = stack("app", "app", apps=apps)
    assert {name: container["image"] for name, container in found.items()} == {"shop": "shop:1", "blog": "blog:2"}
    assert found["shop"]["memory"] == 1 << 30
    assert stack("redis", apps=apps).keys() == {"redis", "redis-exporter"}


def test_an_app_behind_the_edge_is_told_in_both_colours():
    addresses = {"green": "10.0.0.1", "blue": "10.0.0.5"}
    apps = {
        "shop": {"image": "shop:1", "port": 80, "replicas": 2, "addresses": addresses, "secrets": {"key": "hidden"}},
        "worker": {"image": "worker:1"},
    }
    found = stack("app", apps=apps, app_compose_overrides={"services": {"shop": {"mem_limit": "1g"}}})
    assert {name: container["colour"] for name, container in found.items()} == {
        **{"shop-green-1": "green", "shop-green-2": "green", "shop-blue-1": "blue", "shop-blue-2": "blue"},
        "worker": "",
    }
    assert {container["image"] for name, container in found.items() if name != "worker"} == {"shop:1"}
    assert {container["memory"] for name, container in found.items() if name != "worker"} == {1 << 30}


def test_an_app_whose_addresses_cannot_be_counted_is_named():
    apps = {"shop": {"image": "shop:1", "port": 80, "addresses": {"green": "10.0.0", "blue": "10.0.0.5"}}}
    with pytest.raises(AnsibleError, match=r"What shop would run .*'10\.0\.0' is not an IP address"):
        stack("app", apps=apps)


def test_a_service_that_is_switched_off_is_left_out():
    service = {"state": "absent", "compose": {"services": {"web": {"image": "web:1"}}}}
    assert list(_stack.describe(service)) == []


def test_a_role_that_cannot_be_evaluated_is_named():
    with pytest.raises(AnsibleError, match=r"What redis would run cannot be told: .*nowhere"):
        stack("redis", redis_image=trust_as_template("{{ nowhere }}"))
    with pytest.raises(AnsibleError, match=r"What redis would run .*'much' is not a size"):
        stack("redis", redis_maxmemory=1, redis_memory="much")


@pytest.mark.parametrize(
    ("size", "number"),
    [("512m", 512 * MIB), ("1.5g", 1536 * MIB), ("2GB", 2048 * MIB), ("64 kb", 65536), (1024, 1024), ("7b", 7)],
)
def test_a_size_is_read_as_compose_reads_it(size, number):
    assert _stack.size(size) == number


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("nginx", {"repository": "nginx"}),
        ("docker.io/library/nginx:1.30.4-trixie", {"repository": "nginx", "tag": "1.30.4-trixie", "version": "1.30.4"}),
        ("docker.io/grafana/loki:3.7.6", {"repository": "grafana/loki", "tag": "3.7.6", "version": "3.7.6"}),
        ("quay.io/x/y:v0.28.0", {"repository": "quay.io/x/y", "tag": "v0.28.0", "version": "0.28.0"}),
        ("localhost:5000/x", {"repository": "localhost:5000/x"}),
        ("localhost:5000/x@sha256:ab", {"repository": "localhost:5000/x", "digest": "sha256:ab"}),
        ("x:8@sha256:ab", {"repository": "x", "tag": "8", "version": "8", "digest": "sha256:ab"}),
        ("x:latest", {"repository": "x", "tag": "latest"}),
        ("x:7db283e", {"repository": "x", "tag": "7db283e"}),
        ("x:RELEASE.2026-09-16T00-00-00Z", {"repository": "x", "tag": "RELEASE.2026-09-16T00-00-00Z"}),
    ],
)
def test_an_image_is_taken_apart(image, parts):
    assert _stack.split(image) == parts


def container(name, memory, cpus, role="redis", colour=""):
    return {"role": role, "container": name, "memory": memory * MIB, "cpus": cpus, "colour": colour}


CONTAINERS = [container("small", 64, 0.25), container("shop", 300, 1.0, role="app"), container("big", 512, 2.0)]


def test_an_app_is_counted_twice_and_the_biggest_comes_first():
    rows = check_capacity.count(CONTAINERS)
    assert [(row["container"], row["memory"], row["cpus"]) for row in rows] == [
        ("2 of shop", 600, 2.0),
        ("big", 512, 2.0),
        ("small", 64, 0.25),
    ]


def test_a_colour_is_counted_once_since_the_other_is_listed_too():
    colours = [container(f"shop-{colour}", 300, 1.0, role="app", colour=colour) for colour in ("green", "blue")]
    rows = check_capacity.count(colours)
    assert [(row["container"], row["memory"]) for row in rows] == [("shop-blue", 300), ("shop-green", 300)]


@pytest.mark.parametrize(
    ("memory", "cpus", "said"),
    [
        (1176, 4.25, []),
        (1175, 4.25, ["The memory limits"]),
        (1176, 4.0, ["The CPU limits"]),
        (1000, 1.0, ["The memory and CPU limits"]),
    ],
)
def test_what_does_not_fit_is_told_with_a_table(memory, cpus, said):
    text = check_capacity.find_excess(check_capacity.count(CONTAINERS), memory, cpus)
    assert text[: len("".join(said))] == "".join(said)
    if said:
        lines = [line.split() for line in text.splitlines()]
        assert ["sum", "1176", "MiB", "4.25"] in lines
        assert ["available", str(memory), "MiB", f"{cpus:g}"] in lines


def test_one_limit_above_the_cores_is_refused_as_docker_would():
    assert check_capacity.find_too_big(CONTAINERS, 2) == []
    [problem] = check_capacity.find_too_big(CONTAINERS, 1)
    assert problem.startswith("big ")
    assert "redis_cpus" in problem
    [problem] = check_capacity.find_too_big([container("shop", 64, 2.0, role="app")], 1)
    assert "Lower cpus in its definition." in problem
