"""Every container runs with limits and the least privileges; what differs from that is declared here."""

import re
from pathlib import Path

import pytest
from expected import HOSTS

SOCKETS = ["/run/docker.sock", "/run/containerd/containerd.sock"]
PROXY = "/var/lib/protostar/docker"
EVERY = [(host, name) for host, names in HOSTS.items() for name in names]
BASELINE = {
    "state": "running, healthy",
    "restart policy": "unless-stopped",
    "user": "",
    "memory, CPU and process limits": True,
    "read-only root": True,
    "no new privileges": True,
    "system calls filtered": True,
    "AppArmor": True,
    "privileged": False,
    "capabilities dropped": ["ALL"],
    "capabilities added": [],
    "capabilities in the kernel's eyes": 0,
    "groups of the host": False,
    "host namespaces": [],
    "devices": [],
    "log rotation": True,
    "paths of the host that it may write": [],
    "sockets of the engine": [],
    "engine through the proxy": False,
}
USERS = {
    "frontend-green": "10001:10001", "nest-green": "10001:10001", "fastapi-green": "10001:10001",
    "pgvector": "999:999", "pgvector-exporter": "65534:65534", "redis": "999:999", "redis-exporter": "59000:59000",
    "prometheus": "65534:65534", "alertmanager": "65534:65534", "blackbox": "65534:65534", "grafana": "472:0",
    "loki": "10001:10001", "minio": "10002:10002", "nginx": "", "nginx-exporter": "1001:1001",
    "node-exporter": "65534:65534", "cadvisor": "0:0", "promtail": "0:0", "docker-socket-proxy": "99:99",
}  # fmt: skip
# Who has more than the baseline. Root without capabilities is the owner of root's files, and nothing else.
EXCEPTIONS = {
    # The master opens ports 80 and 443 and hands its temporary directories to the workers, who have no privilege.
    "nginx": {
        "capabilities added": ["CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"],
        "capabilities in the kernel's eyes": 0x4C1,
    },
    # It measures the host's network and processes, and sees its files as nobody, who may not open the sockets.
    "node-exporter": {"host namespaces": ["NetworkMode", "PidMode"], "sockets of the engine": SOCKETS},
    "cadvisor": {"engine through the proxy": True},
    "promtail": {"engine through the proxy": True},
    "docker-socket-proxy": {
        "groups of the host": True,
        "sockets of the engine": SOCKETS,
        "engine through the proxy": True,
        "paths of the host that it may write": [PROXY],
    },
}


@pytest.fixture(scope="module")
def kernel(containers, machine):
    """What the kernel says of every container's first process, by host and name."""
    found = {}
    for host, described in containers.items():
        pids = {container["State"]["Pid"]: name for name, container in described.items()}
        files = " ".join(f"{pid}/status" for pid in pids)
        for line in machine(host).check_output(f"cd /proc; grep -E '^(Seccomp|CapBnd):' {files}").splitlines():
            pid, key, value = re.fullmatch(r"(\d+)/status:(\w+):\s+(\w+)", line).groups()
            found.setdefault((host, pids[int(pid)]), {})[key] = value
    return found


def describe(container, kernel):
    """What a container may do, in the words of the table above."""
    config, host, state = container["Config"], container["HostConfig"], container["State"]
    options = host["SecurityOpt"] or []
    logs = host["LogConfig"]
    binds = [mount for mount in container["Mounts"] if mount["Type"] == "bind"]
    return {
        "state": f"{state['Status']}, {state.get('Health', {}).get('Status', 'without a health check')}",
        "restart policy": host["RestartPolicy"]["Name"],
        "user": config["User"],
        "memory, CPU and process limits": bool(host["Memory"] and host["NanoCpus"] and host["PidsLimit"]),
        "read-only root": host["ReadonlyRootfs"],
        "no new privileges": "no-new-privileges:true" in options,
        "system calls filtered": kernel["Seccomp"] == "2" and not any("seccomp" in option for option in options),
        # Empty where the engine's host has none.
        "AppArmor": container["AppArmorProfile"] in ("", "docker-default"),
        "privileged": host["Privileged"],
        "capabilities dropped": host["CapDrop"] or [],
        "capabilities added": sorted(capability.removeprefix("CAP_") for capability in host["CapAdd"] or []),
        "capabilities in the kernel's eyes": int(kernel["CapBnd"], 16),
        "groups of the host": bool(host["GroupAdd"]),
        "host namespaces": [key for key in ("IpcMode", "NetworkMode", "PidMode", "UTSMode") if host[key] == "host"],
        "devices": host["Devices"] or [],
        "log rotation": logs["Type"] == "journald" or {"max-size", "max-file"} <= set(logs["Config"]),
        "paths of the host that it may write": [mount["Source"] for mount in binds if mount["RW"]],
        "sockets of the engine": [socket for socket in SOCKETS if any(within(socket, mount) for mount in binds)],
        "engine through the proxy": any(mount["Source"] == PROXY for mount in binds),
    }


def within(path, mount):
    """Whether a path of the host is seen through a mount."""
    return Path(path).is_relative_to(mount["Source"].replace("/var/run", "/run", 1))


@pytest.mark.parametrize("host", HOSTS)
def test_these_containers_run_and_no_others(containers, host):
    # On a lab where something was released meanwhile, an application has its other colour as well.
    assert sorted({re.sub("-blue$", "-green", name) for name in containers[host]}) == HOSTS[host]


@pytest.mark.parametrize(("host", "name"), EVERY)
def test_it_runs_confined(containers, kernel, host, name):
    expected = BASELINE | {"user": USERS[name]} | EXCEPTIONS.get(name, {})
    there = name if name in containers[host] else re.sub("-green$", "-blue", name)
    assert describe(containers[host][there], kernel[host, there]) == expected


@pytest.mark.parametrize("host", HOSTS)
def test_nginx_works_without_privilege(machine, host):
    processes = [
        line.split(maxsplit=2) for line in machine(host).check_output("docker top nginx -o pid,user,args").splitlines()
    ]
    users = [user for _, user, command in processes if "worker process" in command]
    assert users
    assert not {"root", "0"} & set(users)
