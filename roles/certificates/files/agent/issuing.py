# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What certbot is asked, and what it says when it fails, in one sentence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from _certificate import Certificate
from settings import Acme, Wanted

HOOK = "/usr/local/sbin/protostar-certificates deploy"
LOG = "/var/log/letsencrypt/letsencrypt.log"


def parameters(text: str) -> dict[str, str]:
    """Read the file in which certbot keeps how it renews a certificate."""
    return dict(re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE))


def reason(wanted: Wanted, acme: Acme, have: Certificate | None, renewal: Mapping[str, str], now: float) -> str:
    """Return why certbot must be asked for a certificate now; empty if it need not.

    Args:
        wanted: What is asked for.
        acme: How.
        have: What certbot has of that name.
        renewal: How certbot renews it.
        now: Seconds since 1970.

    """
    if have is None:
        return "there is none"
    reasons = {
        "its names change": set(have.names) != {name.lower() for name in wanted.domains},
        "its authority changes": renewal.get("server") != acme.server,
        "its challenge changes": renewal.get("authenticator") != authenticator(acme),
        "its kind of key changes": renewal.get("key_type") != wanted.key_type,
        # certbot renews when a third is left; its timer does that, unless it has been off.
        "its end is near": have.not_after - now < (have.not_after - have.not_before) / 4,
    }
    return next((why for why, holds in reasons.items() if holds), "")


def authenticator(acme: Acme) -> str:
    """Return the plugin of certbot that answers the challenge."""
    return acme.dns_plugin or "webroot"


def command(wanted: Wanted, acme: Acme) -> list[str]:
    """Return the call of certbot that gets a certificate, and has it renewed in the same way."""
    asked = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--cert-name", wanted.name]
    asked += ["--server", acme.server, "--key-type", wanted.key_type, "--deploy-hook", HOOK]
    asked += ["--force-renewal", "--renew-with-new-domains"]
    asked += ["--email", acme.email, "--no-eff-email"] if acme.email else ["--register-unsafely-without-email"]
    if acme.dns_plugin:
        asked += ["--authenticator", acme.dns_plugin]
        asked += [f"--{acme.dns_plugin}-credentials", acme.dns_credentials] if acme.dns_credentials else []
        if acme.dns_propagation:
            asked += [f"--{acme.dns_plugin}-propagation-seconds", str(acme.dns_propagation)]
    else:
        asked += ["--authenticator", "webroot", "--webroot-path", acme.webroot]
    return asked + [word for name in wanted.domains for word in ("--domain", name)]


def explain(wanted: Wanted, acme: Acme, said: str, kept: str) -> str:
    """Say in one sentence why certbot failed, what is in force, and what to do.

    Args:
        wanted: What was asked for.
        acme: How.
        said: Everything that certbot wrote.
        kept: A sentence that tells what is in force.

    """
    text = " ".join(said.split())
    domain, kind, detail = challenge(said)
    if limited := re.search(LIMITED, text):
        what = f"the authority gives no more certificates for now ({ended(limited[1])})"
        remedy = "Run it again after that; try out with the staging server of your authority."
    elif domain and kind in ("dns", "caa"):
        what = f"the authority did not accept the DNS of {domain} ({detail})"
        remedy = f"Correct the records of {domain} at your DNS provider."
    elif domain and acme.dns_plugin:
        what = f"the authority did not find the TXT record _acme-challenge.{domain} ({detail})"
        remedy = "Check certificates_dns_credentials, or raise certificates_dns_propagation."
    elif domain:
        what = f"the authority could not read http://{domain}/.well-known/acme-challenge/ ({detail})"
        remedy = f"Let port 80 of {domain} lead to nginx of this host, or set certificates_dns_plugin."
    elif refused := re.search(r"CERTIFICATE_VERIFY_FAILED[^)']*", text):
        what = f"the authority {acme.server} is not trusted by this host ({refused[0]})"
        remedy = "Add its root to /usr/local/share/ca-certificates and run update-ca-certificates."
    elif re.search(UNREACHABLE, text):
        what = f"the authority {acme.server} cannot be reached from this host"
        remedy = "Check the network, the proxy and certificates_acme_server."
    else:
        last = [line for line in said.splitlines() if line.strip() and not re.match(NOISE, line)]
        what = f"certbot failed ({ended(last[-1].strip() if last else 'it said nothing')})"
        remedy = f"{'Check certificates_dns_credentials; ' if acme.dns_plugin else ''}{LOG} says more."
    return f"{wanted.name}: {what}. {kept} {remedy}"


# certbot leaves out the type of the error; the words are those of Boulder, which is Let's Encrypt's.
LIMITED = r"\b(too many (?!requests of a given type).*?)(?= Ask for help| See the logfile| Please see| See https?:|$)"
UNREACHABLE = r"Requesting \S+: |ConnectionError|Max retries exceeded|NameResolutionError|[Tt]imed out"
NOISE = r"Ask for help|See the logfile|Saving debug log|Some challenges have failed|An unexpected error occurred|Hint:"


def challenge(said: str) -> tuple[str, str, str]:
    """Return the first domain that failed, with the kind of the failure and the authority's words; empty if none."""
    found = re.search(r"Domain: +(\S+)\s+Type: +(\S+)\s+Detail: +(.*?)(?=\n\s*\n|\n\s*Domain:|\Z)", said, re.DOTALL)
    return (found[1], found[2], ended(" ".join(found[3].split()))) if found else ("", "", "")


def ended(text: str) -> str:
    """Return a text without its full stop, as it stands in brackets."""
    return text.strip().rstrip(".")


def renewal_file(letsencrypt: Path, name: str) -> Path:
    """Return where certbot keeps how it renews a certificate."""
    return letsencrypt / "renewal" / f"{name}.conf"
