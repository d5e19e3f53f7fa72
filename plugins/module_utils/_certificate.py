# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates and keys as PEM text, read by the host's openssl. The role certificates has this on the hosts, too."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import ssl
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
DAY = 86400


class Unreadable(Exception):
    """A text that is not what it should be; says what it is not."""


@dataclass(frozen=True)
class Certificate:
    """What the first certificate of a chain says. Times are seconds since 1970.

    `names` are domains and addresses; `purposes` are server and client, or none where it does not say.
    """

    fingerprint: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    purposes: tuple[str, ...]

    def covers(self, domains: Iterable[str]) -> bool:
        """Tell whether it is for all of these names."""
        return not self.missing(domains)

    def missing(self, domains: Iterable[str]) -> list[str]:
        """Return the names that it is not for; `*.example.com` stands for one label."""
        return [name for name in domains if not {plain(name), wildcard(plain(name))} & set(self.names)]


def plain(name: str) -> str:
    """Return a name or an address as it is compared with others."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(name))
    return name.lower()


def wildcard(name: str) -> str:
    """Return the wildcard that covers a name."""
    return f"*.{name.partition('.')[2]}"


def openssl(*arguments: str, text: str) -> str:
    """Return what openssl says of a text on its standard input.

    Raises:
        Unreadable: It does not take it. Nothing of the text is in the message.

    """
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unreadable(f"openssl {arguments[0]} cannot read it")
    return done.stdout


def read(fullchain: str) -> Certificate:
    """Read the first certificate of a chain.

    Raises:
        Unreadable: There is none.

    """
    blocks = BLOCK.findall(fullchain)
    if not blocks:
        raise Unreadable("there is no certificate in it")
    said = openssl(
        *("x509", "-noout", "-fingerprint", "-sha256", "-issuer", "-subject", "-dates"),
        *("-ext", "subjectAltName,extendedKeyUsage"),
        text=blocks[0],
    )
    found = dict(re.findall(r"^(sha256 Fingerprint|issuer|subject|notBefore|notAfter) ?= ?(.*)$", said, re.M | re.I))
    found = {key.lower(): value.strip() for key, value in found.items()}
    return Certificate(
        fingerprint=found["sha256 fingerprint"].replace(":", "").lower(),
        subject=found["subject"],
        issuer=found["issuer"],
        names=tuple(plain(name) for name in re.findall(r"(?:DNS|IP Address):([^,\s]+)", said)),
        not_before=ssl.cert_time_to_seconds(found["notbefore"]),
        not_after=ssl.cert_time_to_seconds(found["notafter"]),
        purposes=tuple(word.lower() for word in re.findall(r"TLS Web (Server|Client) Authentication", said)),
    )


def key_type(key: str) -> str:
    """Return the kind of a private key: rsa, or ecdsa for whatever else there is.

    Raises:
        Unreadable: It is none, or encrypted.

    """
    return "rsa" if "Modulus" in openssl("pkey", "-noout", "-text_pub", text=key) else "ecdsa"


def fault(fullchain: str, key: str, domains: Iterable[str], now: float | None = None) -> str:
    """Return what keeps a chain and its key from serving these names, as the end of a sentence; empty if nothing."""
    now = time.time() if now is None else now
    try:
        chain = [read(block) for block in BLOCK.findall(fullchain)] or [read(fullchain)]
        own = openssl("x509", "-noout", "-pubkey", text=BLOCK.findall(fullchain)[0])
    except Unreadable as error:
        return f"has a certificate that is none: {error}"
    try:
        foreign = own != openssl("pkey", "-pubout", text=key)
    except Unreadable:
        return "has a key that is none, or that is encrypted"
    if foreign:
        return "has a key that belongs to another certificate"
    return misfit(chain, tuple(domains), now)


def misfit(chain: list[Certificate], domains: tuple[str, ...], now: float) -> str:
    """Return what keeps a readable chain from serving these names at that time; empty if nothing does."""
    certificate = chain[0]
    if certificate.not_after <= now:
        return f"ended on {day(certificate.not_after)}"
    # A clock may be a little behind the authority's.
    if certificate.not_before > now + DAY:
        return f"begins on {day(certificate.not_before)} only"
    if missing := certificate.missing(domains):
        return f"is not for {', '.join(missing)}, but for {', '.join(certificate.names) or 'no name'}"
    if len(chain) > 1 and certificate.issuer not in [other.subject for other in chain[1:]]:
        return "has a chain without the certificate of its issuer"
    return ""


def day(seconds: float) -> str:
    """Write a time as a date."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
