"""The preflight checks: their pure parts by tables, and the whole on the example inventory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.protostar.platform.plugins.action import check_variables as checks

ROOT = Path(__file__).parents[3]
SPECS = {
    "redis": {"redis_maxmemory": {"type": "int"}, "redis_users": {"type": "list", "elements": "dict"}},
    "redis_cluster": {"redis_cluster_size": {"type": "int"}},
    "nginx": {"nginx_sites": {"type": "list"}},
}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("redis_maxmemroy", ["of the role redis.", "Did you mean redis_maxmemory?"]),
        ("redis_dashboard_url", ["is not a variable of the role redis."]),
        ("redis_cluster_sise", ["of the role redis_cluster.", "redis_cluster_size?"]),
        ("reddis_maxmemory", ["nearly", "redis_maxmemory?"]),
    ],
)
def test_a_misspelt_variable_is_found(name, words):
    [(found, problem)] = checks.find_unknown([name, "redis_users"], SPECS, [])
    assert found == name
    assert all(word in problem for word in words)


@pytest.mark.parametrize(
    "name",
    ["redis_maxmemory", "redis", "my_redis_users", "__redis_exporter", "ansible_redis_x", "platform_domain", "users"],
)
def test_a_variable_of_ones_own_is_left_alone(name):
    assert list(checks.find_unknown([name], SPECS, [])) == []


def test_an_allowed_variable_is_left_alone():
    assert list(checks.find_unknown(["redis_dashboard_url", "nginx_x"], SPECS, ["redis_dash*", "nginx_x"])) == []


SECRET = {"type": "str", "no_log": True}
OPTIONS = {
    "password": SECRET,
    "users": {"type": "list", "options": {"name": {"type": "str"}, "password": SECRET}},
    "definition": {"type": "dict", "options": {"secrets": {"type": "dict", "no_log": True}}},
    "key": {"type": "str", "no_log": True, "default": ""},
}


@pytest.mark.parametrize(
    ("values", "wheres"),
    [
        ({"password": "correct horse"}, []),
        ({}, []),
        ({"password": ""}, ["password"]),
        ({"password": "   "}, ["password"]),
        ({"password": "change me"}, ["password"]),
        ({"password": "CHANGE_ME"}, ["password"]),
        ({"password": "<your password>"}, ["password"]),
        ({"password": "do not change me"}, []),
        ({"users": [{"name": "a", "password": "x"}, {"name": "b", "password": "todo"}]}, ["users[b].password"]),
        ({"users": [{"password": ""}]}, ["users[0].password"]),
        ({"definition": {"secrets": {"one": "x", "two": ""}}}, ["definition.secrets.two"]),
        ({"definition": {"secrets": {"none": None}}}, ["definition.secrets.none"]),
        ({"definition": {}}, []),
        ({"key": ""}, []),
        ({"key": "change me"}, ["key"]),
    ],
)
def test_an_unset_secret_is_found(values, wheres):
    problems = list(checks.find_unset(OPTIONS, values))
    assert [problem.split(" is a secret ")[0] for problem in problems] == wheres


@pytest.mark.parametrize(
    ("first", "second", "clash"),
    [
        ("443", "443", True),
        ("127.0.0.1:9121", "198.19.0.10:9121", False),
        ("127.0.0.1:9121", "9121", True),
        ("0.0.0.0:80", "10.0.0.1:80", True),
        ("[::]:80", "80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
    ],
)
def test_a_port_is_taken_once(first, second, clash):
    assert bool(list(checks.find_shared_ports({"one_publish": first, "two_publish": second}))) is clash


def test_an_address_is_taken_once_in_a_network():
    values = {"nginx": {"nginx_address": "10.0.0.2", "nginx_network": "protostar-edge"}, "redis": {}}
    apps = {
        "shop": {"addresses": {"green": "10.0.0.2", "blue": "10.0.0.9"}},
        "blog": {"addresses": {"green": "10.0.0.2", "blue": "10.0.0.9"}, "networks": ["other"]},
        "wiki": {"networks": ["protostar-edge"]},
    }
    [problem] = checks.find_shared_addresses(checks.fixed_addresses(values, apps))
    assert "nginx" in problem
    assert "green of the app shop" in problem


def test_the_replicas_of_a_colour_do_not_reach_into_the_other():
    apps = {"shop": {"addresses": {"green": "10.0.0.2", "blue": "10.0.0.4"}, "replicas": 3}}
    [problem] = checks.find_shared_addresses(checks.fixed_addresses({}, apps))
    assert "green of the app shop" in problem
    assert "blue of the app shop" in problem
    assert "10.0.0.4" in problem


BOTH = {"green": "10.0.0.2", "blue": "10.0.0.4"}


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ({}, []),
        ({"addresses": BOTH, "port": 80}, []),
        ({"addresses": BOTH}, ["no port"]),
        ({"address": "10.0.0.2"}, ["address has become addresses"]),
        ({"addresses": {**BOTH, "blue": "10.0.0"}, "port": 80}, ["are not the first IP addresses"]),
        ({"addresses": ["10.0.0.2"], "port": 80}, ["are not the first IP addresses"]),
        ({"addresses": BOTH, "port": 80, "replicas": "many"}, ["are not the first IP addresses"]),
    ],
)
def test_what_keeps_an_app_from_being_behind_the_edge_is_said(definition, words):
    problems = list(checks.find_unusable(definition))
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))


def test_the_network_of_an_app_is_the_roles_default():
    specs = checks.read_specs(ROOT / "roles")["app"]
    assert specs["app_definition"]["options"]["networks"]["default"] == [checks.APP_NETWORK]


def test_an_app_cannot_be_called_like_a_service():
    services = checks.read_service_names(ROOT / "roles")
    assert services["redis-exporter"] == "redis"
    assert [problem.split()[2] for problem in checks.find_taken_names(["redis-exporter", "shop"], services)] == [
        "redis-exporter"
    ]


def test_a_wrong_type_is_named_without_the_words_of_python():
    [problem] = checks.find_invalid(SPECS["redis"], {"redis_maxmemory": "much"})
    assert "redis_maxmemory" in problem
    assert "class" not in problem


def preflight(tmp_path, variables):
    """Run the role on the example inventory as its plays do, with this machine's facts, and return the output."""
    plays = []
    for name in ("main", "sub"):
        [play] = yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text())
        plays.append({**play, "connection": "local", "become": False})
    (tmp_path / "playbook.yml").write_text(yaml.safe_dump(plays))
    # Whether this machine and its engine would hold the platform is not the question.
    plenty = {"preflight_memory_factor": 1000, "preflight_cpu_factor": 1000, "preflight_allow": ["docker-before-25"]}
    peer = tmp_path / "peer"
    peer.mkdir()
    for name in ("authority.crt", "authority.key"):
        (peer / name).write_text("PEM\n")
    (tmp_path / "variables.json").write_text(
        json.dumps(
            {
                "ansible_python_interpreter": sys.executable,
                "platform_peer_directory": str(peer),
                **plenty,
                **variables,
            }
        )
    )
    result = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-i", "inventories/example", "--tags", "always"),
            *("-e", f"@{tmp_path}/variables.json", str(tmp_path / "playbook.yml")),
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_LOCAL_TEMP": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def secrets():
    vault = yaml.safe_load((ROOT / "inventories/example/group_vars/all/vault.yml").read_text())
    return dict.fromkeys(vault["platform_secrets"], "correct horse battery")


def test_the_example_is_refused_while_it_has_placeholders(tmp_path):
    status, output = preflight(tmp_path, {})
    assert status != 0
    assert "redis_users[nest].password is a secret and still holds the placeholder." in output
    assert "platform_apps.fastapi: app_definition.secrets.database_password" in output


def test_the_example_passes_with_secrets(tmp_path, secrets):
    status, output = preflight(tmp_path, {"platform_secrets": secrets})
    assert status == 0, output


def test_the_example_is_refused_with_a_weak_secret_that_is_not_allowed(tmp_path, secrets):
    weak = {"platform_secrets": {**secrets, "redis_nest": "sentinel", "redis_monitor": "sentinel"}}
    status, output = preflight(tmp_path, {**weak, "preflight_allow_weak": ["redis_monitor_*"]})
    assert status != 0
    assert "Nothing was changed: redis_users[nest].password is a secret and is shorter than 16 characters." in output
    assert "redis_monitor_password" not in output
    assert "sentinel" not in output


def test_all_that_is_wrong_is_said_at_once(tmp_path, secrets):
    wrong = {"redis_maxmemroy": 1, "pgvector_users": "shop", "nginx_publish_http": "443", "pgvector_cpus": "{{ no }}"}
    status, output = preflight(tmp_path, {"platform_secrets": secrets, **wrong})
    assert status != 0
    for sentence in (
        r"redis_maxmemroy \(.*variables\.json.*\) is not a variable of the role redis\. Did you mean redis_maxmemory\?",
        r"nginx_publish_https and nginx_publish_http both take port 443",
        r"pgvector_cpus \(.*\) cannot be evaluated: 'no' is undefined",
        r"'pgvector_users' is of type str",
    ):
        assert re.search(sentence, output), sentence
