# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests to Compute Engine: tried again where that helps, paged, and waited for until their operations are done."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from ansible_collections.protostar.platform.plugins.module_utils import _gce_errors as errors
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._gce_steps import Call

# Google ends a wait after two minutes: https://cloud.google.com/compute/docs/reference/rest/v1/zoneOperations/wait
_WAIT_TIME = 130.0
_ANSWER_TIME = 60.0
# For how long nothing at all may answer, in seconds: a network that is down is told soon.
_SILENCE = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_PAGE = "500"


class Answer(Protocol):
    """An HTTP answer."""

    @property
    def status(self) -> int:
        """Return the HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the headers."""

    @property
    def document(self) -> Any:  # noqa: ANN401  whatever JSON was answered
        """Return the body."""


class Sender(Protocol):
    """Sends one request, once."""

    def send(
        self, method: str, url: str, params: Mapping[str, str], body: Mapping[str, Any] | None, timeout: float
    ) -> Answer:
        """Send it; raises `Unreachable` if no answer comes."""


class Session:
    """Compute Engine, for one project and one run.

    Args:
        http: Sends requests.
        endpoint: The API's address, without a slash at its end.
        project: The project.
        zone: The relay's zone, for messages.
        timeout: How long the run may take, in seconds.
        sleep: Waits.
        clock: Tells seconds.
        chance: Returns a number from 0 to 1, so that several runs do not come back at once.

    Attributes:
        reads: How many requests were sent that change nothing, waits for operations among them.
        writes: How many were sent that change something.

    """

    def __init__(
        self,
        http: Sender,
        endpoint: str,
        *,
        project: str,
        zone: str,
        timeout: float,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._http = http
        self._endpoint = endpoint
        self._project = project
        self._zone = zone
        self._timeout = timeout
        self._sleep = sleep
        self._clock = clock
        self._chance = chance
        self._end = clock() + timeout
        self.reads = 0
        self.writes = 0

    def get(self, path: str, params: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Return a resource; None if it does not exist.

        Args:
            path: From the scope on, such as "zones/us-west1-b/instances/x".
            params: The query.

        Raises:
            GoogleError: Google refuses.
            Overdue: The run's time is over.

        """
        try:
            return self._ask("GET", path, params or {}, None, f"read {path}")
        except errors.Conflict as error:
            if error.status == 404:
                return None
            raise

    def everywhere(self, collection: str, key: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield all resources of a kind in the project, page by page.

        Args:
            collection: Such as "addresses".
            key: The collection's name within a scope, if it differs.

        """
        params = {"maxResults": _PAGE}
        while True:
            page = self._ask("GET", f"aggregated/{collection}", params, None, f"list the {collection}")
            for scope in (page.get("items") or {}).values():
                yield from scope.get(key or collection) or ()
            if not page.get("nextPageToken"):
                return
            params = {**params, "pageToken": page["nextPageToken"]}

    def write(self, call: Call, action: str) -> None:
        """Change something, and wait until that is done.

        The request ID is the same for each try, so that one whose answer was lost is not carried out twice.

        Args:
            call: The request.
            action: What it does, for messages.

        Raises:
            Conflict: The world is not as it was read.
            GoogleError: Google refuses, or the operation failed.
            Overdue: The run's time is over.

        """
        params = {**call.params, "requestId": str(uuid.uuid4())}
        operation = self._ask(call.method, f"{call.scope}/{call.path}", params, call.body, action)
        pause = _FIRST_PAUSE
        while operation.get("status") != "DONE":
            path = f"{call.scope}/operations/{operation['name']}/wait"
            began = self._clock()
            operation = self._ask("POST", path, {}, None, action, wait=True)
            # It usually answers when the operation is done, but may do so at once.
            if operation.get("status") != "DONE" and self._clock() - began < pause:
                self._pause(pause, action)
                pause = min(2 * pause, _LONGEST_PAUSE)
        if failed := errors.operation_error(operation):
            reason, message, status = failed
            raise errors.failure(
                action, status, reason, message, project=self._project, zone=self._zone, operation=True
            )

    def pause(self, attempt: int, action: str) -> None:
        """Wait before another look, longer each time; raises `Overdue` if that is longer than the run may take."""
        self._pause(self._back_off(attempt), action)

    def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        body: Mapping[str, Any] | None,
        action: str,
        *,
        wait: bool = False,
    ) -> dict[str, Any]:
        """Send a request until it is answered with success or with an error that stays."""
        url = f"{self._endpoint}/projects/{self._project}/{path}"
        silent_since: float | None = None
        attempt = 0
        while True:
            remaining = self._end - self._clock()
            if remaining <= 0:
                raise self._overdue(action)
            if method == "GET" or wait:
                self.reads += 1
            else:
                self.writes += 1
            try:
                answer = self._http.send(
                    method, url, params, body, min(remaining, _WAIT_TIME if wait else _ANSWER_TIME)
                )
            except errors.Unreachable as error:
                silent_since = self._clock() if silent_since is None else silent_since
                pause = self._back_off(attempt)
                if self._clock() + pause > min(silent_since + _SILENCE, self._end):
                    raise ServiceError(
                        f"Could not {action}: {self._endpoint} does not answer ({error}); check this machine's way to "
                        "it, a proxy (HTTPS_PROXY) included, and run again."
                    ) from None
            else:
                silent_since = None
                if 200 <= answer.status < 300 and isinstance(answer.document, dict):
                    return answer.document
                reason, message = errors.reason_of(answer.document)
                refusal = errors.failure(action, answer.status, reason, message, project=self._project, zone=self._zone)
                unreadable = 200 <= answer.status < 300
                if not errors.transient(answer.status, reason) and not unreadable:
                    raise refusal
                pause = max(_retry_after(answer.headers), self._back_off(attempt))
                if self._clock() + pause > self._end:
                    raise refusal
            attempt += 1
            self._sleep(pause)

    def _back_off(self, attempt: int) -> float:
        return min(_FIRST_PAUSE * 2 ** min(attempt, 10), _LONGEST_PAUSE) * (0.5 + self._chance() / 2)

    def _pause(self, seconds: float, action: str) -> None:
        if self._clock() + seconds > self._end:
            raise self._overdue(action)
        self._sleep(seconds)

    def _overdue(self, action: str) -> errors.Overdue:
        return errors.Overdue(
            f"Could not {action} within {self._timeout:g} s: Google may still be at it; run again, with a longer "
            "timeout if it comes back."
        )


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return how long the server asks to be left alone, in seconds: RFC 9110, 10.2.3."""
    text = headers.get("Retry-After", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(timezone.utc)).total_seconds())
    except (TypeError, ValueError):
        return 0.0
