# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests to a release as its visitors would make them: to the edge, under the public name."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from urllib.parse import urlsplit

from ansible_collections.protostar.platform.plugins.module_utils._app import Check
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError

PREVIEW = "X-Protostar-Preview"
PROBE = "X-Protostar-Probe"
COLOUR = "X-Protostar-Colour"
_LARGEST_BODY = 1 << 20


class CheckFailed(ServiceError):
    """The answer is not what the check wants."""


class _Tls(http.client.HTTPSConnection):
    """TLS to the edge's address, with the public name in the handshake."""

    def __init__(self, address: str, name: str, timeout: float) -> None:
        super().__init__(address, 443, timeout=timeout)
        self._name = name
        # The edge is on this very host, at an address that no certificate names: it is the route that is checked here.
        self._trust = ssl.create_default_context()
        self._trust.check_hostname = False
        self._trust.verify_mode = ssl.CERT_NONE

    def connect(self) -> None:
        """Connect, and ask for the certificate of the name."""
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self._trust.wrap_socket(plain, server_hostname=self._name)


def ask(check: Check, address: str, headers: dict[str, str], colour: str = "") -> None:
    """Make the request of a check.

    Args:
        check: What to ask, and what must come of it.
        address: Where the edge is.
        headers: More headers.
        colour: The colour that must answer; empty for any.

    Raises:
        CheckFailed: Something else came of it.

    """
    url = urlsplit(check.url)
    name = url.hostname or ""
    connection: http.client.HTTPConnection = (
        _Tls(address, name, check.timeout)
        if url.scheme == "https"
        else http.client.HTTPConnection(address, 80, timeout=check.timeout)
    )
    path = url.path + (f"?{url.query}" if url.query else "")
    what = f"{check.method} {check.url}"
    try:
        connection.request(check.method, path, headers={"Host": name, "User-Agent": "protostar", **headers})
        response = connection.getresponse()
        body = response.read(_LARGEST_BODY).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise CheckFailed(f"{what} was not answered: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if response.status != check.status:
        raise CheckFailed(f"{what} answered {response.status} instead of {check.status}: {_excerpt(body)}")
    if check.body and not re.search(check.body, body):
        raise CheckFailed(f"the answer to {what} does not match '{check.body}': {_excerpt(body)}")
    for header, pattern in check.headers.items():
        if not re.search(pattern, response.headers.get(header, "")):
            raise CheckFailed(
                f"the header {header} of the answer to {what} is '{response.headers.get(header, '')}', which does not "
                f"match '{pattern}'"
            )
    if colour and response.headers.get(COLOUR) != colour:
        raise CheckFailed(f"{what} was answered by {response.headers.get(COLOUR) or 'no app'} instead of {colour}")


def _excerpt(body: str) -> str:
    return " ".join(body.split())[:200] or "an empty answer"
