"""What the role images pulls, with and without a lock."""

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

VARIABLES = Path(__file__).parents[3] / "roles/images/vars/main.yml"


@pytest.mark.parametrize(
    ("context", "pulled"),
    [
        ({}, ["a:1", "b:2"]),
        ({"platform_images_lock": {"a:1": "a:1@sha256:aa", "c:3": "c:3@sha256:cc"}}, ["a:1@sha256:aa", "b:2"]),
    ],
)
def test_what_is_in_the_lock_is_pulled_by_its_digest(context, pulled):
    variables = DataLoader().load_from_file(str(VARIABLES), trusted_as_template=True)
    stack = {"containers": [{"image": image} for image in ("a:1", "b:2", "a:1")]}
    templar = Templar(loader=DataLoader(), variables={**variables, "__images_stack": stack, **context})
    assert templar.template(variables["__images_locked"]) == pulled
