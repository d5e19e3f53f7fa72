"""Every container runs with limits and the least privileges; what differs from that is declared here."""

import pytest
from expected import HOSTS

EVERY = [(host, name) for host, names in HOSTS.items() for name in names]
BASELINE = {
    "state": "running, healthy",
    "restart policy": "unless-stopped",
    "unprivileged user": True,
    "memory, CPU and process limits": True,
    "read-only root": True,
    "no new privileges": True,
    "privileged": False,
    "capabilities dropped": ["ALL"],
    "capabilities added": [],
    "host namespaces": [],
    "devices": [],
    "log rotation": True,
    "paths of the host that it may write": [],
    "engine socket": False,
}
# The master opens ports 80 and 443 and hands its temporary directories to the workers, who have no privilege.
NGINX = {"unprivileged user": False, "capabilities added": ["CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"]}
# It measures the host's network and processes.
NODE_EXPORTER = {"host namespaces": ["NetworkMode", "PidMode"]}
# Files of the host and the engine's socket are root's, and it has no other privilege.
READERS = {"unprivileged user": False, "engine socket": True}
EXCEPTIONS = {"nginx": NGINX, "node-exporter": NODE_EXPORTER, "cadvisor": READERS, "promtail": READERS}


def describe(container):
    """What a container may do, in the words of the table above."""
    config, host, state = container["Config"], container["HostConfig"], container["State"]
    logs = host["LogConfig"]
    binds = [mount for mount in container["Mounts"] if mount["Type"] == "bind"]
    return {
        "state": f"{state['Status']}, {state.get('Health', {}).get('Status', 'without a health check')}",
        "restart policy": host["RestartPolicy"]["Name"],
        "unprivileged user": config["User"].partition(":")[0] not in ("", "0", "root"),
        "memory, CPU and process limits": bool(host["Memory"] and host["NanoCpus"] and host["PidsLimit"]),
        "read-only root": host["ReadonlyRootfs"],
        "no new privileges": "no-new-privileges:true" in (host["SecurityOpt"] or []),
        "privileged": host["Privileged"],
        "capabilities dropped": host["CapDrop"] or [],
        "capabilities added": sorted(capability.removeprefix("CAP_") for capability in host["CapAdd"] or []),
        "host namespaces": [key for key in ("IpcMode", "NetworkMode", "PidMode", "UTSMode") if host[key] == "host"],
        "devices": host["Devices"] or [],
        "log rotation": logs["Type"] == "journald" or {"max-size", "max-file"} <= set(logs["Config"]),
        "paths of the host that it may write": [mount["Source"] for mount in binds if mount["RW"]],
        "engine socket": any(mount["Source"].endswith(("docker.sock", "/run")) for mount in binds),
    }


@pytest.mark.parametrize("host", HOSTS)
def test_these_containers_run_and_no_others(containers, host):
    assert sorted(containers[host]) == HOSTS[host]


@pytest.mark.parametrize(("host", "name"), EVERY)
def test_it_runs_confined(containers, host, name):
    assert describe(containers[host][name]) == BASELINE | EXCEPTIONS.get(name, {})


@pytest.mark.parametrize("host", HOSTS)
def test_nginx_works_without_privilege(machine, host):
    processes = [
        line.split(maxsplit=2) for line in machine(host).check_output("docker top nginx -o pid,user,args").splitlines()
    ]
    users = [user for _, user, command in processes if "worker process" in command]
    assert users
    assert not {"root", "0"} & set(users)
