"""The management line: what nginx and nftables do with what the relay's role configures."""

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import relay_role
from relay_role import (
    AUTHORITY,
    FORWARD,
    PEER,
    WIREGUARD,
    Authority,
    Home,
    NameServer,
    Relay,
    file,
    greeting,
    receive,
)

needs_nginx = pytest.mark.skipif(bool(relay_role.why_no_nginx()), reason=relay_role.why_no_nginx())


# --- nftables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [FORWARD, WIREGUARD, {**FORWARD, "relay_http_target": "home.example.com:8080"}],
    ids=["forward", "wireguard", "http"],
)
def test_nftables_takes_the_rules(tmp_path, variables):
    rules = tmp_path / "relay.nft"
    rules.write_text(file("relay.nft", **variables))
    try:
        said = subprocess.run(["nft", "-c", "-f", rules], capture_output=True, check=False, encoding="utf-8")
    except FileNotFoundError:
        pytest.skip("nftables is not installed")
    if "Operation not permitted" in said.stderr:
        pytest.skip("nftables may not look at the kernel here")
    assert said.stderr == ""


@pytest.fixture(scope="module")
def network():
    """Return a function that tells what rules let through, on a cable of a name."""
    if reason := relay_role.why_no_network():
        pytest.skip(reason)

    def network(rules, cable="outside"):
        program = Path(__file__).with_name("relay_network.py")
        with tempfile.NamedTemporaryFile("w", suffix=".nft") as file_of_rules:
            file_of_rules.write(rules)
            file_of_rules.flush()
            own = ["unshare", "--user", "--map-root-user", "--net", sys.executable, program, file_of_rules.name, cable]
            said = subprocess.run(own, capture_output=True, check=False, encoding="utf-8", timeout=60)
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout)

    return network


def test_one_address_opens_so_many_connections_at_once(network):
    assert network(file("relay.nft", relay_new_connections_per_second=5))["at once"] == 25
    assert network(file("relay.nft"))["at once"] == 60


def test_metrics_come_from_the_tunnel_only(network):
    rules = file("relay.nft", **WIREGUARD)
    assert (network(rules)["metrics"], network(rules, "protostar")["metrics"]) == (0, 1)


def test_what_leaves_the_vm_is_counted_once(network):
    rules = file("relay.nft", **WIREGUARD)
    assert network(rules)["counted"] == {"loopback": 0, "cable": 1028}, "with the headers of IP and UDP"
    # The tunnel's own packets leave wrapped, by another interface.
    assert network(rules, "protostar")["counted"] == {"loopback": 0, "cable": 0}


# --- nginx -----------------------------------------------------------------------------------------------------------


def bring_certificates(directory):
    """Write the relay's own certificate to where its nginx looks for it."""
    for variable, name in {"authority": "authority.crt", "certificate": "peer.crt", "key": "peer.key"}.items():
        (directory / "etc/peer" / name).write_text(PEER[f"relay_peer_{variable}"])


@pytest.fixture
def start(tmp_path, request):
    """Return a function that runs nginx with the role's configuration."""

    def start(name_server=53, **variables):
        relay = Relay(tmp_path, file("nginx.conf", **variables), name_server)
        bring_certificates(tmp_path)
        running = relay.running()
        running.__enter__()
        request.addfinalizer(lambda: running.__exit__(None, None, None))
        return relay

    return start


@pytest.fixture
def home(request):
    home = Home()
    request.addfinalizer(home.close)
    return home


def ask(relay, said, port=443):
    """Say something through the relay; return what comes back, up to as much and the PROXY header."""
    with relay.connect(port) as connection:
        connection.sendall(said)
        local = connection.getsockname()[1]
        header = f"PROXY TCP4 127.0.0.1 127.0.0.1 {local} {relay.ports[port]}\r\n".encode()
        return receive(connection, len(header) + len(said)), header


@needs_nginx
@pytest.mark.parametrize(
    "variables",
    [
        FORWARD,
        {**FORWARD, **PEER, "relay_http_target": "home.example.com:8080", "relay_dns_ttl": "30s"},
        {**FORWARD, "relay_resolvers": ["192.0.2.53", "2001:db8::53", "[2001:db8::53]:5353"]},
        {**FORWARD, "relay_names": ["ops.example.com", f"{'a' * 63}.{'b' * 63}.{'c' * 63}.example.com"]},
        {**FORWARD, "relay_config_extra": "server {\n  listen 127.0.0.1:9181;\n  return extra;\n}\n"},
        WIREGUARD,
        {**WIREGUARD, "relay_http_target": "10.202.0.2:8080"},
    ],
)
def test_nginx_takes_the_configuration(tmp_path, variables):
    relay = Relay(tmp_path, file("nginx.conf", **variables))
    bring_certificates(tmp_path)
    assert relay.check() == ""


@needs_nginx
@pytest.mark.parametrize(
    "name", ["ops.example.com", "OPS.example.com", "grafana.ops.example.com", "a.b.ops.example.com"]
)
def test_a_name_of_the_list_reaches_home_untouched_with_the_clients_address(start, home, name):
    relay = start(relay_target=f"127.0.0.1:{home.port}")
    hello = greeting(name)
    said, header = ask(relay, hello)
    assert said == header + hello
    assert bytes(home.received[-1]) == header + hello


@needs_nginx
@pytest.mark.parametrize(
    "said",
    [
        greeting("www.example.com"),
        greeting("example.com"),
        greeting("ops.example.com.evil.test"),
        greeting(None),
        b"GET / HTTP/1.1\r\nHost: ops.example.com\r\n\r\n",
        b"PROXY TCP4 192.0.2.66 127.0.0.1 1 443\r\n" + greeting("ops.example.com"),
    ],
    ids=["other", "parent", "longer", "none", "no TLS", "forged"],
)
def test_anything_else_ends_without_a_byte_to_the_home(start, home, said):
    relay = start(relay_target=f"127.0.0.1:{home.port}")
    assert ask(relay, said)[0] == b""
    ask(relay, greeting("ops.example.com"))
    assert len(home.received) == 1, "only the last one came through"


@needs_nginx
def test_every_connection_is_logged_with_the_bytes_both_ways(start, home):
    relay = start(relay_target=f"127.0.0.1:{home.port}")
    hello = greeting("ops.example.com")
    with relay.connect() as connection:
        connection.sendall(hello)
        said = receive(connection, len(hello))
        connection.sendall(b"x" * 100)
        relay_role.wait_for(lambda: home.received[0].endswith(b"x" * 100))
        receive(connection, len(home.received[0]) - len(said))
    ask(relay, greeting("www.example.com"))
    relay_role.wait_for(lambda: relay.log().count("\n") == 2)
    lines = [json.loads(line) for line in relay.log().splitlines()]
    led, refused = sorted(lines, key=lambda line: line["name"])
    assert (led["client"], led["name"], led["status"]) == ("127.0.0.1", "ops.example.com", 200)
    # nginx counts what comes after the greeting.
    assert led["received"] == 100
    assert led["sent"] == len(home.received[0]) == int(led["upstream_sent"])
    assert led["upstream"] == f"127.0.0.1:{home.port}"
    assert led["seconds"] >= 0
    assert (refused["name"], refused["upstream"], refused["sent"]) == ("www.example.com", "", 0)


@needs_nginx
def test_a_changed_address_of_the_home_is_followed(start, request):
    server = NameServer()
    request.addfinalizer(server.close)
    before = Home()
    after = Home("127.0.0.2", before.port)
    for each in (before, after):
        request.addfinalizer(each.close)
    relay = start(server.port, relay_target=f"home.example.com:{before.port}")
    ask(relay, greeting("ops.example.com"))
    server.address = "127.0.0.2"
    time.sleep(2.1)  # as long as the answer says, in whole seconds
    ask(relay, greeting("ops.example.com"))
    assert (len(before.received), len(after.received)) == (1, 1)


@needs_nginx
def test_an_answer_is_believed_as_long_as_is_set(start, request):
    server = NameServer()
    request.addfinalizer(server.close)
    before = Home()
    after = Home("127.0.0.2", before.port)
    for each in (before, after):
        request.addfinalizer(each.close)
    relay = start(server.port, relay_target=f"home.example.com:{before.port}", relay_dns_ttl="1h")
    ask(relay, greeting("ops.example.com"))
    server.address = "127.0.0.2"
    time.sleep(1.5)
    ask(relay, greeting("ops.example.com"))
    assert (len(before.received), len(after.received)) == (2, 0)


@needs_nginx
def test_a_closed_line_leads_nobody_home_but_shows_the_metrics(start, home):
    relay = start(relay_target=f"127.0.0.1:{home.port}", relay_http_target=f"127.0.0.1:{home.port}", **PEER)
    relay.line("closed")
    relay.reload()
    assert ask(relay, greeting("ops.example.com"))[0] == b""
    assert ask(relay, b"GET / HTTP/1.1\r\n\r\n", 80)[0] == b""
    assert home.received == []
    assert metrics(relay, *AUTHORITY.machine("sub"))[0] == 200
    relay.line("open")
    relay.reload()
    assert ask(relay, greeting("ops.example.com"))[0] != b""


@needs_nginx
def test_ipv6_is_relayed_too(start, home):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    relay = start(relay_target=f"127.0.0.1:{home.port}")
    with relay.connect(address="::1") as connection:
        connection.sendall(greeting("ops.example.com"))
        assert receive(connection, 1).startswith(b"PROXY TCP6 ::1 ::1 ")


@needs_nginx
def test_a_silent_connection_ends_after_a_while(start, home):
    relay = start(relay_target=f"127.0.0.1:{home.port}", relay_idle_timeout="1s")
    begun = time.monotonic()
    assert ask(relay, greeting("ops.example.com"))[0]
    with relay.connect() as connection:
        connection.sendall(greeting("ops.example.com"))
        while time.monotonic() < begun + 2:
            connection.sendall(b"x")
            time.sleep(0.2)
        silent = time.monotonic()
        receive(connection)
        assert 0.5 < time.monotonic() - silent < 5


@needs_nginx
def test_who_says_nothing_is_not_waited_for(start, home):
    relay = start(relay_target=f"127.0.0.1:{home.port}")
    with relay.connect() as connection:
        assert receive(connection) == b""
    assert home.received == []


@needs_nginx
def test_both_sides_of_a_silent_connection_are_kept_alive(start, home):
    sockets = Path("/proc/net/tcp")
    if not sockets.exists():
        pytest.skip("this kernel does not tell of the timers of sockets")
    relay = start(relay_target=f"127.0.0.1:{home.port}")
    with relay.connect() as connection:
        connection.sendall(greeting("ops.example.com"))
        receive(connection, len(greeting("ops.example.com")))
        time.sleep(0.5)  # until no other timer runs
        rows = [line.split() for line in sockets.read_text().splitlines()[1:]]
        # Established, on nginx's side: from the port that listens, and to the home's. The timer 02 is keepalive's.
        timers = {
            side: [row[5].split(":") for row in rows if row[3] == "01" and row[column].endswith(f":{port:04X}")]
            for side, column, port in (("client", 1, relay.ports[443]), ("home", 2, home.port))
        }
    assert [timer for timer, _ in timers["client"]] == ["02"]
    assert [timer for timer, _ in timers["home"]] == ["02"]
    hertz = os.sysconf("SC_CLK_TCK")
    assert int(timers["client"][0][1], 16) <= 300 * hertz, "well below the 10 minutes of Google's network"


@needs_nginx
def test_more_directives_are_taken_over(start):
    relay = start(relay_config_extra="server {\n  listen 127.0.0.1:9181;\n  return extra;\n}\n")
    with relay.connect(9181) as connection:
        assert receive(connection) == b"extra"


@needs_nginx
def test_plain_http_is_relayed_if_asked(start, home):
    relay = start(relay_target="203.0.113.7:8443", relay_http_target=f"127.0.0.1:{home.port}")
    said, header = ask(relay, b"GET / HTTP/1.1\r\n\r\n", 80)
    assert said == header + b"GET / HTTP/1.1\r\n\r\n"
    assert "listen 80" not in file("nginx.conf")


@needs_nginx
def test_one_address_has_so_many_connections(start, home):
    relay = start(relay_target=f"127.0.0.1:{home.port}", relay_connections_per_address=2)
    hello = greeting("ops.example.com")
    with relay.connect() as one, relay.connect() as two:
        for connection in (one, two):
            connection.sendall(hello)
            assert receive(connection, len(hello))
        assert ask(relay, hello)[0] == b""
    relay_role.wait_for(lambda: ask(relay, hello)[0] != b"")


@needs_nginx
def test_a_reload_leaves_connections_alone(start, home):
    relay = start(relay_target=f"127.0.0.1:{home.port}")
    with relay.connect() as connection:
        connection.sendall(greeting("ops.example.com"))
        receive(connection, len(greeting("ops.example.com")))
        for _ in range(3):
            relay.reload()
            connection.sendall(b"x" * 1000)
            assert receive(connection, 1000)


@needs_nginx
def test_the_configuration_says_which_it_is(start):
    assert start().version() == "0123456789abcdef"


def metrics(relay, certificate=None, key=None, name="relay", path="/metrics"):
    """Ask for the metrics through port 443, as Prometheus does; return the status and the body."""
    (relay.directory / "run/metrics.prom").write_text("protostar_relay_line_open 1\n")
    (relay.directory / "authority.crt").write_text(AUTHORITY.certificate)
    context = ssl.create_default_context(cafile=relay.directory / "authority.crt")
    if certificate:
        (relay.directory / "client.pem").write_text(certificate + key)
        context.load_cert_chain(relay.directory / "client.pem")
    with relay.connect() as plain, context.wrap_socket(plain, server_hostname=name) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {name}\r\n\r\n".encode())
        head, _, body = receive(connection).decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


@needs_nginx
def test_metrics_are_for_machines_of_the_same_authority(start):
    relay = start(**PEER)
    assert metrics(relay, *AUTHORITY.machine("sub")) == (200, "protostar_relay_line_open 1\n")
    assert metrics(relay)[0] == 400
    assert metrics(relay, *Authority().machine("sub"))[0] == 400
    assert metrics(relay, *AUTHORITY.machine("sub"), path="/metrics.prom")[0] == 404


@needs_nginx
def test_metrics_through_the_tunnel_are_for_the_home_only(start):
    relay = start(**WIREGUARD)
    (relay.directory / "run/metrics.prom").write_text("protostar_relay_line_open 1\n")
    with relay.connect(9101) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        answer = receive(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\nprotostar_relay_line_open 1\n")
    others = file("nginx.conf", **WIREGUARD, relay_tunnel_peer_address="10.202.0.1").replace("allow 127.0.0.1;", "")
    relay.write(others)
    relay.reload()
    with relay.connect(9101) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert receive(connection).startswith(b"HTTP/1.1 403 ")
