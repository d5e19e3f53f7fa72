"""A fault of one service is mended by itself or by the next run, and the others do not notice."""

import contextlib
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from expected import HOSTS
from scans import OPEN, SUB, assert_open_is_what_is_declared

# What the service line runs through; all else may be gone while it serves.
LINE = {"fastapi-green", "nginx", "pgvector", "redis"}
STARTS = "docker ps --all --quiet | xargs docker inspect --format '{{.Name}} {{.Id}} {{.State.StartedAt}}'"
HEALTHY = "docker ps --filter health=healthy --format '{{.Names}}'"


def starts(machine):
    """Every container with its id and when it started."""
    return dict(line.lstrip("/").split(" ", 1) for line in machine.check_output(STARTS).splitlines())


def live(lines):
    """The files in force among what `look` saw, without the records of the releases before them."""
    return {line for line in lines if "./" in line and "/releases" not in line and "release.json" not in line}


def wait_until_healthy(machine, names, seconds):
    """Wait until the engine finds all of them healthy; returns those that it does not."""
    deadline = time.monotonic() + seconds
    missing = set(names)
    while missing and time.monotonic() < deadline:
        with contextlib.suppress(RuntimeError):  # testinfra: ssh does not answer yet
            missing = set(names) - set(machine.run(HEALTHY).stdout.split())
        time.sleep(0.5)
    return missing


def kill_each(guest, names):
    """Kill one after the other, and wait until it is back; return those that did not come back alone."""
    wrong = []
    for name in names:
        before = starts(guest)
        guest.check_output(f"kill -KILL $(docker inspect --format '{{{{.State.Pid}}}}' {name})")
        # Its health of before the fault is not an answer: the start must be a new one.
        deadline = time.monotonic() + 60
        while starts(guest)[name] == before[name] and time.monotonic() < deadline:
            time.sleep(0.2)
        missing = wait_until_healthy(guest, [name], 60)
        after = starts(guest)
        new = {other for other in after if after[other] != before[other]}
        if missing or new != {name}:
            wrong.append(f"{name}: not healthy {missing}, new {new}")
    return wrong


def test_a_killed_process_comes_back_and_no_other_notices(main, sub):
    with ThreadPoolExecutor() as pool:
        on_main = pool.submit(kill_each, main, HOSTS["protostar-main"])
        on_sub = pool.submit(kill_each, sub, HOSTS["protostar-sub"])
    assert on_main.result() + on_sub.result() == []


def test_removed_containers_and_broken_files_are_mended_by_the_next_run(playbook, main, sub, line, look):
    before = live(look())
    with line() as requests:
        for guest, host in ((main, "protostar-main"), (sub, "protostar-sub")):
            gone = [name for name in HOSTS[host] if name not in LINE | {"prometheus", "alertmanager", "blackbox"}]
            guest.check_output(f"docker rm --force {' '.join(gone)}")
        # Those that have a file that matters to them: damaged under the running program.
        main.check_output("echo nonsense >> /opt/protostar/services/nginx/config/sites.conf")
        for file in ("prometheus/config/prometheus.yml", "alertmanager/config/alertmanager.yml"):
            sub.check_output(f"echo 'nonsense: [' >> /opt/protostar/services/{file}")
        with ThreadPoolExecutor() as pool:
            runs = list(pool.map(playbook, ("main", "sub")))
    assert [run.text for run in runs if run.code] == []
    assert requests.failed == []
    assert requests.done > 20
    for guest, host in ((main, "protostar-main"), (sub, "protostar-sub")):
        assert not wait_until_healthy(guest, HOSTS[host], 30)
    assert live(look()) == before


def test_main_serves_on_while_sub_is_down(main, sub, line):
    before = starts(main)
    with line() as requests:
        subprocess.run(["docker", "stop", "--time", "60", "protostar-sub"], check=True, capture_output=True)
        try:
            time.sleep(10)
        finally:
            subprocess.run(["docker", "start", "protostar-sub"], check=True, capture_output=True)
        missing = wait_until_healthy(sub, HOSTS["protostar-sub"], 120)
    assert not missing
    assert requests.failed == []
    assert requests.done > 50
    assert starts(main) == before
    assert not wait_until_healthy(main, HOSTS["protostar-main"], 5)
    # The rules of sub stand again, before what its engine publishes.
    assert_open_is_what_is_declared([place for place in OPEN if place[1] == SUB])


def small_volume(name, owner):
    """Compose overrides that put a volume of a few megabytes, in memory, in the place of the real one."""
    options = {"type": "tmpfs", "device": "tmpfs", "o": f"size=24m,uid={owner}"}
    return {"volumes": {"data": {"name": name, "driver_opts": options}}}


def fill(machine, container, directory):
    full = machine.run(f"docker exec {container} sh -c 'dd if=/dev/zero of={directory}/full bs=1M count=64'")
    assert "No space left" in full.stderr


def test_a_full_disk_of_prometheus_stops_nobody_else_and_is_survived(playbook, sub):
    try:
        volume = small_volume("protostar-prometheus-small", 65534)
        run = playbook("sub", "--tags", "prometheus", prometheus_compose_overrides=volume)
        assert run.code == 0, run.text
        before = starts(sub)
        fill(sub, "prometheus", "/prometheus")
        time.sleep(20)  # at least one scrape that cannot be written
        after = starts(sub)
        assert {name for name in after if after[name] != before[name]} <= {"prometheus"}
        # It may have ended and started anew meanwhile, which empties a volume in memory.
        sub.run("docker exec prometheus rm -f /prometheus/full")
        sub.check_output("docker restart prometheus")
        assert not wait_until_healthy(sub, ["prometheus"], 60)
    finally:
        back = playbook("sub", "--tags", "prometheus")
        sub.run("docker volume rm protostar-prometheus-small")
    assert back.code == 0, back.text
    assert not wait_until_healthy(sub, HOSTS["protostar-sub"], 60)


def test_a_full_disk_of_redis_stops_nobody_else_and_is_over_when_there_is_room(playbook, main, client):
    def page():
        return client.run("curl -sS --max-time 20 https://www.protostar.test/").stdout

    def written():
        ask = "REDISCLI_AUTH=$(cat /run/secrets/monitor_password) redis-cli --user monitor info persistence"
        told = main.check_output(f"docker exec redis sh -c '{ask}'")
        return "aof_last_write_status:ok" in told

    try:
        volume = small_volume("protostar-redis-small", 999)
        run = playbook("main", "--tags", "redis", redis_compose_overrides=volume)
        assert run.code == 0, run.text
        before = starts(main)
        fill(main, "redis", "/data")
        deadline = time.monotonic() + 30
        while written() and time.monotonic() < deadline:
            page()  # each puts a job into Redis
        assert not written()
        # The page says that the job is not done; it does not break.
        assert 'id="documents" data-state="ok"' in page()
        main.check_output("docker exec redis rm /data/full")
        deadline = time.monotonic() + 30
        while not ('id="job" data-state="done"' in page() and written()) and time.monotonic() < deadline:
            time.sleep(1)
        assert written()
        assert 'id="job" data-state="done"' in page()
        assert starts(main) == before
    finally:
        back = playbook("main", "--tags", "redis")
        main.run("docker volume rm protostar-redis-small")
    assert back.code == 0, back.text
    assert not wait_until_healthy(main, HOSTS["protostar-main"], 60)
