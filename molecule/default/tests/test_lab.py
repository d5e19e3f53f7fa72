"""The lab is the drawing: who is where, who reaches whom, and under which address."""

import subprocess

import pytest

MACHINES = ["protostar-main", "protostar-sub", "protostar-relay", "protostar-router", "protostar-client"]
PUBLIC_ADDRESS = "198.18.0.10"
RELAY_ADDRESS = "198.18.0.20"


@pytest.mark.parametrize("name", MACHINES)
def test_every_machine_is_a_booted_host_with_systemd(machine, name):
    assert machine(name).run("systemctl is-system-running --wait").stdout.strip() == "running"


@pytest.mark.parametrize(("name", "gateway"), [("protostar-main", "198.19.0.2"), ("protostar-client", "198.18.0.2")])
def test_the_default_route_leads_through_the_drawing(machine, name, gateway):
    assert f"via {gateway} " in machine(name).run("ip -4 route show default").stdout


@pytest.mark.parametrize("name", ["protostar-main", "protostar-sub"])
def test_home_goes_out_under_the_one_public_address(machine, name):
    client = machine("protostar-client")
    listener = (
        "import socket; s = socket.create_server(('198.18.0.30', 9999)); s.settimeout(20); "
        "open('/tmp/listening', 'w').close(); print(s.accept()[1][0])"
    )
    client.run("rm -f /tmp/listening /tmp/peer")
    wait = "for i in $(seq 50); do [ -e /tmp/listening ] && break; sleep 0.1; done"
    client.run(f'nohup python3 -c "{listener}" >/tmp/peer 2>&1 & {wait}')
    assert machine(name).run("timeout 5 bash -c 'exec 3<>/dev/tcp/198.18.0.30/9999'").rc == 0
    assert client.run("sleep 0.5; cat /tmp/peer").stdout.strip() == PUBLIC_ADDRESS


def test_home_cannot_be_reached_from_the_internet_but_through_the_router(machine):
    client = machine("protostar-client")
    assert client.run("timeout 3 bash -c 'exec 3<>/dev/tcp/198.19.0.10/22'").rc != 0


@pytest.mark.parametrize(
    ("name", "address"), [("www", PUBLIC_ADDRESS), ("api", PUBLIC_ADDRESS), ("ops", RELAY_ADDRESS)]
)
def test_the_client_finds_the_public_names(machine, name, address):
    assert machine("protostar-client").run(f"getent ahostsv4 {name}.protostar.test").stdout.split()[0] == address


@pytest.mark.parametrize(("name", "address"), [("home", PUBLIC_ADDRESS), ("ops", RELAY_ADDRESS)])
def test_the_public_dns_knows_the_lines(machine, name, address):
    assert machine("protostar-relay").run(f"getent ahostsv4 {name}.protostar.test").stdout.split()[0] == address


def test_the_public_dns_knows_the_rest_of_the_world(machine):
    # Whatever this machine's package mirror is called, the relay has to find it.
    mirror = machine("protostar-relay").check_output(
        "apt-get indextargets --format '$(SITE)' | head -n 1 | sed -E 's,^[a-z]+://([^/:]+).*,\\1,'"
    )
    assert machine("protostar-relay").run(f"getent ahosts {mirror}").rc == 0, mirror


def test_main_reaches_the_registry_of_the_lab(machine):
    answer = machine("protostar-main").run(
        "curl -sS -o /dev/null -w '%{http_code}' http://registry.protostar.test:5000/v2/"
    )
    assert answer.stdout == "200", answer.stderr


def test_the_client_trusts_the_authority_of_the_lab(machine):
    client = machine("protostar-client")
    verified = client.run("openssl verify -CApath /etc/ssl/certs /usr/local/share/ca-certificates/protostar-lab.crt")
    assert verified.rc == 0, verified.stderr


def test_volumes_of_another_checkout_are_refused_and_nothing_is_changed(playbook, tmp_path):
    def everything():
        of_the_lab = "--quiet --filter label=protostar.lab=true"
        command = f"docker ps --all {of_the_lab}; docker network ls {of_the_lab}; docker volume ls {of_the_lab}"
        return subprocess.run(["sh", "-ec", command], check=True, capture_output=True, text=True).stdout

    before = everything()
    run = playbook("lab", lab_directory=str(tmp_path))
    assert run.code != 0
    assert len(run.errors) == 1
    assert "protostar-main-services" in run.errors[0]
    assert "make down EMPTY=1" in run.errors[0]
    assert everything() == before
