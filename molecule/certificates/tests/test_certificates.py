"""Certificates by ACME over both lines, in the order of their life."""

import json
import re
import subprocess
import time

import pytest
import yaml
from authority import ACME, API, LIMITED, NOBODY, OPS, PAIRS, PEBBLE, PROGRAM, ROOT, WILD, WWW

SETTINGS = "/etc/protostar/certificates.json"
FAKE_TIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
# Starting it ends before what comes after certbot does.
SERVICE = """systemctl start certbot.service
until systemctl show --property ActiveState --value certbot.service | grep -qE '^(inactive|failed)$'; do sleep 0.2; done
code=0; ! systemctl is-failed --quiet certbot.service || code=1; systemctl reset-failed certbot.service 2>/dev/null"""
RSA_ONLY = "-sigalgs RSA-PSS+SHA256:RSA+SHA256"
DROP_IN = "/run/systemd/system/certbot.service.d/moved.conf"


@pytest.fixture
def in_force(main):
    """The pair in force on main, and when nginx last got another."""
    return lambda: main.check_output(f"readlink {PAIRS}/{WWW}; sha256sum {PAIRS}/{WWW}/*")


@pytest.fixture
def moved(main):
    """certbot's service, as its timer starts it, with the clock moved by some days."""
    main.check_output("dpkg -s libfaketime >/dev/null 2>&1 || apt-get install -qq -y libfaketime >/dev/null 2>&1")

    def run(days):
        lines = f'[Service]\nEnvironment="LD_PRELOAD={FAKE_TIME}" "FAKETIME=+{days}d"\n'
        main.check_output(f"mkdir -p $(dirname {DROP_IN}); printf %s > {DROP_IN}; systemctl daemon-reload", lines)
        return main.run(f"{SERVICE}; exit $code")

    yield run
    main.check_output(f"rm -f {DROP_IN}; systemctl daemon-reload")


@pytest.fixture
def issue(main):
    """Ask by other settings than the role's, without a playbook."""

    def run(server=PEBBLE, domains=(WWW,)):
        settings = json.loads(main.check_output(f"cat {SETTINGS}"))
        settings["acme"]["server"] = server
        settings["certificates"][0]["domains"] = list(domains)
        settings["metrics"] = "/run"
        main.check_output("printf %s > /run/certificates.json", json.dumps(settings))
        return main.run(f"PROTOSTAR_CERTIFICATES=/run/certificates.json {PROGRAM} issue")

    return run


def metrics(host):
    """What node_exporter, which runs in a container, tells Prometheus of certificates."""
    text = host.check_output("curl -sS http://10.201.3.1:9100/metrics | grep '^protostar_certificate'")
    return {key: float(value) for key, value in (line.split() for line in text.splitlines())}


def test_the_first_run_gets_theirs_for_both_lines(first_run, shown, client):
    assert {host: entry["failed"] for host, entry in first_run.recap.items()} == dict.fromkeys(first_run.recap, 0)
    found = {name: shown(name) for name in (WWW, API, OPS)}
    assert {name: names for name, (_, _, names) in found.items()} == {WWW: {WWW, API}, API: {WWW, API}, OPS: {OPS}}
    assert all("Pebble" in issuer for _, issuer, _ in found.values())
    answers = client.check_output(f"curl -sS -o /dev/null -w '%{{http_code}}' https://{OPS}/healthz")
    assert answers == "200"


def test_the_keys_are_roots_alone_and_elliptic(main, sub):
    for host, name in ((main, WWW), (sub, OPS)):
        key = f"{PAIRS}/{name}/privkey.pem"
        look = f"stat --dereference --format '%a %U' {key}; openssl pkey -noout -text -in {key}"
        said = host.check_output(look)
        assert said.startswith("600 root\n")
        assert "NIST CURVE: P-256" in said


def test_the_second_run_changes_nothing(certificates, first_run):
    again = certificates("--limit", "main,sub", **ACME)
    assert (again.code, again.total("changed")) == (0, 0), again.text


def test_prometheus_knows_when_they_end(main, sub):
    for host, name in ((main, WWW), (sub, OPS)):
        found = metrics(host)
        left = found[f'protostar_certificate_not_after_timestamp_seconds{{certificate="{name}",source="acme"}}']
        assert 89 < (left - time.time()) / 86400 < 91
        assert found["protostar_certificate_renewal_success"] == 1


def test_the_timer_renews_in_time_and_no_request_is_lost(moved, main, shown, load):
    assert main.check_output("systemctl is-enabled certbot.timer; systemctl is-active certbot.timer").split() == [
        "enabled",
        "active",
    ]
    before = shown(WWW)
    assert moved(50).rc == 0
    assert shown(WWW) == before, "renewed too early"
    with load("protostar-client", f"https://{WWW}/api/fastapi/ready") as requests:
        done = moved(65)
    assert done.rc == 0
    after = shown(WWW)
    assert after[0] != before[0] and after[1:] == before[1:]
    assert requests.failed == []
    assert requests.done > 10


def test_a_certificate_that_is_over_is_not_put_in_force(moved, main, in_force):
    # To this clock, what Pebble gives is over as soon as it is there.
    before = in_force()
    assert moved(120).rc != 0
    assert in_force() == before
    assert "The one before stays in force." in main.check_output("journalctl -u certbot.service --since -1m -o cat")
    assert metrics(main)["protostar_certificate_renewal_success"] == 0
    # With the clock right again the same certificate is good, and nobody has to help.
    assert moved(0).rc == 0
    assert in_force() != before
    assert metrics(main)["protostar_certificate_renewal_success"] == 1


def test_a_failing_proof_is_one_sentence(issue, main, in_force):
    before = in_force()
    main.check_output("chmod 0700 /var/lib/protostar/acme")
    try:
        done = issue()
    finally:
        main.check_output("chmod 0755 /var/lib/protostar/acme")
    assert done.rc == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"{WWW}: the authority could not read http://{WWW}/.well-known/acme-challenge/ (")
    assert "The one before stays in force." in done.stderr and f"Let port 80 of {WWW} lead to nginx" in done.stderr
    assert in_force() == before


def test_an_authority_out_of_reach_is_one_sentence(issue, in_force):
    before = in_force()
    done = issue(NOBODY)
    assert (done.rc, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"the authority {NOBODY} cannot be reached from this host" in done.stderr
    assert in_force() == before


def test_a_rate_limit_is_one_sentence_of_the_playbook(certificates, in_force):
    before = in_force()
    run = certificates("--limit", "main", **{**ACME, "certificates_acme_server": LIMITED})
    assert run.code != 0
    (sentence,) = run.errors
    assert "gives no more certificates for now (too many certificates (5) already issued" in sentence
    assert "retry after 2031-01-01" in sentence and "Traceback" not in run.text
    assert in_force() == before


def test_what_could_not_work_is_refused_before_anything_changes(certificates, main, in_force):
    before = in_force(), main.check_output(f"sha256sum {SETTINGS}")
    foreign = main.check_output("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")
    over = main.check_output(
        "openssl req -x509 -new -nodes -newkey rsa:2048 -keyout /run/over.key -subj /CN=over -days 1"
        " -addext subjectAltName=DNS:www.protostar.test 2>/dev/null | tee /run/over.pem"
    )
    listed = [
        {"name": "elsewhere", "domains": ["acme.protostar.test"]},
        {"name": "nowhere", "domains": ["nowhere.protostar.test"]},
        {"name": "wildcard", "domains": ["*.protostar.test"]},
        {"name": "mismatched", "domains": [WWW], "source": "files", "fullchain": over, "key": foreign},
        {"name": "absent", "domains": [WWW], "source": "files"},
    ]
    run = certificates("--limit", "main", **{**ACME, "certificates_list": listed})
    assert run.code != 0 and run.total("changed") == 0
    for words in (
        "acme.protostar.test leads to 198.18.0.2 and not to 198.18.0.10",
        "nowhere.protostar.test has no address in the DNS",
        "*.protostar.test, which an authority proves by the DNS only",
        "mismatched has a key that belongs to another certificate",
        "absent has no fullchain and key",
        "Nothing was changed.",
    ):
        assert words in " ".join(run.text.split()), run.text
    assert foreign.splitlines()[1] not in run.text
    assert (in_force(), main.check_output(f"sha256sum {SETTINGS}")) == before


def test_old_clients_are_shown_a_certificate_with_an_rsa_key(playbook, main, shown):
    old = f"{WWW}-rsa"
    first, *others = yaml.safe_load((ROOT / "inventories/lab/group_vars/main.yml").read_text())["nginx_sites"]
    both = {
        "certificates_list": [{"name": WWW, "domains": [WWW, API]}, {"name": old, "domains": [WWW], "key_type": "rsa"}],
        "nginx_sites": [{**first, "certificates": [WWW, old]}, *others],
    }
    only = ("--limit", "main", "--skip-tags", "always", "--tags")
    modern = shown(WWW)
    try:
        run = playbook("site", *only, "certificates,nginx", **{**ACME, **both})
        assert run.code == 0, run.text
        assert shown(WWW) == modern
        before = shown(WWW, RSA_ONLY)
        assert ("Pebble" in before[1], before[2]) == (True, {WWW})
        # Its renewal is looked at as such a client sees it, or the hook would put the one before back.
        main.check_output(f"certbot renew --quiet --no-random-sleep-on-renew --force-renewal --cert-name {old}")
        assert shown(WWW, RSA_ONLY)[0] != before[0]
        assert shown(WWW) == modern
    finally:
        back = playbook("main", *only, "nginx")
    assert back.code == 0, back.text


def test_a_private_authority_signs_for_a_key_that_stays(certificates, main, client, shown, tmp_path):
    key, own = tmp_path / "authority.key", tmp_path / "authority.crt"
    asked = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 30 -subj /CN=private"
    subprocess.run([*asked.split(), "-keyout", key, "-out", own], check=True, capture_output=True)
    private = {
        "certificates_authority": own.read_text(),
        "certificates_authority_key": key.read_text(),
        "certificates_list": [{"name": WWW, "domains": [WWW, API], "source": "authority"}],
    }
    run = certificates("--limit", "main", **private)
    assert run.code == 0, run.text
    client.check_output("echo %s > /run/private.pem", own.read_text())
    _, issuer, names = shown(WWW, "-no-CAstore -CAfile /run/private.pem")
    assert (issuer.strip(), names) == ("CN=private", {WWW, API})
    # The authority's key is on no host, and what the host made is in no output.
    secret = key.read_text().splitlines()[1]
    assert main.run(f"grep -rlF -- '{secret}' /etc /var/lib/protostar /root /home /run /usr/local").stdout == ""
    made = main.check_output(f"sed -n 2p {PAIRS}/{WWW}/privkey.pem")
    assert made not in run.text
    assert secret not in run.text


def test_a_wildcard_is_proven_by_the_dns(certificates, main, machine):
    text = machine("protostar-isp").check_output("cat /etc/bind/acme.key")
    secret = re.search(r'secret "(.+)"', text)[1]
    by_dns = {
        "certificates_list": [{"name": WILD, "domains": [WILD, f"*.{WILD}"]}],
        "certificates_dns_plugin": "dns-rfc2136",
        "certificates_dns_propagation": 1,
        "certificates_dns_credentials": "dns_rfc2136_server = 198.18.0.2\ndns_rfc2136_name = acme\n"
        f"dns_rfc2136_secret = {secret}\ndns_rfc2136_algorithm = HMAC-SHA256\n",
    }
    run = certificates("--limit", "main", **{**ACME, **by_dns})
    assert run.code == 0, run.text
    assert secret not in run.text
    names = main.check_output(f"openssl x509 -noout -ext subjectAltName -in {PAIRS}/{WILD}/fullchain.pem")
    assert set(re.findall(r"DNS:([^,\s]+)", names)) == {WILD, f"*.{WILD}"}
    assert main.check_output("stat --format '%a %U' /etc/protostar/certbot-dns.ini") == "600 root"
