# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys that are made here and stay here: for the bootstrap certificate, and for a private authority to sign."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from _certificate import DAY, Unreadable, fault, key_type, openssl, plain, read
from settings import Failed, Settings, Wanted

BOOTSTRAP_DAYS = 7
RENEW_DAYS = 30
# As certbot makes them.
KINDS = {"ecdsa": ("EC", "ec_paramgen_curve:P-256"), "rsa": ("RSA", "rsa_keygen_bits:2048")}


def names(wanted: Wanted) -> str:
    """Return the names of a certificate as openssl takes them."""
    listed = [f"DNS:{name}" for name in wanted.domains] + [f"IP:{address}" for address in wanted.addresses]
    return f"subjectAltName={','.join(listed)}"


def usages(wanted: Wanted) -> list[str]:
    """Return what a certificate is good for, as openssl takes it.

    That of a site must not open the doors of the other machines, which believe the same authority.
    """
    extended = ",".join(f"{purpose}Auth" for purpose in wanted.purposes)
    return ["keyUsage=critical,digitalSignature", f"extendedKeyUsage={extended}"]


def key(kind: str) -> str:
    """Make a private key of a kind: ecdsa or rsa."""
    algorithm, option = KINDS[kind]
    return openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", option, text="")


def bootstrap(wanted: Wanted, directory: Path) -> None:
    """Write a certificate signed by itself into a directory, with which nginx starts before the real one is there."""
    write(directory / "privkey.pem", key(wanted.key_type))
    asked = ["openssl", "req", "-x509", "-new", "-key", str(directory / "privkey.pem"), "-days", str(BOOTSTRAP_DAYS)]
    asked += ["-subj", "/CN=protostar bootstrap", "-addext", names(wanted)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{wanted.name}: no bootstrap certificate could be made ({done.stderr.strip()}).")
    write(directory / "fullchain.pem", done.stdout)


def request(settings: Settings, wanted: Wanted, authority: str) -> str:
    """Return what the private authority shall sign; empty while what it signed is good for more than 30 days.

    Args:
        settings: Where the key is, which is made if there is none of its kind.
        wanted: What for.
        authority: The authority's certificate.

    """
    directory = settings.staged / wanted.name
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    own = directory / "privkey.pem"
    if not own.exists() or key_type(own.read_text(encoding="utf-8")) != wanted.key_type:
        write(own, key(wanted.key_type))
    if not due(directory, wanted, authority):
        return ""
    asked = ["openssl", "req", "-new", "-key", str(own), "-subj", f"/CN={wanted.domains[0]}"]
    for extension in (names(wanted), *usages(wanted)):
        asked += ["-addext", extension]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{wanted.name}: openssl made no request ({done.stderr.strip()}).")
    return done.stdout


def due(directory: Path, wanted: Wanted, authority: str) -> bool:
    """Tell whether what the private authority signed is missing, near its end, for something else, or another's."""
    try:
        fullchain = (directory / "fullchain.pem").read_text(encoding="utf-8")
        own = (directory / "privkey.pem").read_text(encoding="utf-8")
        signed, issuer = read(fullchain), read(authority)
    except (OSError, Unreadable):
        return True
    same = set(signed.names) == {plain(name) for name in wanted.names} and signed.purposes == wanted.purposes
    known = issuer.fingerprint in {read(part).fingerprint for part in split(fullchain)[1:]}
    return bool(not same or not known or fault(fullchain, own, wanted.names, time.time() + RENEW_DAYS * DAY))


def split(fullchain: str) -> list[str]:
    """Return the certificates of a chain."""
    end = "-----END CERTIFICATE-----"
    return [f"{part}{end}\n" for part in fullchain.split(end)[:-1]]


def write(path: Path, text: str) -> None:
    """Write a file that only root reads, whole or not at all."""
    descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(descriptor)
    Path(new).replace(path)
