"""The two lines of the drawing, as a client on the internet sees them."""

import hashlib
import json
import re
import secrets
import time

import pytest
from expected import defaults

WWW = "https://www.protostar.test"
OPS = "https://ops.protostar.test"
CLIENT = "198.18.0.30"
CA = "/usr/local/share/ca-certificates/protostar-lab.crt"

# Opens a WebSocket, sends a text, and prints the first messages until that text comes back.
WEBSOCKET = """
import base64, os, socket, ssl, sys
host, path, text = sys.argv[1:]
tls = ssl.create_default_context().wrap_socket(socket.create_connection((host, 443), 10), server_hostname=host)
key = base64.b64encode(os.urandom(16)).decode()
lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
         "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
tls.sendall("\\r\\n".join([*lines, "", ""]).encode())
stream = tls.makefile("rb")
print(stream.readline().decode().strip())
while stream.readline().strip():
    pass
mask = os.urandom(4)
tls.sendall(bytes([0x81, 0x80 | len(text)]) + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(text.encode())))
for _ in range(10):
    message = stream.read(stream.read(2)[1]).decode()
    print(message)
    if text in message:
        break
"""


@pytest.fixture
def curl(client):
    """Run curl on the client."""
    return lambda *arguments: client.run(
        "curl --silent --show-error --max-time 20 " + "%s " * len(arguments), *arguments
    )


@pytest.fixture
def handshake(client):
    """Try a TLS handshake with everything allowed that OpenSSL still knows."""

    def attempt(name, *options, host="www.protostar.test"):
        return client.run(
            f"openssl s_client -connect {host}:443 -servername {name} -CAfile {CA} -verify_return_error "
            f"-cipher DEFAULT@SECLEVEL=0 {' '.join(options)} </dev/null"
        )

    return attempt


def headers(text):
    """The status and the headers of an answer."""
    status, *lines = text.strip().splitlines()
    return int(status.split()[1]), {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }


def test_the_page_shows_what_only_pgvector_could_find(curl):
    title, text = (" ".join(secrets.token_hex(4) for _ in range(3)) for _ in range(2))
    stored = curl("--json", json.dumps({"title": title, "text": text}), f"{WWW}/api/fastapi/documents")
    assert "id" in json.loads(stored.stdout), stored.stdout + stored.stderr
    page = curl("--get", "--data-urlencode", f"q={text}", f"{WWW}/").stdout
    documents = page.partition('<section id="documents" data-state="ok"')[2].partition("</section>")[0]
    assert title in documents.partition("</li>")[0], page


def test_the_page_shows_a_job_that_went_through_redis(curl, main, live):
    question = secrets.token_hex(8)
    page = curl("--get", "--data-urlencode", f"q={question}", f"{WWW}/").stdout
    job = page.partition('<section id="job" data-state="done"')[2].partition("</section>")[0]
    assert hashlib.sha256(question.encode()).hexdigest()[:16] in job, page
    number = job.partition("<dt>Job</dt><dd>")[2].partition("<")[0]
    # The worker left its result in Redis.
    found = main.check_output(
        f"cd /opt/protostar/services/{live('nest')}/secrets; "
        f"(echo AUTH nest $(cat redis_password); echo GET jobs:{number}) | docker exec -i redis redis-cli"
    )
    assert hashlib.sha256(question.encode()).hexdigest() in found


@pytest.mark.parametrize("host", ["www.protostar.test/api", "api.protostar.test"])
@pytest.mark.parametrize("app", ["nest", "fastapi"])
def test_each_app_answers_behind_its_route(curl, host, app):
    assert json.loads(curl(f"https://{host}/{app}/version").stdout)["app"] == app
    assert curl("--output", "/dev/null", "--write-out", "%{http_code}", f"https://{host}/{app}/ready").stdout == "200"


def test_http_is_sent_to_https(curl):
    status, found = headers(curl("--head", "http://www.protostar.test/a/path?with=query").stdout)
    assert status == 301
    assert found["location"] == f"{WWW}/a/path?with=query"


@pytest.mark.parametrize("url", [f"{WWW}/", f"{WWW}/api/nest/version", f"{WWW}/no/such/page", f"{OPS}/healthz"])
def test_every_answer_has_the_declared_headers(curl, url):
    status, found = headers(curl("--head", url).stdout)
    declared = {name.lower(): value for name, value in defaults("nginx")["nginx_headers"].items()}
    assert int(declared["strict-transport-security"].partition("=")[2]) >= 180 * 86400
    assert {name: found.get(name) for name in declared} == declared
    assert "/" not in found["server"], "the version of nginx is told"
    assert status == (404 if "no/such" in url else 200)


def test_a_name_that_no_site_has_gets_no_answer_and_no_certificate(curl, handshake):
    assert curl("--header", "Host: nosuch.protostar.test", "http://www.protostar.test/").rc == 52
    refused = handshake("nosuch.protostar.test")
    assert refused.rc != 0
    assert "BEGIN CERTIFICATE" not in refused.stdout
    assert "unrecognized name" in refused.stdout + refused.stderr


@pytest.mark.parametrize("name", ["www.protostar.test", "api.protostar.test", "ops.protostar.test"])
def test_the_certificate_is_of_the_lab_and_of_this_name(handshake, name):
    shown = handshake(name, "-verify_hostname", name, host=name)
    assert shown.rc == 0, shown.stdout + shown.stderr
    assert "issuer=CN=protostar lab CA" in shown.stdout.replace("CN = ", "CN=")


@pytest.mark.parametrize(
    ("version", "accepted"), [("tls1", False), ("tls1_1", False), ("tls1_2", True), ("tls1_3", True)]
)
def test_only_tls_1_2_and_1_3_are_spoken(handshake, version, accepted):
    shown = handshake("www.protostar.test", f"-{version}")
    assert (shown.rc == 0) == accepted, shown.stdout + shown.stderr
    if not accepted:
        assert "alert" in shown.stderr, "it was not the server that refused"


def test_http_2_is_spoken(curl):
    assert (
        curl("--http2", "--output", "/dev/null", "--write-out", "%{http_version}", f"{WWW}/api/nest/health").stdout
        == "2"
    )


def test_a_websocket_goes_through_in_both_directions(client):
    text = secrets.token_hex(8)
    seen = client.run("python3 -c %s www.protostar.test /api/nest/ws %s", WEBSOCKET, text).stdout
    assert seen.startswith("HTTP/1.1 101 "), seen
    assert text in seen.splitlines()[-1], seen


def test_server_sent_events_arrive_one_by_one(client):
    # Were they buffered, nothing would come before the stream ends, or all at once. On a busy machine two may arrive
    # close together, never the first with the last.
    seen = client.run(
        f'timeout 6 curl -sSN {WWW}/api/nest/events | while read -r line; do echo "$(date +%s.%N) $line"; done'
    )
    ticks = [float(line.split()[0]) for line in seen.stdout.splitlines() if '"tick"' in line]
    assert len(ticks) >= 3, seen.stdout
    assert ticks[-1] - ticks[0] > 1, ticks


def test_a_request_can_be_followed_by_its_id(curl, main):
    number = f"test-{secrets.token_hex(8)}"
    before = time.time()
    url = f"{WWW}/api/fastapi/version"
    _, answered = headers(
        curl("--dump-header", "-", "--output", "/dev/null", "--header", f"X-Request-ID: {number}", url).stdout
    )
    assert answered["x-request-id"] == number
    lines = main.check_output(f"docker logs --since {int(before) - 1} nginx 2>/dev/null").splitlines()
    logged = [entry for entry in map(json.loads, lines) if entry["request_id"] == number]
    assert len(logged) == 1
    entry = logged[0]
    assert entry["client"] == CLIENT
    assert (entry["host"], entry["status"], entry["tls"]) == ("www.protostar.test", 200, "TLSv1.3")
    assert 0 <= float(entry["upstream_header_seconds"]) <= float(entry["seconds"]) + 0.01
    assert entry["upstream"].count(":") == 1


def test_what_is_for_who_runs_it_is_not_for_everybody(curl, main):
    paths = ["/metrics", "/api/nest/METRICS", "/api/fastapi/metrics", "/api/nest/metrics/", "/.env", "/a/.git/config"]
    hidden = [f"{WWW}{path}" for path in paths] + [f"{OPS}/grafana/metrics", f"{OPS}/.git/config"]
    shown = [f"{WWW}/api/nest/ready", f"{OPS}/grafana/api/health"]
    asked = [word for url in hidden + shown for word in ("--output", "/dev/null", url)]
    told = curl("--write-out", "%{http_code} ", *asked).stdout.split()
    assert told == ["404"] * len(hidden) + ["200"] * len(shown)
    # Those who may ask, ask here.
    apps = " ".join(f"http://127.0.0.1:8090/{app}/metrics" for app in ("frontend", "nest", "fastapi"))
    assert main.check_output(f"docker exec nginx curl -sS {apps}").count("# TYPE app_info") == 3


def test_nothing_but_the_edge_is_reached_from_the_internet(client):
    # Port 22 of this address is the router's own.
    open_ports = client.check_output(
        "nmap -Pn -n -p 80,443,2375,3000,5432,6379,8000,8080,8443,9090,9100,9121,9187 -oG - 198.18.0.10"
    )
    # 8443 leads to sub, which admits the relay alone.
    assert set(re.findall(r"(\d+)/open/", open_ports)) == {"80", "443"}
