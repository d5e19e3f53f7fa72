"""What the relay refuses, and what it is configured with in either way."""

import base64
import json
import re
import subprocess
import sys

import pytest
from relay_role import AUTHORITY, FORWARD, METADATA, PEER, ROLE, WIREGUARD, evaluate, file

GOOGLE = METADATA["relay_google"]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [
        FORWARD,
        {**FORWARD, **PEER},
        {**FORWARD, **METADATA},
        {**WIREGUARD, **METADATA},
        {**WIREGUARD, "relay_http_target": "10.202.0.2:8080"},
        {**FORWARD, "relay_target": "203.0.113.7:8443"},
        {**FORWARD, "relay_target": "[2001:db8::7]:8443"},
        {**FORWARD, "relay_target": "172.15.0.1:8443"},
        {**FORWARD, "relay_target": "home.example.com:443", "relay_taken_ports": []},
        {**FORWARD, "relay_names": ["*.example.com"]},
        {**FORWARD, "relay_names": ["*.com"]},
        {**FORWARD, "relay_resolvers": ["192.0.2.53", "192.0.2.53:5353", "2001:db8::53", "[2001:db8::53]:5353"]},
        {**FORWARD, "relay_dns_ttl": "30s", "relay_idle_timeout": "9m"},
        {**FORWARD, "relay_egress_soft_cap_gb": 150.5, "relay_egress_hard_cap_gb": 190},
        {**FORWARD, "relay_egress_soft_cap_gb": 150},
        {**FORWARD, "relay_google": {**GOOGLE, "ssh": "iap"}},
        {**FORWARD, **METADATA, "relay_google": {**GOOGLE, "zone": "us-west1-c", "metadata": {"own": "x"}}},
        {**WIREGUARD, "relay_tunnel_peer_key": "", "ansible_check_mode": True},
        {**WIREGUARD, "relay_tunnel_peer_key": "", "relay_state": "absent"},
    ],
)
def test_what_works_is_not_refused(variables):
    assert evaluate("__relay_faults", **variables) == ""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"relay_names": ["www.example.com", "*.www.example.com"]},
            "leaves out the management line ('ops.example.com')",
        ),
        ({"relay_names": ["*.ops.example.com"]}, "would lock you out"),
        ({"relay_names": ["*.s.example.com"]}, "would lock you out"),
        ({"relay_names": []}, "would lock you out"),
        ({"relay_management_name": ""}, "would lock you out"),
        ({"relay_names": ["ops.example.com", "a.test 1; }"]}, 'relay_names: "a.test 1; }" is not a name'),
        ({"relay_names": ["ops.example.com", "Www.example.com"]}, "is not a name in lowercase"),
        ({"relay_names": ["ops.example.com", "a.*.test"]}, 'relay_names: "a.*.test" is not a name'),
        ({"relay_names": ["ops.example.com", "www.example.com\n"]}, "is not a name in lowercase"),
        ({"relay_target": ""}, "relay_target: '' is not a host and a port"),
        ({"relay_target": "home.example.com"}, "is not a host and a port"),
        ({"relay_target": "home.example.com:0"}, "is not a host and a port"),
        ({"relay_target": "home.example.com:65536"}, "is not a host and a port"),
        ({"relay_target": "a:1; b:2"}, "is not a host and a port"),
        (
            {"relay_target": "home.example.com:443"},
            "relay_target: port 443 of the home's public address leads to another",
        ),
        ({"relay_http_target": "home.example.com:80"}, "relay_http_target: port 80 of the home's"),
        ({"relay_target": "home.example.com:9000", "relay_taken_ports": [9000]}, "port 9000 of the home's"),
        ({"relay_target": "192.168.1.20:8443"}, "192.168.1.20:8443 cannot be reached from a VM on the internet"),
        ({"relay_target": "10.0.0.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "172.16.0.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "172.31.255.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "100.64.0.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "127.0.0.1:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "localhost:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "[::1]:8443"}, "cannot be reached from a VM"),
        ({"relay_target": "[fd00::1]:8443"}, "cannot be reached from a VM"),
        ({"relay_http_target": "192.168.1.20:8080"}, "relay_http_target: 192.168.1.20:8080 cannot be reached"),
        ({"relay_target": "ops.example.com:8443"}, "would call itself without end"),
        ({"relay_idle_timeout": "600s"}, "relay_idle_timeout: 600s is not below the 600 s"),
        ({"relay_idle_timeout": "10m"}, "relay_idle_timeout: 10m is not below the 600 s"),
        ({"relay_idle_timeout": "1h"}, "is not a time such as 570s"),
        ({"relay_idle_timeout": "0s"}, "is not a time such as 570s"),
        ({"relay_dns_ttl": "30 s"}, "relay_dns_ttl: '30 s' is not a time"),
        ({"relay_resolvers": ["dns.example.com"]}, "relay_resolvers: 'dns.example.com' is not the address"),
        ({"relay_connections_per_address": 0}, "relay_connections_per_address: 0 would let nobody in"),
        ({"relay_new_connections_per_second": 0}, "relay_new_connections_per_second: 0 would let nobody in"),
        (
            {"relay_egress_soft_cap_gb": 200, "relay_egress_hard_cap_gb": 100},
            "(200) is above relay_egress_hard_cap_gb (100)",
        ),
        ({"relay_egress_hard_cap_gb": -1}, "relay_egress_hard_cap_gb: -1 is less than nothing"),
        ({**PEER, "relay_metrics_name": "ops.example.com"}, "ops.example.com is in relay_names as well"),
        ({**PEER, "relay_metrics_name": ""}, "relay_metrics_name is empty"),
        ({**PEER, "relay_metrics_name": "the relay"}, "relay_metrics_name: 'the relay' is not a name"),
        ({**PEER, "relay_peer_certificate": ""}, "relay_peer_certificate is empty"),
        ({**PEER, "relay_peer_authority": ""}, "relay_peer_authority is empty"),
        ({**PEER, "relay_peer_key": AUTHORITY.machine("relay")[1]}, "relay_peer_key does not belong to"),
        (
            {**PEER, "relay_peer_key": "$ANSIBLE_VAULT;1.1;AES256"},
            "relay_peer_key is neither an unencrypted key as PEM text nor",
        ),
        ({**PEER, "relay_peer_key": "/etc/peer.key"}, "are not both text or both files on the relay"),
        ({**PEER, "relay_peer_certificate": "/etc/peer.crt"}, "are not both text or both files on the relay"),
        ({**PEER, **METADATA}, "relay_peer_key would be in the VM's metadata"),
        ({"relay_delivery": "metadata"}, "which only a VM of relay_google has"),
        (
            {**METADATA, "relay_google": {"region": "us-west1"}},
            "relay_google.project: nothing is not the ID of a project",
        ),
        ({**METADATA, "relay_google": {"project": "", "region": "us-west1"}}, "relay_google.project: nothing is not"),
        (
            {**METADATA, "relay_google": {**GOOGLE, "project": "My Shop"}},
            "relay_google.project: 'My Shop' is not the ID",
        ),
        ({**METADATA, "relay_google": {"project": "shop-1234"}}, "relay_google.region: nothing is not a region"),
        (
            {**METADATA, "relay_google": {**GOOGLE, "region": "us-west1-b"}},
            "relay_google.region: 'us-west1-b' is not a region",
        ),
        (
            {**METADATA, "relay_google": {**GOOGLE, "region": "uswest1"}},
            "relay_google.region: 'uswest1' is not a region",
        ),
        ({**METADATA, "relay_google": {**GOOGLE, "zone": "us-east1-b"}}, "us-east1-b is not in the region us-west1"),
        ({"relay_google": GOOGLE}, "relay_google.ssh is closed, and relay_delivery is ssh"),
        (
            {**METADATA, "relay_google": {**GOOGLE, "metadata": {"startup-script": "x"}}},
            "relay_google.metadata: startup-script",
        ),
        (
            {**METADATA, "relay_google": {**GOOGLE, "metadata": {"protostar-relay": "x"}}},
            "relay_google.metadata: protostar-relay",
        ),
        (
            {**WIREGUARD, "relay_target": "home.example.com:8443"},
            "home.example.com:8443 is not reached through the tunnel",
        ),
        (
            {**WIREGUARD, "relay_http_target": "home.example.com:8080"},
            "relay_http_target: home.example.com:8080 is not reached",
        ),
        ({**WIREGUARD, "relay_tunnel_peer_key": ""}, "relay_tunnel_peer_key is empty"),
        ({**WIREGUARD, "relay_tunnel_peer_key": "secret"}, "relay_tunnel_peer_key is not a public key"),
        ({**WIREGUARD, "relay_tunnel_address": "10.202.0"}, "relay_tunnel_address: '10.202.0' is not an IPv4 address"),
        ({**WIREGUARD, "relay_tunnel_address": "10.202.0.5"}, "are not the two addresses of one network of four"),
        ({**WIREGUARD, "relay_tunnel_address": "10.202.0.2"}, "are not the two addresses of one network of four"),
        ({**WIREGUARD, "relay_tunnel_address": "10.202.0.3"}, "are not the two addresses of one network of four"),
        ({**WIREGUARD, "relay_tunnel_port": 0}, "relay_tunnel_port: 0 is not a port"),
    ],
)
def test_what_would_not_work_is_refused_in_one_sentence_with_the_remedy(variables, words):
    said = evaluate("__relay_faults", **variables)
    assert words in said
    assert len(said.splitlines()) == 1
    assert re.search(r"\. (Add|Correct|Use|Set|Forward|Lower|Leave|Fill)\b.*\.$", said)


def test_all_that_is_wrong_is_said_at_once():
    said = evaluate(
        "__relay_faults", relay_names=["www.example.com"], relay_target="10.0.0.1:8443", relay_idle_timeout="1d"
    )
    assert len(said.splitlines()) == 3


# --- the bundle ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variables", [FORWARD, WIREGUARD], ids=["forward", "wireguard"])
def test_both_deliveries_bring_the_same_bundle(variables):
    by_metadata = evaluate("__relay_metadata", **variables, **METADATA)["protostar-relay"]
    assert by_metadata == evaluate("__relay_bundle_text", **variables)
    assert set(json.loads(by_metadata)) == {"format", "files", "agent"}


@pytest.mark.parametrize("variables", [{**FORWARD, **PEER}, WIREGUARD], ids=["forward", "wireguard"])
def test_the_agent_takes_the_bundle_and_knows_it_by_the_version_that_the_play_waits_for(tmp_path, variables):
    variables = {**variables, "relay_config_extra": "# übrigens"}
    bundle = tmp_path / "bundle.json"
    bundle.write_text(evaluate("__relay_bundle_text", **variables))
    program = (
        f"import sys; sys.path.insert(0, {str(ROLE / 'files/agent')!r}); import bundle, pathlib; "
        f"print(bundle.load(pathlib.Path({str(bundle)!r})).version)"
    )
    said = subprocess.run([sys.executable, "-B", "-c", program], capture_output=True, check=False, encoding="utf-8")
    assert said.stdout.strip() == evaluate("__relay_version", **variables), said.stderr


def test_caps_are_bytes_of_which_google_bills_a_gigabyte():
    agent = evaluate("__relay_bundle", relay_egress_soft_cap_gb=0.5, relay_egress_hard_cap_gb=200)["agent"]
    assert agent == {"egress_soft_cap_bytes": 2**29, "egress_hard_cap_bytes": 200 * 2**30}


@pytest.mark.parametrize("transport", [FORWARD, WIREGUARD], ids=["forward", "wireguard"])
def test_no_key_is_in_the_bundle_or_in_metadata(transport):
    secret = PEER["relay_peer_key"].splitlines()[1]
    assert secret not in evaluate("__relay_bundle_text", **transport, **PEER)
    assert secret not in json.dumps(evaluate("__relay_metadata", **transport, **PEER, **METADATA))


def test_the_tunnel_has_a_key_of_its_own_machine_and_waits_for_the_home():
    text = file("tunnel.conf", **WIREGUARD)
    lines = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    assert lines["PublicKey"] == WIREGUARD["relay_tunnel_peer_key"]
    assert lines["AllowedIPs"] == "10.202.0.2/32"
    assert not {"PrivateKey", "Endpoint", "PersistentKeepalive"} & set(lines)
    assert "tunnel.conf" not in evaluate("__relay_bundle")["files"]


def test_port_80_is_limited_where_it_is_relayed():
    ports = [
        re.search(r"tcp dport \{ ([\d, ]+) \} tcp flags", file("relay.nft", relay_http_target=target))[1]
        for target in ("", "home.example.com:8080")
    ]
    assert ports == ["443", "443, 80"]


def test_a_renewed_certificate_is_a_new_configuration():
    renewed, key = AUTHORITY.machine("relay")
    versions = {
        evaluate("__relay_version", **peer)
        for peer in (PEER, {**PEER, "relay_peer_certificate": renewed, "relay_peer_key": key})
    }
    assert len(versions) == 2


def test_a_certificate_that_the_relay_has_itself_is_taken_and_renewed():
    files = {**PEER, "relay_peer_certificate": "/etc/peer.crt", "relay_peer_key": "/etc/peer.key"}
    assert evaluate("__relay_faults", **files) == ""
    read = [base64.b64encode(AUTHORITY.machine("relay")[0].encode()).decode() for _ in range(2)]
    versions = [evaluate("__relay_version", **files, __relay_peer_file={"content": text}) for text in (*read, read[0])]
    assert versions[0] == versions[2] != versions[1]


@pytest.mark.parametrize(
    "variables", [{}, {**PEER, **METADATA}, {**PEER, **WIREGUARD}], ids=["no key", "metadata", "wireguard"]
)
def test_there_is_no_door_for_metrics_without_certificates(variables):
    assert "9444" not in file("nginx.conf", **variables)


# --- the VM ----------------------------------------------------------------------------------------------------------


def test_what_a_vm_of_google_starts_with_fits_its_metadata():
    # https://cloud.google.com/compute/docs/metadata/setting-custom-metadata
    metadata = evaluate("__relay_metadata", **WIREGUARD, **METADATA)
    assert max(len(value.encode()) for value in metadata.values()) <= 256 * 1024
    assert sum(len(value.encode()) for value in metadata.values()) <= 512 * 1024
