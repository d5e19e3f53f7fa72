"""Who reaches which port of main and sub, as nmap sees it from every place of the lab."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

IMAGE = "protostar/client:trixie"
MAIN, SUB, PUBLIC = "198.19.0.10", "198.19.0.20", "198.18.0.10"
# A network of containers, as the host has it.
EDGE = "10.201.1.128"
# What is open to whom, written down once more. Port 22 of the public address is the router's own.
OPEN = {
    ("client", PUBLIC): {22, 80, 443},
    ("relay", PUBLIC): {22, 80, 443, 8080, 8443},
    ("sub", MAIN): {22, 80, 443, 9443},
    ("main", SUB): {80, 443, 9443},
    ("stranger", MAIN): {80, 443},
    ("stranger", SUB): {80, 443},
    ("frontend-green", MAIN): {80, 443},
    ("frontend-green", EDGE): {80, 443},
    ("prometheus", SUB): {9443},
}
# What is let in where nothing listens: node_exporter has an address of its own.
REFUSED = {("prometheus", SUB): {9100}}
# Of these nothing is declared. An unanswered datagram was dropped; one that reached the host would be refused.
DATAGRAMS = {53, 68, 123, 443, 5353, 9100, 51820}
EVERY = "1-65535"
CONTAINERS = {"frontend-green": "protostar-main", "prometheus": "protostar-sub"}
HOMES = {"client": "protostar-client", "relay": "protostar-relay", "main": "protostar-main", "sub": "protostar-sub"}


def _docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def _place(position):
    """Options of `docker run` and the beginning of a command, which is then in the network of that place."""
    if position in HOMES:
        return ["--network", f"container:{HOMES[position]}"], []
    if position == "stranger":
        return ["--network", "protostar-home", "--ip", "198.19.0.99"], []
    host = CONTAINERS[position]
    process = _docker("exec", host, "docker", "inspect", "--format", "{{.State.Pid}}", position).strip()
    options = ["--network", f"container:{host}", "--pid", f"container:{host}", "--cap-add", "SYS_ADMIN"]
    options += ["--cap-add", "SYS_PTRACE", "--security-opt", "apparmor=unconfined"]
    return options, ["nsenter", "--net", "--target", process]


def listening():
    """Every port at which anything listens on either host, to whomever."""
    ports = {"tcp": set(), "udp": set(DATAGRAMS)}
    for host in ("protostar-main", "protostar-sub"):
        for line in _docker(
            "exec", host, "ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp"
        ).splitlines():
            protocol, _, _, _, address = line.split()[:5]
            ports[protocol].add(int(address.rpartition(":")[2]))
    return {protocol: ",".join(map(str, sorted(found))) for protocol, found in ports.items()}


def scan(position, targets, tcp, udp):
    """The open ports of each target, and what was answered otherwise: a refused port, or the state of many."""
    options, beginning = _place(position)
    speed = ["--max-rtt-timeout", "500ms", *(["--min-rate", "15000", "--max-retries", "1"] if tcp == EVERY else [])]
    command = [*beginning, "nmap", "-Pn", "-n", "-sS", "-sU", *speed, "-p", f"T:{tcp},U:{udp}", "-oG", "-", *targets]
    text = _docker("run", "--rm", "--name", f"scan-{position}", *options, IMAGE, *command)
    found = {}
    for line in text.splitlines():
        if "Ports: " in line:
            states = {int(port): state for port, state in re.findall(r"(\d+)/([a-z|]+)/tcp/", line)}
            other = set(re.findall(r"Ignored State: (\S+)", line)) | set(re.findall(r"/([a-z|]+)/udp/", line))
            other -= {"filtered", "open|filtered"}
            other |= {port for port, state in states.items() if state == "closed"}
            found[line.split()[1]] = ({port for port, state in states.items() if state == "open"}, other)
    assert set(found) == set(targets), text
    return {(position, target): found[target] for target in targets}


def assert_open_is_what_is_declared(wanted=OPEN, tcp=None):
    """Scan from every place at once: the ports at which anything listens, or as told."""
    ports = listening()
    positions = {}
    for position, target in wanted:
        positions.setdefault(position, []).append(target)
    with ThreadPoolExecutor() as pool:
        scans = [pool.submit(scan, *place, tcp or ports["tcp"], ports["udp"]) for place in positions.items()]
        found = {key: value for one in scans for key, value in one.result().items()}
    # The whole range is asked in haste, and may lose an answer.
    wrong = {key: ports for key, (ports, _) in found.items() if (ports - OPEN[key] if tcp else ports != OPEN[key])}
    assert not wrong, f"open: {wrong}"
    # Whoever is not let in gets no answer at all. The public address is the router's, which refuses by itself.
    answered = {
        key: other for key, (_, other) in found.items() if key[1] != PUBLIC and other != REFUSED.get(key, set())
    }
    assert not answered, f"answered: {answered}"
