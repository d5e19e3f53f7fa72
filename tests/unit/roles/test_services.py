"""The services that the roles describe: what they run, mount and write, for defaults and for other values."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from ansible_collections.protostar.platform.plugins.module_utils import _composefile

ROOT = Path(__file__).parents[3]
SERVICES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/templates/compose.yaml.j2"))


@pytest.fixture(params=SERVICES)
def arguments(request, render):
    return render(request.param)


def sources(service):
    return [mount.source for mount in _composefile.mounts(service)]


def test_every_container_is_limited_and_unprivileged(arguments):
    for name, service in arguments["compose"]["services"].items():
        assert {"mem_limit", "cpus", "pids_limit"} <= service.keys(), name
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["container_name"] == name
        assert service["restart"] == "unless-stopped"


def test_every_container_has_a_health_check(arguments):
    if arguments["name"] == "shop":
        pytest.skip("an application's image brings the command; the role sets only its timing")
    for service in arguments["compose"]["services"].values():
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


def test_files_are_mounted_as_directories(arguments):
    written = [entry["dest"] for entry in arguments.get("files", []) + arguments.get("secrets", [])]
    mounted = [
        source.removeprefix("./")
        for service in arguments["compose"]["services"].values()
        for source in sources(service)
        if source.startswith("./")
    ]
    assert not set(mounted) & set(written)
    assert all(any(dest.startswith(f"{source}/") for source in mounted) for dest in written)


def test_a_secret_belongs_to_the_user_that_reads_it(arguments):
    for secret in arguments.get("secrets", []):
        readers = [
            # A service without one is started by root.
            service.get("user", "0")
            for service in arguments["compose"]["services"].values()
            if any(secret["dest"].startswith(source.removeprefix("./") + "/") for source in sources(service))
        ]
        assert [reader.partition(":")[0] for reader in readers] == [str(secret.get("owner", 0))]


def test_no_secret_is_outside_the_secrets(arguments):
    secrets = ("root's", "exporter's", "monitor's")
    text = json.dumps({key: value for key, value in arguments.items() if key != "secrets"})
    assert [secret for secret in secrets if secret in text] == []


def test_a_reload_takes_over_files_that_exist(arguments):
    if "reload" not in arguments:
        pytest.skip("nothing to reload")
    assert arguments["reload"]["service"] in arguments["compose"]["services"]
    written = [entry["dest"] for entry in arguments.get("files", []) + arguments.get("secrets", [])]
    for pattern in arguments["reload"].get("files", []):
        assert any(re.fullmatch(pattern.replace("*", ".*"), dest) for dest in written), pattern


@pytest.mark.parametrize("major", [16, 17, 18, 19])
def test_postgres_data_is_mounted_where_its_major_version_wants_it(render, major):
    volumes = render("pgvector", pgvector_postgres_major=major)["compose"]["services"]["pgvector"]["volumes"]
    target = next(volume for volume in volumes if volume.startswith("data:")).partition(":")[2]
    assert target.endswith("/data") == (major <= 17)


@pytest.mark.parametrize("memory", [128, 512, 8192, 262144])
@pytest.mark.parametrize("connections", [20, 500])
def test_postgres_fits_its_memory(render, file, memory, connections):
    arguments = render("pgvector", pgvector_memory_mb=memory, pgvector_max_connections=connections)
    service = arguments["compose"]["services"]["pgvector"]
    config = dict(re.findall(r"^(\w+) = '(\d+)MB'$", file(arguments, "config/postgresql.conf"), re.MULTILINE))
    size = {name: int(value) for name, value in config.items()}
    assert size["shared_buffers"] <= memory // 2
    assert size["effective_cache_size"] <= memory
    assert size["work_mem"] >= 1
    assert size["work_mem"] * connections <= max(memory // 4, connections)
    assert int(service["shm_size"].removesuffix("m")) >= size["maintenance_work_mem"]
    assert service["mem_limit"] == f"{memory}m"


def test_a_setting_of_the_user_wins(render, file):
    arguments = render("pgvector", pgvector_config_extra={"work_mem": "77MB", "search_path": "it's"})
    config = file(arguments, "config/postgresql.conf")
    assert "work_mem = '77MB'" in config.splitlines()
    assert "search_path = 'it''s'" in config.splitlines()
    assert len(re.findall("^work_mem", config, re.MULTILINE)) == 1


def test_names_are_quoted_in_sql(render, file):
    users = [{"name": "o\"ne's", "password": "secret", "databases": ["shop"]}]
    databases = [{"name": "shop", "owner": "o\"ne's", "extensions": ["vector", "pg_trgm"]}]
    sql = file(render("pgvector", pgvector_users=users, pgvector_databases=databases), "secrets/pgvector/provision.sql")
    assert "format('CREATE ROLE %I', 'o\"ne''s')" in sql
    assert 'OWNER TO "o""ne\'s"' in sql
    assert 'GRANT CONNECT ON DATABASE "shop" TO "o""ne\'s"' in sql
    assert 'CREATE EXTENSION IF NOT EXISTS "pg_trgm"' in sql
    assert "secret'" not in sql


def test_redis_gets_hashes_of_passwords(render, file):
    users = [{"name": "shop", "password": "pass word"}, {"name": "reader", "password": "p2", "rules": "~* +@read"}]
    lines = file(render("redis", redis_users=users), "secrets/redis/users.acl").splitlines()
    assert lines[0] == "user default off"
    assert any(line.startswith(f"user shop on #{sha256(b'pass word').hexdigest()} ") for line in lines)
    assert lines[-1].endswith(" ~* +@read")
    assert "pass word" not in "\n".join(lines)


def test_redis_takes_several_passwords_while_one_is_changed(render, file):
    users = [{"name": "shop", "password": "new", "rotating_passwords": ["old", "new"]}]
    arguments = render("redis", redis_users=users, redis_monitor_rotating_passwords=["monitor's", "next"])
    lines = file(arguments, "secrets/redis/users.acl").splitlines()
    old, new, monitor, following = (sha256(text).hexdigest() for text in (b"old", b"new", b"monitor's", b"next"))
    assert lines[1].startswith(f"user monitor on #{monitor} #{following} resetkeys ")
    assert lines[2].startswith(f"user shop on #{new} #{old} ~* ")
    # The reload logs in with what it finds, which the server takes before and afterwards.
    assert "secrets/redis/monitor_password" in arguments["reload"]["files"]
    assert "secrets/redis/monitor_password" not in render("redis")["reload"]["files"]


def test_postgres_has_a_second_login_while_a_password_is_changed(render, file):
    def sql(**user):
        users = [{"name": "shop", "password": "now", **user}, {"name": "till", "password": "x"}]
        lines = file(render("pgvector", pgvector_users=users), "secrets/pgvector/provision.sql").splitlines()
        return lines, {line.split('"')[1]: line for line in lines if " LOGIN PASSWORD " in line}

    lines, logins = sql(rotating_passwords=["old", "new"])
    second = 'GRANT "shop" TO "shop_rotating";'
    assert {"shop", "shop_rotating", "till", "postgres_exporter"} == set(logins)
    assert second in lines
    assert """ALTER ROLE "shop_rotating" SET role = 'shop';""" in lines
    assert 'DROP ROLE IF EXISTS "shop_rotating";' not in lines
    assert 'DROP ROLE IF EXISTS "till_rotating";' in lines
    now = sql()[1]["shop"]
    assert logins["shop"] != now
    assert sql(rotating_passwords=["now", "new"])[1] == {**logins, "shop": now}
    lines, logins = sql()
    assert second not in lines
    assert 'DROP ROLE IF EXISTS "shop_rotating";' in lines
    assert "shop_rotating" not in logins


def test_a_user_of_the_name_of_a_second_login_is_not_dropped(render, file):
    users = [{"name": "shop", "password": "x"}, {"name": "shop_rotating", "password": "y"}]
    sql = file(render("pgvector", pgvector_users=users), "secrets/pgvector/provision.sql")
    assert 'DROP ROLE IF EXISTS "shop_rotating"' not in sql


@pytest.mark.parametrize(("memory", "limit"), [("100m", 100 << 20), ("2g", 2 << 30)])
def test_redis_keeps_memory_free_for_its_fork(render, file, memory, limit):
    config = file(render("redis", redis_memory=memory, redis_config_extra={"hz": 50}), "config/redis.conf")
    maxmemory = int(re.search(r"^maxmemory (\d+)$", config, re.MULTILINE)[1])
    assert limit // 2 <= maxmemory < limit * 3 // 4
    assert "\nhz 50\n" in config


SITES = [
    {
        "server_name": "www.example.com example.com",
        "locations": [
            {"path": "/", "upstream": "shop"},
            {"path": "/live/", "upstream": "shop", "uri": "/", "buffering": False, "timeout": "2h"},
            {"path": "= /motto", "text": 'say "hi"', "directives": ["expires 1d"]},
        ],
    },
    {"server_name": "api.example.com", "certificate": "wildcard", "directives": ["gzip off"], "locations": []},
]


@pytest.fixture
def sites(render, file):
    upstreams = {"shop": {"address": "10.0.0.7", "port": 3000}}
    return file(render("nginx", nginx_sites=SITES, nginx_upstreams=upstreams), "config/sites.conf")


def test_nginx_blocks_are_closed(render, file, sites):
    for text in (sites, file(render("nginx"), "config/nginx.conf")):
        plain = re.sub(r'#.*|"[^"]*"|\'[^\']*\'', "", text)
        assert plain.count("{") == plain.count("}")
        assert [line for line in plain.splitlines() if line.strip() and line.strip()[-1] not in "{};'"] in (
            [],
            ["  log_format requests escape=json"],
        )


def test_nginx_sends_plain_http_to_tls(sites):
    plain = [block for block in sites.split("\nserver {") if "listen 80;" in block]
    assert len(plain) == len(SITES)
    assert all("return 301 https://$host$request_uri;" in block for block in plain)


@pytest.mark.parametrize(
    ("name", "certificate"), [("www.example.com", "www.example.com"), ("api.example.com", "wildcard")]
)
def test_nginx_finds_the_certificate_of_a_site(sites, name, certificate):
    block = next(
        block for block in sites.split("\nserver {") if "listen 443" in block and f"server_name {name}" in block
    )
    assert f"/{certificate}/fullchain.pem;" in block
    assert f"/{certificate}/privkey.pem;" in block


def test_nginx_locations_are_as_described(sites):
    blocks = {block.split(" {")[0]: block for block in sites.split("\n  location ")[1:]}
    assert "proxy_pass http://shop;" in blocks["/"]
    assert "proxy_buffering" not in blocks["/"]
    assert "proxy_pass http://shop/;" in blocks["/live/"]
    assert "proxy_buffering off;" in blocks["/live/"]
    assert "proxy_read_timeout 2h;" in blocks["/live/"]
    assert r'return 200 "say \"hi\"\n";' in blocks["= /motto"]
    assert "expires 1d;" in blocks["= /motto"]
    assert "server 10.0.0.7:3000;" in sites


@pytest.mark.parametrize(("address", "network"), [("", {}), ("10.201.1.2", {"ipv4_address": "10.201.1.2"})])
def test_nginx_has_a_fixed_address_if_asked(render, address, network):
    assert render("nginx", nginx_address=address)["compose"]["services"]["nginx"]["networks"]["edge"] == network


def test_nginx_leaves_out_a_header_without_value(render, file):
    text = file(render("nginx", nginx_sites=SITES, nginx_headers={"X-One": "1", "X-Two": ""}), "config/sites.conf")
    assert 'add_header X-One "1" always;' in text
    assert "X-Two" not in text


def test_prometheus_configuration_is_the_users(render, file):
    scrape = [{"job_name": "shop", "static_configs": [{"targets": ["10.0.0.7:3000"]}]}]
    alerting = {"alertmanagers": []}
    arguments = render(
        "prometheus",
        prometheus_scrape_configs=scrape,
        prometheus_config_extra={"alerting": alerting},
        prometheus_external_labels={"site": "home"},
    )
    config = yaml.safe_load(file(arguments, "config/prometheus.yml"))
    assert config["scrape_configs"] == scrape
    assert config["alerting"] == alerting
    assert config["global"]["external_labels"] == {"site": "home"}


def test_prometheus_rules_come_from_every_directory_and_the_last_wins(render, file, tmp_path):
    for directory, files in {"one": ["a.yml", "b.yml"], "two": ["b.yml", "note.txt"]}.items():
        (tmp_path / directory).mkdir()
        for name in files:
            (tmp_path / directory / name).write_text(f"groups: [] # {directory} {{{{ $labels.instance }}}}\n")
    arguments = render("prometheus", prometheus_rules_directories=[str(tmp_path / "one"), str(tmp_path / "two")])
    rules = [entry["dest"] for entry in arguments["files"] if entry["dest"].startswith("config/rules/")]
    assert rules == ["config/rules/a.yml", "config/rules/b.yml"]
    assert file(arguments, "config/rules/b.yml") == "groups: [] # two {{ $labels.instance }}\n"
