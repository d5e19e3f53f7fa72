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
# What is no answer tells nothing of a datagram, but that it was dropped.
DATAGRAMS = (53, 68, 123, 443, 5353, 9100, 51820)
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


def scan(position, targets):
    """The open ports of each target, and the states of all that is not open."""
    options, beginning = _place(position)
    ports = f"T:1-65535,U:{','.join(map(str, DATAGRAMS))}"
    speed = ["--min-rate", "8000", "--max-retries", "2", "--max-rtt-timeout", "200ms"]
    command = [*beginning, "nmap", "-Pn", "-n", "-sS", "-sU", *speed, "-p", ports, "-oG", "-", *targets]
    text = _docker("run", "--rm", "--name", f"scan-{position}", *options, IMAGE, *command)
    found = {}
    for line in text.splitlines():
        if "Ports: " in line:
            states = {int(port): state for port, state in re.findall(r"(\d+)/([a-z|]+)/tcp/", line)}
            closed = set(re.findall(r"Ignored State: (\S+)", line)) | set(re.findall(r"/([a-z|]+)/udp/", line))
            closed |= set(states.values()) - {"open"}
            found[line.split()[1]] = ({port for port, state in states.items() if state == "open"}, closed)
    return {(position, target): found[target] for target in targets}


def scans(wanted=OPEN):
    """Scan from every place at once."""
    positions = {}
    for position, target in wanted:
        positions.setdefault(position, []).append(target)
    with ThreadPoolExecutor() as pool:
        return {key: value for done in pool.map(lambda item: scan(*item), positions.items()) for key, value in done.items()}


def assert_open_is_what_is_declared(wanted=OPEN):
    found = scans(wanted)
    assert {key: ports for key, (ports, _) in found.items()} == {key: OPEN[key] for key in wanted}
    # Whoever is not let in gets no answer at all. The public address is the router's, which refuses by itself.
    assert {state for (_, target), (_, states) in found.items() if target != PUBLIC for state in states} <= {
        "filtered",
        "open|filtered",
    }
