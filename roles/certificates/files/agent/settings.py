# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role asks for, as it wrote it to /etc/protostar/certificates.json, and where things are."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path


class Failed(Exception):
    """A problem told to the operator in one sentence: what, where, and what to do about it."""


@dataclass(frozen=True)
class Wanted:
    """One certificate: its name, the domains that it is for, and where it comes from: acme, files or authority.

    `key_type` is the kind of key that is made for it here: ecdsa or rsa. `addresses` are those that it is for as well,
    and `client` is whether this host shows it as a client, too: both are for an authority to sign.
    """

    name: str
    domains: tuple[str, ...]
    source: str
    key_type: str = "ecdsa"
    addresses: tuple[str, ...] = ()
    client: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that it is for."""
        return self.domains + self.addresses

    @property
    def purposes(self) -> tuple[str, ...]:
        """What it shall be good for, where an authority of the user's signs it."""
        return ("server", "client") if self.client else ("server",)


@dataclass(frozen=True)
class Acme:
    """How certbot asks: by a directory of nginx (webroot), or by a plugin for the DNS."""

    server: str
    email: str
    webroot: str
    dns_plugin: str
    dns_credentials: str
    dns_propagation: int


@dataclass(frozen=True)
class Settings:
    """Everything that is asked for. `served_at` is where nginx answers on this host."""

    directory: Path
    metrics: Path
    served_at: tuple[str, int]
    certificates: tuple[Wanted, ...]
    acme: Acme
    staged: Path = Path("/var/lib/protostar/certificates")
    letsencrypt: Path = Path("/etc/letsencrypt")

    def source(self, wanted: Wanted) -> Path:
        """Return the directory from which a certificate is taken."""
        return self.letsencrypt / "live" / wanted.name if wanted.source == "acme" else self.staged / wanted.name

    def find(self, name: str) -> Wanted:
        """Return the certificate of that name.

        Raises:
            Failed: Nobody asks for it.

        """
        for wanted in self.certificates:
            if wanted.name == name:
                return wanted
        raise Failed(f"{name} is not in certificates_list, so that nothing was done. Add it there, or delete it here.")


def load() -> Settings:
    """Read the file; PROTOSTAR_CERTIFICATES names another.

    Raises:
        Failed: There is none.

    """
    path = Path(os.environ.get("PROTOSTAR_CERTIFICATES", "/etc/protostar/certificates.json"))
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failed(f"{path} cannot be read ({error}). Run the playbook with --tags certificates.") from error
    host, _, port = document["served_at"].rpartition(":")
    paths = {key: Path(document[key]) for key in ("staged", "letsencrypt") if key in document}
    return Settings(
        directory=Path(document["directory"]),
        metrics=Path(document["metrics"]),
        served_at=(host.strip("[]"), int(port)),
        certificates=tuple(
            Wanted(
                entry["name"],
                tuple(entry["domains"]),
                entry["source"],
                entry["key_type"],
                tuple(entry["addresses"]),
                entry["client"],
            )
            for entry in document["certificates"]
        ),
        acme=Acme(**document["acme"]),
        **paths,
    )
