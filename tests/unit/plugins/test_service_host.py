"""What touches the host in small ways: ports, lock, files, engine, Compose's messages, the preflight, the status."""

import http.server
import json
import os
import socketserver
import threading

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _files, _lock, _preflight
from ansible_collections.protostar.platform.plugins.module_utils._compose import message
from ansible_collections.protostar.platform.plugins.module_utils._composefile import Port
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine, EngineError, EngineUnavailable
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._observe import container
from ansible_collections.protostar.platform.plugins.module_utils._ports import conflicts
from ansible_collections.protostar.platform.plugins.module_utils._release import File, Release
from ansible_collections.protostar.platform.plugins.module_utils._status import described

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F91 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx rx tr tm retrnsmt uid t inode
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 4713 1 0 100 0 0
"""


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TCP)
    (tmp_path / "net" / "tcp6").write_text(TCP6)
    (tmp_path / "42" / "fd").mkdir(parents=True)
    (tmp_path / "42" / "comm").write_text("squid\n")
    (tmp_path / "42" / "fd" / "7").symlink_to("socket:[4711]")
    return tmp_path


def summary(name, project, port=8080, address="0.0.0.0"):
    return {
        "Names": [f"/{name}"],
        "Labels": {"com.docker.compose.project": project},
        "Ports": [{"IP": address, "PrivatePort": 80, "PublicPort": port, "Type": "tcp"}],
    }


@pytest.mark.parametrize(
    ("port", "summaries", "said"),
    [
        (Port("", 8080, "tcp"), [], ["port 8080/tcp is taken by squid (process 42)"]),
        (Port("127.0.0.1", 8080, "tcp"), [], ["port 127.0.0.1:8080/tcp is taken by squid (process 42)"]),
        (Port("198.19.0.10", 8080, "tcp"), [], []),
        (Port("", 8080, "udp"), [], []),
        (Port("", 8081, "tcp"), [], []),
        (Port("127.0.0.1", 22, "tcp"), [], ["port 127.0.0.1:22/tcp is taken by another process"]),
        (Port("", 8080, "tcp"), [summary("web", "web")], []),
        (Port("", 8080, "tcp"), [summary("x", "other")], ["port 8080/tcp is taken by container x"]),
        (Port("", 8082, "tcp"), [summary("x", "other", 8082)], ["port 8082/tcp is taken by container x"]),
    ],
)
def test_ports(proc, port, summaries, said):
    assert list(conflicts([port], "web", summaries, proc)) == said


class World:
    """What the preflight asks of an engine."""

    def __init__(self, *summaries):
        self.summaries = list(summaries)

    def containers(self):
        return self.summaries

    def networks(self):
        return {"there"}


def release(**service):
    networks = {"data": {"name": "there", "external": True}}
    return Release("web", "/srv/web", {"services": {"web": {"image": "x", **service}}, "networks": networks})


def labelled(name, project, directory):
    labels = {"com.docker.compose.project": project, "com.docker.compose.project.working_dir": directory}
    return {"Names": [f"/{name}"], "Labels": {key: value for key, value in labels.items() if value}}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (labelled("web", "web", "/srv/web"), None),
        (labelled("web", "other", "/srv/other"), "belongs to the service other"),
        (labelled("web", None, None), "belongs to a container made by hand"),
        (labelled("x", "web", "/home/me/web"), "already runs from /home/me/web"),
        (labelled("x", "other", "/srv/other"), None),
    ],
)
def test_names(found, said):
    if said is None:
        _preflight.check(release(container_name="web"), World(found))
        return
    with pytest.raises(ServiceError, match=said):
        _preflight.check(release(container_name="web"), World(found))


def test_the_lock_names_its_owner(tmp_path):
    path = tmp_path / "below" / ".web.lock"
    with (
        _lock.held(path),
        pytest.raises(ServiceError, match=rf"for \d+ s \(process {os.getpid()}\)"),
        _lock.held(path, patience=0),
    ):
        pass
    with _lock.held(path, patience=0):
        pass


def test_a_file_is_put_whole_with_its_mode_and_owner(tmp_path):
    file = File("a/b/c", "text\r\nä", 0o440, os.getuid())
    previous = os.umask(0o077)
    try:
        _files.put(tmp_path, file)
    finally:
        os.umask(previous)
    assert _files.look(tmp_path / "a/b/c") == file.seal
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["c"]


def test_what_is_no_plain_file_is_not_the_file(tmp_path):
    file = File("a/link", "text", 0o444, os.getuid())
    (tmp_path / "a").mkdir()
    (tmp_path / "target").write_text("text")
    (tmp_path / "a/link").symlink_to(tmp_path / "target")
    assert _files.look(tmp_path / "a/link") != file.seal
    _files.put(tmp_path, file)
    assert _files.look(tmp_path / "a/link") == file.seal
    assert (tmp_path / "target").read_text() == "text"
    assert _files.look(tmp_path / "nowhere/at/all") is None


@pytest.mark.parametrize(
    ("stdout", "stderr", "said"),
    [
        (
            "",
            " Container web  Creating\nError response from daemon: no such image\n",
            "Error response from daemon: no such image",
        ),
        ("line 3: bad\n", "", "line 3: bad"),
        ("", "unknown command: docker compose\n", "Compose v2 is not installed"),
        (
            "",
            'time="x" level=warning msg="y"\nservices.web.ports must be a list\n',
            "services.web.ports must be a list",
        ),
    ],
)
def test_what_compose_said(stdout, stderr, said):
    assert message(stdout, stderr).startswith(said)


class Daemon(http.server.BaseHTTPRequestHandler):
    """An engine of a given API version that remembers what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked.append(self.path)
        status, body = 200, b"[]"
        if self.path.endswith("/missing/json"):
            status, body = 404, b'{"message": "No such container"}'
        elif self.path.endswith("/broken/json"):
            status, body = 500, b'{"message": "disk on fire"}'
        elif "/logs" in self.path:
            body = b"\x01\0\0\0\0\0\0\x04one\n" + b"\x02\0\0\0\0\0\0\x04two\n"
        self.send_response(status)
        self.send_header("Api-Version", self.server.version)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "unix"

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def daemon(tmp_path):
    class Server(socketserver.UnixStreamServer):
        version, asked = "1.41", []

    Server.asked = []
    with Server(str(tmp_path / "docker.sock"), Daemon) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(("offered", "spoken"), [("1.41", "v1.41"), ("1.44", "v1.44"), ("1.52", "v1.44")])
def test_the_api_version_is_negotiated(daemon, offered, spoken):
    type(daemon).version = offered
    engine = Engine(daemon.server_address)
    assert engine.containers("web") == []
    assert daemon.asked[0] == "/_ping"
    assert daemon.asked[1].startswith(f"/{spoken}/containers/json?all=1&filters=")


def test_answers(daemon):
    engine = Engine(daemon.server_address)
    assert engine.container("missing") is None
    assert engine.logs("x") == "one\ntwo"
    with pytest.raises(EngineError, match="disk on fire"):
        engine.container("broken")


def test_an_engine_that_is_stopped(tmp_path):
    with pytest.raises(EngineUnavailable, match="systemctl start docker"):
        Engine(str(tmp_path / "docker.sock")).containers()


def details(image, labels=None, ports=None):
    return {
        "Id": "1",
        "Name": "/web",
        "Image": "sha256:1",
        "State": {"Status": "running", "StartedAt": "2026-01-01T00:00:00Z"},
        "HostConfig": {},
        "NetworkSettings": {
            "Ports": ports or {},
            "Networks": {"edge": {"IPAddress": "10.201.1.11"}, "x": {"IPAddress": ""}},
        },
        "Config": {"Image": image, "Labels": {"com.docker.compose.service": "web", **(labels or {})}},
    }


@pytest.mark.parametrize(
    ("image", "labels", "version"),
    [
        ("redis:8.2", {}, "8.2"),
        ("registry:5000/redis", {}, "latest"),
        ("registry:5000/redis:8.2@sha256:abc", {}, "8.2"),
        ("redis@sha256:abc", {}, "sha256:abc"),
        ("redis:8", {"org.opencontainers.image.version": "8.2.3"}, "8.2.3"),
    ],
)
def test_the_version(image, labels, version):
    assert described("web", {"web": container(details(image, labels))}, None)[0]["version"] == version


def test_addresses_and_stand_ins():
    both = {"443/tcp": [{"HostIp": "0.0.0.0", "HostPort": "443"}, {"HostIp": "::", "HostPort": "443"}], "80/tcp": None}
    published = described("web", {"web": container(details("x", {"protostar.stand-in": "true"}, both))}, None)[0]
    assert published["addresses"] == ["0.0.0.0:443→443/tcp"]
    assert published["stand_in"] is True
    inside = described("web", {"web": container(details("x"))}, None)[0]
    assert inside["addresses"] == ["10.201.1.11"]
    assert json.dumps(inside)
