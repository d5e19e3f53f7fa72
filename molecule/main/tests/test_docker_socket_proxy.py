"""The engine is asked through the proxy, which passes what reads, to those that mount its directory."""

import json
import time

DIRECTORY = "/var/lib/protostar/docker"
CLIENT = f"docker --host unix://{DIRECTORY}/docker.sock"
CONTAINERD = f"ctr --address {DIRECTORY}/containerd.sock --namespace moby"
# Method, path and the answer.
REQUESTS = [
    ("GET", "/_ping", 200),
    ("HEAD", "/_ping", 200),
    ("GET", "/v1.44/info", 200),
    ("GET", "/v1.44/networks", 200),
    ("GET", "/v1.44/containers/json?all=1", 200),
    ("GET", "/v1.44/containers/redis/json", 200),
    ("GET", "/v1.44/containers/redis/logs?stdout=1&tail=1", 200),
    ("GET", "/v1.44/containers/none/json", 404),
    ("POST", "/v1.44/containers/create", 403),
    ("POST", "/v1.44/containers/redis/exec", 403),
    ("POST", "/v1.44/containers/redis/json", 403),
    ("DELETE", "/v1.44/containers/redis", 403),
    ("GET", "/v1.44/containers/redis/archive?path=/etc", 403),
    ("GET", "/v1.44/containers/redis/export", 403),
    ("GET", "/v1.44/containers/redis/attach/ws?stream=1", 403),
    ("GET", "/v1.44/containers/redis/top", 403),
    ("GET", "/v1.44/containers/redis/../redis/archive?path=/etc", 403),
    ("GET", "/v1.44/containers/redis%2farchive/json", 403),
    ("GET", "//v1.44/containers/json", 403),
    ("GET", "/v1.44/volumes", 403),
    ("GET", "/v1.44/secrets", 403),
]


def seen(main):
    """How many containers the two that watch them were told of, and how many there are."""
    ask = "docker exec {} curl -sS http://127.0.0.1:{}/metrics | sed -n 's/^protostar_stand_in_containers //p'"
    script = "; ".join([ask.format("promtail", 9080), ask.format("cadvisor", 8080), "docker ps --quiet | wc -l"])
    return main.check_output(script).split()


def test_it_passes_what_reads_and_refuses_the_rest(main):
    script = "; ".join(
        f"curl -s -m 5 -o /dev/null -w '%{{http_code}}\\n' --path-as-is --unix-socket {DIRECTORY}/docker.sock "
        f"{'--head' if method == 'HEAD' else f'-X {method}'} 'http://engine{path}'"
        for method, path, _ in REQUESTS
    )
    answers = [int(code) for code in main.check_output(script).split()]
    assert list(zip(REQUESTS, answers, strict=True)) == [(request, request[2]) for request in REQUESTS]


def test_dockers_own_client_can_look_and_no_more(main):
    names = main.check_output(f"{CLIENT} ps --all --format '{{{{.Names}}}}' | sort").split()
    assert names == main.check_output("docker ps --all --format '{{.Names}}' | sort").split()
    for command in ("exec redis true", "run --rm redis true", "stop redis", "cp redis:/etc/hostname -"):
        refused = main.run(f"{CLIENT} {command}")
        assert refused.rc != 0, command
        assert "403" in refused.stderr, command


def test_containerd_tells_of_one_container_and_no_more(main):
    container = main.check_output("docker inspect --format '{{.Id}}' redis")
    assert json.loads(main.check_output(f"{CONTAINERD} containers info {container}"))["ID"] == container
    for command in ("containers ls", "tasks ls", f"tasks kill {container}", "images ls", "snapshots ls", "events"):
        refused = main.run(f"timeout 5 {CONTAINERD} {command}")
        assert refused.rc != 0, command
        assert "403" in refused.stderr, command


def test_nobody_else_on_the_host_asks(main):
    # node_exporter sees the whole file system of the host, as nobody.
    look = "docker exec node-exporter sh -c 'test -S /host/run/docker.sock && ! test -w /host/run/docker.sock"
    assert main.run(f"{look} && ! test -e /host{DIRECTORY}/docker.sock'").rc == 0


def test_streams_go_on_and_their_end_leaves_nothing_open(main):
    # A line that the container writes later comes at once. Each stream is two of the proxy's open files; what comes and
    # goes meanwhile, such as the health check, has less than half of them.
    mark = f"stream-{time.time_ns()}"
    script = f"""
    pid() {{ docker inspect --format '{{{{.State.Pid}}}}' $1; }}
    proxy=$(pid docker-socket-proxy)
    count() {{ ls /proc/$proxy/fd | wc -l; }}
    wait_until() {{ for attempt in $(seq 100); do eval "$1" && return; sleep 0.1; done; false; }}
    before=$(count)
    url="http://engine/containers/redis/logs?follow=1&stdout=1&since=$(date +%s)"
    for reader in 1 2 3 4 5 6; do
        curl -sN --unix-socket {DIRECTORY}/docker.sock -o /tmp/{mark}-$reader "$url" & readers="$readers $!"
    done
    wait_until '[ $(count) -ge $((before + 6)) ]' && echo open
    echo {mark} > /proc/$(pid redis)/fd/1
    wait_until '[ $(cat /tmp/{mark}-* | grep -ac {mark}) = 6 ]' && echo read
    kill $readers
    wait_until '[ $(count) -lt $((before + 6)) ]' && echo closed
    rm /tmp/{mark}-*
    """
    assert main.check_output(script).split() == ["open", "read", "closed"]


def test_who_asks_through_it_survives_its_end(main):
    started = main.check_output("docker inspect --format '{{.State.StartedAt}}' cadvisor promtail")
    told = seen(main)
    assert len(set(told)) == 1, told
    main.check_output("kill -9 $(docker inspect --format '{{.State.Pid}}' docker-socket-proxy)")
    deadline = time.monotonic() + 30
    while len(set(told := seen(main))) > 1 and time.monotonic() < deadline:
        time.sleep(0.5)
    assert len(set(told)) == 1, told
    assert main.check_output("docker inspect --format '{{.State.StartedAt}}' cadvisor promtail") == started


def test_cadvisor_that_starts_before_it_starts_anew(main):
    script = """
    told() { docker inspect --format "{{$1}}" cadvisor; }
    wait_until() { for attempt in $(seq 300); do eval "$1" && return; sleep 0.1; done; false; }
    docker stop --time 1 docker-socket-proxy
    docker restart --time 1 cadvisor
    wait_until '[ $(told .RestartCount) -gt 0 ]' && echo anew
    docker start docker-socket-proxy
    wait_until '[ $(told .State.Health.Status) = healthy ]' && echo healthy
    """
    assert main.check_output(script).split() == [
        "docker-socket-proxy", "cadvisor", "anew", "docker-socket-proxy", "healthy",
    ]  # fmt: skip
