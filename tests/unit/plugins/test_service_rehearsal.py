"""The throw-away copies: what they keep, and what they must never share with the service that runs."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._rehearsal import Copies
from ansible_collections.protostar.platform.plugins.module_utils._release import Command, File, Release

SERVICE = {
    "image": "web:1",
    "container_name": "web",
    "mem_limit": "64m",
    "ports": ["80:80"],
    "depends_on": ["other"],
    "restart": "always",
    "pid": "service:other",
    "env_file": "env/web.env",
    "networks": {"edge": {"aliases": ["www"], "ipv4_address": "10.201.1.11"}, "own": None},
    "volumes": [
        "./config:/c:ro",
        "./config:/writable",
        "./state:/state",
        "./certificates:/certificates:ro",
        "data:/data",
        "/etc/ssl:/ssl:ro",
        "/var/log:/log",
        "/run/docker.sock:/run/docker.sock",
        {"type": "tmpfs", "target": "/tmp"},
        {"type": "bind", "source": "/", "target": "/host", "read_only": True, "bind": {"propagation": "rslave"}},
    ],
    "healthcheck": {"test": ["CMD", "true"], "interval": "10s", "retries": 5, "start_period": "20s", "timeout": "3s"},
}
COMPOSE = {
    "services": {"web": SERVICE, "host": {"image": "h", "network_mode": "host"}, "plain": {"image": "p"}},
    "networks": {"edge": {"name": "protostar-edge", "external": True}, "own": None},
    "volumes": {"data": {"name": "web-data"}},
}
RELEASE = Release("web", "/srv/web", COMPOSE, (File("config/a", "", 0o444, 0), File("env/web.env", "", 0o444, 0)))


def copies(**options):
    networks = {"protostar-edge", "web_default"}
    return Copies(
        RELEASE, "/srv/web/staging", networks, is_directory=lambda path: not path.endswith(".sock"), **options
    )


@pytest.fixture(name="rehearsal")
def rehearsal_():
    return copies().rehearsal(["web", "host", "plain"])


def test_nothing_that_others_could_find_or_use(rehearsal):
    web = rehearsal["services"]["web-rehearsal"]
    assert not {"ports", "container_name", "depends_on", "pid"} & set(web)
    assert web["networks"] == ["edge", "own"]
    assert web["restart"] == "no"
    assert web["mem_limit"] == SERVICE["mem_limit"]
    assert "volumes" not in rehearsal


def test_networks_are_joined_where_they_exist(rehearsal):
    assert rehearsal["networks"] == {
        "default": {"name": "web_default", "external": True},
        "edge": {"name": "protostar-edge", "external": True},
        "own": {},
    }
    assert rehearsal["services"]["host-rehearsal"] == {"image": "h", "restart": "no", "network_mode": "none"}
    assert rehearsal["services"]["plain-rehearsal"]["networks"] == ["default"]


def test_staged_files_are_mounted_and_data_is_not(rehearsal):
    def bind(source, target, read_only, **more):
        return {"type": "bind", "source": source, "target": target, "read_only": read_only, **more}

    def empty(target):
        return {"type": "volume", "target": target}

    web = rehearsal["services"]["web-rehearsal"]
    assert web["env_file"] == ["/srv/web/staging/env/web.env"]
    assert web["volumes"] == [
        bind("/srv/web/staging/config", "/c", True),
        bind("/srv/web/staging/config", "/writable", False),
        empty("/state"),
        bind("/srv/web/certificates", "/certificates", True),
        empty("/data"),
        bind("/etc/ssl", "/ssl", True),
        empty("/log"),
        bind("/run/docker.sock", "/run/docker.sock", True),
        {"type": "tmpfs", "target": "/tmp"},
        bind("/", "/host", True, bind={"propagation": "rslave"}),
    ]


@pytest.mark.parametrize(
    ("compose", "image", "expected"),
    [
        (
            {"test": ["CMD", "true"], "interval": "10s", "retries": 5, "start_period": "20s", "timeout": "3s"},
            {},
            {"test": ["CMD", "true"], "timeout": "3s", "interval": "1s", "retries": 70},
        ),
        (
            {},
            {"Test": ["CMD-SHELL", "echo $HOME"], "Interval": 5_000_000_000, "Retries": 2},
            {"test": ["CMD-SHELL", "echo $$HOME"], "timeout": "30s", "interval": "1s", "retries": 10},
        ),
        (
            {"interval": "2s"},
            {"Test": ["CMD", "x"]},
            {"test": ["CMD", "x"], "timeout": "30s", "interval": "1s", "retries": 6},
        ),
        ({"disable": True}, {"Test": ["CMD", "x"]}, {"disable": True}),
    ],
)
def test_a_health_check_looks_every_second_and_is_as_patient(compose, image, expected):
    release = Release("web", "/srv/web", {"services": {"web": {"image": "w", "healthcheck": compose}}})
    made = Copies(release, "/srv/web/staging", image_health={"web": image}).rehearsal(["web"])
    assert made["services"]["web-rehearsal"]["healthcheck"] == expected


def test_no_health_check_stays_none(rehearsal):
    assert "healthcheck" not in rehearsal["services"]["plain-rehearsal"]


def test_validation_has_no_network_and_its_own_command():
    made = copies().validation([Command("web", ("sh", "-c", "echo $X")), Command("host", ("true",))])
    first, second = made["services"]["validate-0"], made["services"]["validate-1"]
    assert first["entrypoint"] == ["sh", "-c", "echo $$X"]
    assert first["command"] == []
    assert first["network_mode"] == second["network_mode"] == "none"
    assert first["volumes"][0]["source"] == "/srv/web/staging/config"
    assert second["image"] == "h"
