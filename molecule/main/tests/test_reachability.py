"""Which container can open a TCP connection to which other: those that share a network, and no others."""

import json
import re
import shlex

import pytest

# Where each container listens, by network. All on a network reach all of it; whoever is missing there reaches nothing.
NGINX = [80, 443, 8080, 8090, 9443]
OPEN = {
    "protostar-main": {
        "protostar-edge": {"nginx": NGINX, "frontend": [3000], "nest": [3000], "fastapi": [8000]},
        "protostar-data": {
            "nest": [3000], "fastapi": [8000], "pgvector": [5432], "pgvector-exporter": [9187], "redis": [6379],
            "redis-exporter": [9121],
        },
        "protostar-observability": {
            "nginx": NGINX, "nginx-exporter": [9113], "cadvisor": [8080], "promtail": [9080],
            "pgvector-exporter": [9187], "redis-exporter": [9121],
        },
        "none": {"docker-socket-proxy": []},
    },
    "protostar-sub": {
        "protostar-edge": {"nginx": [*NGINX, 8081, 8443]},
        "protostar-observability": {
            "nginx": [*NGINX, 8081, 8443], "nginx-exporter": [9113], "cadvisor": [8080], "promtail": [9080],
            "alertmanager": [9093], "blackbox": [9115], "grafana": [3000], "loki": [3100], "minio": [9000, 9001],
            "prometheus": [9090],
        },
        "none": {"docker-socket-proxy": []},
    },
}  # fmt: skip
COLOUR = re.compile(r"-(green|blue)(-\d+)?$")

# From within every container's network namespace, all at once: each address of each other container, at every port on
# which anything there listens beyond its own loopback. What a filter drops is known by the end of the time only.
SCAN = r"""
import errno, json, os, select, socket, subprocess, time
ids = subprocess.check_output(["docker", "ps", "--quiet"], text=True).split()
places, listening = {}, {}
for container in json.loads(subprocess.check_output(["docker", "inspect", *ids])):
    if container["HostConfig"]["NetworkMode"] == "host":
        continue
    name, pid = container["Name"].lstrip("/"), container["State"]["Pid"]
    networks = container["NetworkSettings"]["Networks"].values()
    places[name] = pid, [network["IPAddress"] for network in networks if network["IPAddress"]]
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in open(f"/proc/{pid}/net/{table}").readlines()[1:]:
            address, port = line.split()[1].split(":")
            if line.split()[3] == "0A" and not address.endswith("7F"):
                ports.add(int(port, 16))
    listening[name] = ports
def scan(own):
    waiting, found = {}, {}
    for name, (_, addresses) in places.items():
        for target in [(address, port) for address in addresses for port in listening[name] if name != own]:
            connection = socket.socket()
            connection.setblocking(False)
            # Without a route the answer is here at once.
            if connection.connect_ex(target) in (0, errno.EINPROGRESS):
                waiting[connection] = name, target[1]
    end = time.monotonic() + 2
    while waiting and time.monotonic() < end:
        for connection in select.select([], list(waiting), [], 0.2)[1]:
            name, port = waiting.pop(connection)
            if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.setdefault(name, set()).add(port)
    return {name: sorted(ports) for name, ports in found.items()}
pipes = {}
for name, (pid, _) in places.items():
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setns(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY), os.CLONE_NEWNET)
        os.write(writer, json.dumps(scan(name)).encode())
        os._exit(0)
    os.close(writer)
    pipes[name] = reader
print(json.dumps({name: json.loads(os.fdopen(reader).read()) for name, reader in pipes.items()}))
"""


def declared(networks):
    """What the table above says, for each container."""
    open_to = {name: {} for members in networks.values() for name in members}
    for members in networks.values():
        for source in members:
            open_to[source].update({name: sorted(ports) for name, ports in members.items() if ports and name != source})
    return open_to


@pytest.mark.parametrize("host", OPEN)
def test_containers_reach_what_shares_a_network_and_nothing_else(machine, host):
    answer = json.loads(machine(host).check_output(shlex.join(["python3", "-c", SCAN])))
    found = {}
    for source, targets in answer.items():
        own = COLOUR.sub("", source)
        # The colours of an application are one place.
        others = {COLOUR.sub("", target): ports for target, ports in targets.items()}
        found.setdefault(own, {}).update({name: ports for name, ports in others.items() if name != own})
    assert found == declared(OPEN[host])
