"""What nginx shows of the services beside it, to whom, and what the other machine may reach."""

import json
import re

import pytest
from passlib.hash import sha512_crypt

SITE = {
    "server_name": "ops.example.com",
    "locations": [
        {"path": "= /healthz", "text": "ok"},
        {"path": "/", "content": "home", "login": True},
        {"path": "/metrics/", "service": "prometheus:9090", "uri": "/", "login": True},
        {"path": "/grafana/", "service": "grafana:3000"},
    ],
}
USERS = [{"name": "operator", "password": "pass:word"}, {"name": "guest", "password": "pass:word"}]
PEER = {
    "nginx_peer_publish": "10.0.0.1:9443",
    "nginx_peer_authority": "AUTHORITY",
    "nginx_peer_certificate": "CERTIFICATE",
    "nginx_peer_key": "KEY",
    "nginx_peer_locations": [{"path": "= /metrics/one", "service": "one:9100", "uri": "/metrics"}],
}


def blocks(text):
    """The locations of a configuration, by their paths."""
    return {block.split(" {")[0]: block.split("\n  }")[0] for block in text.split("\n  location ")[1:]}


@pytest.fixture
def site(render, file):
    return blocks(file(render("nginx", nginx_sites=[SITE], nginx_users=USERS), "config/sites.conf"))


def test_a_service_is_looked_up_at_each_request(site):
    # With a name in proxy_pass itself nginx would not start without the service.
    for path in ("/metrics/", "/grafana/"):
        target = re.search(r"proxy_pass http://(\S+);", site[path])[1]
        assert target.startswith("$")
        assert f"set {target} " in site[path]


@pytest.mark.parametrize(
    ("asked", "sent"), [("/metrics/", "/"), ("/metrics/graph?x=1", "/graph?x=1"), ("/metrics/a/b", "/a/b")]
)
def test_the_path_of_a_service_is_replaced(site, asked, sent):
    pattern, replacement = re.search(r'rewrite "(.*)" "(.*)" break;', site["/metrics/"]).groups()
    assert re.sub(pattern, replacement.replace("$1", r"\1"), asked) == sent
    assert "rewrite" not in site["/grafana/"]


def test_a_login_is_asked_for_where_it_is_wanted(site):
    assert {path for path, block in site.items() if "auth_basic protostar;" in block} == {"/", "/metrics/"}


def test_only_hashes_of_passwords_are_written(render, file):
    arguments = render("nginx", nginx_sites=[SITE], nginx_users=USERS)
    text = file(arguments, "secrets/users/passwords")
    hashes = dict(line.split(":", 1) for line in text.splitlines())
    assert set(hashes) == {"operator", "guest"}
    assert all(sha512_crypt.verify("pass:word", hashed) for hashed in hashes.values())
    assert "pass:word" not in text
    assert hashes["operator"] != hashes["guest"], "one password, two salts"
    assert text == file(render("nginx", nginx_sites=[SITE], nginx_users=USERS), "secrets/users/passwords")


def test_without_users_nothing_is_mounted_for_them(render):
    [service] = [entry for name, entry in render("nginx")["compose"]["services"].items() if name == "nginx"]
    assert [volume for volume in service["volumes"] if "secrets" in volume] == []


def test_the_door_for_the_other_machine_wants_its_certificate(render, file):
    arguments = render("nginx", **PEER)
    config = file(arguments, "config/peers.conf")
    assert "ssl_verify_client on;" in config
    assert file(arguments, "secrets/peer/peer.key") == "KEY"
    assert "include peers.conf;" in file(arguments, "config/nginx.conf")
    assert "10.0.0.1:9443:9443" in arguments["compose"]["services"]["nginx"]["ports"]
    assert set(blocks(config)) == {"= /metrics/one"}


def test_there_is_no_door_by_default(render, file):
    arguments = render("nginx")
    assert "peers.conf" not in file(arguments, "config/nginx.conf")
    assert [entry["dest"] for entry in arguments["files"] + arguments["secrets"] if "peer" in entry["dest"]] == []


def test_requests_are_counted_where_users_come_in_and_nowhere_else(render, file):
    arguments = render("nginx", nginx_sites=[SITE], nginx_users=USERS, **PEER)
    locations = blocks(file(arguments, "config/sites.conf"))
    assert all("js_header_filter metrics.count;" in block for block in locations.values())
    assert "js_header_filter" not in file(arguments, "config/peers.conf")


def test_no_exporter_where_nobody_watches(render):
    assert set(render("nginx")["compose"]["services"]) == {"nginx", "nginx-exporter"}
    alone = render("nginx", nginx_observability_network="")["compose"]
    assert set(alone["services"]) == {"nginx"}
    assert set(alone["networks"]) == {"edge"}


def test_more_directives_reach_the_http_block(render, file):
    text = file(
        render("nginx", nginx_config_extra="limit_req_zone $remote_addr zone=a:1m rate=5r/s;"), "config/nginx.conf"
    )
    assert text.index("http {") < text.index("limit_req_zone") < text.index("include sites.conf;")


def test_the_key_is_in_no_file_that_others_may_read(render):
    arguments = render("nginx", **{**PEER, "nginx_peer_key": "the private key"})
    assert "the private key" in json.dumps(arguments)
    assert "the private key" not in json.dumps({key: value for key, value in arguments.items() if key != "secrets"})
