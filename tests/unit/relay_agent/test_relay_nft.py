"""The egress meter and the kernel's own counter, in a network namespace of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from relay_world import described

ENTER = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]
NFT = shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin")
RULES = """table inet protostar_relay {}
delete table inet protostar_relay
table inet protostar_relay {
  counter egress { }
  chain egress {
    type filter hook postrouting priority 0; policy accept;
    udp dport 9 counter name egress
  }
}"""
# What runs in the namespace: argument 1 the root of a machine, 2 the bundle.
PROGRAM = """
import fcntl, json, socket, struct, sys
from pathlib import Path
from bundle import load
from commands import Answer, run
from egress import Meter
from machine import Machine
from parts import Parts
from paths import Paths

control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 0x49))  # SIOCSIFFLAGS: up
machine = Machine(Paths(Path(sys.argv[1])), run)
rules = Parts(machine).rules
bundle = load(Path(sys.argv[2]))

def send(size):
    control.sendto(b"x" * size, ("127.0.0.1", 9))

def total():
    return Meter(machine).take().total

said = [rules.in_force(bundle, True), rules.count()]
machine.paths.rules.parent.mkdir(parents=True)
machine.paths.rules.write_text(rules.text(bundle))
rules.check(machine.paths.rules)
rules.enforce()
said += [rules.in_force(bundle, True), rules.count(), total()]
first = rules.handle()
send(972)  # and 28 of IP and UDP
said += [total()]
send(72)
rules.enforce()  # which books what was counted
said += [total(), rules.handle() != first]
for _again in range(5):
    send(472)
said += [total()]
run(["nft", "flush", "ruleset"])
said += [rules.in_force(bundle, True), total()]
rules.enforce()
send(0)
said += [total()]
rules.withdraw()
said += [rules.in_force(bundle, True)]
print(json.dumps(said))
"""


def in_a_namespace(*command):
    agent = Path(__file__).parents[3] / "roles/relay/files/agent"
    return subprocess.run([*ENTER, *command], cwd=agent, capture_output=True, text=True, timeout=60, check=False)


def why_not():
    if not NFT:
        return "nft is not installed on this machine"
    if not shutil.which("unshare"):
        return "unshare is not installed on this machine"
    done = in_a_namespace(NFT, "list", "tables")
    return f"no network namespace with nftables here ({done.stderr.strip()})" if done.returncode else ""


pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "it is here"),
]


def test_the_kernels_counter(tmp_path):
    value = described(1)
    value["files"]["relay.nft"] = RULES.split("\n")
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(value))
    done = in_a_namespace(sys.executable, "-c", PROGRAM, str(tmp_path / "root"), str(bundle))
    assert done.returncode == 0, done.stderr
    before = [False, None]
    loaded = [True, 0, 0]
    assert json.loads(done.stdout) == [*before, *loaded, 1000, 1100, True, 3600, False, 3600, 3628, False]
