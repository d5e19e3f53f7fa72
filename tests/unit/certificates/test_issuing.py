"""When certbot is asked, with which words, and what becomes of its answers. The texts are those of certbot 4.0."""

import pytest
from _certificate import DAY, Certificate
from issuing import command, explain, parameters, reason
from settings import Acme, Wanted

NOW = 2_000_000_000
WANTED = Wanted("www.example.com", ("www.example.com", "api.example.com"), "acme")
ACME = Acme("https://acme.example/dir", "me@example.com", "/acme", "", "", 0)
DNS = Acme("https://acme.example/dir", "", "/acme", "dns-rfc2136", "/etc/credentials", 60)
RENEWAL = {"server": "https://acme.example/dir", "authenticator": "webroot", "key_type": "ecdsa"}


def have(names=("api.example.com", "www.example.com"), left=60):
    return Certificate("", "", "", names, NOW - (90 - left) * DAY, NOW + left * DAY, ())


@pytest.mark.parametrize(
    ("certificate", "acme", "renewal", "expected"),
    [
        (None, ACME, {}, "there is none"),
        (have(), ACME, RENEWAL, ""),
        (have(left=29), ACME, RENEWAL, ""),  # its timer's business
        (have(left=22), ACME, RENEWAL, "its end is near"),
        (have(left=-1), ACME, RENEWAL, "its end is near"),
        (have(names=("www.example.com",)), ACME, RENEWAL, "its names change"),
        (have(), ACME, {**RENEWAL, "server": "https://other/dir"}, "its authority changes"),
        (have(), DNS, RENEWAL, "its challenge changes"),
        (have(), ACME, {**RENEWAL, "key_type": "rsa"}, "its kind of key changes"),
        (have(), DNS, {**RENEWAL, "authenticator": "dns-rfc2136"}, ""),
    ],
)
def test_certbot_is_asked_only_with_a_reason(certificate, acme, renewal, expected):
    assert reason(WANTED, acme, certificate, renewal, NOW) == expected


def test_what_certbot_keeps_is_read():
    text = (
        "# renew_before_expiry = 30 days\nversion = 4.0.0\n[renewalparams]\nserver = https://a/dir\nkey_type = ecdsa\n"
    )
    assert parameters(text) == {"version": "4.0.0", "server": "https://a/dir", "key_type": "ecdsa"}


def test_both_challenges_are_asked_for():
    http, dns = (" ".join(command(WANTED, acme)) for acme in (ACME, DNS))
    assert "--authenticator webroot --webroot-path /acme" in http
    assert "--email me@example.com" in http
    assert "--authenticator dns-rfc2136" in dns
    assert "--dns-rfc2136-credentials /etc/credentials --dns-rfc2136-propagation-seconds 60" in dns
    assert "--register-unsafely-without-email" in dns
    assert all("--domain www.example.com --domain api.example.com" in asked for asked in (http, dns))


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_the_kind_of_key_is_asked_for(kind):
    asked = command(Wanted("www.example.com", ("www.example.com",), "acme", kind), ACME)
    assert asked[asked.index("--key-type") + 1] == kind


def failed(kind, detail):
    return f"""Requesting a certificate for www.example.com and api.example.com

Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: api.example.com
  Type:   {kind}
  Detail: {detail}

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Saving debug log to /var/log/letsencrypt/letsencrypt.log
Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile /var/log/x for more details.
"""


LIMITED = """Saving debug log to /var/log/letsencrypt/letsencrypt.log
An unexpected error occurred:
too many certificates (5) already issued, retry after 2031-01-01 00:00:00 UTC
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile for more details.
"""
LIMITED_BEFORE = """An unexpected error occurred:
There were too many requests of a given type :: Error creating new order :: too many certificates (5) already issued, \
retry after 2031-01-01 00:00:00 UTC: see https://letsencrypt.org/docs/rate-limits/
Please see the logfiles in /var/log/letsencrypt for more details.
"""
UNREACHABLE = """An unexpected error occurred:
requests.exceptions.ConnectionError: HTTPSConnectionPool(host='acme.example', port=443): Max retries exceeded with \
url: /dir (Caused by NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused'))
Ask for help or search for solutions at https://community.letsencrypt.org.
"""
REFUSED = "An unexpected error occurred:\nValueError: Requesting acme.example/dir: Connection refused\n"
UNTRUSTED = """An unexpected error occurred:
requests.exceptions.SSLError: HTTPSConnectionPool(host='acme.example', port=443): Max retries exceeded with url: /dir \
(Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable')))
"""
UNKNOWN = "An unexpected error occurred:\nSomething new.\nAsk for help or search for solutions at https://community\n"


@pytest.mark.parametrize(
    ("acme", "said", "words"),
    [
        (
            ACME,
            failed("connection", "192.0.2.7: Timeout during connect"),
            ["Timeout during connect)", "port 80 of api"],
        ),
        (ACME, failed("unauthorized", "Invalid response:\n    403"), ["Invalid response: 403)", "port 80 of api"]),
        (ACME, failed("dns", "NXDOMAIN looking up A"), ["(NXDOMAIN looking up A)", "your DNS provider"]),
        (ACME, failed("caa", "CAA record prevents issuance"), ["(CAA record prevents", "your DNS provider"]),
        (DNS, failed("unauthorized", "No TXT record"), ["_acme-challenge.api.example.com", "certificates_dns_"]),
        (ACME, LIMITED, ["(too many certificates (5) already issued, retry after 2031-01-01 00:00:00 UTC)"]),
        (ACME, LIMITED_BEFORE, ["no more certificates for now (too many certificates (5) already", "2031-01-01"]),
        (ACME, UNREACHABLE, ["https://acme.example/dir cannot be reached", "certificates_acme_server"]),
        (ACME, REFUSED, ["https://acme.example/dir cannot be reached"]),
        (ACME, UNTRUSTED, ["is not trusted by this host", "update-ca-certificates"]),
        (ACME, UNKNOWN, ["certbot failed (Something new)", "letsencrypt.log"]),
        (DNS, UNKNOWN, ["Check certificates_dns_credentials"]),
        (ACME, "", ["it said nothing"]),
    ],
)
def test_a_failure_becomes_one_sentence_with_the_remedy(acme, said, words):
    sentence = explain(WANTED, acme, said, "The one before stays in force.")
    assert [word for word in words if word not in sentence] == []
    assert sentence.startswith("www.example.com: ")
    assert "The one before stays in force." in sentence
    assert "Ask for help" not in sentence and "\n" not in sentence and "requests.exceptions" not in sentence
