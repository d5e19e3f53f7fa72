"""Every role has the shape of the house."""

from pathlib import Path

import pytest
import yaml

ROLES = sorted(path.parent for path in (Path(__file__).parents[3] / "roles").glob("*/tasks"))
SERVICES = [role for role in ROLES if (role / "templates/compose.yaml.j2").exists()]


def options(role):
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]
    return specs["main"].get("options", {})


def nested(options):
    for name, option in options.items():
        yield name, option
        yield from nested(option.get("options", {}))


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request):
    return request.param


def test_defaults_and_argument_specs_hold_the_same_keys(role):
    optional = {name for name, option in options(role).items() if not option.get("required")}
    path = role / "defaults/main.yml"
    assert set((yaml.safe_load(path.read_text()) if path.exists() else {}) or {}) == optional


def test_stated_defaults_are_the_defaults(role):
    path = role / "defaults/main.yml"
    defaults = (yaml.safe_load(path.read_text()) if path.exists() else {}) or {}
    stated = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert {name: defaults[name] for name in stated} == stated


def test_every_option_is_described(role):
    for name, option in nested(options(role)):
        assert option.get("description"), name
        assert option.get("type"), name


def test_the_readme_names_every_variable(role):
    readme = (role / "README.md").read_text()
    assert [name for name in options(role) if name not in readme] == []


def test_public_variables_begin_with_the_name_of_the_role(role):
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []


@pytest.mark.parametrize("role", SERVICES, ids=lambda role: role.name)
def test_a_service_is_one_call_of_at_most_25_lines(role):
    calls = (role / "tasks/main.yml").read_text().split("protostar.platform.service:\n")[1:]
    assert len(calls) == 1
    call = calls[0].split("\n- ")[0].rstrip()
    assert len(call.splitlines()) <= 25
