"""What the role app asks for: one service without colours, or a release of two."""

import functools
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).parents[3] / "roles/app"
COLOURS = ("green", "blue")
DEFINITION = {
    "image": "shop:2",
    "port": 3000,
    "networks": ["protostar-edge", "protostar-data"],
    "addresses": {"green": "10.201.1.41", "blue": "10.201.1.45"},
    "user": 1234,
    "environment": {"PRICE": "5$", "PASSWORD_FILE": "/run/secrets/password"},
    "secrets": {"password": "hidden"},
    "volumes": {"uploads": "/srv/uploads"},
    "command": ["serve", "--all"],
    "healthcheck": {"test": ["CMD", "true"]},
}


@functools.cache
def load(path):
    return DataLoader().load_from_file(str(ROLE / path), trusted_as_template=True)


def evaluate(name, definition, **variables):
    """Return a variable of the role, or an expression, evaluated by Ansible for an application called shop."""
    context = {
        **load("defaults/main.yml"),
        **load("vars/main.yml"),
        "app_name": "shop",
        "app_definition": definition,
        "ansible_search_path": [str(ROLE)],
        "role_path": str(ROLE),
        **variables,
    }
    return Templar(loader=DataLoader(), variables=context).template(context.get(name, name))


@pytest.fixture
def release():
    """Return a function that gives what the bluegreen module takes, with changes to the definition."""
    return lambda changes=(), **variables: evaluate("__app_release", {**DEFINITION, **dict(changes)}, **variables)


def services(release, colour):
    return release["colours"][colour]["compose"]["services"]


@pytest.mark.parametrize("colour", COLOURS)
def test_a_colour_is_what_the_definition_says(release, colour):
    found = release()
    [(name, service)] = services(found, colour).items()
    assert name == service["container_name"] == f"shop-{colour}"
    assert service["image"] == found["image"] == DEFINITION["image"]
    assert service["networks"] == {
        "protostar-edge": {"ipv4_address": DEFINITION["addresses"][colour]},
        "protostar-data": {},
    }
    assert service["environment"] == {
        **{"PORT": "3000", "PRICE": "5$$", "PASSWORD_FILE": "/run/secrets/password"},
        "APP_COLOUR": colour,
    }
    assert service["volumes"] == ["./secrets:/run/secrets:ro", "uploads:/srv/uploads"]
    assert service["command"] == DEFINITION["command"]
    assert service["healthcheck"] == DEFINITION["healthcheck"]
    assert "ports" not in service
    assert found["colours"][colour]["compose"]["volumes"] == {"uploads": {"name": "protostar-shop-uploads"}}


def test_a_release_has_the_secrets_and_what_judges_it(release):
    judged = {
        "migrate": {"command": ["migrate"], "kind": "expand"},
        "smoke": [{"url": "https://www.example.com/ready"}],
        "ready": {"timeout": 5},
        "canary": {"steps": [{"weight": 10, "seconds": 1}]},
        "bake": {"seconds": 1},
        "drain": {"timeout": 1},
        "standby": "stopped",
        "keep": 1,
        "hooks": [{"at": "released", "url": "http://127.0.0.1/"}],
        "verify": [],
    }
    found = release(judged)
    assert {name: found[name] for name in judged} == judged
    assert found["secrets"] == [{"dest": "secrets/password", "content": "hidden", "owner": 1234}]
    assert (found["name"], found["port"]) == ("shop", 3000)
    # What nobody set is the module's to know.
    assert not {"migrate", "verify", "ready", "canary", "bake", "drain"} & release().keys()


def test_replicas_have_names_and_addresses_of_their_own(release):
    found = release({"replicas": 3})
    assert found["addresses"]["blue"] == ["10.201.1.45", "10.201.1.46", "10.201.1.47"]
    for colour in COLOURS:
        assert [
            (name, service["container_name"], service["networks"]["protostar-edge"]["ipv4_address"])
            for name, service in services(found, colour).items()
        ] == [(f"shop-{colour}-{i}", f"shop-{colour}-{i}", found["addresses"][colour][i - 1]) for i in (1, 2, 3)]


def test_the_colour_cannot_be_set_by_hand(release):
    found = release({"environment": {"APP_COLOUR": "red"}})
    assert services(found, "blue")["shop-blue"]["environment"]["APP_COLOUR"] == "blue"


def test_every_container_is_limited_and_unprivileged(release):
    for service in services(release({"replicas": 2}), "green").values():
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["restart"] == "unless-stopped"


def test_overrides_go_for_every_container_and_may_add_one(release):
    everywhere = {
        "services": {"shop": {"mem_limit": "1g", "tmpfs": ["/tmp"]}, "blog": {"mem_limit": "2g"}},
        "networks": {"protostar-data": {"name": "other"}},
    }
    own = {"services": {"shop": {"mem_limit": "3g"}, "proxy": {"image": "proxy:1"}}}
    found = release({"replicas": 2, "compose_overrides": own}, app_compose_overrides=everywhere)
    for colour in COLOURS:
        compose = found["colours"][colour]["compose"]
        assert compose["services"].keys() == {f"shop-{colour}-1", f"shop-{colour}-2", "proxy"}
        assert compose["services"][f"shop-{colour}-2"]["mem_limit"] == "3g"
        assert compose["services"][f"shop-{colour}-2"]["image"] == "shop:2"
        assert compose["services"]["proxy"] == {"image": "proxy:1"}
        assert compose["networks"]["protostar-data"] == {"name": "other", "external": True}


def test_an_app_without_addresses_is_one_service_without_colour(render):
    definition = {name: value for name, value in DEFINITION.items() if name != "addresses"}
    arguments = render("app", app_name="shop", app_definition=definition)
    service = arguments["compose"]["services"]["shop"]
    assert service["container_name"] == "shop"
    assert service["networks"] == {"protostar-edge": {}, "protostar-data": {}}
    assert "APP_COLOUR" not in service["environment"]
    assert arguments["secrets"] == [{"dest": "secrets/password", "content": "hidden", "owner": 1234}]


def test_the_overrides_of_a_service_without_colour(render):
    overrides = {"services": {"shop": {"mem_limit": "1g"}, "blog": {"mem_limit": "2g"}}}
    definition = {"image": "shop:1", "replicas": 2}
    arguments = render("app", app_name="shop", app_definition=definition, app_compose_overrides=overrides)
    assert arguments["compose"]["services"].keys() == {"shop-1", "shop-2"}
    assert arguments["overrides"]["services"] == {"shop-1": {"mem_limit": "1g"}, "shop-2": {"mem_limit": "1g"}}


def test_an_app_without_secrets_mounts_none(render):
    arguments = render("app")
    assert "volumes" not in arguments["compose"]["services"]["shop"]
    assert arguments["secrets"] == []


def test_the_defaults_of_an_app_are_those_of_its_specification():
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    stated = {
        name: option["default"] for name, option in options["app_definition"]["options"].items() if "default" in option
    }
    assert yaml.safe_load((ROLE / "vars/main.yml").read_text())["__app_defaults"] == stated


@pytest.mark.parametrize(
    ("sources", "inventory"),
    [(["/home/ann/shop/inventories/lab"], "-i inventories/lab"), (["/one", "/two"], "-i /one -i /two")],
)
def test_what_waits_is_told_with_a_command_that_can_be_run(monkeypatch, sources, inventory):
    monkeypatch.setenv("PWD", "/home/ann/shop")
    pending = "shop:1 is live and shop:2 is declared: release it with deploy.yml -e app=shop -e image=shop:2"
    [message] = [
        task["ansible.builtin.debug"]["msg"] for task in load("tasks/main.yml") if "ansible.builtin.debug" in task
    ]
    told = evaluate(message, DEFINITION, ansible_inventory_sources=sources, pending=pending).splitlines()
    command = f"ansible-playbook {inventory} protostar.platform.deploy -e app=shop -e image=shop:2"
    assert told[0] == f"shop: shop:1 is live and shop:2 is declared: release it with {command}"
    assert "platform_apps.shop.image" in told[1]
