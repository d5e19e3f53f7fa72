"""A fault of one service is mended by itself or by the next run, and the others do not notice."""

import contextlib
import subprocess
import time

import pytest
from expected import HOSTS

EVERY = [(host, name) for host, names in HOSTS.items() for name in names]
# What the service line runs through; all else may be gone while it serves.
LINE = {"fastapi", "nginx", "pgvector", "redis"}
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


@pytest.mark.parametrize("host", HOSTS)
def test_a_killed_process_comes_back_and_no_other_notices(machine, host):
    guest = machine(host)
    for name in HOSTS[host]:
        before = starts(guest)
        guest.check_output(f"kill -KILL $(docker inspect --format '{{{{.State.Pid}}}}' {name})")
        # Its health of before the fault is not an answer: the start must be a new one.
        deadline = time.monotonic() + 60
        while starts(guest)[name] == before[name] and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not wait_until_healthy(guest, [name], 60), name
        after = starts(guest)
        assert {other for other in after if after[other] != before[other]} == {name}


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
        run = playbook("site")
    assert run.code == 0, run.text
    assert requests.failed == []
    assert requests.done > 20
    for guest, host in ((main, "protostar-main"), (sub, "protostar-sub")):
        assert not wait_until_healthy(guest, HOSTS[host], 30)
    assert live(look()) == before

    again = playbook("site")
    assert (again.code, again.total("changed")) == (0, 0), again.text


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


# A volume of a few megabytes in memory, in the place of the real one.
SMALL = {"driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=24m,uid=65534"}}


def test_a_full_disk_stops_nobody_else_and_is_survived(playbook, sub):
    volume = {"volumes": {"data": {"name": "protostar-prometheus-small", **SMALL}}}
    try:
        run = playbook("sub", "--tags", "prometheus", prometheus_compose_overrides=volume)
        assert run.code == 0, run.text
        before = starts(sub)
        full = sub.run("docker exec prometheus sh -c 'dd if=/dev/zero of=/prometheus/full bs=1M count=64'")
        assert "No space left" in full.stderr
        time.sleep(20)  # at least one scrape that cannot be written
        after = starts(sub)
        assert {name for name in after if after[name] != before[name]} <= {"prometheus"}
        sub.check_output("docker exec prometheus rm /prometheus/full")
        sub.check_output("docker restart prometheus")
        assert not wait_until_healthy(sub, ["prometheus"], 60)
    finally:
        back = playbook("sub", "--tags", "prometheus")
        sub.run("docker volume rm protostar-prometheus-small")
    assert back.code == 0, back.text
    assert not wait_until_healthy(sub, HOSTS["protostar-sub"], 60)
