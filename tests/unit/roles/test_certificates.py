"""What the role certificates asks its program for."""

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).parents[3] / "roles/certificates"


def wanted(**entry):
    """Return what an entry of certificates_list comes to."""
    files = [
        DataLoader().load_from_file(str(ROLE / path), trusted_as_template=True)
        for path in ("defaults/main.yml", "vars/main.yml")
    ]
    variables = {**files[0], **files[1], "ansible_search_path": [str(ROLE)], "certificates_list": [entry]}
    return Templar(loader=DataLoader(), variables=variables).template(variables["__certificates_wanted"])[0]


def test_an_entry_is_completed():
    assert wanted(name="www.example.com") == {
        **{"name": "www.example.com", "domains": ["www.example.com"], "source": "acme", "key_type": "ecdsa"},
        **{"addresses": [], "client": False, "fullchain": "", "key": ""},
    }


# An inventory in INI, and -e, have words only.
@pytest.mark.parametrize(("given", "client"), [(True, True), ("yes", True), (False, False), ("false", False)])
def test_a_word_for_no_is_no(given, client):
    assert wanted(name="peer", source="authority", client=given)["client"] is client


def test_no_host_is_given_the_key_of_the_authority():
    tasks = [task for file in (ROLE / "tasks").glob("*.yml") for task in yaml.safe_load(file.read_text())]
    given = [task for task in tasks if "certificates_authority_key" in str(task)]
    assert len(given) == 2
    assert {task["delegate_to"] for task in given} == {"localhost"}
