"""PostgreSQL with pgvector, and Redis, as they run on main."""

import secrets

import pytest

MONITOR = "docker exec redis sh -c 'REDISCLI_AUTH=$(cat /run/secrets/monitor_password) redis-cli --user monitor {}'"
QUERY = "docker exec pgvector psql -X -At -F ' ' -d {} -c %s"
# Over the network and with its password, as the application does it.
AS_APPLICATION = """
import sys, psycopg
from app.settings import DATABASE
with psycopg.connect(**DATABASE, connect_timeout=5) as connection:
    print(connection.execute(sys.argv[1]).fetchall())
"""


@pytest.fixture
def psql(main):
    return lambda statement, database="fastapi": main.run(QUERY.format(database), statement)


@pytest.fixture
def redis(main, live):
    """Send commands to Redis as the application nest; its password is in no command line."""

    def send(*commands):
        lines = "; ".join(f"echo {command}" for command in commands)
        secret = f"/opt/protostar/services/{live('nest')}/secrets/redis_password"
        sent = main.check_output(f"(echo AUTH nest $(cat {secret}); {lines}) | docker exec -i redis redis-cli")
        return sent.splitlines()[1:]

    return send


def test_nobody_enters_redis_without_a_name(main):
    assert "NOAUTH" in main.check_output("docker exec redis redis-cli ping")
    assert "WRONGPASS" in main.run("docker exec redis redis-cli --user default --pass x ping 2>&1").stdout


def test_redis_keeps_everything_and_forgets_nothing(main):
    settings = main.check_output(MONITOR.format("config get appendonly maxmemory-policy maxmemory")).split()
    values = dict(zip(settings[::2], settings[1::2], strict=True))
    assert values["appendonly"] == "yes"
    assert values["maxmemory-policy"] == "noeviction"
    limit = int(main.check_output("docker inspect --format '{{.HostConfig.Memory}}' redis"))
    assert 0.4 * limit < int(values["maxmemory"]) < 0.8 * limit
    assert "aof_last_write_status:ok" in main.check_output(MONITOR.format("info persistence"))


def test_an_application_does_not_administer_redis(redis):
    assert all(
        "NOPERM" in answer
        for answer in redis("CONFIG SET maxmemory 1", "ACL LIST", "FLUSHALL", "SHUTDOWN NOSAVE")
        if answer
    )


def test_redis_keeps_its_data_when_its_container_goes(main, redis):
    key, value = secrets.token_hex(8), secrets.token_hex(8)
    assert redis(f"SET {key} {value} EX 3600") == ["OK"]
    before = main.check_output("docker inspect --format '{{.Id}}' redis")
    main.check_output(
        "cd /opt/protostar/services/redis && docker compose -f compose.yaml up -d --force-recreate --wait redis"
    )
    assert main.check_output("docker inspect --format '{{.Id}}' redis") != before
    assert redis(f"GET {key}", f"DEL {key}") == [value, "1"]


def test_pgvector_finds_what_is_similar(psql):
    assert psql("SELECT extversion FROM pg_extension WHERE extname = 'vector'").stdout.strip()
    nearest = psql(
        "SELECT v FROM (VALUES ('[1,0,0]'::vector), ('[0,1,0]'), ('[0.9,0.1,0]')) t (v) "
        "ORDER BY v <=> '[1,0.1,0]' LIMIT 2"
    )
    assert sorted(nearest.stdout.split()) == ["[0.9,0.1,0]", "[1,0,0]"]


def test_postgres_is_tuned_to_its_memory(main, psql):
    names = ("shared_buffers", "effective_cache_size", "work_mem", "max_connections")
    found = psql(f"SELECT {', '.join(f'pg_size_bytes(current_setting({name!r}))' for name in names)}").stdout.split()
    setting = dict(zip(names, map(int, found), strict=True))
    limit = int(main.check_output("docker inspect --format '{{.HostConfig.Memory}}' pgvector"))
    assert 0.15 * limit <= setting["shared_buffers"] <= 0.4 * limit
    assert 0.5 * limit <= setting["effective_cache_size"] <= limit
    assert setting["shared_buffers"] + setting["work_mem"] * setting["max_connections"] <= limit
    assert psql("SHOW data_checksums").stdout.strip() == "on"


def test_a_user_owns_its_database_and_nothing_more(main, psql, live):
    def attempt(statement):
        return main.run(f"docker exec {live('fastapi')} python3 -c %s %s 2>&1", AS_APPLICATION, statement).stdout

    assert "fastapi" in attempt("SELECT current_user")
    assert "permission denied" in attempt("CREATE ROLE other SUPERUSER")
    assert "permission denied" in attempt("SELECT rolpassword FROM pg_authid")
    assert "permission denied" in attempt("COPY (SELECT 1) TO PROGRAM 'id'")
    assert psql("SELECT rolname FROM pg_roles WHERE rolsuper OR rolcreaterole OR rolcreatedb").stdout.split() == [
        "postgres"
    ]


def test_the_superuser_does_not_come_over_the_network(main):
    refused = main.run("docker exec pgvector psql -X -h 127.0.0.1 -U postgres -c 'SELECT 1'")
    assert refused.rc != 0
    assert "pg_hba.conf rejects connection" in refused.stderr


def test_passwords_are_kept_as_verifiers(psql, secrets):
    kept = psql("SELECT rolname, rolpassword FROM pg_authid WHERE rolcanlogin AND rolpassword IS NOT NULL").stdout
    assert {line.split()[1].partition("$")[0] for line in kept.splitlines()} == {"SCRAM-SHA-256"}
    assert not [name for name, value in secrets.items() if value in kept]
