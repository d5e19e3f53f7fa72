"""Each image keeps the interface of the upstream image that the roles are written for."""

import pytest

HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def capabilities(*names):
    return [f"--cap-add={name}" for name in names]


def test_nginx_runs_read_only_with_njs_by_upstreams_paths(start, tmp_path):
    (tmp_path / "hello.js").write_text("export default {hello: r => r.return(200, 'from njs')};\n")
    (tmp_path / "nginx.conf").write_text(
        "load_module modules/ngx_http_js_module.so;\nload_module modules/ngx_stream_js_module.so;\n"
        "user nginx;\nevents {}\nstream {}\n"
        "http { js_path /conf; js_import hello.js; server { listen 80; location / { js_content hello.hello; } } }\n"
    )
    options = [*HARDENED, *capabilities("CHOWN", "SETUID", "SETGID", "NET_BIND_SERVICE")]
    options += ["--tmpfs=/run", "--tmpfs=/var/cache/nginx", f"--volume={tmp_path}:/conf:ro"]
    nginx = start("nginx", *options, command=("nginx", "-c", "/conf/nginx.conf", "-g", "daemon off;"))
    assert nginx.until("curl", "-sSf", "http://127.0.0.1/") == "from njs"
    users = nginx.output("sh", "-c", "grep -h ^Uid: /proc/[0-9]*/status | cut -f2")
    assert {"0", "101"} <= set(users.split())
    assert '"GET / HTTP/1.1" 200' in nginx.logs()
    assert nginx.stop() == 0


def test_nginx_starts_as_it_is(start):
    assert "<html>" in start("nginx").until("curl", "-sSf", "http://127.0.0.1/")


POSTGRES = (*HARDENED, *capabilities("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID"), "--tmpfs=/tmp")


def test_postgres_makes_user_database_and_runs_the_scripts(start, tmp_path):
    secret, scripts = tmp_path / "secret", tmp_path / "scripts"
    scripts.mkdir()
    secret.write_text("pass'word \"1\n")
    (scripts / "1.sql").write_text("CREATE EXTENSION vector; CREATE TABLE one (item vector(2));\n")
    (scripts / "2.sh").write_text(
        'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO one VALUES (\'[1,2]\')"\n'
    )
    options = [*POSTGRES, "--tmpfs=/var/run/postgresql", "--env=POSTGRES_USER=ann", "--env=POSTGRES_DB=my db"]
    options += [f"--volume={secret}:/run/secret:ro", "--env=POSTGRES_PASSWORD_FILE=/run/secret"]
    options += ["--env=POSTGRES_INITDB_ARGS=--data-checksums --locale-provider=builtin --builtin-locale=C.UTF-8"]
    options += [f"--volume={scripts}:/docker-entrypoint-initdb.d:ro"]
    postgres = start("pgvector", *options, command=("postgres", "-c", "max_connections=17"))
    # Not through loopback, which upstream's image trusts.
    ask = 'PGPASSWORD=$1 psql -h "$(hostname -i)" -U ann -d "my db" -Atc "$2"'
    query = "SELECT count(*), current_setting('max_connections'), current_setting('data_checksums') FROM one"
    assert postgres.until("sh", "-c", ask, "sh", "pass'word \"1", query).strip() == "1|17|on"
    assert "authentication failed" in postgres.run("sh", "-c", ask, "sh", "wrong", query).stderr
    assert postgres.output("stat", "-c", "%u:%g %a", "/var/lib/postgresql/data").strip() == "999:999 700"
    assert "pass'word" not in postgres.output("cat", "/proc/1/cmdline")
    assert postgres.stop() == 0


def test_postgres_runs_as_its_user_from_the_start(start):
    options = [*HARDENED, "--user=999:999", "--env=POSTGRES_PASSWORD=secret", "--tmpfs=/var/run/postgresql:uid=999"]
    postgres = start("pgvector", *options, "--tmpfs=/tmp")
    # Through TCP: the server that runs the scripts has its socket only.
    postgres.until("pg_isready", "-h", "127.0.0.1")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ([], "no password"),
        (["--env=POSTGRES_PASSWORD=a", "--env=POSTGRES_PASSWORD_FILE=/etc/hostname"], "both set"),
    ],
)
def test_postgres_refuses_what_upstream_refuses(start, environment, reason):
    postgres = start("pgvector", *environment)
    assert postgres.exit_code() == 1
    assert reason in postgres.logs()


def test_redis_runs_as_its_user_and_keeps_its_data(start):
    redis = start("redis", *HARDENED, *capabilities("SETUID", "SETGID", "CHOWN"), command=("--appendonly", "yes"))
    assert redis.until("redis-cli", "ping").strip() == "PONG"
    assert redis.output("stat", "-c", "%u", "/data/appendonlydir").strip() == "999"
    assert redis.stop() == 0


def test_redis_without_arguments_is_open_as_upstream(start):
    redis = start("redis")
    redis.until("redis-cli", "ping")
    assert redis.output("redis-cli", "config", "get", "protected-mode").split() == ["protected-mode", "no"]


@pytest.mark.parametrize(
    ("image", "user", "path"),
    [
        ("prometheus", "65534", "9090/-/ready"),
        ("alertmanager", "65534", "9093/-/ready"),
        ("node-exporter", "65534", "9100/metrics"),
        ("blackbox-exporter", "0", "9115/-/healthy"),
        ("postgres-exporter", "65534", "9187/metrics"),
        ("redis-exporter", "59000", "9121/health"),
        ("grafana", "472", "3000/api/health"),
        ("loki", "10001", "3100/ready"),
        ("promtail", "0", "9080/ready"),
        ("alloy", "0", "12345/-/ready"),
        ("minio", "0", "9000/minio/health/live"),
        ("cadvisor", "0", "8080/healthz"),
    ],
)
def test_service_is_ready_as_its_user(start, image, user, path):
    container = start(image, *HARDENED)
    container.until("wget", "-q", "-O", "-", f"http://127.0.0.1:{path}")
    assert container.output("stat", "-c", "%u", "/proc/1").strip() == user


def test_haproxy_runs_as_upstreams_user_and_socat_asks_it(start, tmp_path):
    (tmp_path / "haproxy.cfg").write_text(
        "defaults\n  mode http\n  timeout client 5s\n  timeout connect 5s\n  timeout server 5s\n"
        "frontend all\n  bind /run/it/all.sock\n  http-request return status 200\n"
    )
    tmp_path.chmod(0o755)
    options = ["--tmpfs=/run/it:uid=99", "--network=none", f"--volume={tmp_path}:/usr/local/etc/haproxy:ro"]
    haproxy = start("haproxy", *HARDENED, *options)
    ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | socat - UNIX-CONNECT:/run/it/all.sock,shut-none | grep 200"
    assert haproxy.until("sh", "-c", ask).startswith("HTTP/1.")
    assert haproxy.output("stat", "-c", "%u:%g", "/proc/1").strip() == "99:99"


def test_prometheus_pages_find_their_scripts(start):
    prometheus = start("prometheus")
    prometheus.until("wget", "-q", "-O", "-", "http://127.0.0.1:9090/-/ready")
    assert "Prometheus" in prometheus.output("curl", "-sSfL", "http://127.0.0.1:9090/graph")
    assert prometheus.output("promtool", "check", "config", "/etc/prometheus/prometheus.yml")


def test_stand_in_for_cadvisor_knows_what_the_engine_tells_it(start):
    found = start("cadvisor", "--volume=/run:/engine:ro", command=("--docker=unix:///engine/docker.sock",))
    known = found.until("sh", "-c", 'curl -sSf "http://127.0.0.1:8080/api/v2.0/spec/$HOSTNAME?type=docker"')
    assert known == '{"known": true}'
    assert found.run("curl", "-sSf", "http://127.0.0.1:8080/api/v2.0/spec/none?type=docker").returncode
    lost = start("cadvisor", command=("--docker=unix:///engine/docker.sock",))
    assert "protostar_stand_in_containers -1" in lost.until("curl", "-sSf", "http://127.0.0.1:8080/metrics")


def test_stand_in_says_what_it_is(start):
    loki = start("loki", command=("-config.file=/etc/loki/loki.yaml",))
    headers = loki.until("curl", "-sSf", "-D", "-", "http://127.0.0.1:3100/ready")
    assert "X-Protostar-Stand-In: loki" in headers
    assert 'protostar_stand_in_info{service="loki"} 1' in loki.output("curl", "-sSf", "http://127.0.0.1:3100/metrics")
    assert loki.run("curl", "-sSf", "--data", "{}", "http://127.0.0.1:3100/loki/api/v1/push").returncode == 0
    assert loki.run("loki", "-health").returncode == 0
    assert loki.run("loki", "-verify-config").returncode == 0
    assert loki.stop() == 0


def test_stand_in_for_mc_runs_nothing_and_writes_down_what_it_was_asked(start):
    minio = start("minio", *HARDENED, "--user=10002", "--volume=/var/tmp", command=("server", "/var/tmp"))
    minio.until("curl", "-fsS", "http://127.0.0.1:9000/minio/health/cluster")
    result = minio.run("mc", "mb", "protostar/one")
    assert result.returncode == 0
    assert "not run" in result.stderr
    assert minio.output("cat", "/var/tmp/mc-commands.txt") == "mc mb protostar/one\n"


def test_stand_in_for_alloy_answers_its_checker(start):
    result = start("alloy").run("alloy", "validate", "/etc/alloy/config.alloy")
    assert (result.returncode, "not checked" in result.stdout) == (0, True)
