"""The home end of the tunnel: what it refuses, and what becomes of one that is up, between two network namespaces."""

import functools
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).parents[3] / "roles/wireguard"
PEER = "UKSvRIA/3Exo/g7FQkhevRVHeo2kHq4lZ1MvZCLqMwA="
GIVEN = {"wireguard_peer_key": PEER, "wireguard_endpoint": "10.98.0.1:51820", "ansible_check_mode": False}

# Sends back what comes, over one connection after the other.
SERVER = """
import socket
server = socket.create_server(("0.0.0.0", 7))
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    while part := connection.recv(100):
        connection.sendall(part)
"""
# Over one connection, as often as it is told; fails when an answer takes longer than two seconds.
CLIENT = """
import socket, sys, time
connection = socket.create_connection(("10.202.0.1", 7), timeout=8)
connection.settimeout(2)
for _ in range(int(sys.argv[1])):
    connection.sendall(b"x")
    assert connection.recv(1)
    time.sleep(0.05)
"""


@functools.cache
def load(name):
    return DataLoader().load_from_file(str(ROLE / name), trusted_as_template=True)


def context(**variables):
    own = {**load("defaults/main.yml"), **load("vars/main.yml"), **GIVEN}
    return {**own, "ansible_managed": "managed", "ansible_search_path": [str(ROLE)], **variables}


def files(**variables):
    """What the role writes, by its name."""
    [task] = [task for task in load("tasks/present.yml") if "protostar.platform.host_files" in task]
    variables = context(**variables)
    arguments = Templar(loader=DataLoader(), variables=variables).template(task["protostar.platform.host_files"])
    return {file["dest"]: file for file in arguments["files"]}


def configuration(**variables):
    return files(**variables)["/etc/wireguard/protostar.conf"]["content"]


def faults(**variables):
    variables = context(**variables)
    return Templar(loader=DataLoader(), variables=variables).template(variables["__wireguard_faults"])


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, ""),
        ({"wireguard_endpoint": "relay.example.com:51820"}, ""),
        ({"wireguard_endpoint": "[2001:db8::1]:51820", "wireguard_address": "fd00::2/64"}, ""),
        ({"wireguard_peer_address": "fd00::1"}, ""),
        ({"wireguard_mtu": 1380}, ""),
        ({"wireguard_peer_key": ""}, "wireguard_peer_key is empty"),
        ({"wireguard_peer_key": "", "ansible_check_mode": True}, ""),
        ({"wireguard_peer_key": PEER[:-2]}, "wireguard_peer_key is no public key"),
        ({"wireguard_peer_key": PEER[:-2] + "B="}, "wireguard_peer_key is no public key"),
        ({"wireguard_peer_key": PEER + "\nPostUp = rm"}, "wireguard_peer_key is no public key"),
        ({"wireguard_public_key": PEER}, "wireguard_peer_key is the key of this end itself"),
        ({"wireguard_endpoint": ""}, "wireguard_endpoint is empty"),
        ({"wireguard_endpoint": "10.98.0.1"}, "wireguard_endpoint is 10.98.0.1"),
        ({"wireguard_endpoint": "10.98.0.1:0"}, "wireguard_endpoint is 10.98.0.1:0"),
        ({"wireguard_endpoint": "10.98.0.1:65536"}, "wireguard_endpoint is 10.98.0.1:65536"),
        ({"wireguard_endpoint": "2001:db8::1:51820"}, "wireguard_endpoint is 2001:db8::1:51820"),
        ({"wireguard_address": "10.202.0.2"}, "wireguard_address is 10.202.0.2, which is no address with"),
        ({"wireguard_address": "10.202.0.2/33"}, "wireguard_address is 10.202.0.2/33"),
        ({"wireguard_peer_address": "10.202.0.1/32"}, "wireguard_peer_address is 10.202.0.1/32"),
        ({"wireguard_peer_address": "10.202.0.2"}, "are the same address"),
        ({"wireguard_port": 0}, "wireguard_port is 0"),
        ({"wireguard_mtu": 1279}, "wireguard_mtu is 1279"),
    ],
)
def test_what_would_be_no_tunnel_is_refused_in_one_sentence(variables, sentence):
    said = faults(**variables)
    assert len(said.splitlines()) == bool(sentence), said
    assert sentence in said


def test_no_file_has_a_key_but_the_public_one_of_the_other_end():
    written = files()
    assert [dest for dest, file in written.items() if "PrivateKey =" in file["content"]] == [
        "/usr/local/sbin/protostar-tunnel"
    ], "only the program that adds it has the word"
    assert written["/etc/wireguard/protostar.conf"]["mode"] == "0600"


def test_all_that_is_written_is_removed():
    removed = {file["dest"] for file in load("vars/main.yml")["__wireguard_absent"] if file["state"] == "absent"}
    assert removed == set(files())


def test_only_the_other_end_goes_through_the_tunnel():
    assert "AllowedIPs = 10.202.0.1/32\n" in configuration()
    assert "AllowedIPs = fd00::1/128\n" in configuration(wireguard_peer_address="fd00::1")


class End:
    """One end of a link, in network and mount namespaces of its own, with nothing in /etc/wireguard and /run."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", "sleep", "600"])
        deadline = time.monotonic() + 5
        own = Path("/proc/self/ns/mnt").readlink()
        while Path(f"/proc/{self.holder.pid}/ns/mnt").readlink() == own:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.run("mount -t tmpfs tmpfs /run && mount -t tmpfs -o mode=700 tmpfs /etc/wireguard && ip link set lo up")

    def enter(self, *command, **options):
        inside = ["nsenter", f"--target={self.holder.pid}", "--net", "--mount", *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=60, **options)

    def run(self, script, check=True):
        result = self.enter("bash", "-c", script)
        assert not check or result.returncode == 0, f"{script}: {result.stdout}{result.stderr}"
        return result.stdout.strip() if check else result

    def write(self, path, text):
        assert self.enter("bash", "-c", f"umask 077; cat > {path}", input=text).returncode == 0

    def end(self):
        self.run("ip link delete protostar", check=False)
        self.holder.kill()
        self.holder.wait()


class Home(End):
    """The end that the role configures. What its program asks of systemd and of wg is written down."""

    def __init__(self, place):
        super().__init__()
        self.place = place
        for name, program in (("systemctl", ""), ("wg", f'exec {shutil.which("wg")} "$@"')):
            path = place / name
            path.write_text(f'#!/bin/sh\necho "$*" >> {place}/{name}.log\n{program}\n')
            path.chmod(0o755)
        (place / "protostar-tunnel").write_text(files()["/usr/local/sbin/protostar-tunnel"]["content"])

    def configure(self, **variables):
        self.write("/etc/wireguard/protostar.conf", configuration(**self.given, **variables))

    def tunnel(self, command):
        return self.run(f"PATH={self.place}:$PATH bash {self.place}/protostar-tunnel {command}", check=False)

    def told(self, program):
        path = self.place / f"{program}.log"
        return path.read_text() if path.exists() else ""

    def talk(self, times=1):
        """Begin to ask the other end through the tunnel, and return who does."""
        inside = ["nsenter", f"--target={self.holder.pid}", "--net", sys.executable, "-c", CLIENT, str(times)]
        return subprocess.Popen(inside)

    def reaches(self):
        return self.talk().wait(timeout=20) == 0

    def key(self):
        """Make the key as the role does."""
        [task] = [task for task in load("tasks/key.yml") if "creates" in task.get("ansible.builtin.shell", {})]
        result = self.run(task["ansible.builtin.shell"]["cmd"], check=False)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        return task["ansible.builtin.shell"]["creates"]


@pytest.fixture
def home(tmp_path):
    if os.geteuid() or not all(shutil.which(name) for name in ("wg", "wg-quick", "wireguard-go", "ip", "nsenter")):
        pytest.skip("wants root, wireguard-tools, wireguard-go and iproute2, for a tunnel between two namespaces")
    made, server = [], None
    try:
        made += [End()]
        made += [Home(tmp_path)]
        relay, home = made
        subprocess.run(
            [
                *("nsenter", f"--target={home.holder.pid}", "--net", "ip", "link", "add", "eth0", "type", "veth"),
                *("peer", "name", "eth0", "netns", str(relay.holder.pid)),
            ],
            check=True,
        )
        relay.run("ip address add 10.98.0.1/24 dev eth0; ip address add 10.98.0.9/24 dev eth0; ip link set eth0 up")
        home.run("ip address add 10.98.0.2/24 dev eth0 && ip link set eth0 up")
        path = home.key()
        assert stat.S_IMODE(int(home.run(f"stat -c %f {path}"), 16)) == 0o600
        relay.run("umask 077; wg genkey > /run/key")
        home.given = {"wireguard_peer_key": relay.run("wg pubkey < /run/key")}
        home.configure()
        home.run("WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go wg-quick up protostar")
        relay.run(
            "ip link add protostar type wireguard 2>/dev/null || wireguard-go protostar; "
            "wg set protostar listen-port 51820 private-key /run/key "
            f"peer {home.run('wg show protostar public-key')} allowed-ips 10.202.0.0/24; "
            "ip address add 10.202.0.1/24 dev protostar; ip link set protostar up"
        )
        serving = ["nsenter", f"--target={relay.holder.pid}", "--net", sys.executable, "-c", SERVER]
        server = subprocess.Popen(serving, stdout=subprocess.PIPE, text=True)
        assert server.stdout.readline() == "ready\n"
        yield home
    finally:
        if server:
            server.kill()
            server.wait()
        for one in reversed(made):
            one.end()


def test_the_tunnel_stays_up_over_a_changed_configuration(home):
    assert home.reaches()

    def state():
        return [home.run(f"wg show protostar {what}") for what in ("latest-handshakes", "public-key", "listen-port")]

    before = state()
    assert home.tunnel("compare").returncode == 0
    home.configure(wireguard_mtu=1300)
    talk = home.talk(40)
    time.sleep(0.5)
    for _ in range(5):
        reloaded = home.tunnel("reload")
        assert (reloaded.returncode, reloaded.stderr) == (0, "")
    assert talk.wait(timeout=30) == 0
    assert state() == before
    assert "mtu 1300" in home.run("ip link show protostar")
    assert home.tunnel("compare").returncode == 0
    # Whatever is said to a program is in the list of processes, for everybody.
    assert home.run("cat /etc/wireguard/protostar.key") not in home.told("wg")
    assert "syncconf" in home.told("wg")


def test_another_address_takes_the_place_of_the_old_one(home):
    home.configure(wireguard_address="10.202.0.6/29")
    assert home.tunnel("compare").returncode != 0
    assert home.tunnel("reload").returncode == 0
    assert home.run("ip -brief address show dev protostar scope global").split()[2:] == ["10.202.0.6/29"]
    assert home.reaches()
    assert home.tunnel("compare").returncode == 0


@pytest.mark.parametrize(
    "drift",
    [
        "wg set protostar peer $(wg show protostar peers) allowed-ips 10.0.0.0/8",
        "wg set protostar peer $(wg genkey | wg pubkey) allowed-ips 10.9.0.0/16",
        "wg set protostar private-key <(wg genkey)",
        "ip address add 10.202.0.7/32 dev protostar",
    ],
)
def test_what_was_changed_by_hand_is_seen_and_put_back(home, drift):
    assert home.tunnel("compare").returncode == 0
    home.run(drift)
    assert home.tunnel("compare").returncode != 0
    assert home.tunnel("reload").returncode == 0
    assert home.tunnel("compare").returncode == 0
    assert home.reaches()


def test_a_broken_configuration_does_not_cut_the_tunnel(home):
    home.run("rm /etc/wireguard/protostar.conf")
    assert home.tunnel("reload").returncode != 0
    assert home.reaches()


@pytest.mark.parametrize("command", ["check", "reload"])
def test_a_tunnel_whose_program_is_gone_is_started_again(home, command):
    assert home.tunnel(command).returncode == 0
    assert home.told("systemctl") == ""
    home.run("ip link delete protostar")
    assert home.tunnel("compare").returncode != 0
    asked = home.told("systemctl")
    assert home.tunnel(command).returncode == 0
    assert home.told("systemctl").removeprefix(asked) == "--no-block restart wg-quick@protostar.service\n"


def test_the_name_of_the_other_end_is_followed_once_it_is_silent(home):

    def leads_to(address):
        home.write("/run/hosts", f"{address} face.cafe\n")

    leads_to("10.98.0.1")
    home.run("mount --bind /run/hosts /etc/hosts")
    home.configure(wireguard_endpoint="face.cafe:51820")
    assert home.tunnel("reload").returncode == 0
    assert home.reaches()
    leads_to("10.98.0.9")
    time.sleep(2)
    assert home.tunnel("check").returncode == 0
    assert "10.98.0.1:51820" in home.run("wg show protostar endpoints"), "it has just been heard"
    # A tunnel that has not been heard of yet.
    peer = home.given["wireguard_peer_key"]
    home.run(f"wg set protostar peer {peer} remove")
    home.run(f"wg set protostar peer {peer} allowed-ips 10.202.0.1/32 endpoint 10.98.0.77:51820")
    assert home.tunnel("check").returncode == 0
    assert "10.98.0.9:51820" in home.run("wg show protostar endpoints")
    assert home.reaches()


def test_an_unknown_command_says_what_there_is(home):
    result = home.tunnel("stop")
    assert result.returncode == 2
    assert "prepare, reload, compare, check" in result.stderr
