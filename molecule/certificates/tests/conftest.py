"""What the tests of this scenario share: a lab without certificates, which has its own back at the end."""

import re

import pytest
from authority import ACME, PAIRS, ROOTS

STAGED = "/var/lib/protostar/certificates"
# Not that by which the machines know each other, which their services have taken over.
OTHERS = f"find {PAIRS} {PAIRS}/.pairs {STAGED} -mindepth 1 -maxdepth 1 ! -name peer ! -name .pairs -exec rm -rf {{}} +"
# What an interrupted run left there is the lab's own.
KEEP = f"[ -d /root/brought ] || cp -a {PAIRS} /root/brought"
FORGET = "rm -rf /etc/letsencrypt /var/lib/protostar/metrics/certificates.prom"
# The links go, and what the lab brought lies there as it did. The directory itself stays: nginx has it mounted.
RESTORE = f"cd {PAIRS} && test -d /root/brought && rm -rf * .pairs && cp -a /root/brought/. . && rm -rf /root/brought"
NO_TIMER = "systemctl disable --quiet --now certbot.timer || true"
# The client asks no DNS of the lab.
RESOLVE = "--resolve acme.protostar.test:15000:198.18.0.2"
TRUSTED = "/usr/local/share/ca-certificates/pebble.crt"
RELOAD = "docker exec nginx sh /etc/nginx/protostar/reload.sh"


@pytest.fixture(scope="session")
def certificates(playbook):
    """Run what site.yml does about certificates, on both hosts or one."""

    def run(*arguments, **variables):
        return playbook("site", "--tags", "certificates", "--skip-tags", "always", *arguments, **variables)

    return run


@pytest.fixture(scope="session", autouse=True)
def without_certificates(main, sub, certificates):
    """Both hosts as they are before the first run."""
    for host in (main, sub):
        host.check_output(f"{KEEP}; {OTHERS}; {FORGET}")
    yield
    for host in (main, sub):
        host.check_output(f"{OTHERS}; {RESTORE}; {RELOAD}; {FORGET}; {NO_TIMER}")
    run = certificates("--limit", "main,sub")
    assert run.code == 0, run.text


@pytest.fixture(scope="session")
def first_run(certificates, without_certificates):
    run = certificates("--limit", "main,sub", **ACME)
    assert run.code == 0, run.text
    return run


@pytest.fixture(scope="session", autouse=True)
def trusted(client):
    """The client trusts Pebble's own root, which it makes anew at each start."""
    client.check_output(f"curl -sS --fail {RESOLVE} --output {TRUSTED} {ROOTS} && update-ca-certificates 2>/dev/null")
    yield
    client.check_output(f"rm {TRUSTED}; update-ca-certificates --fresh 2>/dev/null")


@pytest.fixture(scope="session")
def shown(client):
    """What the client is shown for a name, and believes: the fingerprint, the issuer and the names."""

    def ask(name, options=""):
        command = f"openssl s_client -connect {name}:443 -servername {name} -verify_hostname {name}"
        command += f" -verify_return_error {options}"
        read = "openssl x509 -noout -fingerprint -sha256 -issuer -ext subjectAltName"
        text = client.check_output(f"{command} </dev/null 2>/dev/null | {read}")
        return (
            re.search(r"Fingerprint=(\S+)", text)[1],
            re.search(r"issuer=(.*)", text)[1],
            set(re.findall(r"DNS:([^,\s]+)", text)),
        )

    return ask
