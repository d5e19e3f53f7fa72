"""The firewall: whom it lets through, seen in network namespaces with the kernel's own rules, and what it refuses."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).parents[3] / "roles/firewall"
PORTS = [
    {"port": 8443, "sources": ["10.99.1.2"], "comment": "the relay"},
    {"port": 8443, "sources": ["10.99.2.0/24"], "interface": "tunnel"},
    {"port": 9000, "sources": ["10.99.1.0/24", "fd99:1::2"]},
    {"port": 9001, "sources": ["10.99.4.0/24", "fd99:4::/64"]},
    {"port": "9004-9005", "sources": ["0.0.0.0/0", "::/0"]},
    {"port": 5300, "protocol": "udp", "sources": ["10.99.1.2"]},
]
# Answers, at each port over TCP and UDP, whatever it is asked.
SERVER = """
import selectors, socket, sys
waiting = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    waiting.register(server, selectors.EVENT_READ, "server")
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    datagrams.bind(("::", port))
    waiting.register(datagrams, selectors.EVENT_READ, "datagrams")
print("ready", flush=True)
while True:
    for key, _ in waiting.select():
        if key.data == "server":
            waiting.register(key.fileobj.accept()[0], selectors.EVENT_READ, "connection")
        elif key.data == "datagrams":
            _, peer = key.fileobj.recvfrom(100)
            key.fileobj.sendto(b"x", peer)
        elif key.fileobj.recv(100):
            key.fileobj.sendall(b"x")
        else:
            waiting.unregister(key.fileobj)
            key.fileobj.close()
"""
# Asks once, or with each line that comes in over the same connection; says yes or no.
CLIENT = """
import socket, sys
address, port, own, protocol = sys.argv[1:5]
kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
asking = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
asking.settimeout(0.7)
def ask():
    try:
        asking.send(b"?")
        return "yes" if asking.recv(1) else "no"
    except OSError:
        return "no"
try:
    asking.bind(("", int(own)))
    asking.connect((address, int(port)))
except OSError:
    print("no", flush=True)
else:
    print(ask(), flush=True)
    for _ in sys.stdin:
        print(ask(), flush=True)
"""


def variables(**more):
    """The role's own variables, with others over them."""
    own = {}
    for name in ("defaults/main.yml", "vars/main.yml"):
        own |= DataLoader().load_from_file(str(ROLE / name), trusted_as_template=True)
    return {**own, "ansible_managed": "managed", "ansible_search_path": [str(ROLE)], **more}


def rules(ports, **more):
    """The file of rules that the role writes."""
    context = variables(firewall_ports=ports, **more)
    return Templar(loader=DataLoader(), variables=context).template(context["__firewall_rules"])


def faults(ports, comes="", **more):
    context = variables(firewall_ports=ports, __firewall_found={"stdout_lines": ["yes", comes]}, **more)
    return Templar(loader=DataLoader(), variables=context).template(context["__firewall_faults"])


class Namespaces:
    """A host, a container behind it, and three others: the relay, a stranger, and one at the end of a tunnel."""

    def __init__(self):
        self.prefix = f"tmp-firewall-{os.getpid()}-"
        self.servers = []

    def run(self, where, *command, check=True, text=None):
        inside = ["ip", "netns", "exec", self.prefix + where, *command]
        result = subprocess.run(inside, capture_output=True, text=True, check=False, input=text, timeout=20)
        assert not check or result.returncode == 0, f"{command}: {result.stderr}"
        return result.stdout

    def make(self):
        for name in ("host", "relay", "stranger", "far", "container"):
            subprocess.run(["ip", "netns", "add", self.prefix + name], check=True)
            self.run(name, "ip", "link", "set", "lo", "up")
        links = (("relay", "eth1", 1), ("stranger", "eth3", 3), ("far", "tunnel", 2), ("container", "br-made", 4))
        for name, link, number in links:
            peer = ("peer", "name", "eth0", "netns", self.prefix + name)
            self.run("host", "ip", "link", "add", link, "type", "veth", *peer)
            for place, interface, last in (("host", link, 1), (name, "eth0", 2)):
                self.run(place, "ip", "address", "add", f"10.99.{number}.{last}/24", "dev", interface)
                self.run(place, "ip", "address", "add", f"fd99:{number}::{last}/64", "dev", interface, "nodad")
                self.run(place, "ip", "link", "set", interface, "up")
            self.run(name, "ip", "route", "add", "default", "via", f"10.99.{number}.1")
            self.run(name, "ip", "route", "add", "default", "via", f"fd99:{number}::1")
        self.run("host", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        # As Docker publishes a port of a container.
        self.run("host", "nft", "-f", "-", text=PUBLISHED)
        self.serve("host", 68, 9000, 9001, 9002, 9003, 9005, 9006, 5300)
        self.serve("container", 8443)
        for name in ("relay", "stranger", "far"):
            self.serve(name, 8443, 9000)

    def serve(self, where, *ports):
        command = [sys.executable, "-c", SERVER, *map(str, ports)]
        server = subprocess.Popen(
            ["ip", "netns", "exec", self.prefix + where, *command], stdout=subprocess.PIPE, text=True
        )
        self.servers.append(server)
        assert server.stdout.readline() == "ready\n"

    def ask(self, where, address, port, own=0, protocol="tcp"):
        command = [sys.executable, "-c", CLIENT, address, str(port), str(own), protocol]
        return self.run(where, *command, text="").strip() == "yes"

    def connection(self, where, address, port):
        """A connection that stays open, and asks by `again`."""
        command = [sys.executable, "-c", CLIENT, address, str(port), "0", "tcp"]
        begun = subprocess.Popen(
            ["ip", "netns", "exec", self.prefix + where, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.servers.append(begun)
        assert begun.stdout.readline() == "yes\n"
        return begun

    def load(self, ports, where="host", **more):
        self.run(where, "nft", "-f", "-", text=rules(ports, **more))

    def remove(self):
        for server in self.servers:
            server.kill()
            server.wait()
        for name in ("host", "relay", "stranger", "far", "container"):
            subprocess.run(["ip", "netns", "delete", self.prefix + name], check=False, capture_output=True)


PUBLISHED = """
table inet published {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    fib daddr type local tcp dport 8443 dnat ip to 10.99.4.2
    fib daddr type local tcp dport 8443 dnat ip6 to fd99:4::2
  }
}
"""


def again(connection):
    connection.stdin.write("\n")
    connection.stdin.flush()
    return connection.stdout.readline() == "yes\n"


@pytest.fixture(scope="module")
def made():
    if os.geteuid() or not shutil.which("nft") or not shutil.which("ip"):
        pytest.skip("wants root, nftables and iproute2, to make network namespaces of its own")
    namespaces = Namespaces()
    try:
        namespaces.make()
        yield namespaces
    finally:
        namespaces.remove()


@pytest.fixture
def network(made):
    made.load(PORTS)
    return made


@pytest.mark.parametrize(
    ("client", "address", "port", "let"),
    [
        # What Docker publishes, whose address is translated.
        ("relay", "10.99.1.1", 8443, True),
        ("stranger", "10.99.3.1", 8443, False),
        ("stranger", "10.99.1.1", 8443, False),
        ("relay", "fd99:1::1", 8443, False),
        ("stranger", "fd99:3::1", 8443, False),
        ("far", "10.99.2.1", 8443, True),
        ("stranger", "10.99.4.2", 8443, False),
        ("stranger", "fd99:4::2", 8443, False),
        # What listens on the host itself.
        ("relay", "10.99.1.1", 9000, True),
        ("relay", "fd99:1::1", 9000, True),
        ("stranger", "10.99.3.1", 9000, False),
        ("stranger", "fd99:3::1", 9000, False),
        ("stranger", "10.99.3.1", 9002, False),
        ("stranger", "fd99:3::1", 9002, False),
        ("stranger", "10.99.3.1", 9005, True),
        ("stranger", "fd99:3::1", 9005, True),
        ("stranger", "10.99.3.1", 9006, False),
        ("stranger", "fd99:3::1", 9006, False),
        # A container has no more of the host than others have.
        ("container", "10.99.4.1", 9001, True),
        ("container", "fd99:4::1", 9001, True),
        ("container", "10.99.4.1", 9000, False),
        ("container", "fd99:4::1", 9000, False),
        ("container", "10.99.3.1", 9002, False),
        ("container", "10.99.4.1", 8443, False),
        # The end of a tunnel has what is listed for it, at whichever address of the host.
        ("far", "10.99.2.1", 9000, False),
        ("far", "fd99:2::1", 9002, False),
        ("far", "10.99.1.1", 9002, False),
        # The host itself.
        ("host", "127.0.0.1", 9002, True),
        ("host", "::1", 9002, True),
        ("host", "10.99.3.1", 9002, True),
        ("host", "10.99.2.2", 9000, True),
        ("host", "fd99:3::2", 9000, True),
        # What a container asks of others.
        ("container", "10.99.3.2", 8443, True),
        ("container", "fd99:3::2", 8443, True),
        ("container", "fd99:2::2", 9000, True),
        # Nobody else's packets are passed on.
        ("stranger", "10.99.1.2", 8443, False),
        ("stranger", "fd99:1::2", 8443, False),
        ("far", "10.99.1.2", 9000, False),
        ("far", "fd99:1::2", 9000, False),
        ("far", "10.99.4.2", 8443, False),
    ],
)
def test_a_listed_port_answers_its_sources_and_no_other(network, client, address, port, let):
    assert network.ask(client, address, port) is let


@pytest.mark.parametrize(("client", "address"), [("relay", "10.99.1.1"), ("stranger", "10.99.3.1")])
def test_protocols_are_told_apart(network, client, address):
    assert network.ask(client, address, 5300, protocol="udp") is (client == "relay")
    assert not network.ask(client, address, 9000, protocol="udp")
    assert not network.ask(client, address, 5300)


@pytest.mark.parametrize(("interfaces", "let"), [([], False), (["br-other", "eth3"], True)])
def test_what_is_passed_on_comes_in_by_a_named_interface(made, interfaces, let):
    made.load(PORTS, firewall_routed_interfaces=interfaces)
    assert made.ask("stranger", "10.99.1.2", 8443) is let
    assert made.ask("stranger", "fd99:1::2", 8443) is let
    assert not made.ask("container", "10.99.3.2", 8443)


def test_a_source_begins_as_many_connections_as_its_rate_allows(made):
    made.load([{"port": 9003, "sources": ["0.0.0.0/0", "::/0"], "rate": 3}, {"port": 9005, "sources": ["::/0"]}])
    assert [made.ask("stranger", "10.99.3.1", 9003) for _ in range(5)] == [True] * 3 + [False] * 2
    # A /64 of IPv6 is one source, however many addresses it holds.
    assert [made.ask("stranger", "fd99:3::1", 9003) for _ in range(2)] == [True] * 2
    made.run("stranger", "ip", "address", "add", "fd99:3::9/64", "dev", "eth0", "nodad")
    made.run("stranger", "ip", "address", "delete", "fd99:3::2/64", "dev", "eth0")
    try:
        assert [made.ask("stranger", "fd99:3::1", 9003) for _ in range(3)] == [True] + [False] * 2
        assert made.ask("stranger", "fd99:3::1", 9005)
    finally:
        made.run("stranger", "ip", "address", "add", "fd99:3::2/64", "dev", "eth0", "nodad")
        made.run("stranger", "ip", "address", "delete", "fd99:3::9/64", "dev", "eth0")
    # Others are not counted, nor is what goes on over a connection that is there.
    connection = made.connection("relay", "10.99.1.1", 9003)
    assert all(again(connection) for _ in range(6))


@pytest.mark.parametrize("family", ["10.99.{}.1", "fd99:{}::1"])
def test_echo_is_answered_and_not_for_ever(network, family):
    assert int(network.run("relay", sys.executable, "-c", ECHO, family.format(1), "1")) == 1
    time.sleep(1)
    assert 0 < int(network.run("stranger", sys.executable, "-c", ECHO, family.format(3), "200")) < 100


# Sends so many echo requests at once; prints how many are answered.
ECHO = """
import socket, struct, sys
address, count = sys.argv[1], int(sys.argv[2])
v6 = ":" in address
asking = socket.socket(
    socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
)
asking.settimeout(0.7)
kind, answer = (128, 129) if v6 else (8, 0)
for number in range(count):
    # Without anything but its kind, identity 0 and a number, the checksum is the rest.
    asking.sendto(struct.pack("!BBHHH", kind, 0, 0xFFFF - (kind << 8) - number, 0, number), (address, 0))
answered = 0
try:
    while True:
        packet = asking.recv(1000)
        answered += packet[0 if v6 else 20] == answer
except TimeoutError:
    print(answered)
"""


def test_the_host_gets_its_address(network):
    assert network.ask("stranger", "10.99.3.1", 68, own=67, protocol="udp")
    assert not network.ask("stranger", "10.99.3.1", 68, own=66, protocol="udp")


def test_a_source_is_believed_at_its_interface_only(network):
    network.run("stranger", "ip", "address", "add", "10.99.2.9/32", "dev", "eth0")
    network.run("host", "ip", "route", "add", "10.99.2.9/32", "dev", "eth3")
    try:
        network.run("stranger", "ip", "route", "replace", "10.99.3.1/32", "dev", "eth0", "src", "10.99.2.9")
        assert network.ask("stranger", "10.99.3.1", 9005)
        assert not network.ask("stranger", "10.99.3.1", 8443)
    finally:
        network.run("stranger", "ip", "route", "delete", "10.99.3.1/32")
        network.run("stranger", "ip", "address", "delete", "10.99.2.9/32", "dev", "eth0")
        network.run("host", "ip", "route", "delete", "10.99.2.9/32")


def test_answers_come_back_to_a_listed_port(network):
    assert network.ask("host", "10.99.3.2", 9000, own=8443)


def test_a_source_that_is_taken_out_is_cut_off_at_once_and_others_are_not(network):
    cut, kept = network.connection("relay", "10.99.1.1", 8443), network.connection("far", "10.99.2.1", 8443)
    network.load(PORTS)
    assert again(cut)
    assert again(kept)
    network.load(PORTS[1:])
    assert not again(cut)
    assert again(kept)


def test_other_tables_stay_and_an_empty_list_lets_nobody_in(network):
    before = network.run("host", "nft", "list", "table", "inet", "published")
    network.load([])
    assert network.run("host", "nft", "list", "table", "inet", "published") == before
    assert not network.ask("relay", "10.99.1.1", 8443)
    assert network.ask("host", "10.99.3.2", 9000)


def test_a_replacement_leaves_no_moment_without_rules(network):
    closed = [{"port": 9000, "protocol": "udp", "sources": []}]
    network.load(closed)
    network.run("host", "nft", "-f", "-", text=COUNTED)
    command = ["ip", "netns", "exec", network.prefix + "stranger", sys.executable, "-c", FLOOD]
    sender = subprocess.Popen(command)
    try:
        for _ in range(30):
            network.load(closed)
            time.sleep(0.02)
    finally:
        sender.kill()
        sender.wait()
    came, passed = (
        network.run("host", "nft", "list", "counter", "inet", "counted", name) for name in ("came", "passed")
    )
    network.run("host", "nft", "delete", "table", "inet", "counted")
    assert int(came.split("packets ")[1].split()[0]) > 1000
    assert "packets 0 " in passed


FLOOD = """
import socket
sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    sending.sendto(b"x", ("10.99.3.1", 9000))
"""
COUNTED = """
table inet counted {
  counter came {}
  counter passed {}
  chain prerouting {
    type filter hook prerouting priority raw;
    iifname "eth3" udp dport 9000 counter name came
  }
  chain input {
    type filter hook input priority filter;
    iifname "eth3" udp dport 9000 counter name passed
  }
}
"""


def test_what_the_role_compares_is_the_rules_and_not_what_the_kernel_counts(network):
    rated = [*PORTS, {"port": 9003, "sources": ["0.0.0.0/0"], "rate": 30}]
    ours = re.search(r'listed="([^"]+)"', variables()["__firewall_drift"]).group(1).split()
    network.load(rated)
    network.ask("stranger", "10.99.3.1", 9003)
    network.ask("stranger", "10.99.3.1", 9001)
    network.load(rated, where="stranger")
    assert network.run("host", *ours) == network.run("stranger", *ours)
    for change in (("tcp", "dport", "1", "drop"), ("icmp", "type", "{", "redirect,", "timestamp-reply", "}", "accept")):
        network.load(rated)
        network.run("host", "nft", "add", "rule", "inet", "protostar_firewall", "prerouting", *change)
        assert network.run("host", *ours) != network.run("stranger", *ours)
    network.run("stranger", "nft", "delete", "table", "inet", "protostar_firewall")


SSH = {"port": 22, "sources": ["198.51.100.0/24"]}


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"port": 443}, ""),
        ({"port": 443, "sources": ["10.0.0.0/8", "fd00::/8", "::1", "2001:db8::1/128", "0.0.0.0/0"]}, ""),
        ({"port": 443, "interface": "wg0.1-a_b"}, ""),
        ({"port": "6000-6010", "rate": 5}, ""),
        ({"port": 0}, "the entry of port 0 wants a number from 1 to 65535"),
        ({"port": 65536}, "the entry of port 65536 wants a number from 1 to 65535"),
        ({"port": "6010-6000"}, "the entry of port 6010-6000 wants a number from 1 to 65535, or a range"),
        ({"port": "ssh"}, "the entry of port ssh wants a number"),
        ({"port": "1-65536"}, "the entry of port 1-65536 wants a number"),
        ({"port": 443, "sources": ["10.0.0.256"]}, "has the source 10.0.0.256, which is no address"),
        ({"port": 443, "sources": ["10.0.0.1/33"]}, "has the source 10.0.0.1/33, which is no address"),
        ({"port": 443, "sources": ["10.0.0"]}, "has the source 10.0.0, which is no address"),
        ({"port": 443, "sources": ["fd00::/129"]}, "has the source fd00::/129, which is no address"),
        ({"port": 443, "sources": ["relay.example.com"]}, "has the source relay.example.com, which is no address"),
        ({"port": 443, "sources": ["10.0.0.1 accept; drop"]}, "which is no address"),
        ({"port": 443, "interface": 'eth0" accept #'}, "which no interface can be called"),
        ({"port": 443, "interface": "sixteen-letters-"}, "which no interface can be called"),
        ({"port": 443, "rate": -1}, "has the rate -1"),
    ],
)
def test_what_means_nothing_is_refused_in_one_sentence(entry, sentence):
    said = faults([SSH, {"sources": [], **entry}], "198.51.100.7 50000 192.0.2.1 22")
    assert len(said.splitlines()) == bool(sentence)
    assert sentence in said


@pytest.mark.parametrize(
    ("ports", "comes", "sentence"),
    [
        ([SSH], "198.51.100.7 50000 192.0.2.1 22", ""),
        # Not over SSH: from where cannot be known.
        ([SSH], "", ""),
        ([], "", "no entry for port 22, by which"),
        ([{**SSH, "protocol": "udp"}], "", "no entry for port 22, by which"),
        ([SSH], "198.51.100.7 50000 192.0.2.1 2222", "no entry for port 2222, by which"),
        ([{**SSH, "port": "2000-3000"}], "198.51.100.7 50000 192.0.2.1 2222", ""),
        ([SSH], "203.0.113.9 50000 192.0.2.1 22", "it comes over SSH from 203.0.113.9, which is none of"),
        ([SSH], "fd00::7 50000 fd00::1 22", "it comes over SSH from fd00::7, which is none of"),
        ([SSH, {**SSH, "sources": ["fd00::/64"]}], "fd00::7 50000 fd00::1 22", ""),
        ([{**SSH, "sources": ["fe80::/10"]}], "fe80::7%eth0 50000 fe80::1%eth0 22", ""),
        ([{**SSH, "sources": []}], "198.51.100.7 50000 192.0.2.1 22", "from 198.51.100.7, which is none of"),
    ],
)
def test_what_would_lock_out_is_refused_in_one_sentence(ports, comes, sentence):
    said = faults(ports, comes)
    assert len(said.splitlines()) == bool(sentence)
    assert sentence in said


@pytest.mark.parametrize(("name", "faulty"), [("br-*", False), ("*", True), ('eth0" accept #', True), ("a" * 16, True)])
def test_an_interface_has_a_name_that_one_can_have(name, faulty):
    said = faults([SSH], firewall_routed_interfaces=[name])
    assert ("which no interface can be called" in said) is faulty


def test_a_comment_stays_one():
    text = rules([{"port": 1, "sources": [], "comment": "for\nflush ruleset"}])
    assert [line for line in text.splitlines() if "flush" in line and not line.lstrip().startswith("#")] == []
