# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An application as a release describes it: what runs in each colour, and how it is judged and drained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._ready import Ready
from ansible_collections.protostar.platform.plugins.module_utils._release import digest

GREEN, BLUE = "green", "blue"
COLOURS = (GREEN, BLUE)
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,29}[a-z0-9])?")


def other(colour: str) -> str:
    """Return the other colour."""
    return BLUE if colour == GREEN else GREEN


@dataclass(frozen=True)
class Migration:
    """A command that brings data to what the release needs; timeout in seconds.

    Attributes:
        kind: `expand` leaves the releases before it working; `contract` takes away what they may need.

    """

    command: tuple[str, ...]
    kind: str
    timeout: float = 300


@dataclass(frozen=True)
class Check:
    """A request and what must come of it; body and headers are regular expressions, timeout is in seconds."""

    url: str
    method: str = "GET"
    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 5


@dataclass(frozen=True)
class CanaryStep:
    """Percent of new visitors, and for how many seconds."""

    weight: int
    seconds: float


@dataclass(frozen=True)
class Canary:
    """How a release meets a part of the requests first; `wait` leaves the rest to a person."""

    steps: tuple[CanaryStep, ...] = ()
    cohort: str = ""
    wait: bool = False

    @property
    def wanted(self) -> bool:
        """Whether there is one at all."""
        return bool(self.steps or self.cohort or self.wait)


@dataclass(frozen=True)
class Bake:
    """What a release may cost after the flip.

    Attributes:
        seconds: How long it is watched.
        errors: Largest share of answers with 5xx.
        latency: Largest 95th percentile in seconds; 0 for no limit.
        minimum: Answers below which nothing is judged.

    """

    seconds: float = 5
    errors: float = 0.01
    latency: float = 0
    minimum: int = 20


@dataclass(frozen=True)
class Drain:
    """How many seconds requests (timeout), WebSockets and event streams (streams) of the old colour have to end."""

    timeout: float = 30
    streams: float = 30


@dataclass(frozen=True)
class Hook:
    """A command on the host, or a URL, that is given the release as JSON before a step."""

    at: str
    command: tuple[str, ...] = ()
    url: str = ""
    timeout: float = 30


@dataclass(frozen=True)
class App:
    """One application of a release."""

    name: str
    image: str
    colours: Mapping[str, Mapping[str, Any]]
    secrets: tuple[Mapping[str, Any], ...] = ()
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    port: int = 0
    migrate: Migration | None = None
    smoke: tuple[Check, ...] = ()
    verify: tuple[Check, ...] = ()
    ready: Ready = field(default_factory=lambda: Ready(successes=3))
    canary: Canary = field(default_factory=Canary)
    bake: Bake = field(default_factory=Bake)
    drain: Drain = field(default_factory=Drain)
    standby: str = "warm"
    keep: int = 3
    hooks: tuple[Hook, ...] = ()
    lock: Mapping[str, str] = field(default_factory=dict)

    def project(self, colour: str) -> str:
        """Return the name of the service, and of the Compose project, of a colour."""
        return project(self.name, colour)

    def compose(self, colour: str) -> dict[str, Any]:
        """Return the Compose mapping of a colour."""
        return dict(self.colours[colour]["compose"])

    @cached_property
    def images(self) -> tuple[str, ...]:
        """Return what is pulled for it, as the lock says."""
        services = (service for colour in COLOURS for service in self.compose(colour)["services"].values())
        return tuple(dict.fromkeys(self.lock.get(str(entry["image"]), str(entry["image"])) for entry in services))

    @cached_property
    def digest(self) -> str:
        """Return what makes it another release: what would run, not how it is judged."""
        return digest(
            [
                {colour: self.compose(colour) for colour in COLOURS},
                [{**entry, "content": digest(str(entry["content"]))} for entry in self.secrets],
                sorted(self.images),
            ]
        )

    def service(self, colour: str, root: str) -> dict[str, Any]:
        """Return the arguments with which the `service` module would run a colour."""
        return {
            "name": self.project(colour),
            "compose": self.compose(colour),
            "overrides": {},
            "files": [],
            "secrets": [dict(entry) for entry in self.secrets],
            "lock": dict(self.lock),
            "validate": [],
            # The colour that is replaced serves nobody.
            "rehearse": False,
            "reload": None,
            "provision": [],
            # The engine's verdict once; the health check itself is run as often as the release wants.
            "ready": {**asdict(self.ready), "successes": 1},
            "keep": 1,
            "root": root,
        }


def project(name: str, colour: str) -> str:
    """Return the name of the service of an application's colour."""
    return f"{name}-{colour}"


def app(entry: Mapping[str, Any], lock: Mapping[str, str]) -> App:
    """Read an application from a module's arguments or from a kept release.

    Raises:
        ServiceError: It contradicts itself; the sentence says where.

    """
    name = str(entry["name"])
    if not _NAME.fullmatch(name):
        raise ServiceError(
            f"the app name '{name}' cannot be used: it takes 1 to 31 lower-case letters, digits and hyphens"
        )
    try:
        made = _made(name, entry, lock)
    except (KeyError, TypeError, AttributeError) as error:
        raise ServiceError(f"{name}: its description lacks or misspells {error}: correct it and run again") from None
    _check_colours(made)
    _check_options(made)
    return made


def _made(name: str, entry: Mapping[str, Any], lock: Mapping[str, str]) -> App:
    migrate = entry.get("migrate")
    smoke = _checks(entry.get("smoke"))
    canary = entry.get("canary") or {}
    return App(
        name=name,
        image=str(entry["image"] or ""),
        colours=entry["colours"] or {},
        secrets=tuple(
            {
                "dest": secret["dest"],
                "content": secret["content"],
                "owner": int(secret.get("owner") or 0),
                "mode": secret.get("mode") or "0400",
            }
            for secret in entry.get("secrets") or ()
        ),
        addresses={colour: tuple(listed) for colour, listed in (entry.get("addresses") or {}).items()},
        port=int(entry.get("port") or 0),
        migrate=Migration(**{**_given(migrate), "command": tuple(migrate["command"])}) if migrate else None,
        smoke=smoke,
        verify=_checks(entry["verify"]) if entry.get("verify") is not None else smoke,
        ready=Ready(**{"successes": 3, **_given(entry.get("ready"))}),
        canary=Canary(
            tuple(CanaryStep(int(step["weight"]), float(step["seconds"])) for step in canary.get("steps") or ()),
            canary.get("cohort") or "",
            bool(canary.get("wait")),
        ),
        bake=Bake(**_given(entry.get("bake"))),
        drain=Drain(**_given(entry.get("drain"))),
        standby=entry.get("standby") or "warm",
        keep=3 if entry.get("keep") is None else int(entry["keep"]),
        hooks=tuple(
            Hook(**{**_given(hook), "command": tuple(hook.get("command") or ())}) for hook in entry.get("hooks") or ()
        ),
        lock=dict(entry.get("lock") or lock),
    )


def _given(options: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (options or {}).items() if value is not None}


def _checks(entries: Iterable[Mapping[str, Any]] | None) -> tuple[Check, ...]:
    return tuple(Check(**_given(entry)) for entry in entries or ())


def _check_colours(made: App) -> None:
    if set(made.colours) != set(COLOURS) or not all((made.colours[colour] or {}).get("compose") for colour in COLOURS):
        raise ServiceError(
            f"{made.name}: its colours are {', '.join(sorted(made.colours)) or 'missing'}; they have to be green and "
            "blue, each with a compose mapping"
        )
    if set(made.addresses) != set(COLOURS) or not all(made.addresses.values()) or not made.port:
        raise ServiceError(f"{made.name}: it needs a port, and addresses of both green and blue")
    if shared := set(made.addresses[GREEN]) & set(made.addresses[BLUE]):
        raise ServiceError(f"{made.name}: green and blue both want {', '.join(sorted(shared))}: give each its own")
    for colour in COLOURS:
        services = made.compose(colour).get("services") or {}
        if not services or any("image" not in (service or {}) for service in services.values()):
            raise ServiceError(f"{made.name}: its {colour} compose has no service, or one without an image")


def _check_options(made: App) -> None:
    if not made.image:
        raise ServiceError(f"{made.name}: no image is named: give one")
    if made.keep < 1:
        raise ServiceError(f"{made.name}: keep is {made.keep}; at least 1 release has to be kept as the way back")
    if empty := [secret["dest"] for secret in made.secrets if not secret["content"]]:
        raise ServiceError(f"{made.name}: the secret {', '.join(empty)} is empty: set it and run again")
    for check in (*made.smoke, *made.verify):
        if not re.match(r"https?://[^/]+/", check.url):
            raise ServiceError(f"{made.name}: the check '{check.url}' is no URL such as https://www.example.com/ready")
        for pattern in (check.body, *check.headers.values()):
            _refuse_bad_pattern(made.name, pattern)
    if any(not 0 <= step.weight <= 100 or step.seconds < 0 for step in made.canary.steps):
        raise ServiceError(f"{made.name}: a canary step needs a weight of 0 to 100 and seconds of at least 0")
    if any(bool(hook.command) == bool(hook.url) for hook in made.hooks):
        raise ServiceError(f"{made.name}: a hook has either a command or a url")


def _refuse_bad_pattern(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ServiceError(f"{name}: '{pattern}' is no regular expression: {error}") from None
