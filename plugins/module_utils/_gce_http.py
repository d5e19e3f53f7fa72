# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Authorised requests over google-auth and requests, the only place that knows these two libraries."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import encrypted
from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import Unreachable, refused_credentials

try:
    import google.auth
    from google.auth import credentials as google_credentials
    from google.auth import exceptions
    from google.auth.transport.requests import AuthorizedSession
    from requests import exceptions as request_exceptions
except ImportError as error:
    MISSING: str = "google-auth and requests"
    """What is not installed; empty if nothing is missing."""
    WHY_MISSING = str(error)
else:
    MISSING = WHY_MISSING = ""

# The narrowest one that changes instances and networks: https://developers.google.com/identity/protocols/oauth2/scopes
SCOPES = ("https://www.googleapis.com/auth/compute",)
_CONNECT_TIME = 10.0
_DEFAULT = "the application default credentials"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        headers: By name, which is compared without regard to case.
        document: Its JSON; None if it is something else.

    """

    status: int
    headers: Mapping[str, str]
    document: Any


class Http:
    """Sends requests, with an access token and over a connection that are kept.

    Args:
        session: An AuthorizedSession of google-auth.
        source: Where its credentials are from, for messages.

    """

    def __init__(self, session: AuthorizedSession, source: str = _DEFAULT) -> None:
        self._session = session
        self._source = source

    def send(
        self, method: str, url: str, params: Mapping[str, str], body: Mapping[str, Any] | None, timeout: float
    ) -> Answer:
        """Send a request.

        Args:
            method: HTTP method.
            url: Where to.
            params: The query.
            body: What is sent as JSON; None for nothing.
            timeout: How long the answer may take, in seconds.

        Raises:
            ServiceError: The credentials give no access token.
            Unreachable: No answer came.

        """
        try:
            response = self._session.request(
                method, url, params=dict(params), json=body, timeout=(min(_CONNECT_TIME, timeout), timeout)
            )
        except exceptions.RefreshError as error:
            if error.retryable:
                raise Unreachable(_told(error)) from error
            raise refused_credentials(_told(error), self._source) from None
        except (exceptions.TransportError, exceptions.TimeoutError, request_exceptions.RequestException) as error:
            raise Unreachable(_told(error)) from error
        except exceptions.GoogleAuthError as error:
            raise refused_credentials(_told(error), self._source) from None
        try:
            document = response.json() if response.content else None
        except ValueError:
            document = None
        return Answer(response.status_code, response.headers, document)


def connect(endpoint: str, file: str | None) -> Http:
    """Return what sends requests to the API.

    Args:
        endpoint: The API's address.
        file: A file with credentials: a service account's key, or a configuration of workload identity federation; None
            for the application default credentials.

    Raises:
        ServiceError: There are no usable credentials.

    """
    # Nothing that opens a real project goes over an unencrypted connection by itself.
    if file or encrypted(endpoint):
        session = AuthorizedSession(_load(file))
    else:
        session = AuthorizedSession(google_credentials.AnonymousCredentials(), refresh_status_codes=())
    session.headers["User-Agent"] = "protostar-platform-relay"
    if not encrypted(endpoint):
        session.trust_env = False  # a proxy is not for the loopback address
    return Http(session, f"the file {file}" if file else _DEFAULT)


def _load(file: str | None) -> google_credentials.Credentials:
    """Return credentials of a file, or else the application default ones.

    A file that cannot be read is told without anything of what is in it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they go to standard error, which belongs to Ansible
        try:
            found, _project = google.auth.load_credentials_from_file(file) if file else google.auth.default()
            # Scopes given before make the library ask for the name of a federation's project, over the network.
            return google_credentials.with_scopes_if_required(found, SCOPES)
        except (exceptions.GoogleAuthError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            if file is None:
                raise ServiceError(
                    "There are no application default credentials on the machine that runs this module: set "
                    "service_account_file, or run 'gcloud auth application-default login' there, or let "
                    "GOOGLE_APPLICATION_CREDENTIALS name a key or a configuration of workload identity federation."
                ) from None
            why = type(error).__name__ if not isinstance(error, OSError) else error.strerror
            raise ServiceError(
                f"service_account_file {file} holds no credentials that can be used ({why}): set it to the JSON file "
                "of a service account's key, or of workload identity federation, on the machine that runs this module "
                "(with delegate_to: localhost, the controller)."
            ) from None


def _told(error: Exception) -> str:
    """Return what a library says, shortened to its first words: it may quote a whole answer."""
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.split())[:200]
