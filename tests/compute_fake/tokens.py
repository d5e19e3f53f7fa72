"""The token endpoint, and who may come in."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .clock import Clock
from .errors import unauthenticated

LIFETIME = 3600  # seconds
BEARER_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLE = "https://oauth2.googleapis.com/token"  # google-auth signs for this one, wherever it asks
EXCHANGE_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/compute")
POOL = "//iam.googleapis.com/projects/100200300400/locations/global/workloadIdentityPools/pool/providers/provider"


class Refused(Exception):
    """Why the endpoint gives no token.

    Args:
        code: OAuth's, as in ``invalid_grant``.
        description: A sentence.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code

    def body(self) -> dict[str, str]:
        """Return the answer's JSON."""
        return {"error": self.code, "error_description": str(self)}


@cache
def key() -> rsa.RSAPrivateKey:
    """Return the account's key, made once for all fakes of a process: making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Tokens:
    """Tokens that were given, and the account that may ask for them.

    Attributes:
        enabled: Whether the account still exists.
        given: How many tokens there were.
    """

    def __init__(self, project: str, clock: Clock) -> None:
        self.project = project
        self.clock = clock
        self.email = f"protostar@{project}.iam.gserviceaccount.com"
        self.key_id = "5f0c8a5de1b04a2c9f61d27f3c8e4b7a90d6c1e2"
        self.enabled = True
        self.given = 0
        self._subject = secrets.token_urlsafe(24)
        self._expiry: dict[str, float] = {}

    def issue(self) -> str:
        """Return a new token."""
        self.given += 1
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self._expiry[token] = self.clock.now() + LIFETIME
        return token

    def check(self, header: str | None) -> None:
        """Let a request in, by its Authorization header.

        Raises:
            ApiError: 401.
        """
        if not header:
            raise unauthenticated("CREDENTIALS_MISSING")
        scheme, _, token = header.partition(" ")
        if scheme != "Bearer" or token not in self._expiry:
            raise unauthenticated("ACCESS_TOKEN_TYPE_UNSUPPORTED")
        if self._expiry[token] <= self.clock.now():
            raise unauthenticated("ACCESS_TOKEN_EXPIRED")

    def answer(self, form: Mapping[str, str], endpoint: str) -> dict[str, Any]:
        """Answer a request for a token.

        Args:
            form: The request's fields.
            endpoint: URL of the endpoint, which the request must be meant for.

        Raises:
            Refused: with OAuth's code.
        """
        if form.get("grant_type") == BEARER_GRANT:
            self._check_assertion(form.get("assertion", ""), endpoint)
        elif form.get("grant_type") == EXCHANGE_GRANT:
            self._check_exchange(form)
        else:
            raise Refused("unsupported_grant_type", "Invalid grant_type.")
        answer = {"access_token": self.issue(), "expires_in": LIFETIME - 1, "token_type": "Bearer"}
        if form["grant_type"] == EXCHANGE_GRANT:
            answer["issued_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
        return answer

    def _check_assertion(self, assertion: str, endpoint: str) -> None:
        """Check a signed JWT (RFC 7523)."""
        try:
            head, claims, signature = assertion.split(".")
            header, said = json.loads(_decode(head)), json.loads(_decode(claims))
            key().public_key().verify(
                _decode(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except InvalidSignature:
            raise Refused("invalid_grant", "Invalid JWT Signature.") from None
        except (ValueError, binascii.Error):
            raise Refused("invalid_grant", "Bad Request") from None
        if header.get("alg") != "RS256" or header.get("kid") != self.key_id:
            raise Refused("invalid_grant", "Invalid JWT Signature.")
        if said.get("iss") != self.email or not self.enabled:
            raise Refused("invalid_grant", "Invalid grant: account not found")
        if said.get("aud") not in (endpoint, GOOGLE):
            raise Refused("invalid_grant", "Invalid JWT: aud does not match.")
        # The caller's clock is the machine's, whatever a test added to the fake's.
        now, begin, end = time.time(), said.get("iat", 0), said.get("exp", 0)
        if not (begin - 300 <= now < end and end - begin <= LIFETIME):
            raise Refused("invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)")
        scopes = said.get("scope", "").split()
        if not scopes or not set(scopes) <= set(SCOPES):
            raise Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")

    def _check_exchange(self, form: Mapping[str, str]) -> None:
        """Check the exchange of another identity's token (RFC 8693), as workload identity federation does."""
        if form.get("audience") != POOL:
            raise Refused("invalid_request", "Invalid value for audience.")
        if not self.enabled or not secrets.compare_digest(form.get("subject_token", ""), self._subject):
            raise Refused("invalid_grant", "The subject token is not valid.")

    def service_account(self, path: Path, endpoint: str) -> None:
        """Write the account's file, as Google's console offers it."""
        private = key().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": self.key_id,
            "private_key": private.decode(),
            "client_email": self.email,
            "client_id": "100000000000000000001",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": endpoint,
            "universe_domain": "googleapis.com",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(account, indent=2))

    def workload_identity(self, path: Path, endpoint: str) -> None:
        """Write a credential configuration of workload identity federation, and the token that it names, beside it."""
        subject = path.with_name(path.name + ".token")
        subject.touch(mode=0o600)
        subject.write_text(self._subject)
        configuration = {
            "type": "external_account",
            "audience": POOL,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": endpoint,
            "credential_source": {"file": str(subject)},
            "universe_domain": "googleapis.com",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(configuration, indent=2))


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
