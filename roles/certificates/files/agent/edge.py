# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nginx in its container: has it read certificates again, and sees which one it shows."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import time
from collections.abc import Iterable

from _certificate import Unreadable, read
from settings import Failed

RUNNING = ["docker", "inspect", "--format", "{{.State.Running}}", "nginx"]
RELOAD = ["docker", "exec", "nginx", "sh", "/etc/nginx/protostar/reload.sh"]
# What a client understands to whom nginx shows its certificate with that kind of key, where it has one of each.
SIGNATURES = {"ecdsa": "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519", "rsa": "RSA-PSS+SHA256:RSA+SHA256"}
PATIENCE = 3  # seconds in which a worker of before may still answer


class Edge:
    """The nginx of this host, which answers at an address."""

    def __init__(self, served_at: tuple[str, int]) -> None:
        self.served_at = served_at

    def runs(self) -> bool:
        """Tell whether there is an nginx. One that does not run reads the certificates when it starts."""
        try:
            done = subprocess.run(RUNNING, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return False
        return done.stdout.strip() == "true"

    def reload(self) -> None:
        """Have it read its certificates again.

        Raises:
            Failed: It does not.

        """
        done = subprocess.run(RELOAD, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "nginx did not reload")

    def check(self, domains: Iterable[str], fingerprint: str, key_type: str, before: str) -> None:
        """See that nginx shows the certificate to who asks for these names. A name without a site is nobody's.

        Args:
            domains: The names.
            fingerprint: SHA-256 of the certificate.
            key_type: The kind of its key: ecdsa or rsa. A site may have one of each, or none yet of this kind.
            before: SHA-256 of the one before it, which must not be shown any more; empty for none.

        Raises:
            Failed: It shows another.

        """
        for name in domains:
            if name.startswith("*"):
                continue
            deadline = time.monotonic() + PATIENCE
            good = {fingerprint, ""}
            while (shown := self.shown(name)) not in good and (
                shown == before or self.shown_for(name, SIGNATURES[key_type]) not in good
            ):
                if time.monotonic() > deadline:
                    raise Failed(f"nginx still shows another certificate for {name}")
                time.sleep(0.2)

    def shown(self, name: str) -> str:
        """Return the SHA-256 of the certificate that nginx shows for a name; empty where it refuses the name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with (
                socket.create_connection(self.served_at, 5) as connection,
                context.wrap_socket(connection, server_hostname=name) as tls,
            ):
                return hashlib.sha256(tls.getpeercert(True) or b"").hexdigest()
        except ssl.SSLError:
            return ""
        except OSError as error:
            where = ":".join(map(str, self.served_at))
            raise Failed(f"nginx does not answer at {where} ({error}); certificates_served_at says where") from error

    def shown_for(self, name: str, signatures: str) -> str:
        """Return the same for a client that understands these signatures only; empty where nginx has none for it.

        Raises:
            Failed: It does not answer.

        """
        host, port = self.served_at
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        asked = ["openssl", "s_client", "-connect", where, "-servername", name, "-sigalgs", signatures]
        try:
            done = subprocess.run(asked, input="", capture_output=True, text=True, check=False, timeout=5)
            return read(done.stdout).fingerprint
        except Unreadable:
            return ""
        except subprocess.TimeoutExpired as error:
            raise Failed(f"nginx does not answer at {where}; certificates_served_at says where") from error
