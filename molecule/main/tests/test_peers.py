"""What crosses the home network between main and sub is encrypted and authenticated, and nothing else listens there."""

import hashlib
import subprocess

import pytest
from expected import HOSTS, ROOT

ADDRESSES = {"protostar-main": "198.19.0.10", "protostar-sub": "198.19.0.20"}
OTHER = {"protostar-main": "protostar-sub", "protostar-sub": "protostar-main"}
PATHS = {"protostar-main": "/metrics/node-exporter", "protostar-sub": "/loki/api/v1/push"}
MADE = "/etc/protostar/certificates/peer"  # the host's own key, with what the authority signed for it
SHOWN = "/opt/protostar/services/nginx/secrets/peer"
AUTHORITY = ROOT / "build/lab/peer/authority"
# 8080 and 8443 are published by sub for the relay; that nobody else reaches it is tested with the relay.
PORTS = {22, 80, 443, 8080, 8443, 9443}
# Those of Docker's own networks. Who is on the home network has no route to them.
INSIDE = ("127.", "10.201.", "[::1]")


@pytest.fixture
def ask(machine):
    """Ask the door of a host from the other one, with that one's certificate or as told."""

    def ask(host, *options):
        options = options or (f"--cert {SHOWN}/peer.crt --key {SHOWN}/peer.key --cacert {SHOWN}/authority.crt",)
        return machine(OTHER[host]).run(
            f"curl -sS -o /dev/null -w '%{{http_code}}' {' '.join(options)} https://{ADDRESSES[host]}:9443{PATHS[host]}"
        )

    return ask


@pytest.mark.parametrize("host", HOSTS)
def test_the_other_machine_is_let_in(ask, host):
    # Loki refuses a GET of what is to be pushed; both answers come from behind the door.
    assert ask(host).stdout in ("200", "404", "405"), ask(host).stderr


@pytest.mark.parametrize("host", HOSTS)
def test_a_stranger_is_not(ask, host):
    assert ask(host, "--insecure").stdout == "400"


@pytest.mark.parametrize("host", HOSTS)
def test_nor_is_a_certificate_of_another_authority(ask, machine, host):
    machine(OTHER[host]).check_output(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=protostar-sub "
        "-keyout /run/stranger.key -out /run/stranger.crt 2>/dev/null"
    )
    assert ask(host, "--insecure --cert /run/stranger.crt --key /run/stranger.key").stdout == "400"


@pytest.mark.parametrize("host", HOSTS)
def test_the_door_shows_the_certificate_of_its_own_authority(ask, host):
    assert "certificate" in ask(host, "--cacert /etc/ssl/certs/ca-certificates.crt").stderr
    assert AUTHORITY.with_suffix(".crt").read_text().startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    ("usages", "answers"), [("serverAuth", {"400"}), ("serverAuth,clientAuth", {"200", "404", "405"})]
)
@pytest.mark.parametrize("host", HOSTS)
def test_a_certificate_of_the_authority_that_is_for_a_site_alone_opens_no_door(ask, machine, host, usages, answers):
    stranger = machine(OTHER[host])
    request = stranger.check_output(
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ops.protostar.test "
        f"-addext extendedKeyUsage={usages} -keyout /run/site.key 2>/dev/null"
    )
    sign = f"openssl x509 -req -CA {AUTHORITY}.crt -CAkey {AUTHORITY}.key -days 1 -copy_extensions copy".split()
    signed = subprocess.run(sign, input=request, check=True, capture_output=True, text=True).stdout
    stranger.check_output(f"cat >/run/site.crt <<'PEM'\n{signed}PEM")
    assert ask(host, "--insecure --cert /run/site.crt --key /run/site.key").stdout in answers


def test_the_key_of_a_host_is_on_that_host_alone(machine):
    keys = {host: machine(host).check_output(f"cat {MADE}/privkey.pem | sha256sum") for host in HOSTS}
    assert len(set(keys.values())) == len(HOSTS)
    assert [machine(host).check_output(f"cat {SHOWN}/peer.key | sha256sum") for host in HOSTS] == [*keys.values()]
    small = [path for path in (ROOT / "build").rglob("*") if path.is_file() and path.stat().st_size < 10_000]
    here = {hashlib.sha256(path.read_bytes()).hexdigest() for path in small}
    assert not here & {line.split()[0] for line in keys.values()}


def test_a_new_key_is_taken_over_and_the_other_host_knows_it(machine, ask, playbook):
    main = machine("protostar-main")
    before = main.check_output(f"sha256sum {SHOWN}/*")
    main.check_output("rm -r /var/lib/protostar/certificates/peer")
    run = playbook("main", "--tags", "certificates,nginx,promtail")
    assert run.code == 0, run.text
    after = main.check_output(f"sha256sum {SHOWN}/*")
    changed = {line.rpartition("/")[2] for line in set(after.splitlines()) - set(before.splitlines())}
    assert changed == {"peer.crt", "peer.key"}
    shown = main.check_output("openssl s_client -connect 198.19.0.10:9443 </dev/null 2>/dev/null | openssl x509")
    assert shown.strip() in main.check_output(f"cat {MADE}/fullchain.pem")
    assert ask("protostar-main").stdout == "200"
    assert ask("protostar-sub").stdout in ("404", "405")


@pytest.mark.parametrize("host", HOSTS)
def test_only_nginx_and_ssh_listen_where_others_can_reach(machine, host):
    listening = {
        line.split()[3].rpartition(":")[::2]
        for protocol in ("--tcp", "--udp")
        for line in machine(host).check_output(f"ss --no-header --listening --numeric {protocol}").splitlines()
    }
    reachable = {(address, int(port)) for address, port in listening if not address.startswith(INSIDE)}
    assert {port for _, port in reachable} <= PORTS, reachable


def test_the_door_is_not_open_to_the_internet(client):
    assert client.run("timeout 3 bash -c 'exec 3<>/dev/tcp/198.18.0.10/9443'").rc != 0
