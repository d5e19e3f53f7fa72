"""What the lab's nginx lets nobody do: guess passwords, ask for more than a share, or see what is not for everybody."""

import base64
import re
import socket
import ssl
import time
import uuid

import pytest
from conftest import Container, docker
from edge_rig import APPS, GATEWAY, NAME, once, relayed, running, until

VISITOR, OTHER = "203.0.113.9", "203.0.113.10"
PASSWORD, SECOND = "operator:what only the operator knows", "guest:what only the guest knows"
BURST = 5
FORGED = ["Forwarded", "X-Original-URL", "X-Rewrite-URL", "X-Real-IP", "X-Client-IP", "True-Client-IP", "Proxy"]
FORGED += [f"X-Forwarded-{what}" for what in ("For", "Host", "Port", "Prefix", "Proto", "Server")]
SHOWN = ", ".join(f'"{name}": "$http_{name.lower().replace("-", "_")}"' for name in FORGED)
VARIABLES = {
    "nginx_publish_proxy": "8443",
    "nginx_proxy_sources": GATEWAY,
    "nginx_http3": True,
    # So slowly that no attempt is forgiven while a test runs.
    "nginx_login_rate": "1r/m",
    "nginx_login_burst": BURST,
    "nginx_client_max_requests": 20,
    "nginx_users": [dict(zip(("name", "password"), user.split(":"), strict=True)) for user in (PASSWORD, SECOND)],
    "nginx_apps": {
        "one": {**APPS["one"], "rate": "1r/m", "burst": BURST, "max_body_size": "1k", "private_paths": ["/status"]},
        "two": APPS["two"],
        "rpc": APPS["rpc"],
    },
    "nginx_upstreams": {"told": {"address": "127.0.1.9", "port": 3009}},
    "nginx_sites": [
        {
            "server_name": NAME,
            "locations": [
                {"path": "/", "app": "two", "buffering": False, "timeout": "1h"},
                {"path": "^~ /.shown/", "app": "two"},
                {"path": "/one/", "app": "one", "uri": "/"},
                {"path": "/one/large/", "app": "one", "uri": "/", "max_body_size": "1m", "limited": False},
                {"path": "/one/static/", "app": "one", "uri": "/static/", "assets": True},
                {"path": "/told", "upstream": "told"},
                {"path": "/inside/", "upstream": "told", "uri": "/", "login": True},
                {"path": "/own/", "upstream": "told", "uri": "/"},
                {"path": "/own/login", "upstream": "told", "uri": "/login", "login_form": True},
            ],
        }
    ],
    "nginx_config_extra": f"""
server {{
  listen 127.0.1.9:3009;
  set $edge_app "";
  default_type application/json;
  return 200 '{{{SHOWN}}}';
}}""",
}


@pytest.fixture(scope="module")
def rig(references, tmp_path_factory):
    """nginx and its applications, which all tests share; the tests themselves are the relay."""
    with running(
        "limits", tmp_path_factory.mktemp("edge"), references["nginx"], docker, Container, **VARIABLES
    ) as made:
        yield made


@pytest.fixture
def client():
    """An address that nothing was counted for."""
    text = uuid.uuid4().int
    return f"10.{text % 250}.{text // 250 % 250}.{text // 62500 % 250}"


def login(text):
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def statuses(rig, client, path, *passwords):
    return [once(rig, client, path, **login(password)).status for password in passwords]


# --- logins ----------------------------------------------------------------------------------------------------------


def test_guesses_are_limited_by_address_and_a_password_that_was_right_never_is(rig, client):
    wrong = [f"operator:{number}" for number in range(BURST + 1)]
    assert statuses(rig, client, "/inside/", *[PASSWORD] * (2 * BURST)) == [200] * 2 * BURST
    # The first time, it was no more than a guess.
    assert statuses(rig, client, "/inside/", *wrong) == [401] * BURST + [429]
    # Who is logged in goes on, from the same address.
    assert statuses(rig, client, "/inside/", PASSWORD, "guest:1") == [200, 429]
    assert once(rig, client, "/inside/").status == 401, "the question itself is no guess"
    assert statuses(rig, "203.0.113.77", "/inside/", "operator:9") == [401]


def test_a_right_guess_is_limited_like_a_wrong_one(rig, client):
    assert statuses(rig, OTHER, "/inside/", SECOND) == [200]
    guesses = [f"guest:{number}" for number in range(BURST + 1)]
    assert statuses(rig, client, "/inside/", *guesses, SECOND) == [401] * (BURST + 1) + [429]
    assert statuses(rig, OTHER, "/inside/", SECOND) == [200]


@pytest.mark.parametrize("path", ["/inside", "/inside/.git/config", "/inside/metrics"])
def test_what_is_answered_before_the_password_is_looked_at_proves_nothing(rig, client, path):
    guess = f"operator:{uuid.uuid4()}"
    assert once(rig, client, path, **login(guess)).status in (301, 404)
    assert statuses(rig, client, "/inside/", *[guess] * (BURST + 2))[-1] == 429


def test_posts_to_a_login_form_are_limited_and_nothing_else_of_the_service(rig, client):
    def post(path):
        return once(rig, client, path, method="POST", body="{}").status

    assert [post("/own/login") for _ in range(BURST + 2)] == [200] * (BURST + 1) + [429]
    assert [post(path) for path in ("//own/./login", "/own/%6cogin", "/own/login/")] == [429] * 3
    assert once(rig, client, "/own/login").status == 200
    assert [post("/own/api/query") for _ in range(2 * BURST)] == [200] * 2 * BURST


def test_an_ipv6_address_counts_as_its_network(rig):
    network = f"2001:db8:{uuid.uuid4().hex[:4]}:a{uuid.uuid4().hex[:2]}1"
    seen = [once(rig, f"{network}::{number:x}", "/own/login", method="POST").status for number in range(1, BURST + 3)]
    assert seen == [200] * (BURST + 1) + [429]
    assert once(rig, f"{network[:-1]}2::1", "/own/login", method="POST").status == 200


# --- an application's share ------------------------------------------------------------------------------------------


def test_an_app_has_a_rate_for_each_client(rig, client):
    answers = [once(rig, client, "/one/x") for _ in range(BURST + 3)]
    assert {answer.status for answer in answers[: BURST + 1]} == {200}
    refused = answers[BURST + 1 :]
    assert {answer.status for answer in refused} == {429}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert answers[0].headers["Retry-After"] is None
    # The rest of the site, the files of the app, and what its location leaves out have none.
    for path in ("/x", "/one/static/green.js", "/one/large/x"):
        assert [once(rig, client, path).status for _ in range(2 * BURST)] == [200] * 2 * BURST
    # Nor have the applications among themselves.
    assert [rig.get("/one/x", port=8090).status for _ in range(2 * BURST)] == [200] * 2 * BURST


def test_a_body_is_as_large_as_its_app_takes_it_or_its_location(rig, client):
    def post(path, size):
        return once(rig, client, path, method="POST", body=b"x" * size).status

    assert (post("/one/x", 1000), post("/one/x", 2000)) == (200, 413)
    assert (post("/one/large/x", 2000), post("/x", 2000)) == (200, 200)


def test_one_address_has_only_so_many_requests_under_way(rig, client):
    streams = []
    try:
        for _ in range(20):
            streams.append(relayed(rig, client))
            streams[-1].sendall(f"GET /events HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
            assert b" 200 " in streams[-1].recv(200)
        assert once(rig, client, "/x").status == 429
        assert once(rig, OTHER, "/x").status == 200
    finally:
        for stream in streams:
            stream.close()


# --- what is not for everybody ---------------------------------------------------------------------------------------


def test_hidden_files_are_not_there_but_well_known_ones_are(rig):
    paths = ["/.git/config", "/.env", "/a/.env", "/%2e%67it/config", "/a/..%2f.git/HEAD", "/.well-known/.git/x"]
    assert [rig.get(path).status for path in paths] == [404] * len(paths)
    assert [rig.get(path).status for path in ("/.well-known/security.txt", "/.shown/x", "/a.b/c")] == [200] * 3
    assert rig.get("/.git/config").headers["X-Frame-Options"], "the headers of every answer"


def test_private_paths_are_for_the_applications_and_not_for_everybody(rig):
    gone = [
        "/metrics",
        "/METRICS",
        "/%6detrics",
        "//metrics",
        "/x/../metrics",
        "/metrics/",
        "/metrics;x",
        "/debug/vars",
    ]
    gone += ["/one/status/200", "/inside/metrics", "/own/actuator/env"]
    assert [rig.get(path).status for path in gone] == [404] * len(gone)
    # A name that only begins so, and what the list of an app leaves out.
    assert [rig.get(path).status for path in ("/metricsx", "/x/metrics", "/one/large/metrics")] == [200] * 3
    assert [rig.get(path, port=8090).status for path in ("/two/metrics", "/one/status/200")] == [200] * 2


def test_nothing_that_a_client_says_of_his_way_reaches_a_service(rig):
    forged = {name.replace("-", "_"): "forged" for name in FORGED}
    told = {"X-Forwarded-For": VISITOR, "X-Real-IP": VISITOR, "X-Forwarded-Proto": "https", "X-Forwarded-Host": NAME}
    for path in ("/told", "/own/x"):
        assert once(rig, VISITOR, path, **forged).json == dict.fromkeys(FORGED, "") | told


# --- TLS -------------------------------------------------------------------------------------------------------------


def context(version=ssl.TLSVersion.TLSv1_3):
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    return made


def visit(rig, tls, session=None, port=443):
    """Ask over TLS; the session comes with the answer."""
    begun = socket.create_connection((rig.address, port), timeout=20)
    with tls.wrap_socket(begun, server_hostname=NAME, session=session) as connection:
        connection.sendall(f"GET /x HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        return connection.session, connection.session_reused


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_by_its_ticket(rig, version):
    tls = context(version)
    session, _ = visit(rig, tls)
    assert session.has_ticket
    assert visit(rig, tls, session)[1]


# --- HTTP/3 ----------------------------------------------------------------------------------------------------------


def test_http_3_is_spoken_on_the_service_line_and_told_of_there_alone(rig):
    curl = ["curl", "-sSk", "--max-time", "10", "--resolve", f"{NAME}:443:127.0.0.1", "-o", "/dev/null"]
    wanted = ["--http3-only", "-w", "%{http_version} %{http_code}", f"https://{NAME}/x"]
    assert rig.applications.output(*curl, *wanted) == "3 200"
    assert rig.get("/x").headers["Alt-Svc"].startswith('h3=":443"')
    assert once(rig, VISITOR, "/x").headers["Alt-Svc"] is None
    # Nor is a name that no site has answered here.
    other = [*curl, "--resolve", "other.test:443:127.0.0.1", "--http3-only", "https://other.test/"]
    assert rig.applications.run(*other).returncode != 0


def key_name(rig):
    """The name of the key that the ticket of a new session is encrypted with: its first 16 bytes."""
    command = f"echo | openssl s_client -tls1_2 -connect 127.0.0.1:443 -servername {NAME} 2>&1"
    lines = rig.applications.output("sh", "-c", command).splitlines()
    at = next(number for number, line in enumerate(lines) if "TLS session ticket:" in line)
    return lines[at + 1].split(" - ")[1][:47]


@pytest.fixture(scope="module")
def hasty(rig):
    """The same with the times of a role in the tests' own pace, by the name of their directives."""
    written = rig.place / "config/nginx.conf"
    text = written.read_text()
    # Those of the http block, by their indentation.
    for directive in ("ssl_session_timeout", "client_header_timeout", "client_body_timeout"):
        text, found = re.subn(rf"^  {directive} \w+;", f"  {directive} 2s;", text, flags=re.MULTILINE)
        assert found == 1, f"{directive} is left to nginx"
    written.write_text(text)
    rig.restart("kill")
    return rig


def test_the_keys_of_tickets_are_replaced(hasty):
    first = key_name(hasty)
    until(lambda: key_name(hasty) != first, seconds=20)


def test_who_sends_slowly_is_given_up_and_who_waits_is_not(hasty):
    parts = {
        "header": f"GET /x HTTP/1.1\r\nHost: {NAME}\r\nX-",
        "body": f"POST /x HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 4\r\n\r\nx",
        "websocket": f"GET /x HTTP/1.1\r\nHost: {NAME}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    }
    connections = {name: relayed(hasty, None, port=443) for name in parts}
    for name, connection in connections.items():
        connection.sendall(parts[name].encode())
    # An upload that goes on is no silence.
    upload = relayed(hasty, None, port=443)
    upload.sendall(f"POST /x HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 9\r\n\r\n".encode())
    for _ in range(9):
        time.sleep(0.3)
        upload.sendall(b"x")
    assert b" 200 " in upload.recv(4096)
    websocket = connections.pop("websocket")
    assert websocket.recv(4096).startswith(b"HTTP/1.1 101")
    websocket.sendall(b"still here")
    assert websocket.recv(100) == b"still here"
    for connection in connections.values():
        assert b" 200 " not in connection.recv(4096)
