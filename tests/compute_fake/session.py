"""Requests without a network, for tests that make thousands."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from .api import Api, Dropped, Reply

try:
    from requests.exceptions import ConnectionError as Disconnected
    from requests.exceptions import HTTPError
except ImportError:
    Disconnected, HTTPError = ConnectionError, OSError  # type: ignore[misc,assignment]


class Headers(dict[str, str]):
    """Headers, found whatever the case of their letters."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__({name.lower(): value for name, value in values.items()})

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:
        """Return a header, or the default."""
        return super().get(name.lower(), default)


class Response:
    """An answer, with what callers use of the class of this name in ``requests``."""

    def __init__(self, reply: Reply, method: str, url: str) -> None:
        self.status_code = reply.status
        self.text = reply.text
        self.content = reply.text.encode()
        self.headers = Headers({"Content-Type": reply.kind, **reply.headers})
        self.url = url
        self.reason = ""
        self.request = method
        self.ok = reply.status < 400

    def json(self) -> Any:
        """Return the body's JSON.

        Raises:
            ValueError: when it is none.
        """
        return jsonlib.loads(self.text)

    def raise_for_status(self) -> None:
        """Raise for an error.

        Raises:
            HTTPError: from status 400.
        """
        if not self.ok:
            raise HTTPError(f"{self.status_code} for {self.url}")

    def close(self) -> None:
        """Do nothing."""


def _with(url: str, params: Mapping[str, Any] | None) -> str:
    given = urlencode({name: value for name, value in (params or {}).items() if value is not None})
    return f"{url}{'&' if '?' in url else '?'}{given}" if given else url


class Session:
    """A session like that of ``requests``, or like google-auth's AuthorizedSession: it brings its own token.

    Args:
        api: What answers.
        renew: Gives a token.
    """

    def __init__(self, api: Api, renew: Callable[[], str] | None) -> None:
        self._api = api
        self._renew = renew
        self._token = renew() if renew else None

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | tuple[float, float] | None = None,
        json: Any = None,
        **_: Any,
    ) -> Response:
        """Make a request; arguments are those of ``requests``.

        Raises:
            requests.exceptions.ConnectionError: when the fake closes the connection.
        """
        body = jsonlib.dumps(json).encode() if json is not None else data.encode() if isinstance(data, str) else data
        response = self._once(method, _with(url, params), headers or {}, body)
        if response.status_code == 401 and self._renew and "Authorization" not in (headers or {}):
            self._token = self._renew()
            response = self._once(method, _with(url, params), headers or {}, body)
        return response

    def _once(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        sent = dict(headers)
        if self._token:
            sent.setdefault("Authorization", f"Bearer {self._token}")
        try:
            reply = self._api.answer(method.upper(), parts.path, query, sent, body)
        except Dropped:
            raise Disconnected("Connection aborted: the fake closed it without an answer") from None
        return Response(reply, method, url)

    def get(self, url: str, **arguments: Any) -> Response:
        """Make a GET request."""
        return self.request("GET", url, **arguments)

    def post(self, url: str, **arguments: Any) -> Response:
        """Make a POST request."""
        return self.request("POST", url, **arguments)

    def put(self, url: str, **arguments: Any) -> Response:
        """Make a PUT request."""
        return self.request("PUT", url, **arguments)

    def patch(self, url: str, **arguments: Any) -> Response:
        """Make a PATCH request."""
        return self.request("PATCH", url, **arguments)

    def delete(self, url: str, **arguments: Any) -> Response:
        """Make a DELETE request."""
        return self.request("DELETE", url, **arguments)

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""
