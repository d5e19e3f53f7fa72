"""Choosing the mode, the order and the mirrors, without an engine or a network."""

import threading
import time

import pytest

from lab.builder import build, catalogue, engine, mode, progress, source


@pytest.mark.parametrize(
    ("asked", "reachable", "expected"),
    [
        ("auto", {"docker.io", "quay.io", "ghcr.io"}, "upstream"),
        ("auto", {"docker.io", "quay.io"}, "debian"),
        ("auto", set(), "debian"),
        ("debian", {"docker.io", "quay.io", "ghcr.io"}, "debian"),
        ("upstream", set(), "upstream"),
    ],
)
def test_mode(asked, reachable, expected):
    urls = {mode.REGISTRIES[name] for name in reachable}
    chosen, reason = mode.choose(asked, urls.__contains__)
    assert chosen == expected
    if asked == "auto":
        assert all(name in reason for name in set(mode.REGISTRIES) - reachable)


def test_silent_registry_does_not_hold_up_the_choice():
    release = threading.Event()
    began = time.monotonic()
    assert mode.choose("auto", lambda url: release.wait(10), patience=0.1)[0] == "debian"
    assert time.monotonic() - began < 2
    release.set()


def test_jobs_run_after_those_they_need():
    done = []
    jobs = {name: lambda name=name: done.append(name) or "built" for name in ("child", "other", "parent")}
    progress.run(jobs, {"child": ["parent", "not asked for"]}, at_once=2)
    assert sorted(done) == sorted(jobs)
    assert done.index("parent") < done.index("child")


def test_failure_is_raised_and_nothing_begins_after_it():
    done = []

    def fail():
        raise engine.BuildError("broken")

    with pytest.raises(engine.BuildError, match="broken"):
        progress.run({"parent": fail, "child": lambda: done.append("child") or ""}, {"child": ["parent"]}, at_once=2)
    assert not done


def test_slow_job_gives_a_sign_of_life(monkeypatch, capsys):
    monkeypatch.setattr(progress, "HEARTBEAT", 0.05)
    progress.run({"slow": lambda: time.sleep(0.2) or "built"}, {}, at_once=1)
    output = capsys.readouterr()
    assert "slow" in output.err
    assert "built" in output.out


def sources():
    return {image.name: item for image, item in zip(IMAGES, source.collect(IMAGES, {}, {}).values(), strict=True)}


IMAGES = catalogue.load()


def test_named_image_brings_its_parents():
    assert build.with_parents(["client"], sources()) == ["base", "host", "client"]


def test_images_of_one_directory_share_layers():
    after = build.order(sources())
    assert "grafana" in after["loki"]
    assert "grafana" not in after["grafana"]


def test_misspelt_image_is_refused():
    with pytest.raises(engine.BuildError, match="ngnix"):
        build.chosen(IMAGES, ["ngnix"])


@pytest.mark.parametrize(
    ("release", "path", "lists", "expected"),
    [
        ("ID=ubuntu\n", "sources.list", "deb http://archive.example/ubuntu noble main\n", {}),
        (
            "ID=debian\n",
            "sources.list",
            "# deb http://old.example/debian x main\n"
            "deb [arch=amd64] http://a.example/debian bookworm main\ndeb http://s.example/debian-security x main\n",
            {"MIRROR": "http://a.example/debian", "SECURITY_MIRROR": "http://s.example/debian-security"},
        ),
        (
            "ID=debian\n",
            "sources.list.d/debian.sources",
            "Types: deb\nURIs: https://b.example/debian/\nSuites: trixie\n",
            {"MIRROR": "https://b.example/debian/"},
        ),
        (
            "ID=debian\n",
            "sources.list.d/vendor.list",
            "deb https://vendor.example/apt stable main\n",
            {},
        ),
    ],
)
def test_mirrors_of_this_machine(tmp_path, release, path, lists, expected):
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "os-release").write_text(release)
    (tmp_path / "apt" / path).write_text(lists)
    assert build.machine_mirrors(tmp_path) == expected
