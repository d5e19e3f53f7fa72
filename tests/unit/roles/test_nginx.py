"""What nginx shows of the services beside it, to whom, and what the other machine may reach."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
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
APPS = {"shop": {"port": 3000, "green": ["10.0.0.1", "10.0.0.2"], "blue": ["10.0.0.5"]}}
PROXY = {"nginx_publish_proxy": "8443", "nginx_proxy_sources": ["192.0.2.7", "10.202.0.1"]}
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
    assert [volume for volume in service["volumes"] if "users" in volume] == []


def test_the_door_for_the_other_machine_wants_its_certificate(render, file):
    arguments = render("nginx", **PEER)
    config = file(arguments, "config/peers.conf")
    assert "ssl_verify_client on;" in config
    assert file(arguments, "secrets/peer/peer.key") == "KEY"
    assert "include peers.conf;" in file(arguments, "config/nginx.conf")
    assert "10.0.0.1:9443:9443" in arguments["compose"]["services"]["nginx"]["ports"]
    assert set(blocks(config)) == {"= /metrics/one"}


def test_a_certificate_of_the_host_is_no_part_of_the_digest(render, file):
    """reload.sh tells the workers of a new one by their process IDs."""
    paths = {"nginx_peer_certificate": "/etc/pki/crt", "nginx_peer_key": "/etc/pki/key"}
    arguments = render("nginx", **{**PEER, **paths})
    assert arguments["files"] == render("nginx", **PEER)["files"]
    assert {entry["src"] for entry in arguments["secrets"] if "src" in entry} == set(paths.values())


def test_there_is_no_door_by_default(render, file):
    arguments = render("nginx")
    assert "peers.conf" not in file(arguments, "config/nginx.conf")
    assert [entry["dest"] for entry in arguments["files"] + arguments["secrets"] if "peer" in entry["dest"]] == []


def servers(text):
    """The server blocks of a configuration, by what they listen on."""
    return {block.split(";")[0]: block for block in text.split("server {\n  listen ")[1:]}


def test_what_a_relay_tells_counts_on_its_own_line_only(render, file):
    arguments = render("nginx", nginx_sites=[SITE], nginx_users=USERS, **PROXY)
    [(_, plain), (line, relayed)] = [
        (listen, block)
        for listen, block in servers(file(arguments, "config/sites.conf")).items()
        if "ssl_certificate" in block
    ]
    assert {"ssl", "proxy_protocol"} <= set(line.split())
    assert re.findall(r"set_real_ip_from (\S+);", relayed) == PROXY["nginx_proxy_sources"]
    assert blocks(relayed) == blocks(plain)
    everything = "".join(entry["content"] for entry in arguments["files"])
    assert everything.count("real_ip_header") == 1
    assert "real_ip" not in plain
    # What anybody can send.
    assert "$proxy_protocol_" not in everything


def test_the_line_of_a_relay_is_published_where_it_is_wanted(render, file):
    arguments = render(
        "nginx", nginx_sites=[SITE], nginx_users=USERS, **{**PROXY, "nginx_publish_proxy": "10.0.0.1:1443"}
    )
    [published] = [port for port in arguments["compose"]["services"]["nginx"]["ports"] if port.startswith("10.0.0.1")]
    inside = published.rpartition(":")[2]
    listening = [line for line in servers(file(arguments, "config/sites.conf")) if "proxy_protocol" in line]
    assert [line.split()[0] for line in listening] == [inside]
    plain = render("nginx", nginx_sites=[SITE], nginx_users=USERS)
    assert [port for port in plain["compose"]["services"]["nginx"]["ports"] if port.endswith(inside)] == []
    assert "proxy_protocol" not in "".join(entry["content"] for entry in plain["files"])


def test_a_socket_that_a_site_asks_for_is_not_doubled(render, file):
    site = {**SITE, "directives": ["listen 9000 ssl default_server", "keepalive_timeout 5s"]}
    text = file(render("nginx", nginx_sites=[site], nginx_users=USERS, **PROXY), "config/sites.conf")
    assert text.count("listen 9000") == 1
    assert text.count("keepalive_timeout 5s") == 2


def test_requests_are_counted_where_users_come_in_and_nowhere_else(render, file):
    arguments = render("nginx", nginx_sites=[SITE], nginx_users=USERS, **PEER)
    # Whoever logs a request counts it.
    assert '"colour":"$edge_finished"' in file(arguments, "config/nginx.conf")
    assert "access_log" not in file(arguments, "config/sites.conf")
    assert "access_log off;" in file(arguments, "config/peers.conf")


def colours(render, file, **location):
    site = {"server_name": "shop.example.com", "locations": [{"path": "/shop/", "app": "shop", **location}]}
    return file(render("nginx", nginx_apps=APPS, nginx_sites=[site]), "config/sites.conf")


def test_an_app_is_answered_by_the_chosen_colour(render, file):
    block = blocks(colours(render, file, uri="/"))["/shop/"]
    assert "set $edge_app shop;" in block
    assert "proxy_pass http://shop-$edge_colour$edge_alone;" in block
    assert block.index("$edge_colour = refused") < block.index("rewrite")


def test_both_colours_are_declared_and_answer_for_each_other_only_on_demand(render, file):
    arguments = render("nginx", nginx_apps={**APPS, "safe": {**APPS["shop"], "failover": True}})
    upstreams = dict(re.findall(r"upstream (\S+) \{(.*?)\}", file(arguments, "config/apps.conf"), re.DOTALL))
    declared = {f"{app}-{colour}" for app in ("shop", "safe") for colour in ("green", "blue")}
    assert set(upstreams) == declared | {f"{name}-alone" for name in declared}
    servers = re.findall(r"server (\S+?)( [^;]*)?;", upstreams["shop-green"])
    assert [address for address, _ in servers] == ["10.0.0.1:3000", "10.0.0.2:3000"]
    assert "backup" not in upstreams["shop-green"]
    assert re.findall(r"server (\S+) backup;", upstreams["safe-green"]) == ["10.0.0.5:3000"]
    # A preview of a colour that is down must not be answered by the other one.
    assert "backup" not in upstreams["safe-green-alone"]


def test_apps_reach_each_other_without_the_prefix(render, file):
    block = blocks(file(render("nginx", nginx_apps=APPS), "config/apps.conf"))["/shop/"]
    assert 'rewrite "^/shop/(.*)$" "/$1" break;' in block
    assert "proxy_pass http://shop-$edge_colour$edge_alone;" in block


def test_uploads_grpc_and_old_files_pass_as_they_should(render, file):
    assert "proxy_request_buffering off;" in colours(render, file, request_buffering=False)
    assert "grpc_pass grpc://shop-$edge_colour$edge_alone;" in colours(render, file, grpc=True)
    assert "proxy_" not in blocks(colours(render, file, grpc=True))["/shop/"]
    assets = blocks(colours(render, file, assets=True))
    assert "error_page 404 = @shop-other;" in assets["/shop/"]
    assert set(assets) - set(blocks(colours(render, file))) == {"@shop-other", "@shop-none"}


def test_the_preview_secret_is_not_on_the_host(render, file):
    arguments = render("nginx", nginx_preview_secret="let me see")
    assert "let me see" not in json.dumps(arguments)
    known = json.loads(file(arguments, "secrets/preview/preview.json"))
    assert known == {"sha256": hashlib.sha256(b"let me see").hexdigest()}
    assert json.loads(file(render("nginx"), "secrets/preview/preview.json")) == {"sha256": ""}


def test_every_change_of_the_configuration_changes_its_digest(render, file):
    digests = [
        file(render("nginx", **variables), "config/digest")
        for variables in ({}, {"nginx_apps": APPS}, {"nginx_config_extra": "# more"})
    ]
    assert len(set(digests)) == len(digests)
    assert digests[0].strip() in file(render("nginx"), "config/digest.conf")


@pytest.mark.parametrize(("image", "known"), [("nginx:1.27.4", True), ("nginx:1.26.3", False), ("nginx:1", False)])
def test_idle_connections_outlive_a_reload_where_nginx_can_do_that(render, file, image, known):
    text = file(render("nginx", nginx_image=image), "config/nginx.conf")
    assert ("keepalive_min_timeout 75s;" in text) is known


@pytest.fixture
def faults():
    """Return a function that gives what the role refuses of the variables."""
    path = Path(__file__).parents[3] / "roles/nginx"
    own = {}
    for name in ("defaults/main.yml", "vars/main.yml"):
        own |= DataLoader().load_from_file(str(path / name), trusted_as_template=True)

    def faults(**variables):
        context = {**own, "nginx_apps": APPS, "ansible_search_path": [str(path)], **variables}
        return Templar(loader=DataLoader(), variables=context).template(own["__nginx_faults"])

    return faults


def shop(site=None, **location):
    return [{"server_name": "a.test b.test", "directives": site or [], "locations": [{"path": "/shop/", **location}]}]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"nginx_sites": shop(app="shop")}, ""),
        (
            {"nginx_sites": shop(app="chop")},
            "the location /shop/ of a.test leads to the app chop, which",
        ),
        ({"nginx_sites": shop(upstream="shop", assets=True)}, "the location /shop/ of a.test has assets or grpc"),
        ({"nginx_sites": shop(app="shop", directives=["access_log off"])}, "sets access_log"),
        ({"nginx_sites": shop(app="shop", site=["access_log  off"])}, "sets access_log"),
        ({"nginx_apps": {"Shop": APPS["shop"]}}, "nginx_apps.Shop: a name has at most 31"),
        ({"nginx_apps": {"shop": {**APPS["shop"], "blue": []}}}, "nginx_apps.shop wants port and the addresses"),
        ({"nginx_apps": {"shop": {"green": ["10.0.0.1"]}}}, "nginx_apps.shop wants port and the addresses"),
        ({"nginx_peer_locations": [{"path": "/", "app": "shop"}]}, "only sites choose a colour"),
        ({"nginx_sites": shop(text="ok", login=True)}, "the location /shop/ of a.test has a text and a login"),
        ({"nginx_headers": {"Strict-Transport-Security": "max-age=31536000; preload"}}, "wants includeSubDomains"),
        (
            {"nginx_headers": {"Strict-Transport-Security": "max-age=300; includeSubDomains; preload"}},
            "31536000 or more",
        ),
        ({"nginx_headers": {"Strict-Transport-Security": "max-age=63072000; includeSubDomains; preload"}}, ""),
        ({"nginx_headers": {}}, ""),
    ],
)
def test_what_nginx_would_not_do_as_meant_is_refused_in_one_sentence(faults, variables, sentence):
    said = faults(**variables)
    assert len(said.splitlines()) == bool(sentence)
    assert sentence in said


def listening(*listens):
    """A server of one's own, in the http block."""
    return {"nginx_config_extra": "server {\n" + "".join(f"  listen {listen};\n" for listen in listens) + "}"}


ADDED = {"nginx_sites": shop(app="shop", site=["listen 8443 ssl"])}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (PROXY, ""),
        ({**PROXY, "nginx_publish_proxy": "[::1]:8443"}, ""),
        # Sockets of the host.
        ({**PROXY, "nginx_publish_proxy": "443"}, "nginx_publish_proxy and nginx_publish_https both take port 443"),
        ({**PROXY, "nginx_publish_proxy": "80"}, "nginx_publish_proxy and nginx_publish_http both take port 80"),
        (
            {**PROXY, **PEER, "nginx_publish_proxy": "0.0.0.0:9443"},
            "nginx_publish_proxy and nginx_peer_publish both take port 9443",
        ),
        ({**PROXY, "nginx_publish_proxy": "10.0.0.2:443"}, "nginx_publish_proxy and nginx_publish_https both"),
        ({**PROXY, "nginx_publish_proxy": "[::]:443"}, "nginx_publish_proxy and nginx_publish_https both"),
        ({**PROXY, "nginx_publish_proxy": "10.0.0.2:443", "nginx_publish_https": "10.0.0.1:443"}, ""),
        ({**PROXY, "nginx_publish_proxy": "[fd00::1]:443", "nginx_publish_https": "[fd00::2]:443"}, ""),
        (
            {**PROXY, "nginx_publish_proxy": "[fd00::1]:443", "nginx_publish_https": "[fd00::1]:443"},
            "both take port 443",
        ),
        (
            {**PROXY, "nginx_publish_proxy_http": "80"},
            "nginx_publish_proxy_http and nginx_publish_http both take port 80",
        ),
        ({**PROXY, "nginx_publish_proxy_http": "8081"}, ""),
        ({"nginx_publish_proxy_http": "8081"}, "nginx_publish_proxy_http wants nginx_proxy_sources"),
        ({**PROXY, "nginx_publish_proxy_http": "8081", **listening("8081")}, "Port 8081 of nginx"),
        ({**PROXY, "nginx_publish_proxy": "relay"}, "nginx_publish_proxy is relay, which is not [address:]port"),
        # Sockets of nginx.
        ({**PROXY, **listening("8443 ssl")}, "Port 8443 of nginx would have the PROXY protocol for some"),
        ({**PROXY, **listening("127.0.0.1:8443")}, "Port 8443 of nginx"),
        ({**PROXY, **listening("[::]:8443 ssl", "8443 quic")}, "Port 8443 of nginx"),
        ({**PROXY, **ADDED}, "Port 8443 of nginx"),
        (ADDED, ""),
        ({**PROXY, **listening("8443 quic")}, ""),
        ({**PROXY, **listening("8443 proxy_protocol", "443 ssl", "9000")}, ""),
        (listening("443 ssl proxy_protocol"), "Port 443 of nginx"),
        (listening("*:443 proxy_protocol"), "Port 443 of nginx"),
        (listening("127.0.0.1 proxy_protocol"), "Port 80 of nginx"),
        (listening("[::1]  proxy_protocol"), "Port 80 of nginx"),
        (listening("8080 proxy_protocol"), "Port 8080 of nginx"),
        (listening("8085-8095 proxy_protocol"), "Port 8090 of nginx"),
        (listening('"8080" proxy_protocol'), "Port 8080 of nginx"),
        (listening("unix:/run/protostar/edge.sock proxy_protocol"), "unix:/run/protostar/edge.sock of nginx"),
        ({**PEER, **listening("9443\n    proxy_protocol")}, "Port 9443 of nginx"),
        (listening("9443 proxy_protocol"), ""),
        (listening("9000 proxy_protocol", "10.0.0.1:9000"), "Port 9000 of nginx"),
        ({"nginx_config_extra": "server {\n  # listen 443 proxy_protocol;\n  listen 9000;\n}"}, ""),
        # Whose word is taken.
        ({**PROXY, "nginx_proxy_sources": []}, "nginx_publish_proxy wants nginx_proxy_sources"),
        ({"nginx_proxy_sources": ["anybody"]}, ""),
        ({**PROXY, "nginx_proxy_sources": ["0.0.0.0/0"]}, "with 0.0.0.0/0, anybody could say who he is"),
        ({**PROXY, "nginx_proxy_sources": ["10.0.0.0/8", "::/0"]}, "with ::/0, anybody could say who he is"),
        ({**PROXY, "nginx_proxy_sources": ["128.0.0.0/1"]}, "with 128.0.0.0/1, anybody"),
        ({**PROXY, "nginx_proxy_sources": ["relay.example.com"]}, "relay.example.com is no address or network"),
        ({**PROXY, "nginx_proxy_sources": ["unix:"]}, "unix: is no address or network"),
        (
            {"nginx_config_extra": "log_format mine $proxy_protocol_addr;"},
            "A directive uses a variable $proxy_protocol_",
        ),
        (
            {"nginx_sites": shop(app="shop", directives=["set $a ${proxy_protocol_addr}"])},
            "A directive uses a variable $proxy_protocol_",
        ),
        ({**PROXY, "nginx_sites": shop(app="shop", site=["add_header Alt-Svc x"])}, "adds the header Alt-Svc"),
        ({"nginx_sites": shop(app="shop", site=["add_header Alt-Svc x"])}, ""),
    ],
)
def test_the_two_kinds_of_line_are_kept_apart(faults, variables, sentence):
    said = faults(**{"nginx_apps": APPS, **variables})
    assert len(said.splitlines()) == bool(sentence), said
    assert sentence in said


def test_http_3_is_there_on_demand_and_never_behind_the_relay(render, file):
    arguments = render("nginx", nginx_sites=[SITE], nginx_users=USERS, nginx_http3=True, **PROXY)
    ports = arguments["compose"]["services"]["nginx"]["ports"]
    assert [port for port in ports if port.endswith("/udp")] == ["443:443/udp"]
    told = [(block.count(" quic"), block.lower().count("add_header alt-svc")) for block in tls_servers(arguments, file)]
    assert told == [(1, 1), (0, 0)]
    # One socket for each worker, which only one server may ask for.
    assert "".join(entry["content"] for entry in arguments["files"]).count("reuseport") == 1
    own = render("nginx", nginx_sites=[SITE], nginx_http3=True, nginx_headers={"Alt-Svc": "clear"})
    assert [re.findall(r"Alt-Svc (.*) always", block) for block in tls_servers(own, file)] == [['"clear"']]
    plain = render("nginx", nginx_sites=[SITE], nginx_users=USERS, **PROXY)
    assert not re.search(r"quic|h3=", "".join(entry["content"] for entry in plain["files"]))
    assert not [port for port in plain["compose"]["services"]["nginx"]["ports"] if port.endswith("udp")]


def tls_servers(arguments, file):
    return [block for block in servers(file(arguments, "config/sites.conf")).values() if "ssl_certificate" in block]


def test_no_key_of_tickets_is_written_and_the_door_gives_none(render, file):
    arguments = render("nginx", nginx_sites=[SITE], nginx_users=USERS, **PEER)
    everything = "".join(entry["content"] for entry in arguments["files"])
    assert "ssl_session_ticket_key" not in everything
    # Without it, nginx does not replace the keys that it makes.
    assert "ssl_session_cache shared:" in file(arguments, "config/nginx.conf")
    assert "ssl_session_tickets off;" in file(arguments, "config/peers.conf")


def test_limits_can_be_left_out(render, file):
    site = {**SITE, "locations": [*SITE["locations"], {"path": "/in", "service": "a:1", "login_form": True}]}

    def limits(**variables):
        arguments = render("nginx", nginx_sites=[site], nginx_users=USERS, **variables)
        text = "".join(entry["content"] for entry in arguments["files"])
        return set(re.findall(r"limit_(?:req|conn)(?:_zone \S+)? (?:zone=)?(\w+)", text))

    assert limits() == {"logins", "login_forms", "clients"}
    assert limits(nginx_login_rate="", nginx_client_max_requests=0) == set()


def test_the_other_machine_and_the_applications_see_private_paths_and_have_no_limit(render, file):
    peers = {**PEER, "nginx_peer_locations": [{"path": "/", "service": "one:9100", "login": True}]}
    arguments = render("nginx", nginx_apps={"shop": {**APPS["shop"], "rate": "1r/s"}}, **peers)
    for name in ("config/peers.conf", "config/apps.conf"):
        assert not re.search("metrics|limit_", file(arguments, name))


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


def test_an_authority_reads_its_challenge_over_plain_http_on_both_lines(render, file):
    variables = {"nginx_sites": [SITE], "nginx_publish_proxy_http": "8080", **PROXY}
    arguments = render("nginx", nginx_acme_directory="/var/acme", **variables)
    servers = file(arguments, "config/sites.conf").split("\nserver {")
    answering = {re.search(r"listen (\S+?);?\s", text)[1]: text for text in servers if "acme-challenge/" in text}
    assert set(answering) == {"80", "8081"}
    # A redirect outside of a location would come first.
    assert all(re.search(r"location / {\s+return 301 ", text) for text in answering.values())
    assert all(text.count("return 301") == 1 for text in answering.values())
    assert "/var/acme:/usr/share/nginx/acme:ro" in arguments["compose"]["services"]["nginx"]["volumes"]
    without = render("nginx", **variables)
    assert "acme" not in file(without, "config/sites.conf") + str(without["compose"])
