"""The plan: tables of what is on the host, what is desired, and what must follow."""

from dataclasses import replace

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._observe import Container, Current
from ansible_collections.protostar.platform.plugins.module_utils._plan import Plan, Reload, actions, plan
from ansible_collections.protostar.platform.plugins.module_utils._release import (
    Command,
    File,
    Record,
    Release,
    Running,
    digest,
)

CONFIG, KEY = File("config/a.conf", "a", 0o444, 0), File("secrets/key", "k", 0o400, 999, secret=True)
COMPOSE = {
    "services": {
        "web": {
            "image": "web:1",
            "volumes": ["./config:/c:ro", {"type": "bind", "source": "./secrets", "target": "/s"}],
        },
        "exporter": {"image": "exporter:1", "volumes": ["./secrets:/s:ro"]},
    }
}
DESIRED = Release("web", "/srv/web", COMPOSE, (CONFIG, KEY))


def running(service):
    return Running(f"id-{service}", service, f"sha256:{service}", "hash", (0, 0, 0, "always"), ("net",))


def container(service, **changes):
    fields = {"state": "running", "health": "healthy", "exit_code": 0, "oom_killed": False, "restarts": 0}
    return Container(service=service, running=running(service), **{**fields, **changes})


def record(release):
    return Record(
        id=3,
        digest=release.digest,
        created="",
        compose=digest(release.compose),
        compose_file="text",
        definitions=release.definitions,
        images={"web:1": "sha256:web", "exporter:1": "sha256:exporter"},
        files=release.seals,
        containers={name: running(name) for name in release.services},
    )


CONVERGED = Current(
    record=record(DESIRED),
    compose="text",
    files=DESIRED.seals,
    containers={name: container(name) for name in DESIRED.services},
    images={"web:1": "sha256:web", "exporter:1": "sha256:exporter"},
)


def with_container(name, **changes):
    return replace(CONVERGED, containers={**CONVERGED.containers, name: container(name, **changes)})


def drifted(**changes):
    """The container of web with something about it changed since the record was made."""
    found = replace(container("web"), running=replace(running("web"), **changes))
    return replace(CONVERGED, containers={**CONVERGED.containers, "web": found})


def without(name):
    return replace(CONVERGED, containers={key: value for key, value in CONVERGED.containers.items() if key != name})


def with_file(dest, **changes):
    return replace(CONVERGED, files={**CONVERGED.files, dest: replace(CONVERGED.files[dest], **changes)})


def test_nothing_to_do():
    assert plan(CONVERGED, DESIRED) == Plan()
    assert not plan(CONVERGED, DESIRED).changed
    assert actions(Plan(), done=True) == []


def test_a_host_with_nothing_on_it():
    todo = plan(Current(), DESIRED)
    assert todo.release
    assert set(todo.write) == {"compose.yaml", "config/a.conf", "secrets/key"}
    assert set(todo.start) == {"web", "exporter"}
    assert todo.pull == ("exporter:1", "web:1")
    assert not todo.recreate


@pytest.mark.parametrize(
    ("current", "write", "start", "recreate"),
    [
        (without("web"), {}, {"web": "missing"}, {}),
        (with_container("web", state="exited", exit_code=9), {}, {"web": "stopped (exit code 9)"}, {}),
        (with_container("web", state="created"), {}, {"web": "never started"}, {}),
        (with_container("web", state="paused"), {}, {}, {"web": "paused"}),
        (with_container("web", state="restarting"), {}, {}, {"web": "restarting"}),
        (with_container("web", health="unhealthy"), {}, {}, {"web": "unhealthy"}),
        (with_container("web", health="starting"), {}, {}, {}),
        (drifted(id="by hand, but the same"), {}, {}, {}),
        (drifted(image="sha256:other"), {}, {}, {"web": "runs another image than was released"}),
        (drifted(config_hash="other"), {}, {}, {"web": "was recreated with another definition"}),
        (drifted(limits=(1, 0, 0, "always")), {}, {}, {"web": "its limits were changed"}),
        (drifted(networks=()), {}, {}, {"web": "its networks were changed"}),
        (drifted(name="other"), {}, {}, {"web": "was renamed"}),
        (replace(CONVERGED, interrupted=frozenset({"web"})), {}, {}, {"web": "its repair was interrupted"}),
        (replace(CONVERGED, compose="other"), {"compose.yaml": "edited by hand"}, {}, {}),
        (replace(CONVERGED, compose=None), {"compose.yaml": "missing"}, {}, {}),
        (
            with_file("config/a.conf", sha256="other"),
            {"config/a.conf": "edited by hand"},
            {},
            {"web": "config/a.conf changed"},
        ),
        (
            with_file("secrets/key", mode=0o644),
            {"secrets/key": "mode 0644 instead of 0400"},
            {},
            {"web": "secrets/key changed", "exporter": "secrets/key changed"},
        ),
        (
            with_file("config/a.conf", owner=7),
            {"config/a.conf": "owner 7 instead of 0"},
            {},
            {"web": "config/a.conf changed"},
        ),
        (
            replace(CONVERGED, files={"secrets/key": KEY.seal}),
            {"config/a.conf": "missing"},
            {},
            {"web": "config/a.conf changed"},
        ),
    ],
)
def test_drift_is_repaired_within_the_release(current, write, start, recreate):
    todo = plan(current, DESIRED)
    assert (todo.write, todo.start, todo.recreate) == (write, start, recreate)
    assert not todo.release
    assert todo.changed is bool(write or start or recreate)
    assert len(actions(todo, done=False)) == len(write) + len(start) + len(recreate)


def desired(*, compose=COMPOSE, files=(CONFIG, KEY), **changes):
    return Release("web", "/srv/web", compose, files, **changes)


def changed(service, **changes):
    services = COMPOSE["services"]
    return {"services": {**services, service: {**services[service], **changes}}}


@pytest.mark.parametrize(
    ("release", "write", "remove", "recreate", "start", "orphans"),
    [
        (
            desired(files=(replace(CONFIG, content="b"), KEY)),
            {"config/a.conf": "changed"}, (), {"web"}, set(), (),
        ),
        (desired(files=(CONFIG,)), {}, ("secrets/key",), {"web", "exporter"}, set(), ()),
        (
            desired(files=(CONFIG, KEY, File("config/b.conf", "", 0o444, 0))),
            {"config/b.conf": "new"}, (), {"web"}, set(), (),
        ),
        (
            desired(files=(CONFIG, KEY, File("elsewhere/b.conf", "", 0o444, 0))),
            {"elsewhere/b.conf": "new"}, (), set(), set(), (),
        ),
        (desired(compose=changed("web", image="web:2")), {"compose.yaml": "changed"}, (), {"web"}, set(), ()),
        (
            desired(compose={"services": {"web": COMPOSE["services"]["web"]}}),
            {"compose.yaml": "changed"}, (), set(), set(), ("exporter",),
        ),
        (
            desired(compose={"services": {**COMPOSE["services"], "new": {"image": "new:1"}}}),
            {"compose.yaml": "changed"}, (), set(), {"new"}, (),
        ),
        (
            desired(compose={"services": {**COMPOSE["services"], "tool": {"image": "t", "profiles": ["by-hand"]}}}),
            {"compose.yaml": "changed"}, (), set(), set(), (),
        ),
        (
            desired(compose={**COMPOSE, "volumes": {"data": {}}}),
            {"compose.yaml": "changed"}, (), {"web", "exporter"}, set(), (),
        ),
        (desired(provision=(Command("web", ("true",)),)), {}, (), set(), set(), ()),
    ],
)  # fmt: skip
def test_a_changed_release(release, write, remove, recreate, start, orphans):  # noqa: PLR0917  a row of the table
    todo = plan(CONVERGED, release)
    assert todo.release
    assert todo.changed
    assert (todo.write, todo.remove, set(todo.recreate), set(todo.start), todo.orphans) == (
        write, remove, recreate, start, orphans,
    )  # fmt: skip
    assert todo.provision is bool(release.provision)


def test_only_images_that_are_needed_are_pulled():
    absent = replace(CONVERGED, images={})
    assert plan(absent, DESIRED).pull == ()
    assert plan(absent, desired(compose=changed("web", image="web:2"))).pull == ("web:2",)


RELOAD = Reload("web", signal="HUP", files=("config/*", "secrets/*"))


@pytest.mark.parametrize(
    ("current", "release", "reloaded", "recreate"),
    [
        (CONVERGED, desired(files=(replace(CONFIG, content="b"), KEY)), ("config/a.conf",), set()),
        (CONVERGED, desired(files=(CONFIG, replace(KEY, content="l"))), ("secrets/key",), {"exporter"}),
        (CONVERGED, desired(files=(KEY,)), ("config/a.conf",), set()),
        (with_file("config/a.conf", sha256="x"), DESIRED, ("config/a.conf",), set()),
        (with_container("web", state="exited"), desired(files=(replace(CONFIG, content="b"), KEY)), (), set()),
        (
            CONVERGED,
            desired(compose=changed("web", image="web:2"), files=(replace(CONFIG, content="b"), KEY)),
            (),
            {"web"},
        ),
    ],
)
def test_a_reload_instead_of_a_new_container(current, release, reloaded, recreate):
    todo = plan(current, release, RELOAD)
    assert todo.reload == reloaded
    assert set(todo.recreate) == recreate


def test_a_file_outside_the_reload_patterns_recreates():
    todo = plan(CONVERGED, desired(files=(replace(CONFIG, content="b"), KEY)), replace(RELOAD, files=("secrets/*",)))
    assert todo.reload == ()
    assert set(todo.recreate) == {"web"}


def test_a_service_that_must_be_recreated_anyway_is_not_reloaded():
    files = (replace(CONFIG, content="b"), replace(KEY, content="l"))
    todo = plan(CONVERGED, desired(files=files), replace(RELOAD, files=("config/*",)))
    assert todo.reload == ()
    assert set(todo.recreate) == {"web", "exporter"}


def test_a_record_survives_its_file():
    assert Record.from_json(CONVERGED.record.to_json()) == CONVERGED.record


DIGEST = "web:1@sha256:aa"
LOCKED = replace(
    DESIRED, compose={"services": {**COMPOSE["services"], "web": {**COMPOSE["services"]["web"], "image": DIGEST}}}
)


@pytest.mark.parametrize(
    ("found", "recreate"),
    [
        ({DIGEST: "sha256:web"}, {}),
        ({DIGEST: "sha256:other"}, {"web": "its definition changed"}),
        ({}, {"web": "its definition changed"}),
    ],
)
def test_another_name_of_the_image_that_runs_recreates_nothing(found, recreate):
    todo = plan(replace(CONVERGED, images={**CONVERGED.images, **found}), LOCKED)
    assert todo.recreate == recreate
    assert todo.release
    assert todo.pull == (() if found else (DIGEST,))
    assert todo.write == {"compose.yaml": "changed"}


def test_another_name_of_the_image_hides_no_other_change():
    limited = {**LOCKED.compose["services"]["web"], "mem_limit": "1g"}
    desired = replace(LOCKED, compose={"services": {**LOCKED.compose["services"], "web": limited}})
    current = replace(CONVERGED, images={**CONVERGED.images, DIGEST: "sha256:web"})
    assert plan(current, desired).recreate == {"web": "its definition changed"}


def test_another_name_of_the_image_hides_no_drift():
    current = replace(drifted(image="sha256:other"), images={**CONVERGED.images, DIGEST: "sha256:web"})
    assert plan(current, LOCKED).recreate == {"web": "runs another image than was released"}
