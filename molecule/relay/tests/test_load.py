"""Strangers, floods and reloads leave a real client served."""

import concurrent.futures
import time

import pytest
from line import OPS, PATH, RELAY

# A neighbour of the client from which the floods come, so that a limit per address does not meet the real client.
ATTACKER = "198.18.0.31"
RELOADS = 200
# Opens connections and says nothing; prints how many were taken, and how many are still open after so many seconds.
IDLE = """
import selectors, socket, sys, time
host, source, count, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
held = []
for _ in range(count):
    try:
        held.append(socket.create_connection((host, 443), 1, (source, 0)))
    except OSError:
        pass
time.sleep(seconds)
open_still = 0
for connection in held:
    connection.setblocking(False)
    try:
        open_still += connection.recv(1) != b""
    except BlockingIOError:
        open_still += 1
    except OSError:
        pass
print(len(held), open_still)
"""


@pytest.fixture(scope="module")
def attacker(client):
    device = client.check_output(f"ip -o route get {RELAY} | grep -o 'dev [^ ]*' | cut -d' ' -f2")
    client.check_output(f"ip address add {ATTACKER}/24 dev {device} 2>/dev/null || true")
    yield ATTACKER
    client.check_output(f"ip address del {ATTACKER}/24 dev {device}")


@pytest.fixture
def steady(load):
    """A real client's requests, each over a connection of its own; all must be answered."""

    def check(requests):
        assert requests.failed == []
        assert requests.done > 20

    return load("protostar-client", f"https://{OPS}{PATH}"), check


@pytest.mark.parametrize("name", ["nosuch.protostar.test", "www.protostar.test", ""])
def test_an_unknown_name_is_refused_without_a_byte_to_home(client, relay, relayed, router, name):
    option = f"-servername {name}" if name else "-noservername"
    refused = client.run(f"openssl s_client -connect {RELAY}:443 {option} </dev/null")
    assert refused.rc != 0
    assert "BEGIN CERTIFICATE" not in refused.stdout
    entry = [entry for entry in relayed() if entry["name"] == name][-1]
    assert (entry["upstream"], int(entry["sent"])) == ("", 0), entry


def test_a_hundred_strangers_cause_no_connection_to_home(client, relay):
    table = "inet protostar_test"
    count = f"nft -j list counter {table} home | grep -o '\"packets\": *[0-9]*' | grep -o '[0-9]*'"
    relay.check_output(
        f"nft add table {table}; nft add counter {table} home;"
        f"nft add chain {table} out '{{ type filter hook output priority 0; }}';"
        f"nft add rule {table} out tcp dport 8443 tcp flags '&' '(syn|ack)' == syn counter name home"
    )
    try:
        began = time.monotonic()
        strangers = (
            f"for i in $(seq 100); do openssl s_client -connect {RELAY}:443 -servername no$i.test; done </dev/null"
        )
        client.run(f"({strangers}) >/dev/null 2>&1")
        # Sub probes the line all the while, every 15 s.
        assert int(relay.check_output(count)) <= 2 + (time.monotonic() - began) / 5
    finally:
        relay.check_output(f"nft delete table {table}")


def test_a_syn_flood_leaves_a_real_client_served(client, attacker, steady):
    requests, check = steady
    with requests:
        # 20,000 in ten seconds, to the lab's relay only.
        flood = client.run(
            f"timeout 20 hping3 --syn --destport 443 --interval u500 --count 20000 --spoof {attacker} --quiet {RELAY}"
        )
        assert "20000 packets transmitted" in flood.stderr + flood.stdout
    check(requests)


def test_idle_connections_end_and_leave_a_real_client_served(client, attacker, steady):
    requests, check = steady
    with requests:
        held, left = map(int, client.check_output(f"python3 -c %s {RELAY} {attacker} 200 8", IDLE).split())
    check(requests)
    assert held > 0
    assert left == 0


def test_an_address_has_a_limit_of_connections(client, attacker, relay):
    limit = int(relay.check_output("grep -oP 'limit_conn [a-z_]+ \\K[0-9]+' /etc/nginx/nginx.conf | head -n 1"))
    # They say who they want, so that they are relayed and stay.
    held = client.check_output(
        "python3 -c %s %s %s %s",
        """
import socket, ssl, sys
source, count = sys.argv[2], int(sys.argv[3])
context, held, refused = ssl.create_default_context(), [], 0
for _ in range(count):
    try:
        plain = socket.create_connection((sys.argv[1], 443), 5, (source, 0))
        held.append(context.wrap_socket(plain, server_hostname=sys.argv[1]))
    except OSError:
        refused += 1
print(len(held), refused)
""",
        OPS,
        attacker,
        str(limit + 10),
    )
    taken, refused = map(int, held.split())
    assert refused >= 10
    assert 0 < taken <= limit


def test_reloads_break_no_transfer(download, large_file, relay):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        began = time.monotonic()
        downloads = [download("1M", number).__enter__() for number in range(4)]
        reloads = pool.submit(
            relay.check_output, f"for i in $(seq {RELOADS}); do systemctl reload nginx && sleep 0.1; done; echo done"
        )
        assert reloads.result() == "done"
        assert all(each.running() for each in downloads), "the transfers ended before the reloads did"
        for each in downloads:
            each.__exit__()
    assert [(each.code, each.error, each.digest) for each in downloads] == [(0, "", large_file[1])] * 4
    assert time.monotonic() - began < 300
