"""The roles of the comparison stand on those of the collection, and follow them."""

import re
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "bench/usual_style/roles"


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))
def test_internal_variables_exist(role):
    files = [*ROLES.joinpath(role, "vars/main").glob("*.yml"), ROLES / role / "tasks/main.yml"]
    used = {name for file in files for name in re.findall(r"\b__\w+", file.read_text())}
    defined = {name for file in files[:-1] for name in yaml.safe_load(file.read_text())}
    assert used <= defined


def test_every_service_of_the_collection_has_its_counterpart():
    roles = ROLES.parents[2] / "roles"
    services = {
        path.parents[1].name
        for path in roles.glob("*/tasks/main.yml")
        if "protostar.platform.service:" in path.read_text()
    }
    assert {path.name for path in ROLES.iterdir()} == services
