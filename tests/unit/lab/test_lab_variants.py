"""A variant is an image of its own for whatever it is made of, is built once, and has the fault that it names."""

import asyncio
import json
import runpy

import pytest

from lab import variants
from lab.variants import DIRECTORY, REGISTRY_NAME, variant

FAULT = DIRECTORY / "rootfs/variant/sitecustomize.py"


@pytest.fixture
def registry(monkeypatch, tmp_path):
    """A registry that has what was pushed to it, and the base image that its key names."""
    state, pushed = tmp_path / "images.json", []

    def base(tag):
        state.write_text(json.dumps({"images": [{"name": "nest", "tag": tag, "version": "1.0.0"}]}))

    monkeypatch.setattr(variants, "STATE", state)
    monkeypatch.setattr(variants, "has", lambda _registry, image: image.tag in pushed)
    monkeypatch.setattr(
        variants, "_push", lambda reference, _arguments, _files: pushed.append(reference.split(":")[-1])
    )
    base("1.0.0-aaaaaaa")
    return base, pushed


def test_a_variant_is_built_once(registry):
    first = variant("nest", "1.0.1")
    assert variant("nest", "1.0.1") == first
    assert first.startswith(f"{REGISTRY_NAME}/nest:1.0.1-")
    assert len(registry[1]) == 1


def test_version_fault_and_base_make_another_image(registry):
    base, pushed = registry
    found = [variant("nest", "1.0.1"), variant("nest", "1.0.2"), variant("nest", "1.0.1", "crash")]
    base("1.0.0-bbbbbbb")
    found.append(variant("nest", "1.0.1"))
    assert len(set(found)) == len(pushed) == 4


def answers(monkeypatch, fault, paths):
    """The statuses of an application behind a fault; 0 for a second late."""
    monkeypatch.setenv("FAULT", fault)
    application = runpy.run_path(str(FAULT))["Faulty"]

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def run():
        sent, slept = [], []

        async def send(message):
            sent.append(message)

        async def sleep(seconds):
            slept.append(seconds)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        faulty = application(app)
        found = []
        for path in paths:
            slept.clear()
            sent.clear()
            await faulty({"type": "http", "path": path}, None, send)
            found.append(0 if slept else sent[0]["status"])
        return found

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "expected"),  # health, ready, and a request first and later
    [
        ("none", (200, 200, 200, 200)),
        ("unhealthy", (503, 200, 200, 200)),
        ("unready", (200, 500, 200, 200)),
        ("errors", (200, 200, 200, 500)),
        ("slow", (200, 200, 200, 0)),
    ],
)
def test_a_fault_shows_where_it_should(monkeypatch, fault, expected):
    asked = ["/health", "/ready", *["/version"] * 21]
    found = answers(monkeypatch, fault, asked)
    assert (found[0], found[1], found[2], found[-1]) == expected
    assert set(found[2:-1]) == {200}
