"""The management line from the internet to sub: who sees what on the way."""

import re
import secrets as random
import time

import pytest
from line import CLIENT, OPS, PATH, RELAY

DIGEST = "openssl x509 -noout -fingerprint -sha256"
# Asks to open a WebSocket at Grafana's path for live data, and prints the status and the first message.
WEBSOCKET = """
import base64, os, socket, ssl, sys
host, number = sys.argv[1:]
tls = ssl.create_default_context().wrap_socket(socket.create_connection((host, 443), 10), server_hostname=host)
key = base64.b64encode(os.urandom(16)).decode()
lines = ["GET /grafana/api/live/ws HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
         f"Origin: https://{host}", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", f"X-Request-ID: {number}"]
tls.sendall("\\r\\n".join([*lines, "", ""]).encode())
print(tls.makefile("rb").readline().decode().strip())
"""


def test_grafana_asks_for_a_login(curl):
    page = curl(f"https://{OPS}/grafana/login")
    assert "Grafana" in page.stdout, page.stderr
    assert curl("--output", "/dev/null", "--write-out", "%{remote_ip}", f"https://{OPS}{PATH}").stdout == RELAY


def test_http_is_sent_to_https_by_sub(curl, logged):
    number = f"test-{random.token_hex(8)}"
    answer = curl("--head", "--header", f"X-Request-ID: {number}", f"http://{OPS}{PATH}").stdout
    assert answer.startswith("HTTP/1.1 301 ")
    assert f"location: https://{OPS}{PATH}\r\n" in answer.lower()
    assert [entry["client"] for entry in logged(number)] == [CLIENT]


def test_the_certificate_is_subs_own(client, sub, relay):
    shown = client.check_output(
        f"openssl s_client -connect {OPS}:443 -servername {OPS} </dev/null 2>/dev/null | {DIGEST}"
    )
    assert shown == sub.check_output(f"{DIGEST} -in /etc/protostar/certificates/{OPS}/fullchain.pem")
    # Nor could the relay show it: the key is not there.
    key = sub.check_output(f"openssl pkey -in /etc/protostar/certificates/{OPS}/privkey.pem -pubout")
    keys = relay.check_output("find /etc /var/lib/protostar-relay -name '*.pem' -o -name '*.key' -type f").splitlines()
    assert keys, "the relay has a key of its own, for its metrics"
    assert key not in [relay.run(f"openssl pkey -in {name} -pubout").stdout.strip() for name in keys]


@pytest.mark.parametrize(("option", "protocol"), [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2.0")])
def test_sub_knows_the_clients_address(curl, logged, option, protocol):
    number = f"test-{random.token_hex(8)}"
    assert curl(option, "--header", f"X-Request-ID: {number}", f"https://{OPS}{PATH}").stdout == "ok\n"
    assert [(entry["client"], entry["protocol"]) for entry in logged(number)] == [(CLIENT, protocol)]


def test_sub_knows_the_clients_address_of_a_websocket(client, logged):
    number = f"test-{random.token_hex(8)}"
    seen = client.run("python3 -c %s %s %s", WEBSOCKET, OPS, number)
    assert seen.stdout.startswith("HTTP/1.1 101 "), seen.stdout + seen.stderr
    assert [(entry["client"], entry["status"]) for entry in logged(number)] == [(CLIENT, 101)]


def test_grafana_is_told_the_clients_address_and_no_other(curl):
    # The stand-in for Grafana tells what it was asked with.
    asked = curl(
        "--header",
        "X-Forwarded-For: 203.0.113.7",
        "--header",
        "X-Real-IP: 203.0.113.7",
        f"https://{OPS}/grafana/stand-in/headers",
    )
    found = {name.lower(): value for name, value in re.findall(r'"([^"]+)": "([^"]*)"', asked.stdout)}
    assert (found["x-forwarded-for"], found["x-real-ip"]) == (CLIENT, CLIENT), asked.stdout


def test_the_line_offers_nothing_that_does_not_pass_the_relay(curl):
    # HTTP/3 is UDP, which the relay does not lead anywhere.
    answer = curl("--head", f"https://{OPS}{PATH}")
    assert answer.stdout.startswith("HTTP/"), answer.stderr
    assert "alt-svc" not in answer.stdout.lower()


def test_the_relay_logs_who_and_how_much(curl, relayed):
    size = int(curl("--output", "/dev/null", "--write-out", "%{size_download}", f"https://{OPS}/grafana/login").stdout)
    entry = [entry for entry in relayed() if entry["client"] == CLIENT][-1]
    assert entry["name"] == OPS
    assert int(entry["sent"]) > size > 0
    assert int(entry["received"]) > 0


def test_sub_reads_the_relays_metrics(ask_sub):
    def read():
        return {
            metric["__name__"]: value for metric, value in ask_sub('{job="relay",__name__=~"up|protostar_relay_.+"}')
        }

    # What was read last may be of a moment when another test had closed the line.
    deadline = time.monotonic() + 60
    while (found := read()).get("protostar_relay_line_open") != 1 and time.monotonic() < deadline:
        time.sleep(1)
    assert found["up"] == 1
    assert found["protostar_relay_line_open"] == 1
    assert found["protostar_relay_nginx_up"] == 1
    assert found["protostar_relay_egress_month_bytes"] > 0


def test_a_stranger_does_not(client):
    ask = f"curl -sS -k -o /dev/null -w '%{{http_code}}' --resolve protostar-relay:443:{RELAY} https://protostar-relay/metrics"
    assert client.run(ask).stdout in ("400", "403")


def test_nothing_else_of_the_relay_is_open(client):
    open_ports = client.check_output(f"nmap -Pn -n -p- --min-rate 5000 -oG - {RELAY}")
    assert set(re.findall(r"(\d+)/open/", open_ports)) <= {"22", "80", "443"}, open_ports
