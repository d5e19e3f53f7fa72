"""Reading and writing the Compose mapping."""

import sys

import pytest
import yaml
from ansible_collections.protostar.platform.plugins.module_utils import _composefile as composefile
from ansible_collections.protostar.platform.plugins.module_utils._composefile import Mount, Port


def test_merge():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert composefile.merge(base, {"a": {"c": [3], "e": None}, "f": {}}) == {
        "a": {"b": 1, "c": [3], "e": None},
        "d": 1,
        "f": {},
    }
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


@pytest.mark.parametrize(
    ("entry", "mount"),
    [
        ("./config:/etc/x:ro", Mount("bind", "./config", "/etc/x", True)),
        ("/:/host:ro,rslave", Mount("bind", "/", "/host", True)),
        ("../up:/x", Mount("bind", "../up", "/x", False)),
        ("~/x:/x", Mount("bind", "~/x", "/x", False)),
        ("data:/data", Mount("volume", "data", "/data", False)),
        ("/data", Mount("volume", "", "/data", False)),
        (
            {"type": "bind", "source": "./c", "target": "/c", "read_only": True},
            Mount("bind", "./c", "/c", True),
        ),
        ({"type": "tmpfs", "target": "/t"}, Mount("tmpfs", "", "/t", False)),
    ],
)
def test_mounts(entry, mount):
    assert composefile.mounts({"volumes": [entry]}) == [mount]


@pytest.mark.parametrize(
    ("entry", "ports"),
    [
        ("80", []),
        ("8080:80", [Port("", 8080, "tcp")]),
        (8080, []),
        ("127.0.0.1:53:53/udp", [Port("127.0.0.1", 53, "udp")]),
        ("[::1]:80:80", [Port("::1", 80, "tcp")]),
        ("3000-3001:3000-3001", [Port("", 3000, "tcp"), Port("", 3001, "tcp")]),
        ({"target": 80, "published": "8080", "host_ip": "198.19.0.10"}, [Port("198.19.0.10", 8080, "tcp")]),
        ({"target": 80}, []),
    ],
)
def test_published(entry, ports):
    assert composefile.published({"ports": [entry]}) == ports


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (Port("", 80, "tcp"), Port("127.0.0.1", 80, "tcp"), True),
        (Port("127.0.0.1", 80, "tcp"), Port("0.0.0.0", 80, "tcp"), True),
        (Port("::", 80, "tcp"), Port("127.0.0.1", 80, "tcp"), True),
        (Port("127.0.0.1", 80, "tcp"), Port("127.0.0.2", 80, "tcp"), False),
        (Port("", 53, "tcp"), Port("", 53, "udp"), False),
        (Port("", 80, "tcp"), Port("", 81, "tcp"), False),
    ],
)
def test_overlap(one, other, overlap):
    assert one.overlaps(other) is other.overlaps(one) is overlap


def test_files_that_a_service_reads():
    compose = {"secrets": {"key": {"file": "./secrets/key"}}, "configs": {"c": {"content": "x"}}}
    service = {
        "volumes": ["./config:/c:ro", "/srv/web/more:/m:ro", "/elsewhere:/e:ro", "data:/d"],
        "secrets": ["key"],
        "configs": [{"source": "c", "target": "/x"}],
        "env_file": ["env/web.env", {"path": "env/more.env"}],
    }
    read = composefile.mounted_files(compose, service, "/srv/web")
    assert read == ["config", "more", "secrets/key", "env/web.env", "env/more.env"]


@pytest.mark.parametrize(
    ("mounted", "dest", "covered"),
    [
        ("config", "config/a", True),
        ("config", "config/a/b", True),
        ("config", "config2/a", False),
        ("config/a", "config/a", True),
        (".", "config/a", True),
    ],
)
def test_covers(mounted, dest, covered):
    assert composefile.covers(mounted, dest) is covered


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("1m30s", 90), ("500ms", 0.5), (5, 5), ("1h", 3600), ("30000000000ns", 30)]
)
def test_seconds(text, seconds):
    assert composefile.seconds(text) == pytest.approx(seconds)


def test_render_on_a_host_without_pyyaml_means_the_same(monkeypatch):
    compose = {"services": {"web": {"image": "a:1", "command": ["sh", "-c", "echo é: #"]}}}
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "yaml", None)
        text = composefile.render(compose, "# header\n")
    assert text.startswith("# header\n")
    assert yaml.safe_load(text) == compose


def test_render_keeps_order_and_meaning():
    compose = {
        "name": "web",
        "services": {
            "web": {"image": "x", "user": "0:0", "labels": {"a": "yes"}, "entrypoint": "one\ntwo\n", "ports": ["22:22"]}
        },
    }
    shared = compose["services"]["web"]["labels"]
    compose["services"]["other"] = {"image": "y", "labels": shared}
    text = composefile.render(compose, "# header\n")
    assert text.startswith("# header\n---\nname: web\n")
    assert yaml.safe_load(text) == compose
    assert "&" not in text
    assert "entrypoint: |" in text


def test_external_networks():
    compose = {"networks": {"data": {"name": "real", "external": True}, "own": None, "edge": {"external": True}}}
    assert composefile.external_networks(compose) == ["real", "edge"]
