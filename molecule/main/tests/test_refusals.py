"""Bad input: one clear sentence that says what and where, nothing changed, and no request lost meanwhile."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

REGISTRY = "registry.protostar.test:5000"
REDIS = "/opt/protostar/services/redis"
STILL_RUNS = "is still running"


def redis(service="redis", **definition):
    return {"redis_compose_overrides": {"services": {service: definition}}}


# What is wrong: the play, its tag, the variables, and the words that the sentence must have.
REFUSALS = {
    "a misspelt variable": (
        "main", "redis", {"redis_maxmemroy": 1},
        ["redis_maxmemroy", "Did you mean redis_maxmemory?"],
    ),
    "a variable that a role does not have": (
        "main", "redis", {"redis_bananas": 1},
        ["redis_bananas", "role redis"],
    ),
    "a number that is none": (
        "main", "redis", {"redis_maxmemory": "plenty"},
        ["redis_maxmemory", "int"],
    ),
    "a list that is none": (
        "main", "nginx", {"nginx_sites": "www"},
        ["nginx_sites", "type str"],
    ),
    "a secret that is empty": (
        "main", "redis", {"redis_monitor_password": ""},
        ["redis_monitor_password", "empty"],
    ),
    "a secret that was never set": (
        "main", "redis", {"redis_monitor_password": "change me"},
        ["redis_monitor_password", "placeholder"],
    ),
    "a user without a password": (
        "main", "redis", {"redis_users": [{"name": "nest"}]},
        ["redis_users", "password"],
    ),
    "an app with the name of a service": (
        "main", "app", {"platform_apps": {"redis": {"image": "x"}}},
        ["app redis", "role redis", "another"],
    ),
    "two containers with one name": (
        "main", "redis", redis("redis-exporter", container_name="nginx"),
        ["nginx", "two services with one name"],
    ),
    "two services with one port": (
        "main", "nginx", {"nginx_peer_publish": "198.19.0.10:443"},
        ["nginx_peer_publish", "nginx_publish_https", "443"],
    ),
    "who runs Ansible locked out": (
        "main", "firewall", {"platform_ssh_sources": ["192.0.2.0/24"]},
        ["198.19.0.1", "port 22", "platform_ssh_sources"],
    ),
    "the port of a program": (
        "main", "nginx", {"nginx_peer_publish": "198.19.0.10:22"},
        [":22", "sshd", "free it"],
    ),
    "an image that does not exist": (
        "main", "redis", {"redis_image": f"{REGISTRY}/redis:nosuch"},
        [f"cannot pull {REGISTRY}/redis:nosuch", STILL_RUNS],
    ),
    "a registry that does not exist": (
        "main", "redis", {"redis_image": "nosuch.protostar.test:5000/redis:1"},
        ["cannot pull nosuch.protostar.test", STILL_RUNS],
    ),
    "what nginx rejects": (
        "main", "nginx", {"nginx_client_max_body_size": "lots"},
        ["client_max_body_size", "nginx.conf", STILL_RUNS],
    ),
    "what Prometheus rejects": (
        "sub", "prometheus", {"prometheus_scrape_interval": "often"},
        ["promtool", "prometheus.yml", "often", STILL_RUNS],
    ),
    "what Redis rejects": (
        "main", "redis", {"redis_config_extra": {"appendfsync": "rarely"}},
        ["appendfsync rarely", STILL_RUNS],
    ),
    "what PostgreSQL rejects": (
        "main", "pgvector", {"pgvector_config_extra": {"shared_buffers": "much"}},
        ["shared_buffers", "much", STILL_RUNS],
    ),
    "a template that fails": (
        "main", "redis", {"redis_config_extra": "{{ no_such_variable }}"},
        ["redis_config_extra", "no_such_variable"],
    ),
    "a default that fails": (
        "main", "redis", {"redis_memory": "much"},
        ["redis_maxmemory", "much"],
    ),
    "a container that exits at once": (
        "main", "redis", redis(command=["sh", "-c", "echo no licence; exit 3"]),
        ["exited with code 3", "no licence", STILL_RUNS],
    ),
    "a container that needs more memory than it may have": (
        "main", "redis", redis(command=["tail", "/dev/zero"], mem_limit="32m"),
        ["killed for want of memory", "32 MiB", STILL_RUNS],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def unharmed(look, line, load, main):
    """Watch both hosts: nothing may change on them, and no request may fail."""
    address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    redis_url = "redis://" + main.check_output(f"docker inspect --format '{address}' redis")
    prometheus_url = "http://127.0.0.1:9090/-/ready"

    @contextmanager
    def watch():
        before = look()
        with (
            line() as edge,
            load("protostar-main", redis_url) as store,
            load("protostar-sub", prometheus_url) as prometheus,
        ):
            yield
        assert edge.failed + store.failed + prometheus.failed == []
        assert min(edge.done, store.done, prometheus.done) > 3
        assert look() ^ before == set()

    return watch


def assert_refused(run, *words):
    assert run.code != 0
    assert "Traceback" not in run.text
    assert len(run.errors) == 1, run.text
    assert [word for word in words if word not in run.errors[0]] == [], run.errors[0]
    assert run.total("changed") == 0


@pytest.fixture(scope="module")
def refused(playbook, unharmed):
    """Run all of them, four at a time: of one service, two runs that come as far as its release refuse each other."""

    def run(names):
        return {name: playbook(REFUSALS[name][0], "--tags", REFUSALS[name][1], **REFUSALS[name][2]) for name in names}

    groups = {}
    for name, (_, tag, _, words) in REFUSALS.items():
        groups.setdefault((tag == "redis", STILL_RUNS in words), []).append(name)
    with unharmed(), ThreadPoolExecutor() as pool:
        return {name: came for group in pool.map(run, groups.values()) for name, came in group.items()}


@pytest.mark.parametrize("wrong", REFUSALS)
def test_is_refused(refused, wrong):
    assert_refused(refused[wrong], *REFUSALS[wrong][3])


def test_a_container_that_never_is_healthy_and_a_parallel_run_are_refused(playbook, unharmed, main):
    never = redis(healthcheck={"test": ["CMD-SHELL", "echo the moon is not full; exit 1"]})
    with unharmed(), ThreadPoolExecutor() as pool:
        first = pool.submit(playbook, "main", "--tags", "redis", **never)
        while main.run(f"flock --nonblock {REDIS}/../.redis.lock true").rc == 0:
            assert not first.done(), first.result().text
            time.sleep(0.2)
        second = playbook("main", "--tags", "redis", redis_config_extra={"maxclients": 999})
        assert not first.done(), first.result().text
    assert_refused(second, "another run", "process", "run again")
    assert_refused(first.result(), "not ready within", "the moon is not full", STILL_RUNS)


def test_a_full_disk_is_refused(playbook, unharmed, main):
    with unharmed():
        # The service's directory on a small file system of its own, which is then filled.
        main.check_output(
            f"mount -t tmpfs -o size=2m,mode=0700 tmpfs /mnt && cp -a {REDIS}/. /mnt && mount --bind /mnt {REDIS} "
            f"&& umount /mnt; dd if=/dev/zero of={REDIS}/filler bs=4k 2>/dev/null || test $(stat -f -c %a {REDIS}) = 0"
        )
        try:
            run = playbook("main", "--tags", "redis", redis_config_extra={"maxclients": 999})
        finally:
            main.check_output(f"umount {REDIS}")
    assert_refused(run, REDIS.rpartition("/")[0], "0 KiB free", "make room")


def test_a_stopped_engine_is_told_and_its_services_go_on(playbook, look, line, main):
    before = look()
    try:
        with line() as load:
            main.check_output("systemctl stop docker.socket docker.service")
            run = playbook("main", "--tags", "redis")
    finally:
        # Not under load: for a moment of its start, the engine makes the rules of the published ports anew.
        main.check_output("systemctl start docker.service")
    assert_refused(run, "Docker engine does not answer", "systemctl start docker")
    assert load.failed == []
    assert load.done > 3
    assert look() ^ before == set()


@pytest.mark.parametrize(("gone", "there"), [("protostar-main", "protostar-sub"), ("protostar-sub", "protostar-main")])
def test_an_unreachable_host_does_not_keep_the_other_from_its_turn(playbook, unharmed, tmp_path, gone, there):
    (tmp_path / "moved.yml").write_text(f"all: {{hosts: {{{gone}: {{ansible_host: 198.19.0.77}}}}}}\n")
    with unharmed():
        run = playbook(
            "site",
            "-i",
            "inventories/lab",
            "-i",
            str(tmp_path / "moved.yml"),
            "--timeout",
            "3",
            "--tags",
            "node_exporter",
        )
    assert run.code != 0
    assert "Traceback" not in run.text
    assert run.recap[gone]["unreachable"] == 1
    assert run.recap.get(there, {}).get("ok", 0) > 3, run.text
    assert run.recap[there]["failed"] == run.recap[there]["changed"] == 0
