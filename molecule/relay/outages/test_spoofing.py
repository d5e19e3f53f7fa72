"""Who is not the relay cannot say who a client is, and a client cannot say it through the relay."""

import secrets as random

import pytest
from line import CLIENT, OPS, PATH, PUBLIC, SUB

FORGED = "203.0.113.7"
# Says in a PROXY header to be somebody else, then asks over TLS; prints the answer's first line, or why there is none.
PROXY = f"""
import socket, ssl, sys
host, port, number, order = sys.argv[1:]
header = b"PROXY TCP4 {FORGED} 198.18.0.10 56324 443\\r\\n"
try:
    plain = socket.create_connection((host, int(port)), 4)
    plain.settimeout(4)
    if order == "before":
        plain.sendall(header)
    context = ssl.create_default_context()
    tls = context.wrap_socket(plain, server_hostname="{OPS}")
    if order == "within":
        tls.sendall(header)
    lines = ["GET {PATH} HTTP/1.1", "Host: {OPS}", f"X-Request-ID: {{number}}", "Connection: close", "", ""]
    tls.sendall("\\r\\n".join(lines).encode())
    print(tls.makefile("rb").readline().decode().strip() or "closed")
except OSError as error:
    print(type(error).__name__)
"""


@pytest.fixture
def ask(machine):
    """Ask a host with a forged PROXY header, from a machine of the lab."""

    def ask(name, host, port, number, order="before"):
        return machine(name).run("python3 -c %s %s %s %s %s", PROXY, host, str(port), number, order).stdout.strip()

    return ask


@pytest.fixture
def number():
    return f"test-{random.token_hex(8)}"


@pytest.mark.parametrize(
    ("name", "host"),
    [("protostar-client", PUBLIC), ("protostar-main", SUB), ("protostar-router", SUB)],
)
def test_whoever_is_not_the_relay_gets_no_answer(ask, logged, name, host, number):
    assert ask(name, host, 8443, number) == "TimeoutError"
    assert logged(number) == []


def test_the_relay_itself_is_believed(ask, logged, number):
    # What shows that the others were dropped by the firewall, not by a mistake of this test.
    assert ask("protostar-relay", PUBLIC, 8443, number) == "HTTP/1.1 200 OK"
    assert [entry["client"] for entry in logged(number)] == [FORGED]


def test_the_rule_outlives_the_engine(ask, sub, answers, number):
    sub.check_output("systemctl restart docker")
    assert answers(90) is not None
    assert ask("protostar-main", SUB, 8443, number) == "TimeoutError"


def test_the_lan_asks_another_port_which_believes_nobody(ask, logged, number):
    assert ask("protostar-main", SUB, 443, number, "none") == "HTTP/1.1 200 OK"
    assert [entry["client"] for entry in logged(number)] == ["198.19.0.10"]
    assert ask("protostar-main", SUB, 443, number, "before") != "HTTP/1.1 200 OK"


def test_a_header_before_tls_is_refused_by_the_relay(ask, logged, number):
    assert "200" not in ask("protostar-client", OPS, 443, number)
    assert logged(number) == []


def test_a_header_within_tls_is_no_request(ask, number):
    assert ask("protostar-client", OPS, 443, number, "within") == "HTTP/1.1 400 Bad Request"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP"])
def test_no_header_of_a_request_changes_who_is_logged(curl, logged, number, header):
    curl("--header", f"{header}: {FORGED}", "--header", f"X-Request-ID: {number}", f"https://{OPS}{PATH}")
    assert [entry["client"] for entry in logged(number)] == [CLIENT]
