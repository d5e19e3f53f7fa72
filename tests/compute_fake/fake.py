"""What a test holds in its hand."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .api import TOKEN_PATH, Api
from .clock import Clock
from .faults import Fault, Match, Request
from .kind import State
from .operations import Operations
from .seed import plant
from .server import serving
from .session import Session
from .tokens import Tokens
from .world import Json, World

ZONES = ("us-west1-a", "us-west1-b", "us-central1-a", "us-east1-b", "europe-west1-b")
IN_PROCESS = "http://127.0.0.1"


class Fake:
    """A project in the fake.

    Args:
        project: Its name.
        zones: The zones that there are; their regions follow.
        default_network: Whether it has the network ``default`` with Google's usual rules.

    Attributes:
        world: What exists; may be changed by hand.
        clock: The fake's time; ``clock.advance(3600)`` makes tokens expire.
        tokens: Who may come in.
    """

    def __init__(self, project: str, zones: Sequence[str], *, default_network: bool = True) -> None:
        self.clock = Clock()
        self.world = World(project, list(zones))
        self.tokens = Tokens(project, self.clock)
        self._operations = Operations(self.world, self.clock, user=self.tokens.email)
        self._state = State(self.world, self._operations, self.clock)
        self.api = Api(self._state, self.tokens)
        self.url = IN_PROCESS
        plant(self.world, self.clock, default_network=default_network)

    @property
    def endpoint(self) -> str:
        """The API's URL, as in ``http://127.0.0.1:PORT/compute/v1``."""
        return self.url + self.api.document.base

    @property
    def requests(self) -> list[Request]:
        """What was asked so far, but for tokens; ``requests.clear()`` forgets it."""
        return self.api.requests

    @property
    def operation_polls(self) -> float:
        """For how many times that it is asked for an operation stays RUNNING; 0: done at once, math.inf: never."""
        return self._operations.polls

    @operation_polls.setter
    def operation_polls(self, polls: float) -> None:
        self._operations.polls = polls

    @property
    def page_size(self) -> int:
        """How many entries a page of a list has at most: 2 by default, so that whoever reads only one page is found."""
        return self._state.page_size

    @page_size.setter
    def page_size(self, size: int) -> None:
        self._state.page_size = size

    @property
    def guest_attributes(self) -> dict[str, dict[str, str]]:
        """Per instance (``<zone>/<name>``), what the guest reported: values by ``<namespace>/<key>``."""
        return self.world.guest_attributes

    @property
    def kill_after(self) -> int | None:
        """The number of the request from which on connections are closed and nothing is done; None: never.

        Requests are counted from when this is set, from 1. ``killed`` says how many were refused.
        """
        return self.api.kill_after

    @kill_after.setter
    def kill_after(self, number: int | None) -> None:
        self.api.kill(number)

    @property
    def killed(self) -> int:
        """How many requests ``kill_after`` refused."""
        return self.api.killed

    def fault(
        self,
        match: Match = "* *",
        *,
        times: int = 1,
        after: int = 0,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        reason: str | None = None,
        message: str | None = None,
        page: str | None = None,
        drop_request: bool = False,
        drop_reply: bool = False,
        operation_error: str | Json | None = None,
    ) -> Fault:
        """Let something go wrong; see ``Fault`` for the arguments. Its ``seen`` counts the requests that it matched.

        Without a ``status`` the request is carried out if ``drop_reply`` or ``operation_error`` is given, and answered
        by 503 otherwise.
        """
        if status is None and not (drop_request or drop_reply or operation_error):
            status = 503
        fault = Fault(
            match,
            times,
            after,
            status,
            reason,
            message,
            dict(headers or {}),
            page,
            drop_request,
            drop_reply,
            operation_error,
        )
        self.api.faults.append(fault)
        return fault

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        self.api.faults.clear()

    def settle(self) -> None:
        """Let time pass until every operation is done."""
        self._operations.settle()
        self.world.derive()

    def snapshot(self) -> Any:
        """Return a copy of the world, of its operations and of the clock, for ``restore``."""
        return self.world.snapshot(), self._operations.snapshot(), self.clock.offset

    def restore(self, snapshot: Any) -> None:
        """Make the world what it was. Faults, ``kill_after`` and ``requests`` are forgotten."""
        world, operations, self.clock.offset = snapshot
        self.world.restore(world)
        self._operations.restore(operations)
        self.api.faults.clear()
        self.api.kill(None)
        self.requests.clear()

    def service_account(self, path: str | os.PathLike[str]) -> str:
        """Write a service account's file whose ``token_uri`` is the fake's, and return its path."""
        self.tokens.service_account(Path(path), self.url + TOKEN_PATH)
        return str(path)

    def workload_identity(self, path: str | os.PathLike[str]) -> str:
        """Write a credential configuration of workload identity federation, and return its path."""
        self.tokens.workload_identity(Path(path), self.url + TOKEN_PATH)
        return str(path)

    def session(self, *, token: bool = True) -> Session:
        """Return a session that needs no network: any URL whose path begins with the endpoint's is answered.

        Args:
            token: Whether it brings a token of its own, and a new one after a 401.
        """
        return Session(self.api, self.tokens.issue if token else None)


@contextlib.contextmanager
def serve(
    project: str = "shop",
    zones: Sequence[str] = ZONES,
    *,
    port: int = 0,
    latency: float = 0.0,
    default_network: bool = True,
) -> Iterator[Fake]:
    """Run a fake on 127.0.0.1 until the end of the block.

    Args:
        project: Name of the project.
        zones: The zones that there are.
        port: TCP port; 0 takes a free one.
        latency: Seconds that every answer takes longer.
        default_network: Whether the project has the network ``default``.
    """
    fake = Fake(project, zones, default_network=default_network)
    with serving(fake.api, port, latency) as server:
        fake.url = server.url
        fake.api.token_url = server.url + TOKEN_PATH
        yield fake
