"""A certificate and its key are put in force together, or the pair before stays or comes back."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time

import made
import pytest
import textfile
from _certificate import key_type, read
from certificate_world import AGENT, SHARED, openssl
from settings import Failed, load
from swap import PAIRS, Pair, deploy, in_force, locked

NAME = "www.example.com"


class Nginx:
    """An nginx that has read whatever was in force at its last reload, unless something is wrong with it."""

    def __init__(self, settings):
        self.settings, self.shows, self.reloads, self.wrong = settings, None, 0, ""

    def runs(self):
        return True

    def reload(self):
        self.reloads += 1
        if self.wrong == "refuses":
            raise Failed("nginx still runs its configuration of before")
        self.shows = in_force(self.settings, NAME)

    def check(self, domains, fingerprint, key_type, before):
        if self.wrong == "another":
            raise Failed(f"nginx still shows another certificate for {domains[0]}")
        assert self.shows and self.shows.fingerprint == fingerprint


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The settings of a host that wants one certificate, in files of its own."""

    def make(source="files", key_type="ecdsa", addresses=(), client=False, **acme):
        document = {
            "directory": str(tmp_path / "pairs"), "metrics": str(tmp_path / "metrics"), "served_at": "127.0.0.1:1",
            "staged": str(tmp_path / "staged"), "letsencrypt": str(tmp_path / "letsencrypt"),
            "certificates": [{"name": NAME, "domains": [NAME], "source": source, "key_type": key_type,
                              "addresses": list(addresses), "client": client}],
            "acme": {"server": "https://acme/dir", "email": "", "webroot": "/acme", "dns_plugin": "",
                     "dns_credentials": "", "dns_propagation": 0, **acme},
        }  # fmt: skip
        (tmp_path / "settings.json").write_text(json.dumps(document))
        monkeypatch.setenv("PROTOSTAR_CERTIFICATES", str(tmp_path / "settings.json"))
        return load()

    return make


def put(directory, pair):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "fullchain.pem").write_text(pair[0])
    (directory / "privkey.pem").write_text(pair[1])


def shown(settings):
    """What a reader of the directory finds, as a pair that must belong together."""
    return Pair.load(settings.directory / NAME)


def test_a_new_pair_takes_its_place_once(place, authority):
    settings, one = place(), authority()
    nginx, wanted = Nginx(settings), settings.certificates[0]
    first, second = one.sign(NAME), one.sign(NAME)
    for pair in (first, second):
        put(settings.source(wanted), pair)
        assert [deploy(settings, wanted, nginx), deploy(settings, wanted, nginx)] == [True, False]
        assert shown(settings) == Pair(*pair)
    assert nginx.reloads == 2
    key = settings.directory / NAME / "privkey.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(list((settings.directory / PAIRS / NAME).iterdir())) == 2


@pytest.mark.parametrize("wrong", ["refuses", "another"])
def test_the_pair_before_comes_back(place, authority, wrong):
    settings, one = place(), authority()
    nginx, wanted = Nginx(settings), settings.certificates[0]
    good = one.sign(NAME)
    put(settings.source(wanted), good)
    deploy(settings, wanted, nginx)
    nginx.wrong = wrong
    put(settings.source(wanted), one.sign(NAME))
    with pytest.raises(Failed, match=f"^{NAME}: nginx still .* stays in force"):
        deploy(settings, wanted, nginx)
    assert shown(settings) == Pair(*good)
    assert nginx.reloads == 3


def test_what_would_not_serve_is_refused_before_anything_changes(place, authority):
    settings, one = place(), authority()
    nginx, wanted = Nginx(settings), settings.certificates[0]
    good = one.sign(NAME)
    put(settings.source(wanted), good)
    deploy(settings, wanted, nginx)
    for bad in (one.sign(NAME, begins=-9, ends=-1), one.sign("api.example.com"), (one.sign(NAME)[0], good[1])):
        put(settings.source(wanted), bad)
        with pytest.raises(Failed, match="The one before stays in force"):
            deploy(settings, wanted, nginx)
    assert (shown(settings), nginx.reloads) == (Pair(*good), 1)


def test_a_renewal_does_not_go_back(place, authority):
    settings, one = place("acme"), authority()
    nginx, wanted = Nginx(settings), settings.certificates[0]
    put(settings.source(wanted), one.sign(NAME, begins=-1))
    deploy(settings, wanted, nginx)
    put(settings.source(wanted), one.sign(NAME, begins=-30))
    with pytest.raises(Failed, match="older than the one in force"):
        deploy(settings, wanted, nginx)
    put(settings.source(wanted), authority("other").sign(NAME, begins=-30))
    assert deploy(settings, wanted, nginx)


def test_a_directory_put_there_by_hand_becomes_the_pair_before(place, authority):
    settings, one = place(), authority()
    nginx, wanted = Nginx(settings), settings.certificates[0]
    brought = one.sign(NAME)
    put(settings.directory / NAME, brought)
    put(settings.source(wanted), one.sign(NAME))
    nginx.wrong = "another"
    with pytest.raises(Failed):
        deploy(settings, wanted, nginx)
    assert shown(settings) == Pair(*brought)
    # And a crash between its move and the link loses nothing.
    (settings.directory / NAME).unlink()
    nginx.wrong = ""
    (settings.source(wanted) / "privkey.pem").unlink()
    with pytest.raises(Failed, match="The one before stays in force"):
        deploy(settings, wanted, nginx)
    assert shown(settings) == Pair(*brought)


def test_one_at_a_time(place):
    settings = place()
    waiting = (
        f"import sys;sys.path[:0]={[str(AGENT), str(SHARED)]!r}\nfrom settings import load\nfrom swap import locked\n"
    )
    with locked(settings):
        process = subprocess.Popen([sys.executable, "-c", f"{waiting}with locked(load()): print('mine')"])
        time.sleep(0.5)
        assert process.poll() is None
    assert process.wait(10) == 0


def test_what_a_private_authority_signed_is_signed_again_in_time(place, authority):
    settings, one = place("authority"), authority()
    wanted = settings.certificates[0]
    asked = made.request(settings, wanted, one.own.read_text())
    assert "BEGIN CERTIFICATE REQUEST" in asked and "PRIVATE" not in asked
    directory = settings.staged / NAME
    key = (directory / "privkey.pem").read_text()
    assert stat.S_IMODE((directory / "privkey.pem").stat().st_mode) == 0o600

    def signed(*names, ends):
        leaf, own = one.sign(*names, ends=ends)
        put(directory, (leaf, own))
        return made.request(settings, wanted, one.own.read_text())

    assert signed(NAME, ends=397) == ""
    assert "REQUEST" in signed(NAME, ends=29)
    assert "REQUEST" in signed("api.example.com", ends=397)
    assert "REQUEST" in signed(NAME, "api.example.com", ends=397), "a name that nobody wants any more"
    assert signed(NAME, ends=397) == ""
    assert "REQUEST" in made.request(settings, wanted, authority("other").own.read_text())
    assert key


def test_that_of_a_site_is_not_good_as_a_client(place, authority):
    one = authority()
    for client in (False, True):
        settings = place("authority", client=client, addresses=["198.19.0.10", "2001:db8::1"])
        signed = one.sign_request(made.request(settings, settings.certificates[0], one.own.read_text()))
        assert one.trusts(signed, "sslserver")
        assert one.trusts(signed, "sslclient") == client
        assert read(signed).names == (NAME, "198.19.0.10", "2001:db8::1")
        put(
            settings.staged / NAME, (signed + one.own.read_text(), (settings.staged / NAME / "privkey.pem").read_text())
        )
        assert made.request(settings, settings.certificates[0], one.own.read_text()) == ""


def test_what_was_signed_for_something_else_is_signed_again(place, authority):
    one = authority()
    settings = place("authority", addresses=["198.19.0.10"])
    put(settings.staged / NAME, one.sign(NAME, "198.19.0.10"))
    asked = {
        name: bool(made.request(place("authority", **wanted), load().certificates[0], one.own.read_text()))
        for name, wanted in {
            "the same": {"addresses": ["198.19.0.10"]},
            "without the address": {},
            "another address": {"addresses": ["198.19.0.11"]},
            "as a client": {"addresses": ["198.19.0.10"], "client": True},
        }.items()
    }
    assert asked == {"the same": False, "without the address": True, "another address": True, "as a client": True}
    for client in (False, True):
        settings = place("authority", client=client)
        put(settings.staged / NAME, one.sign(NAME, usages=""))
        assert "REQUEST" in made.request(settings, settings.certificates[0], one.own.read_text()), "good for anything"


def test_a_key_is_of_the_kind_that_is_wanted(place, authority):
    own, key = authority().own.read_text(), place("authority").staged / NAME / "privkey.pem"
    made_before = None
    for kind, public in (("ecdsa", "ASN1 OID: prime256v1"), ("rsa", "Public-Key: (2048 bit)"), ("ecdsa", "prime256v1")):
        settings = place("authority", key_type=kind)
        assert "REQUEST" in made.request(settings, settings.certificates[0], own)
        assert public in openssl("pkey", "-noout", "-text_pub", "-in", key)
        assert key.read_text() != made_before
        made_before = key.read_text()
        made.request(settings, settings.certificates[0], own)
        assert key.read_text() == made_before
    made.bootstrap(place("acme", key_type="rsa").certificates[0], key.parent)
    assert key_type(key.read_text()) == "rsa"


def test_prometheus_is_told(place, authority):
    settings, pair = place("acme"), authority().sign(NAME)
    put(settings.directory / NAME, pair)
    textfile.write(settings, (1234.5, False))
    textfile.write(settings)
    text = (settings.metrics / "certificates.prom").read_text()
    found = dict(re.findall(r"^(protostar\S+) (\S+)$", text, re.MULTILINE))
    assert found == {
        f'{textfile.EXPIRY}{{certificate="{NAME}",source="acme"}}': f"{read(pair[0]).not_after:.0f}",
        textfile.ATTEMPT: "1234",
        textfile.SUCCESS: "0",
    }
    textfile.write(settings, (1300, True))
    assert textfile.before(settings.metrics / "certificates.prom") == (1300, True)


@pytest.fixture
def program(tmp_path, place):
    """Run the program, with a docker without nginx, and a certbot that does as it is told."""
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()

    def command(name, script):
        (bin_directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (bin_directory / name).chmod(0o755)

    command("docker", "echo false")
    environment = {**os.environ, "PATH": f"{bin_directory}:{os.environ['PATH']}", "PYTHONPATH": str(SHARED)}

    def run(*arguments, **more):
        return subprocess.run(
            [sys.executable, str(AGENT), *arguments],
            env={**environment, "PROTOSTAR_CERTIFICATES": str(tmp_path / "settings.json"), **more},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    run.command = command
    return run


def test_from_nothing_to_a_certificate(place, program, authority, tmp_path):
    settings = place("acme")
    live = settings.source(settings.certificates[0])
    first = program("prepare", "--check")
    assert "bootstrap" in first.stdout and not (settings.directory / NAME).exists()
    assert "bootstrap" in program("prepare").stdout
    assert in_force(settings, NAME).subject.endswith("protostar bootstrap")
    assert program("prepare").stdout == ""
    program.command("certbot", "echo 'An unexpected error occurred:'; echo 'Out of paper.'; exit 1")
    failure = program("issue")
    assert (failure.returncode, failure.stdout) == (1, "")
    assert failure.stderr.startswith(f"{NAME}: certbot failed (Out of paper). The one before stays in force.")
    put(tmp_path / "got", authority().sign(NAME))
    renewal = settings.letsencrypt / "renewal" / f"{NAME}.conf"
    renewal.parent.mkdir(parents=True)
    program.command(
        "certbot",
        f"mkdir -p {live}; cp {tmp_path}/got/* {live}\n"
        f"printf 'server = https://acme/dir\\nauthenticator = webroot\\nkey_type = ecdsa\\n' > {renewal}\n"
        f'echo "$@" > {tmp_path}/asked',
    )
    assert "certbot would be asked, since there is none" in program("issue", "--check").stdout
    assert "the new certificate is in force" in program("issue").stdout
    assert in_force(settings, NAME).issuer.endswith("one")
    assert program("issue").stdout == ""
    assert "protostar_certificate_renewal_success 1" in (settings.metrics / "certificates.prom").read_text()


def test_a_host_without_an_engine_has_its_certificate_too(place, program, authority, tmp_path):
    settings = place("authority", addresses=["198.19.0.10"], client=True)
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/openssl").symlink_to(shutil.which("openssl"))
    alone = {"PATH": str(tmp_path / "programs")}
    put(settings.staged / NAME, authority().sign(NAME, "198.19.0.10", usages="serverAuth,clientAuth"))
    done = program("prepare", **alone)
    assert (done.returncode, done.stdout) == (0, f"{NAME}: the new certificate is in force\n")
    assert in_force(settings, NAME).purposes == ("server", "client")
    assert "not_after" in (settings.metrics / "certificates.prom").read_text()
    assert program("prepare", **alone).stdout == ""


def test_a_certificate_without_its_address_is_not_put_in_force(place, program, authority):
    settings = place("authority", addresses=["198.19.0.10"])
    put(settings.staged / NAME, authority().sign(NAME))
    done = program("prepare")
    assert done.returncode == 1 and "is not for 198.19.0.10" in done.stderr


def test_what_the_hook_could_not_do_is_done_after_certbots_timer(place, program, authority):
    settings = place("acme")
    put(settings.source(settings.certificates[0]), authority().sign(NAME))
    assert "in force" in program("renewed", SERVICE_RESULT="exit-code").stdout
    assert "protostar_certificate_renewal_success 0" in (settings.metrics / "certificates.prom").read_text()
    assert program("renewed", SERVICE_RESULT="success").stdout == ""
    assert "protostar_certificate_renewal_success 1" in (settings.metrics / "certificates.prom").read_text()


def test_certbot_may_renew_what_nobody_wants(place, program):
    place("acme")
    done = program("deploy", RENEWED_LINEAGE="/etc/letsencrypt/live/old.example.com")
    assert done.returncode == 1 and "old.example.com is not in certificates_list" in done.stderr


def test_without_settings_it_says_what_to_do(program, tmp_path):
    done = program("issue")
    assert done.returncode == 1 and "Run the playbook with --tags certificates." in done.stderr
