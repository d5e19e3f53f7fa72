"""What is measured, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

HOST = "protostar-main"
FIRST_UP_TARGET = 15 * 60
SERVICE_CALL_TARGET = 0.150

UP = ["scripts/up"]
SITE = ["ansible-playbook", "playbooks/site.yml"]
USUAL_SITE = ["ansible-playbook", "bench/usual_style/site.yml"]
USUAL_ABSENT = ["ansible-playbook", "bench/usual_style/absent.yml"]
REDIS = ["--tags", "redis"]


def another_setting(number: int) -> list[str]:
    """Return arguments that change a setting of Redis in every round."""
    return ["-e", f"redis_maxmemory={100_000_000 + number}"]


def nothing(_number: int) -> list[str]:
    """Return no arguments, so that every round finds nothing to do."""
    return []


@dataclass(frozen=True)
class Case:
    """A command that is measured.

    Attributes:
        name: What the table calls it.
        command: The command and its arguments.
        target: At most how long it may take, in seconds.
        usual: The same work in the usual style, if that differs.
        arguments: Function of the round's number: further arguments, for both.
        plus_redis_start: Whether the target grows by the time that Redis itself takes to start.
        times: At least how many times as long the usual style must take, if that is a target too.

    """

    name: str
    command: list[str]
    target: float
    usual: list[str] | None = None
    arguments: Callable[[int], list[str]] = nothing
    plus_redis_start: bool = False
    times: float | None = None

    @property
    def changes(self) -> bool:
        """Whether a run must change something; the others must change nothing."""
        return self.arguments is not nothing


CASES = (
    Case("second `make up`", UP, 60),
    Case("`site.yml`, both hosts, nothing to do", SITE, 45, USUAL_SITE, times=4),
    Case("`--tags redis`, nothing to do", [*SITE, *REDIS], 6, [*USUAL_SITE, *REDIS]),
    Case(
        "`--tags redis`, a changed setting",
        [*SITE, *REDIS],
        6,
        [*USUAL_SITE, *REDIS],
        arguments=another_setting,
        plus_redis_start=True,
    ),
)
