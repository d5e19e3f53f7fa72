"""Prometheus: where it asks, whom it tells, and what it shows for itself."""

import pytest
import yaml

PEER = {
    "prometheus_peer_authority": "authority's",
    "prometheus_peer_certificate": "certificate's",
    "prometheus_peer_key": "key's",
}


def secrets(arguments):
    return {entry["dest"]: entry["content"] for entry in arguments["secrets"]}


@pytest.fixture
def config(render, file):
    return lambda **variables: yaml.safe_load(file(render("prometheus", **variables), "config/prometheus.yml"))


def test_alerts_go_to_every_alertmanager(config):
    targets = ["alertmanager:9093", "192.0.2.9:9093"]
    configured = config(prometheus_alertmanagers=targets)["alerting"]["alertmanagers"]
    assert [entry["static_configs"] for entry in configured] == [[{"targets": targets}]]


def test_samples_go_to_remote_storage(config):
    remote = [{"url": "https://archive.test/write", "basic_auth": {"username": "u", "password_file": "/run/p"}}]
    assert config(prometheus_remote_write=remote)["remote_write"] == remote


def test_more_configuration_is_merged_into_the_roles(config):
    merged = config(
        prometheus_external_labels={"site": "home"}, prometheus_config_extra={"global": {"scrape_timeout": "5s"}}
    )
    assert merged["global"]["scrape_timeout"] == "5s"
    assert merged["global"]["external_labels"] == {"site": "home"}


def test_behind_a_proxy_it_links_to_the_proxy_but_answers_at_the_root(render):
    url = "https://ops.test/prometheus/"
    command = render("prometheus", prometheus_external_url=url)["compose"]["services"]["prometheus"]["command"]
    assert f"--web.external-url={url}" in command
    assert "--web.route-prefix=/" in command
    assert not [flag for flag in render("prometheus")["compose"]["services"]["prometheus"]["command"] if "web" in flag]


def test_the_admin_api_is_off(render):
    command = render("prometheus")["compose"]["services"]["prometheus"]["command"]
    assert not [flag for flag in command if "enable-admin" in flag]


def test_what_it_shows_the_peer_and_its_passwords_are_secrets(render):
    arguments = render("prometheus", **PEER, prometheus_secrets={"archive": "password's"})
    assert sorted(secrets(arguments).values()) == sorted([*PEER.values(), "password's"])
    assert secrets(arguments)["secrets/extra/archive"] == "password's"
    assert {entry["owner"] for entry in arguments["secrets"]} == {65534}
    assert "./secrets:/run/secrets:ro" in arguments["compose"]["services"]["prometheus"]["volumes"]


def test_a_password_that_looks_like_a_path_is_a_password(render):
    paths = {"prometheus_peer_certificate": "/etc/pki/crt", "prometheus_peer_key": "/etc/pki/key"}
    arguments = render("prometheus", **{**PEER, **paths}, prometheus_secrets={"archive": "/pass+word="})
    sources = {entry["dest"]: entry.get("src") for entry in arguments["secrets"]}
    assert sources["secrets/extra/archive"] is None
    assert sorted(filter(None, sources.values())) == sorted(paths.values())
    assert {entry["owner"] for entry in arguments["secrets"]} == {65534}


def test_without_secrets_it_mounts_none(render):
    arguments = render("prometheus")
    assert arguments["secrets"] == []
    assert not [volume for volume in arguments["compose"]["services"]["prometheus"]["volumes"] if "secrets" in volume]


def test_the_roles_own_rules_reach_prometheus_as_written(render):
    written = [entry for entry in render("prometheus")["files"] if entry["dest"].startswith("config/rules/")]
    groups = [group for entry in written for group in yaml.safe_load(entry["content"])["groups"]]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert alerts
    assert all("{{ $labels" in rule["annotations"]["description"] for rule in alerts if "instance" in rule["expr"])
