"""What the playbooks promise on a converged host: they touch what they are asked to, find drift, and tell what runs."""

import re

from expected import HOSTS

REPAIRED = {"nginx", "pgvector-exporter", "redis-exporter", "nest-green"}


def started(lines):
    """The containers of main in what `look` saw, each with its id and when it started."""
    found = (re.match(r"main: /(\S+) ([0-9a-f]{64} \S+ \d+)$", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_a_converged_host_needs_no_change(playbook, look):
    before = look()
    run = playbook("protostar.platform.site", "--check", "--diff")
    assert run.code == 0, run.text
    assert run.total("changed") == 0, run.text
    assert set(run.recap) == {*HOSTS, "protostar-relay"}
    assert look() ^ before == set()


def test_one_tag_touches_one_service(playbook, look):
    before = look()
    run = playbook("site", "--tags", "redis", redis_config_extra={"maxclients": 999})
    after = look()
    back = playbook("site", "--tags", "redis,nginx")

    assert run.code == 0, run.text
    changed = {host: result["changed"] for host, result in run.recap.items()}
    assert changed == {"protostar-main": 1, "protostar-sub": 0, "protostar-relay": 0}
    # The exporter is in the same Compose file, but has its own definition and secret.
    assert {name for name, start in started(before).items() if started(after).get(name) != start} == {"redis"}
    assert {re.search(r"\./([^/ ]+)", entry)[1] for entry in before ^ after if "./" in entry} == {"redis"}

    assert (back.code, back.total("changed")) == (0, 1), back.text


def test_drift_is_shown_and_repaired(playbook, look, main):
    tags = ("--limit", "main", "--tags", "redis,pgvector,nginx,app")
    before = started(look())
    main.check_output(
        "docker stop redis-exporter && docker rm --force pgvector-exporter nest-green "
        "&& echo '# by hand' >> /opt/protostar/services/nginx/config/sites.conf"
    )
    drifted = look()

    preview = playbook("site", "--check", "--diff", *tags)
    assert (preview.code, preview.total("changed")) == (0, 4), preview.text
    assert "-# by hand" in preview.text
    assert look() == drifted

    repair = playbook("site", *tags)
    assert (repair.code, repair.total("changed")) == (0, 4), repair.text
    after = started(look())
    assert {name for name in before if after.get(name) != before[name]} == REPAIRED - {"nginx"}, "nginx only reloads"
    assert "by hand" not in main.check_output("cat /opt/protostar/services/nginx/config/sites.conf")

    again = playbook("site", *tags)
    assert (again.code, again.total("changed")) == (0, 0), again.text


def test_who_serves_is_not_stopped_to_be_repaired(playbook, look, main):
    secret = "/opt/protostar/services/nest-green/secrets/redis_password"
    before = started(look())
    main.check_output(f"chmod 0644 {secret}")
    try:
        run = playbook("main", "--tags", "nest")
    finally:
        main.check_output(f"chmod 0400 {secret}")
    assert (run.code, run.total("changed")) == (0, 0), run.text
    assert "nest-green is not as it was released" in run.text
    assert "deploy -e app=nest" in run.text
    assert started(look()) == before


def rows(table):
    """What a table shows, each row by the headings; two spaces part two cells."""
    heading, *lines = (re.split(r"  +", line) for line in table.strip().splitlines())
    return [dict(zip(heading, line, strict=False)) for line in lines]


def test_status_shows_every_container_healthy(playbook, tmp_path):
    run = playbook("status", status_output=str(tmp_path / "status.txt"))
    assert run.code == 0, run.text
    containers, apps, relay = (tmp_path / "status.txt").read_text().split("\n\n")
    shown = rows(containers)
    assert {(row["host"], row["container"]) for row in shown} == {
        (host, name) for host, names in HOSTS.items() for name in names
    }
    assert [row for row in shown if (row["state"], row["health"]) != ("running", "healthy")] == []
    assert all(row["version"] for row in shown)
    assert {(row["app"], row["colour"], row["role"], row["health"]) for row in rows(apps)} == {
        (app, "green", "live", "healthy") for app in ("fastapi", "frontend", "nest")
    }
    assert [(row["relay"], row["line"], row["nginx"]) for row in rows(relay)] == [("protostar-relay", "open", "active")]
