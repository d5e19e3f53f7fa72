# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Prometheus is told, by the text files that node_exporter reads."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from settings import Settings
from swap import in_force

EXPIRY = "protostar_certificate_not_after_timestamp_seconds"
ATTEMPT = "protostar_certificate_renewal_attempt_timestamp_seconds"
SUCCESS = "protostar_certificate_renewal_success"
HELP = {
    EXPIRY: "When the certificate in force ends.",
    ATTEMPT: "When certbot last looked for what it has to renew.",
    SUCCESS: "Whether everything was renewed then that had to be, and is in force.",
}


def write(settings: Settings, attempt: tuple[float, bool] | None = None) -> None:
    """Write the metrics of this host; without a new attempt that of before stays."""
    file = settings.metrics / "certificates.prom"
    attempt = attempt or before(file)
    found = {wanted: in_force(settings, wanted.name) for wanted in settings.certificates}
    values = {
        f'{EXPIRY}{{certificate="{wanted.name}",source="{wanted.source}"}}': certificate.not_after
        for wanted, certificate in found.items()
        if certificate
    }
    if attempt and any(wanted.source == "acme" for wanted in settings.certificates):
        values |= {ATTEMPT: attempt[0], SUCCESS: float(attempt[1])}
    lines = [
        line
        for name, text in HELP.items()
        if (own := [f"{key} {value:.0f}" for key, value in values.items() if key.partition("{")[0] == name])
        for line in (f"# HELP {name} {text}", f"# TYPE {name} gauge", *own)
    ]
    settings.metrics.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor, new = tempfile.mkstemp(dir=settings.metrics, prefix=".certificates.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        os.fchmod(descriptor, 0o644)
        opened.write("\n".join([*lines, ""]))
    Path(new).replace(file)


def before(file: Path) -> tuple[float, bool] | None:
    """Read when certbot was last asked, and whether that went well."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError:
        return None
    found = {key: float(value) for key, value in re.findall(rf"^({ATTEMPT}|{SUCCESS}) (\S+)$", text, re.MULTILINE)}
    return (found[ATTEMPT], bool(found[SUCCESS])) if len(found) == 2 else None
