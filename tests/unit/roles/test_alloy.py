"""Alloy's configuration: sound in its form, and the same streams as Promtail's."""

import json
import re

import pytest
import yaml

PEER = {"alloy_peer_authority": "CA", "alloy_peer_certificate": "CERT", "alloy_peer_key": "KEY"}
# Blocks and arguments of Alloy 1.19, as far as the role uses them.
COMPONENTS = {
    "logging": {"level", "format", "write_to", "destination"},
    "discovery.docker": {"host", "refresh_interval", "match_first_network"},
    "discovery.relabel": {"targets"},
    "loki.relabel": {"forward_to", "max_cache_size"},
    "loki.source.docker": {"host", "targets", "labels", "relabel_rules", "forward_to", "refresh_interval"},
    "loki.source.journal": {"forward_to", "max_age", "labels", "relabel_rules", "path", "matches", "format_as_json"},
    "loki.process": {"forward_to"},
    "loki.write": {"external_labels", "max_streams"},
}
BLOCKS = {
    "rule": {"source_labels", "separator", "regex", "modulus", "target_label", "replacement", "action"},
    "stage.match": {"selector", "action", "drop_counter_reason", "pipeline_name"},
    "stage.json": {"expressions", "source", "drop_malformed"},
    "stage.template": {"source", "template"},
    "stage.labels": {"values", "source_type"},
    "stage.regex": {"expression", "source", "labels_from_groups"},
    "stage.replace": {"expression", "source", "replace"},
    "stage.multiline": {"firstline", "max_lines", "max_wait_time", "trim_newlines"},
    "stage.drop": {"longer_than", "older_than", "drop_counter_reason", "source", "value", "expression", "separator"},
    "endpoint": {"url", "min_backoff_period", "max_backoff_period", "max_backoff_retries", "batch_wait", "batch_size"},
    "tls_config": {"ca_file", "cert_file", "key_file", "server_name", "min_version"},
}
BLOCK = re.compile(r'([\w.]+)(?: "(\w+)")? \{')
ARGUMENT = re.compile(r"(\w+) += (.+)")


@pytest.fixture
def text(render, file):
    return lambda **variables: file(render("alloy", **variables), "config/config.alloy")


def parse(text):
    """Return (path of open blocks, argument, value) for every argument; fail on a line that is neither."""
    path, found = [], []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("//"):
            continue
        if line == "}":
            path.pop()
        elif match := BLOCK.fullmatch(line):
            path.append((match[1], match[2]))
            found.append((tuple(path), None, None))
        else:
            match = ARGUMENT.fullmatch(line)
            assert match, line
            found.append((tuple(path), match[1], match[2]))
    assert path == []
    return found


@pytest.mark.parametrize("variables", [{}, PEER, {"alloy_config_extra": 'loki.process "more" {\n  forward_to = []\n}'}])
def test_every_block_is_closed_and_every_name_is_alloys(text, variables):
    for path, argument, value in parse(text(**variables)):
        (top, label), *inner = path
        assert top in COMPONENTS
        assert bool(label) == (top != "logging")
        assert all(block in BLOCKS and name is None for block, name in inner)
        if argument:
            assert argument in (BLOCKS[inner[-1][0]] if inner else COMPONENTS[top]), argument
            if value.startswith('"'):
                assert isinstance(json.loads(value), str)


def test_an_unknown_name_would_be_found(text):
    with pytest.raises(AssertionError):
        test_every_block_is_closed_and_every_name_is_alloys(text, {"alloy_config_extra": 'loki.proces "a" {\n}'})


def test_every_reference_leads_to_a_component(text):
    found = parse(text())
    components = {f"{path[0][0]}.{path[0][1]}" for path, _, _ in found}
    used = re.findall(r"\b(?:loki|discovery)\.[\w.]+(?=\.(?:receiver|rules|targets)\b)", text())
    assert used
    assert set(used) <= components


def strings(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def test_alloy_makes_the_streams_that_promtail_makes(render, file, text):
    promtail = yaml.safe_load(file(render("promtail"), "config/config.yml"))
    said = {json.loads(f'"{string}"') for string in re.findall(r'"((?:[^"\\]|\\.)*)"', text())}
    docker, journal = promtail["scrape_configs"]
    for part in (docker["pipeline_stages"], docker["relabel_configs"], journal, promtail["clients"]):
        assert [string for string in strings(part) if string not in said | {"journal"}] == []


def test_a_rule_is_a_rule_of_promtails(render, file, text):
    promtail = yaml.safe_load(file(render("promtail"), "config/config.yml"))
    rules = [rule for job in promtail["scrape_configs"] for rule in job["relabel_configs"]]
    found, last = [], None
    for path, argument, value in parse(text()):
        if path[-1][0] == "rule" and argument is None:
            last = {}
            found.append(last)
        elif path[-1][0] == "rule":
            last[argument] = json.loads(value)
    assert found == rules


def arguments_of(text, *blocks):
    return {name: value for path, name, value in parse(text) if name and [block for block, _ in path] == list(blocks)}


def test_lines_wait_for_loki_and_go_where_they_are_sent(text):
    config = text(alloy_loki_url="https://door/push", alloy_host="sub")
    endpoint = arguments_of(config, "loki.write", "endpoint")
    assert endpoint["max_backoff_retries"] == "0"
    assert json.loads(endpoint["url"]) == "https://door/push"
    assert arguments_of(config, "loki.write")["external_labels"] == '{host = "sub"}'


def test_the_files_of_the_peer_are_where_alloy_looks(render, text):
    secrets = {entry["dest"]: entry["content"] for entry in render("alloy", **PEER)["secrets"]}
    tls = arguments_of(text(**PEER), "loki.write", "endpoint", "tls_config")
    content = {name: secrets[json.loads(path).replace("/run/secrets", "secrets")] for name, path in tls.items()}
    assert content == {"ca_file": "CA", "cert_file": "CERT", "key_file": "KEY"}
    assert "tls_config" not in text()


def test_the_peers_files_of_the_host_are_where_alloy_looks(text):
    paths = {"alloy_peer_certificate": "/etc/pki/crt", "alloy_peer_key": "/etc/pki/key"}
    assert text(**{**PEER, **paths}) == text(**PEER)


@pytest.mark.parametrize("state", ["present", "absent"])
def test_state(render, state):
    arguments = render("alloy", alloy_state=state)
    assert arguments["state"] == state
    assert arguments["rehearse"] is False
