"""The management line: the only door of sub, with a login in front of what has none of its own."""

import json

import pytest
from expected import defaults

OPS = "https://ops.protostar.test"
GUARDED = [
    "/",
    "/prometheus/graph",
    "/prometheus/api/v1/query?query=up",
    "/alertmanager/",
    "/alertmanager/api/v2/status",
]
OWN_LOGIN = ["/grafana/", "/minio/"]


@pytest.fixture(scope="module")
def fetch(client, secrets):
    """Ask from the internet: status and body. The password goes in by a file, not as an argument."""

    def fetch(url, password=None, *options):
        login = f'user = "operator:{password}"\n' if password else ""
        command = f"curl -sS --max-time 20 -w '\\n%{{http_code}}' -K - {' '.join(options)} '{url}'"
        body, _, status = client.check_output(f"printf %s '{login}' | {command}").rpartition("\n")
        return int(status), body

    return fetch


def test_the_line_reaches_sub(fetch):
    assert fetch(f"{OPS}/healthz") == (200, "ok\n")


@pytest.mark.parametrize("path", GUARDED)
def test_what_has_no_login_gets_one(fetch, secrets, path):
    assert fetch(OPS + path)[0] == 401
    assert fetch(OPS + path, "wrong")[0] == 401
    assert fetch(OPS + path, secrets["ops_operator"])[0] == 200


@pytest.mark.parametrize("path", OWN_LOGIN)
def test_what_has_a_login_is_reached(fetch, path):
    assert fetch(OPS + path)[0] in (200, 302)


def test_a_login_form_is_not_to_be_guessed_at(fetch):
    attempts = defaults("nginx")["nginx_login_burst"] + 5
    assert fetch(f"{OPS}/grafana/login?[1-{attempts}]", None, "--data user=admin")[0] == 429
    assert fetch(f"{OPS}/minio/api/v1/login", None, "--data user=admin")[0] == 429, "one limit for all forms"
    assert fetch(f"{OPS}/grafana/login")[0] == 200


def test_each_path_leads_to_its_service(fetch, secrets):
    answer = fetch(f"{OPS}/prometheus/api/v1/status/buildinfo", secrets["ops_operator"])[1]
    assert "goVersion" in json.loads(answer)["data"]
    answer = fetch(f"{OPS}/alertmanager/api/v2/status", secrets["ops_operator"])[1]
    assert "versionInfo" in json.loads(answer)
    assert json.loads(fetch(f"{OPS}/grafana/api/health")[1])["database"] == "ok"


def test_prometheus_knows_its_public_address(fetch, secrets):
    flags = json.loads(fetch(f"{OPS}/prometheus/api/v1/status/flags", secrets["ops_operator"])[1])["data"]
    assert flags["web.external-url"] == f"{OPS}/prometheus/"


def test_the_password_is_hashed_on_the_host(sub, secrets):
    line = sub.check_output("cat /opt/protostar/services/nginx/secrets/users/passwords")
    name, _, hashed = line.partition(":")
    assert name == "operator"
    assert hashed.startswith("$6$")
    assert secrets["ops_operator"] not in line


def test_subdomains_instead_of_paths(playbook, fetch, secrets, client):
    try:
        run = playbook("sub", "--tags", "nginx", platform_ops_style="subdomains")
        assert (run.code, run.total("changed")) == (0, 1), run.text
        resolve = " ".join(f"--resolve {name}.ops.protostar.test:443:198.18.0.20" for name in ("grafana", "prometheus"))
        assert fetch("https://grafana.ops.protostar.test/api/health", None, resolve)[0] == 200
        guarded = "https://prometheus.ops.protostar.test/-/ready"
        assert fetch(guarded, None, resolve)[0] == 401
        assert fetch(guarded, secrets["ops_operator"], resolve)[0] == 200
    finally:
        back = playbook("sub", "--tags", "nginx")
    assert (back.code, back.total("changed")) == (0, 1), back.text
