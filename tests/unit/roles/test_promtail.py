"""Promtail's configuration: held to its reference, and its pipeline replayed on lines that programs write."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas/promtail-3.6.json").read_text())
PEER = {"promtail_peer_authority": "CA", "promtail_peer_certificate": "CERT", "promtail_peer_key": "KEY"}


@pytest.fixture
def config(render, file):
    """config(variables…): the checked configuration."""

    def config(**variables):
        document = yaml.safe_load(file(render("promtail", **variables), "config/config.yml"))
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        return document

    return config


@pytest.mark.parametrize(
    "variables",
    [{}, PEER, {"promtail_max_line_size": "1MB"}, {"promtail_config_extra": {"server": {"log_level": "info"}}}],
)
def test_the_configuration_is_in_promtails_language(config, variables):
    config(**variables)


@pytest.mark.parametrize(
    "extra",
    [
        {"server": {"http_port": 1}},
        {"scrape_config": []},
        {"positions": {"file": "/data/p"}},
        {"clients": [{"url": "http://loki", "backoff_config": {"retries": 1}}]},
        {"scrape_configs": [{"job_name": "a", "pipeline_stages": [{"jsn": {"expressions": {"a": "a"}}}]}]},
        {
            "scrape_configs": [
                {"job_name": "a", "pipeline_stages": [{"match": {"selector": "{}", "stages": [{"drop": {"if": 1}}]}}]}
            ]
        },
    ],
)
def test_what_promtail_would_refuse_is_refused(config, extra):
    with pytest.raises(jsonschema.ValidationError):
        config(promtail_config_extra=extra)


def client(document):
    return document["clients"][0]


def test_lines_wait_for_loki(config):
    assert client(config())["backoff_config"]["max_retries"] == 0


def test_every_line_has_the_name_of_the_host(config):
    document = config(promtail_host="sub", promtail_loki_url="https://door/push")
    assert client(document)["external_labels"] == {"host": "sub"}
    assert client(document)["url"] == "https://door/push"


def test_the_files_of_the_peer_are_where_promtail_looks(render, config):
    secrets = {entry["dest"]: entry["content"] for entry in render("promtail", **PEER)["secrets"]}
    tls = client(config(**PEER))["tls_config"]
    content = {key: secrets[path.replace("/run/secrets", "secrets")] for key, path in tls.items()}
    assert content == {"ca_file": "CA", "cert_file": "CERT", "key_file": "KEY"}


def test_a_peers_files_of_the_host_are_where_promtail_looks(config):
    paths = {"promtail_peer_certificate": "/etc/pki/crt", "promtail_peer_key": "/etc/pki/key"}
    assert config(**{**PEER, **paths}) == config(**PEER)


def test_without_a_peer_there_is_no_tls(render, config):
    arguments = render("promtail")
    assert "tls_config" not in client(config())
    assert arguments["secrets"] == []
    assert not any("secrets" in volume for volume in arguments["compose"]["services"]["promtail"]["volumes"])


def test_a_part_of_a_peer_is_used_as_far_as_it_goes(config):
    assert list(client(config(promtail_peer_authority="CA"))["tls_config"]) == ["ca_file"]


def test_labels_are_those_that_were_agreed_on(config):
    document = config()
    docker, journal = document["scrape_configs"]
    relabelled = {rule["target_label"] for job in (docker, journal) for rule in job["relabel_configs"]}
    piped = {label for stage in every(docker["pipeline_stages"]) for label in stage.get("labels", {})}
    assert relabelled | piped | set(client(document)["external_labels"]) == {
        "host",
        "job",
        "service",
        "container",
        "level",
        "app",
        "status",
        "unit",
    }


def every(stages):
    for stage in stages:
        yield stage
        yield from every(stage.get("match", {}).get("stages", []))


@pytest.mark.parametrize(
    ("unit", "label"),
    [
        ("ssh.service", "ssh.service"),
        ("ssh@7-198.19.0.10:22-198.19.0.1:41022.service", "ssh@.service"),
        ("user@1000.service", "user@.service"),
        ("session-4711.scope", "session"),
        ("run-r0123456789abcdef.service", "run"),
        ("docker-4f0cd2.scope", ""),
    ],
)
def test_units_are_bounded(config, unit, label):
    result = ""
    for rule in config()["scrape_configs"][1]["relabel_configs"]:
        if rule.get("source_labels") != ["__journal__systemd_unit"]:
            continue
        if match := re.fullmatch(rule["regex"], unit):
            result = match.expand(rule.get("replacement", "$1").replace("$", "\\"))
    assert result == label


@pytest.fixture
def replay(config):
    """Replay the pipeline of all containers but nginx, as far as these stages matter: (block, raw level) pairs."""
    stages = next(
        stage["match"]["stages"]
        for stage in config()["scrape_configs"][0]["pipeline_stages"]
        if stage.get("match", {}).get("selector") == '{container!="nginx"}'
    )
    replace, multiline, *regexes = stages

    def replay(text):
        expression = re.compile(replace["replace"]["expression"])
        lines = [
            expression.sub(lambda match: " " + match[1] + match[0][len(match[1]) :], line) for line in text.splitlines()
        ]
        blocks = []
        for line in lines:
            if re.match(multiline["multiline"]["firstline"], line) or not blocks:
                blocks.append(line)
            else:
                blocks[-1] += "\n" + line
        return [(block, level(block)) for block in blocks]

    def level(block):
        found = [re.search(stage["regex"]["expression"], block) for stage in regexes]
        return next((match["level"] for match in reversed(found) if match), None)

    return replay


PYTHON = """\
INFO:     127.0.0.1:1 - "GET / HTTP/1.1" 200 OK
ERROR:    Exception in ASGI application
Traceback (most recent call last):
  File "a.py", line 1, in f
    g()
KeyError: 'a'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in g
sqlalchemy.exc.OperationalError: (psycopg.OperationalError) no
INFO:     next"""
NODE = """\
[Nest] 1  - 11/22/2026, 9:00:00 AM     LOG [Router] Mapped
TypeError: x is not a function
    at f (/app/a.js:1:2)
    at g (/app/b.js:3:4)
listening on 3000"""
JAVA = """\
2026-11-22 09:00:00 ERROR handler failed
\tat a.B.c(B.java:1)
Caused by: java.lang.IllegalStateException: no
\tat a.B.d(B.java:2)
\t... 12 more
2026-11-22 09:00:01 INFO next"""


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        # Python writes its trace after the line that announces it; both traces of a chain stay with their exception.
        (PYTHON, ["INFO:  ", "ERROR:", "Traceback", "Traceback", "INFO:  "]),
        (NODE, ["[Nest]", "TypeError", "listening"]),
        (JAVA, ["2026-11-22 09:00:00", "2026-11-22 09:00:01"]),
        ("one\ntwo\nthree", ["one", "two", "three"]),
    ],
    ids=["python", "node", "java", "plain"],
)
def test_a_stack_trace_is_one_entry(replay, text, starts):
    blocks = [block for block, _ in replay(text)]
    assert [block[: len(start)] for block, start in zip(blocks, starts, strict=True)] == starts


def test_the_exception_is_in_the_entry_of_its_trace(replay):
    blocks = [block for block, _ in replay(PYTHON)]
    assert "KeyError: 'a'" in blocks[2]
    assert "OperationalError" in blocks[3]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("ERROR:    Exception in ASGI application", "ERROR"),
        ("2026-11-22 09:00:00.1 UTC [27] LOG:  checkpoint starting", "LOG"),
        ('{"time": 1, "level": "warn", "message": "ERROR in a text"}', "warn"),
        ('{"level":30,"msg":"pino"}', "30"),
        ("ts=2026 caller=main.go level=info msg=ready", "info"),
        ("found 0 errors, all is well", None),
    ],
)
def test_levels_are_found_where_programs_write_them(replay, line, level):
    assert replay(line) == [(line, level)]


def test_every_level_that_is_found_has_a_name(config):
    stages = list(every(config()["scrape_configs"][0]["pipeline_stages"]))
    names = next(
        stage["template"]["template"] for stage in stages if stage.get("template", {}).get("source") == "level"
    )
    words = next(
        re.search(r"\?P<level>([A-Z|]+)\)", stage["regex"]["expression"])[1]
        for stage in stages
        if "TRACE" in stage.get("regex", {}).get("expression", "")
    )
    assert [word for word in words.split("|") if f'"{word.lower()}"' not in names] == []


def test_promtail_is_never_run_twice_and_reloads_its_configuration_only(render):
    arguments = render("promtail", **PEER)
    assert arguments["rehearse"] is False
    assert arguments["reload"]["files"] == ["config/*"]


@pytest.mark.parametrize("state", ["present", "absent"])
def test_state(render, state):
    assert render("promtail", promtail_state=state)["state"] == state


def test_nginx_writes_what_its_lines_are_read_for(config, render, file):
    stages = every(config()["scrape_configs"][0]["pipeline_stages"])
    expressions = next(stage["json"]["expressions"] for stage in stages if "json" in stage)
    format = re.search(r"log_format requests.*?;", file(render("nginx"), "config/nginx.conf"), re.DOTALL)[0]
    assert [key for key in expressions.values() if f'"{key}":' not in format] == []


def test_the_job_is_set_by_a_rule(config):
    """Alloy sets `job` to the name of its component after its own labels."""
    docker, journal = config()["scrape_configs"]
    jobs = [
        rule["replacement"]
        for part in (docker, journal)
        for rule in part["relabel_configs"]
        if rule["target_label"] == "job" and "source_labels" not in rule
    ]
    assert jobs == ["docker", "journal"]
