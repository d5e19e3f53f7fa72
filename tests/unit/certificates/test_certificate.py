"""What is wrong with a certificate and its key, and with a list of them."""

import time

import pytest
from _certificate import DAY, fault, read
from ansible_collections.protostar.platform.plugins.modules.check_certificates import faults, refusal

NAME = "www.example.com"


def test_a_good_one_has_no_fault(authority):
    chain, key = authority().sign(NAME, "*.shop.example.com")
    assert fault(chain, key, [NAME, "a.shop.example.com", "*.shop.example.com", "WWW.example.com"]) == ""
    assert fault(chain.partition("-----END CERTIFICATE-----\n")[0] + "-----END CERTIFICATE-----\n", key, [NAME]) == ""


def test_faults_are_told_apart(authority):
    one, other = authority(), authority("other")
    chain, key = one.sign(NAME)
    another, foreign_key = one.sign("api.example.com")
    leaf, leaf_key = one.sign(NAME, chain=False)
    over, over_key = one.sign(NAME, begins=-20, ends=-1)
    later, later_key = one.sign(NAME, begins=5)
    cases = {
        "another certificate": (chain, foreign_key, [NAME]),
        "is not for api.example.com": (chain, key, [NAME, "api.example.com"]),
        "is not for a.b.example.com": (*one.sign("*.example.com"), ["a.b.example.com"]),
        "none, or that is encrypted": (chain, "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", [NAME]),
        "no certificate in it": ("nothing", key, [NAME]),
        "cannot read it": (chain.replace("MII", "xxx", 1), key, [NAME]),
        "ended on": (over, over_key, [NAME]),
        "begins on": (later, later_key, [NAME]),
        "without the certificate of its issuer": (leaf + other.own.read_text(), leaf_key, [NAME]),
    }
    assert {part: part in fault(*case) for part, case in cases.items()} == dict.fromkeys(cases, True)
    assert another != chain


def test_it_is_good_until_it_ends(authority):
    chain, key = authority().sign(NAME, ends=10)
    end = read(chain).not_after
    assert abs(end - time.time() - 10 * DAY) < 60
    assert [bool(fault(chain, key, [NAME], moment)) for moment in (end - 1, end)] == [False, True]


def test_addresses_are_names_and_a_client_is_told_from_a_server(authority):
    one = authority()
    chain, key = one.sign(NAME, "198.19.0.10", "2001:DB8::1", usages="serverAuth,clientAuth")
    assert read(chain).names == (NAME, "198.19.0.10", "2001:db8::1")
    assert fault(chain, key, [NAME, "198.19.0.10", "2001:db8:0::1"]) == ""
    assert "is not for 198.19.0.11" in fault(chain, key, ["198.19.0.11"])
    signed = [read(one.sign(NAME, usages=usages)[0]).purposes for usages in ("serverAuth,clientAuth", "serverAuth", "")]
    assert signed == [("server", "client"), ("server",), ()]


@pytest.fixture
def said():
    """What is refused of a list, on a host where www.example.com is 192.0.2.7 and nothing lies in the directory."""

    def say(*certificates, brought=None, **parameters):
        # fmt: off
        entries = [
            {"name": "www", "domains": [NAME], "source": "acme", "addresses": [], "client": False, "fullchain": "",
             "key": "", **entry}
            for entry in certificates
        ]
        options = {
            "certificates": entries, "directory": "/etc/pairs", "public_addresses": ["192.0.2.7"], "dns_plugin": "",
            "authority": "", "authority_key": "", **parameters,
        }
        # fmt: on
        names = {NAME: ["192.0.2.7"], "both.example.com": ["192.0.2.7", "2001:db8::1"]}
        return list(faults(options, lambda name: names.get(name, []), lambda name: brought))

    return say


def test_what_an_authority_can_prove_is_not_refused(said):
    assert said({}) == []
    assert said({"domains": ["nowhere.example.com"]}, public_addresses=[]) == []
    assert said({"domains": ["*.example.com", "nowhere.example.com"]}, dns_plugin="dns-cloudflare") == []
    assert said({"domains": ["both.example.com"]}, public_addresses=["192.0.2.7", "2001:db8::1"]) == []


def test_a_machine_at_home_has_a_short_name_and_an_address(said, authority):
    one = authority()
    own = {"authority": one.own.read_text(), "authority_key": one.key.read_text()}
    peer = {"source": "authority", "domains": ["main"], "addresses": ["192.168.1.10", "fd00::1"], "client": True}
    assert said(peer, **own) == []
    # A host is not given the key.
    assert said(peer, authority=own["authority"], authority_key=None) == []
    assert "Set certificates_authority" in said(peer, authority_key=None)[0]


def test_a_fresh_host_without_openssl_is_looked_at_later(said, authority, monkeypatch, tmp_path):
    own, foreign = authority().own.read_text(), authority("other").key.read_text()
    assert "belongs to another" in said({"source": "authority"}, authority=own, authority_key=foreign)[0]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert said({"source": "authority"}, authority=own, authority_key=foreign) == []


@pytest.mark.parametrize(
    ("entry", "parameters", "words"),
    [
        ({"domains": ["nowhere.example.com"]}, {}, ["no address in the DNS", "certificates_public_addresses"]),
        ({}, {"public_addresses": ["192.0.2.8"]}, ["leads to 192.0.2.7 and not to 192.0.2.8"]),
        ({"domains": ["both.example.com"]}, {}, ["leads to 2001:db8::1"]),
        ({"domains": ["*.example.com"]}, {}, ["wildcard *.example.com", "Set certificates_dns_plugin"]),
        ({"domains": []}, {}, ["has no domains"]),
        ({"domains": ["a b"]}, {}, ["domain a b, which is none"]),
        ({"domains": ["a.*.example.com"]}, {"dns_plugin": "dns-cloudflare"}, ["which is none"]),
        ({"domains": ["main"]}, {}, ["domain main, which is none"]),
        ({"source": "authority", "addresses": ["192.168.1"]}, {}, ["address 192.168.1, which is none"]),
        ({"source": "authority", "addresses": ["fe80::1%eth0"]}, {}, ["address fe80::1%eth0, which is none"]),
        ({"addresses": ["192.168.1.10"]}, {}, ["has addresses, which only source: authority knows"]),
        ({"source": "files", "client": True}, {}, ["has client, which only source: authority knows"]),
        ({"name": "../etc"}, {}, ["no name of a directory"]),
        ({"source": "files"}, {}, ["no fullchain and key", "/etc/pairs/www"]),
        ({"source": "files", "key": "k"}, {}, ["has no fullchain"]),
        ({"source": "files", "fullchain": "c", "key": "k"}, {}, ["a certificate that is none"]),
        ({"source": "authority"}, {}, ["Set certificates_authority and certificates_authority_key"]),
        ({"source": "authority"}, {"authority": "c"}, ["Set certificates_authority and certificates_authority_key"]),
        ({"source": "authority"}, {"authority": "c", "authority_key": "k"}, ["certificates_authority has"]),
    ],
)
def test_what_could_not_be_had_is_refused_with_the_remedy(said, entry, parameters, words):
    (sentence,) = said(entry, **parameters)
    assert [word for word in words if word not in sentence] == []
    assert sentence.startswith("certificates_list: ") and sentence.endswith(".")


def test_what_lies_on_the_host_is_looked_at(said, authority):
    pair = authority().sign(NAME)
    assert said({"source": "files"}, brought=pair) == []
    assert "is not for" in said({"source": "files", "domains": ["api.example.com"]}, brought=pair)[0]


def test_two_of_a_name_are_refused_and_everything_is_said_at_once(said):
    found = said({}, {"domains": ["*.example.com"]})
    assert len(found) == 2
    assert refusal(found).endswith("\nNothing was changed.")
    assert refusal(found[:1]) == f"{found[0]} Nothing was changed."
