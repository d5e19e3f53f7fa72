"""The roles of the comparison stand on those of the collection, and follow them."""

import re
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader

ROLES = Path(__file__).parents[3] / "bench/usual_style/roles"
# Runs in the place of another, which is measured.
ALTERNATIVES = {"alloy"}
# The usual style mounts the engine's socket itself. The collection, which does more, is measured with it.
ONLY_HERE = {"docker_socket_proxy"}


@pytest.mark.parametrize("role", sorted(path.name for path in ROLES.iterdir()))
def test_internal_variables_exist(role):
    files = [*ROLES.joinpath(role, "vars/main").glob("*.yml"), ROLES / role / "tasks/main.yml"]
    used = {name for file in files for name in re.findall(rf"\b__{role}_\w+", file.read_text())}
    defined = {name for file in files[:-1] for name in DataLoader().load_from_file(str(file))}
    assert used <= defined


def test_every_service_of_the_collection_has_its_counterpart():
    roles = ROLES.parents[2] / "roles"
    services = {
        path.parents[1].name
        for path in roles.glob("*/tasks/main.yml")
        if "protostar.platform.service:" in path.read_text()
    }
    assert {path.name for path in ROLES.iterdir()} == services - ALTERNATIVES - ONLY_HERE
