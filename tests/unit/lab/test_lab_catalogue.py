"""The catalogue says what is built, and what the inventory is told about it."""

import re
from pathlib import Path

import pytest

from lab.builder import catalogue, engine

IMAGES = catalogue.load()
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_entry_is_whole(image):
    assert (image.directory / "Dockerfile").is_file()
    assert bool(image.package) != bool(image.version)
    assert bool(image.variable) == (image.section != "lab")
    assert re.fullmatch(r"[\w][\w.-]*", image.full_tag(image.version or "1.0~rc1", "a" * 64))


def test_no_variable_is_set_twice():
    variables = [image.variable for image in IMAGES if image.variable] + [
        key for image in IMAGES for key in image.facts
    ]
    assert len(variables) == len(set(variables))


def test_parents_stand_before_children():
    names = [image.name for image in IMAGES]
    for image in IMAGES:
        for argument, parent in {"BASE_IMAGE": "base", "SERVICE_IMAGE": "service", "HOST_IMAGE": "host"}.items():
            if f"ARG {argument}" in (image.directory / "Dockerfile").read_text():
                assert names.index(parent) < names.index(image.name)


def test_hosts_pull_the_services_themselves_in_upstream_mode():
    sections = {image.section for image in catalogue.for_mode(IMAGES, "upstream")}
    assert sections == {"lab", "apps"}
    assert catalogue.for_mode(IMAGES, "debian") == IMAGES


def test_inventory_names_the_built_images_and_their_facts():
    postgres = next(image for image in IMAGES if image.facts)
    variables = catalogue.inventory("debian", {postgres.name: "registry/it:1"}, IMAGES)
    assert variables == {"lab_image_mode": "debian", postgres.variable: "registry/it:1", **postgres.facts}
    assert catalogue.inventory("upstream", {}, IMAGES) == {"lab_image_mode": "upstream"}


def test_changed_image_has_another_tag():
    image = next(image for image in IMAGES if image.package and not image.tag)
    assert image.full_tag("1.2.3", "a" * 64) != image.full_tag("1.2.3", "b" * 64)


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [
        ("1.26.3-3+deb13u11", "1.26.3"),
        ("5:8.0.2-3+deb13u3", "8.0.2"),
        ("2.53.3+ds1-2", "2.53.3"),
        ("20.19.2+dfsg-1+deb13u3", "20.19.2"),
        ("257.13-1~deb13u1", "257.13"),
        ("0.0~20250403-3+b3", "0.0~20250403"),
        ("3.13.5", "3.13.5"),
    ],
)
def test_upstream_version(debian, upstream):
    assert engine.upstream_version(debian) == upstream
