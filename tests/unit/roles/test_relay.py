"""What the relay refuses, what it is configured with in either way, and what nginx does with that."""

import json
import os
import re
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
    FORWARD,
    METADATA,
    WIREGUARD,
    Authority,
    Home,
    NameServer,
    Relay,
    evaluate,
    file,
    greeting,
    receive,
)

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.machine("relay")
PEER = {
    "relay_metrics_name": "relay",
    "relay_peer_authority": AUTHORITY.certificate,
    "relay_peer_certificate": CERTIFICATE,
    "relay_peer_key": KEY,
}
GOOGLE = METADATA["relay_google"]
needs_nginx = pytest.mark.skipif(bool(relay_role.why_no_nginx()), reason=relay_role.why_no_nginx())


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [
        FORWARD,
        {**FORWARD, **PEER},
        {**FORWARD, **METADATA},
        {**WIREGUARD, **METADATA},
        {**WIREGUARD, "relay_http_target": "10.202.0.2:8080"},
        {**FORWARD, "relay_target": "203.0.113.7:8443"},
        {**FORWARD, "relay_target": "[2001:db8::7]:8443"},
        {**FORWARD, "relay_target": "172.15.0.1:8443"},
        {**FORWARD, "relay_target": "home.example.com:443", "relay_taken_ports": []},
        {**FORWARD, "relay_names": ["*.example.com"]},
        {**FORWARD, "relay_names": ["*.com"]},
        {**FORWARD, "relay_resolvers": ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"]},
        {**FORWARD, "relay_dns_ttl": "30s", "relay_idle_timeout": "9m"},
        {**FORWARD, "relay_egress_soft_cap_gb": 150.5, "relay_egress_hard_cap_gb": 190},
        {**FORWARD, "relay_egress_soft_cap_gb": 150},
        {**FORWARD, "relay_google": {**GOOGLE, "ssh": "iap"}},
        {**FORWARD, **METADATA, "relay_google": {**GOOGLE, "zone": "us-west1-c", "metadata": {"own": "x"}}},
        {**WIREGUARD, "relay_tunnel_peer_key": "", "ansible_check_mode": True},
        {**WIREGUARD, "relay_tunnel_peer_key": "", "relay_state": "absent"},
    ],
)
def test_what_works_is_not_refused(variables):
    assert evaluate("__relay_faults", **variables) == ""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"relay_names": ["www.example.com", "*.www.example.com"]},
            "leaves out the management line ('ops.example.com')",
        ),
        ({"relay_names": ["*.ops.example.com"]}, "would lock you out"),
        ({"relay_names": ["*.s.example.com"]}, "would lock you out"),
        ({"relay_names": []}, "would lock you out"),
        ({"relay_management_name": ""}, "would lock you out"),
        ({"relay_names": ["ops.example.com", "a.test 1; }"]}, 'relay_names: "a.test 1; }" is not a name'),
        ({"relay_names": ["ops.example.com", "Www.example.com"]}, "is not a name in lowercase"),
        ({"relay_names": ["ops.example.com", "a.*.test"]}, 'relay_names: "a.*.test" is not a name'),
        ({"relay_names": ["ops.example.com", "www.example.com\n"]}, "is not a name in lowercase"),
        ({"relay_target": ""}, "relay_target: '' is not a host and a port"),
        ({"relay_target": "home.example.com"}, "is not a host and a port"),
        ({"relay_target": "home.example.com:0"}, "is not a host and a port"),
        ({"relay_target": "home.example.com:65536"}, "is not a host and a port"),
        ({"relay_target": "a:1; b:2"}, "is not a host and a port"),
        (
            {"relay_target": "home.example.com:443"},
            "relay_target: port 443 of the home's public address leads to another",
        ),
        ({"relay_http_target": "home.example.com:80"}, "relay_http_target: port 80 of the home's"),
        ({"relay_target": "home.example.com:9000", "relay_taken_ports": [9000]}, "port 9000 of the home's"),
        ({"relay_target": "192.168.1.20:8443"}, "192.168.1.20:8443 cannot be reached from a VM on the internet"),
        ({"relay_target": "10.0.0.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "172.16.0.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "172.31.255.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "100.64.0.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "127.0.0.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "localhost:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "[::1]:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "[fd00::1]:8443"}, "cannot be reached from a VM"),
        ({"relay_http_target": "192.168.1.20:8080"}, "relay_http_target: 192.168.1.20:8080 cannot be reached"),
        ({"relay_target": "ops.example.com:8443"}, "would call itself without end"),
        ({"relay_idle_timeout": "600s"}, "relay_idle_timeout: 600s is not below the 600 s"),
        ({"relay_idle_timeout": "10m"}, "relay_idle_timeout: 10m is not below the 600 s"),
        ({"relay_idle_timeout": "1h"}, "is not a time such as 570s"),
        ({"relay_idle_timeout": "0s"}, "is not a time such as 570s"),
        ({"relay_dns_ttl": "30 s"}, "relay_dns_ttl: '30 s' is not a time"),
        ({"relay_resolvers": ["dns.example.com"]}, "relay_resolvers: 'dns.example.com' is not the address"),
        ({"relay_connections_per_address": 0}, "relay_connections_per_address: 0 would let nobody in"),
        ({"relay_new_connections_per_second": 0}, "relay_new_connections_per_second: 0 would let nobody in"),
        (
            {"relay_egress_soft_cap_gb": 200, "relay_egress_hard_cap_gb": 100},
            "(200) is above relay_egress_hard_cap_gb (100)",
        ),
        ({"relay_egress_hard_cap_gb": -1}, "relay_egress_hard_cap_gb: -1 is less than nothing"),
        ({**PEER, "relay_metrics_name": "ops.example.com"}, "ops.example.com is in relay_names as well"),
        ({**PEER, "relay_metrics_name": ""}, "relay_metrics_name is empty"),
        ({**PEER, "relay_metrics_name": "the relay"}, "relay_metrics_name: 'the relay' is not a name"),
        ({**PEER, "relay_peer_certificate": ""}, "relay_peer_certificate is empty"),
        ({**PEER, "relay_peer_authority": ""}, "relay_peer_authority is empty"),
        ({**PEER, "relay_peer_key": AUTHORITY.machine("relay")[1]}, "relay_peer_key does not belong to"),
        (
            {**PEER, "relay_peer_key": "$ANSIBLE_VAULT;1.1;AES256"},
            "relay_peer_key is not an unencrypted key as PEM text",
        ),
        ({**PEER, **METADATA}, "relay_peer_key would be in the VM's metadata"),
        ({"relay_delivery": "metadata"}, "which only a VM of relay_google has"),
        (
            {**METADATA, "relay_google": {"region": "us-west1"}},
            "relay_google.project: nothing is not the ID of a project",
        ),
        ({**METADATA, "relay_google": {"project": "", "region": "us-west1"}}, "relay_google.project: nothing is not"),
        (
            {**METADATA, "relay_google": {**GOOGLE, "project": "My Shop"}},
            "relay_google.project: 'My Shop' is not the ID",
        ),
        ({**METADATA, "relay_google": {"project": "shop-1234"}}, "relay_google.region: nothing is not a region"),
        (
            {**METADATA, "relay_google": {**GOOGLE, "region": "us-west1-b"}},
            "relay_google.region: 'us-west1-b' is not a region",
        ),
        (
            {**METADATA, "relay_google": {**GOOGLE, "region": "uswest1"}},
            "relay_google.region: 'uswest1' is not a region",
        ),
        ({**METADATA, "relay_google": {**GOOGLE, "zone": "us-east1-b"}}, "us-east1-b is not in the region us-west1"),
        ({"relay_google": GOOGLE}, "relay_google.ssh is closed, and relay_delivery is ssh"),
        (
            {**METADATA, "relay_google": {**GOOGLE, "metadata": {"startup-script": "x"}}},
            "relay_google.metadata: startup-script",
        ),
        (
            {**METADATA, "relay_google": {**GOOGLE, "metadata": {"protostar-relay": "x"}}},
            "relay_google.metadata: protostar-relay",
        ),
        (
            {**WIREGUARD, "relay_target": "home.example.com:8443"},
            "home.example.com:8443 is not reached through the tunnel",
        ),
        (
            {**WIREGUARD, "relay_http_target": "home.example.com:8080"},
            "relay_http_target: home.example.com:8080 is not reached",
        ),
        ({**WIREGUARD, "relay_tunnel_peer_key": ""}, "relay_tunnel_peer_key is empty"),
        ({**WIREGUARD, "relay_tunnel_peer_key": "secret"}, "relay_tunnel_peer_key is not a public key"),
        ({**WIREGUARD, "relay_tunnel_address": "10.202.0"}, "relay_tunnel_address: '10.202.0' is not an IPv4 address"),
        ({**WIREGUARD, "relay_tunnel_address": "10.202.0.5"}, "are not the two addresses of one network of four"),
        ({**WIREGUARD, "relay_tunnel_address": "10.202.0.2"}, "are not the two addresses of one network of four"),
        ({**WIREGUARD, "relay_tunnel_address": "10.202.0.3"}, "are not the two addresses of one network of four"),
        ({**WIREGUARD, "relay_tunnel_port": 0}, "relay_tunnel_port: 0 is not a port"),
    ],
)
def test_what_would_not_work_is_refused_in_one_sentence_with_the_remedy(variables, words):
    said = evaluate("__relay_faults", **variables)
    assert words in said
    assert len(said.splitlines()) == 1
    assert re.search(r"\. (Add|Correct|Use|Set|Forward|Lower|Leave|Fill)\b.*\.$", said)


def test_all_that_is_wrong_is_said_at_once():
    said = evaluate(
        "__relay_faults", relay_names=["www.example.com"], relay_target="10.0.0.1:8443", relay_idle_timeout="1d"
    )
    assert len(said.splitlines()) == 3


# --- the bundle ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variables", [FORWARD, WIREGUARD], ids=["forward", "wireguard"])
def test_both_deliveries_bring_the_same_bundle(variables):
    by_metadata = evaluate("__relay_metadata", **variables, **METADATA)["protostar-relay"]
    assert by_metadata == evaluate("__relay_bundle_text", **variables)
    assert set(json.loads(by_metadata)) == {"format", "files", "agent"}


@pytest.mark.parametrize("variables", [{**FORWARD, **PEER}, WIREGUARD], ids=["forward", "wireguard"])
def test_the_agent_takes_the_bundle_and_knows_it_by_the_version_that_the_play_waits_for(tmp_path, variables):
    variables = {**variables, "relay_config_extra": "# übrigens"}
    bundle = tmp_path / "bundle.json"
    bundle.write_text(evaluate("__relay_bundle_text", **variables))
    program = (
        f"import sys; sys.path.insert(0, {str(relay_role.ROLE / 'files/agent')!r}); import bundle, pathlib; "
        f"print(bundle.load(pathlib.Path({str(bundle)!r})).version)"
    )
    said = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, check=False, encoding="utf-8")
    assert said.stdout.strip() == evaluate("__relay_version", **variables), said.stderr


def test_caps_are_bytes_of_which_google_bills_a_gigabyte():
    agent = evaluate("__relay_bundle", relay_egress_soft_cap_gb=0.5, relay_egress_hard_cap_gb=200)["agent"]
    assert agent == {"egress_soft_cap_bytes": 2**29, "egress_hard_cap_bytes": 200 * 2**30}


@pytest.mark.parametrize("transport", [FORWARD, WIREGUARD], ids=["forward", "wireguard"])
def test_no_key_is_in_the_bundle_or_in_metadata(transport):
    secret = KEY.splitlines()[1]
    assert secret not in evaluate("__relay_bundle_text", **transport, **PEER)
    assert secret not in json.dumps(evaluate("__relay_metadata", **transport, **PEER, **METADATA))


def test_the_tunnel_has_a_key_of_its_own_machine_and_waits_for_the_home():
    text = file("tunnel.conf", **WIREGUARD)
    lines = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    assert lines["PublicKey"] == WIREGUARD["relay_tunnel_peer_key"]
    assert lines["AllowedIPs"] == "10.202.0.2/32"
    assert not {"PrivateKey", "Endpoint", "PersistentKeepalive"} & set(lines)
    assert "tunnel.conf" not in evaluate("__relay_bundle")["files"]


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


def test_port_80_is_limited_where_it_is_relayed():
    ports = [
        re.search(r"tcp dport \{ ([\d, ]+) \} tcp flags", file("relay.nft", relay_http_target=target))[1]
        for target in ("", "home.example.com:8080")
    ]
    assert ports == ["443", "443, 80"]


# --- nginx -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def start(tmp_path, request):
    """Return a function that runs nginx with the role's configuration."""

    def start(name_server=53, **variables):
        relay = Relay(tmp_path, file("nginx.conf", **variables), name_server)
        for name in ("authority", "certificate", "key"):
            path = (
                tmp_path
                / "etc/peer"
                / {"authority": "authority.crt", "certificate": "peer.crt", "key": "peer.key"}[name]
            )
            path.write_text(PEER[f"relay_peer_{name}"])
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
    for name, text in {"authority.crt": AUTHORITY.certificate, "peer.crt": CERTIFICATE, "peer.key": KEY}.items():
        (tmp_path / "etc/peer" / name).write_text(text)
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


def test_a_renewed_certificate_is_a_new_configuration():
    renewed, key = AUTHORITY.machine("relay")
    versions = {
        evaluate("__relay_version", **peer)
        for peer in (PEER, {**PEER, "relay_peer_certificate": renewed, "relay_peer_key": key})
    }
    assert len(versions) == 2


@pytest.mark.parametrize(
    "variables", [{}, {**PEER, **METADATA}, {**PEER, **WIREGUARD}], ids=["no key", "metadata", "wireguard"]
)
def test_there_is_no_door_for_metrics_without_certificates(variables):
    assert "9444" not in file("nginx.conf", **variables)


# --- the VM ----------------------------------------------------------------------------------------------------------


def test_what_a_vm_of_google_starts_with_fits_its_metadata():
    # https://cloud.google.com/compute/docs/metadata/setting-custom-metadata
    metadata = evaluate("__relay_metadata", **WIREGUARD, **METADATA)
    assert max(len(value.encode()) for value in metadata.values()) <= 256 * 1024
    assert sum(len(value.encode()) for value in metadata.values()) <= 512 * 1024
