"""The line through a relay, in the lab's nginx: whose word is taken for who the client is, and who gets no answer."""

import json
import socket
import ssl
import struct
import time
import uuid

import pytest
from conftest import Container, docker
from edge_rig import GATEWAY, NAME, Relayed, ask, header, once, relayed, running, until

VISITOR, OTHER, SIXTH = "203.0.113.9", "203.0.113.10", "2001:db8::9"
# What nginx passes on is answered by itself.
EXTRA = """
limit_req_zone $binary_remote_addr zone=each:1m rate=1r/m;
server {
  listen 127.0.1.9:3009;
  set $edge_app "";
  default_type application/json;
  add_header Alt-Svc 'h3=":3009"';
  return 200 '["$http_x_forwarded_for", "$http_x_real_ip", "$http_x_forwarded_proto", "$http_host"]';
}"""
VARIABLES = {
    "nginx_publish_proxy": "8443",
    "nginx_publish_proxy_http": "8080",
    "nginx_proxy_sources": GATEWAY,
    "nginx_upstreams": {"told": {"address": "127.0.1.9", "port": 3009}},
    "nginx_headers": {"alt-svc": r"h3=\":443\"", "X-Frame-Options": "DENY"},
    "nginx_sites": [
        {
            "server_name": NAME,
            "locations": [
                {"path": "/", "app": "one", "timeout": "1h"},
                {"path": "/told", "upstream": "told"},
                {"path": "/limited", "upstream": "told", "directives": ["limit_req zone=each"]},
                {"path": "/moved", "directives": ["return 302 /told"]},
            ],
        }
    ],
    "nginx_config_extra": EXTRA,
}


@pytest.fixture(scope="module")
def rig(references, tmp_path_factory):
    """nginx and an application, which all tests share; the tests themselves are the relay."""
    with running("proxy", tmp_path_factory.mktemp("edge"), references["nginx"], docker, Container, **VARIABLES) as made:
        yield made


def http2(rig, client, path):
    """Ask over HTTP/2, in as few frames as RFC 9113 wants, and return the first byte of the answer's header block."""
    connection = relayed(rig, client, protocols=["h2"])
    assert connection.selected_alpn_protocol() == "h2"
    # GET, https, then the path and the authority as literals without an index.
    block = b"\x82\x87" + b"".join(
        bytes([index, len(text)]) + text.encode() for index, text in ((0x04, path), (0x01, NAME))
    )
    frames = struct.pack(">I", 0)[1:] + b"\x04\x00" + bytes(4)
    frames += struct.pack(">I", len(block))[1:] + b"\x01\x05" + struct.pack(">I", 1) + block
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames)
    answer = connection.makefile("rb")
    while True:
        head = answer.read(9)
        content = answer.read(int.from_bytes(head[:3], "big"))
        if head[3] == 1:
            connection.close()
            return content[0]


def logged(rig, path):
    """The entry of the access log for a path that was asked for once."""
    found = []

    def look():
        found[:] = [
            entry
            for line in docker("logs", rig.nginx.name).stdout.splitlines()
            if line.startswith("{") and (entry := json.loads(line))["uri"] == path
        ]
        return found

    until(look)
    [entry] = found
    return entry


def unique():
    return f"/{uuid.uuid4().hex}"


@pytest.mark.parametrize("client", [VISITOR, SIXTH])
def test_the_log_has_the_client_that_the_relay_told(rig, client):
    path = unique()
    assert once(rig, client, path).status == 200
    entry = logged(rig, path)
    assert (entry["client"], entry["protocol"], entry["status"]) == (client, "HTTP/1.1", 200)


def test_the_log_has_the_client_of_http_2(rig):
    path = unique()
    assert http2(rig, VISITOR, path) == 0x88, "status 200, by its index of HPACK"
    entry = logged(rig, path)
    assert (entry["client"], entry["protocol"], entry["status"]) == (VISITOR, "HTTP/2.0", 200)


def test_the_log_and_the_sessions_have_the_client_of_a_websocket(rig):
    path = unique()
    connection = Relayed(rig, VISITOR)
    connection.request("GET", path, headers={"Host": NAME, "Upgrade": "websocket", "Connection": "Upgrade"})
    assert connection.sock.recv(4096).startswith(b"HTTP/1.1 101")
    assert [session["client"] for session in rig.sessions("one", "green") if session["path"] == path] == [VISITOR]
    connection.sock.sendall(b"hello")
    assert connection.sock.recv(100) == b"hello"
    connection.close()
    entry = logged(rig, path)
    assert (entry["client"], entry["status"]) == (VISITOR, 101)


def test_a_client_cannot_say_that_he_is_another(rig):
    forged = {"X_Forwarded_For": OTHER, "X_Real_IP": OTHER, "Forwarded": f"for={OTHER}", "X_Forwarded_Proto": "http"}
    connection = Relayed(rig, VISITOR)
    for _ in range(2):
        assert ask(connection, "/told", **forged).json == [VISITOR, VISITOR, "https", NAME]
    assert ask(rig.connection(), "/told", **forged).json == [rig.gateway, rig.gateway, "https", NAME]


def test_a_second_header_is_no_header(rig):
    begun = socket.create_connection((rig.address, 8443), timeout=20)
    begun.sendall(header(VISITOR) + header(OTHER))
    assert b"400 Bad Request" in begun.recv(4096)
    begun.close()


def test_nobody_but_the_relay_is_believed(rig):
    path = unique()
    # Asked from beside nginx, which is no source.
    command = ["curl", "-sSk", "--haproxy-clientip", OTHER, "--resolve", f"{NAME}:8443:127.0.0.1"]
    assert json.loads(rig.nginx.output(*command, f"https://{NAME}:8443/told"))[:2] == ["127.0.0.1", "127.0.0.1"]
    rig.nginx.output(*command, f"https://{NAME}:8443{path}")
    assert logged(rig, path)["client"] == "127.0.0.1"


def test_limits_are_those_of_each_client(rig):
    assert [once(rig, VISITOR, "/limited").status for _ in range(2)] == [200, 429]
    assert once(rig, OTHER, "/limited").status == 200
    assert rig.get("/limited").status == 200


def test_the_line_of_the_lan_is_as_it_was(rig):
    path = unique()
    answer = rig.get(path)
    assert (answer.status, answer.headers["X-Frame-Options"]) == (200, "DENY")
    assert logged(rig, path)["client"] == rig.gateway


def test_http_3_is_told_of_on_the_line_of_the_lan_alone(rig):
    for path in ("/", "/told"):
        assert rig.get(path).headers.get_all("Alt-Svc") == ['h3=":443"']
        answer = once(rig, VISITOR, path)
        assert answer.headers.get_all("Alt-Svc") is None
        assert answer.headers["X-Frame-Options"] == "DENY"


def test_who_is_led_elsewhere_stays_at_the_port_of_the_relay(rig):
    assert once(rig, VISITOR, "/moved").headers["Location"] == f"https://{NAME}/told"


def test_a_connection_without_a_header_is_refused(rig):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        relayed(rig, None)
    begun = socket.create_connection((rig.address, 8443), timeout=20)
    begun.sendall(f"GET /told HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    assert ended(begun) == b""


def ended(connection):
    """What came until the other side ended the connection."""
    received = b""
    try:
        while part := connection.recv(4096):
            received += part
    except ConnectionError:
        pass
    connection.close()
    return received


@pytest.mark.parametrize("port", [80, 443])
def test_a_header_is_refused_where_none_is_wanted(rig, port):
    begun = socket.create_connection((rig.address, port), timeout=20)
    begun.sendall(header(VISITOR) + f"GET /told HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    assert ended(begun).startswith(b"HTTP/1.1 400")
    if port == 443:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            relayed(rig, VISITOR, port=443)


@pytest.mark.parametrize("name", ["other.test", None])
def test_a_name_that_no_site_has_gets_no_certificate(rig, name):
    with pytest.raises(ssl.SSLError) as refused:
        relayed(rig, VISITOR, name=name)
    assert refused.value.reason == "TLSV1_UNRECOGNIZED_NAME"


def test_a_silent_connection_is_closed_soon(rig):
    began = time.monotonic()
    silent = {
        what: socket.create_connection((rig.address, 8443), timeout=20) for what in ("all", "tls", "part", "slow")
    }
    silent["tls"].sendall(header(VISITOR))
    silent["part"].sendall(header(VISITOR)[:10])
    # The beginning of a ClientHello, a byte at a time.
    silent["slow"].sendall(header(VISITOR))
    slowly = bytes.fromhex("1603010200010001fc0303") + bytes(40)
    closed = {}
    while len(closed) < len(silent) and time.monotonic() < began + 15:
        for what, connection in silent.items():
            if what in closed:
                continue
            connection.settimeout(0.05)
            try:
                if what == "slow" and slowly:
                    connection.sendall(slowly[:1])
                    slowly = slowly[1:]
                if not connection.recv(100):
                    closed[what] = time.monotonic() - began
            except TimeoutError:
                pass
            except ConnectionError:
                closed[what] = time.monotonic() - began
    assert set(closed) == set(silent)
    assert all(4 < seconds < 8 for what, seconds in closed.items() if what != "part"), closed
    assert closed["part"] < 8


def plain(rig, port, text):
    """What nginx says to a text over a connection without TLS."""
    with socket.create_connection((rig.address, port), timeout=20) as begun:
        begun.sendall(text)
        return begun.makefile("rb").read()


def test_http_behind_the_relay_is_sent_to_https_and_logged_as_the_clients(rig):
    path = f"/{uuid.uuid4().hex}"
    request = f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
    answer = plain(rig, 8081, header(VISITOR) + request)
    assert answer.startswith(b"HTTP/1.1 301 ")
    assert f"https://{NAME}{path}".encode() in answer
    until(lambda: path in rig.nginx.logs())
    [entry] = [json.loads(line) for line in rig.nginx.logs().splitlines() if path in line and line.startswith("{")]
    assert entry["client"] == VISITOR
    # The two lines of HTTP are two sockets as well.
    assert not plain(rig, 8081, request).startswith(b"HTTP/1.1 301 ")
    assert not plain(rig, 80, header(VISITOR) + request).startswith(b"HTTP/1.1 301 ")
