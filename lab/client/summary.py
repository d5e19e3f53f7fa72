"""What a load came to: what was lost, what the wrong colour answered, how long sessions lived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SESSIONS = ("sse", "websocket")
Line = Mapping[str, Any]


@dataclass(frozen=True)
class Flip:
    """A change of the live colour.

    Attributes:
        app: The application.
        colour: What is live since then.
        begun: Until when it surely was not, in seconds since the epoch.
        done: Since when it surely is.

    """

    app: str
    colour: str
    begun: float
    done: float


@dataclass
class Summary:
    """What became of the requests of a load.

    Attributes:
        total: Requests, without sessions.
        lost: Those that got no whole answer, or a bad one that no application gave: what the platform lost.
        reused: Those of `lost` that were sent over a connection that had served before and got no byte back. It is what
            a reload of nginx does to idle connections; a client that may send again (a GET) does not notice.
        bad: Whole answers of an application itself that are not 2xx.
        wrong: Requests that a colour answered that was not live at any time while they were under way.
        sessions: Every session.
        answers: How many requests each version and colour answered, by application.

    """

    total: int = 0
    lost: list[Line] = field(default_factory=list)
    bad: list[Line] = field(default_factory=list)
    wrong: list[Line] = field(default_factory=list)
    sessions: list[Line] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    retries: int = 0

    @property
    def reused(self) -> list[Line]:
        """The lost requests that met a connection which was just being closed."""
        return [line for line in self.lost if line.get("reused") and line["failed"] in ("unanswered", "reset")]

    def __str__(self) -> str:
        """Return the summary as a person reads it."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        lines = [
            f"{self.total} requests ({kinds}), {len(self.lost)} lost ({len(self.reused)} on a kept connection),"
            f" {len(self.bad)} answered badly by an application, {len(self.wrong)} by the wrong colour",
            *(f"  {', '.join(who)}: {count}" for who, count in sorted(self.answers.items())),
        ]
        for name in ("lost", "bad", "wrong"):
            lines += [f"  {name}: {dict(line)}" for line in getattr(self, name)[:10]]
        return "\n".join(lines)


def summarise(lines: Iterable[Line], flips: Sequence[Flip] = (), mixed: Iterable[str] = ()) -> Summary:
    """Judge the lines of a load.

    Args:
        lines: What the load printed.
        flips: The changes of colour meanwhile, oldest first for each application.
        mixed: Applications of which both colours were allowed all the time (a canary).

    """
    result, allowed = Summary(), set(mixed)
    for line in lines:
        if "kind" not in line:
            continue
        if line["kind"] in SESSIONS and line.get("reason"):
            result.sessions.append(line)
            continue
        result.total += 1
        result.kinds[line["kind"]] += 1
        result.retries += line.get("retries", 0)
        if line.get("colour"):
            result.answers[line["app"], line["version"], line["colour"]] += 1
        if line.get("failed"):
            (result.bad if line["failed"] == "status" and line.get("version") else result.lost).append(line)
        if line.get("colour") and line["app"] not in allowed and not right(line, flips):
            result.wrong.append(line)
    return result


def right(line: Line, flips: Sequence[Flip]) -> bool:
    """Tell whether the colour that answered was live at some time between the request's first byte and its last."""
    own = [flip for flip in flips if flip.app == line["app"]]
    for number, flip in enumerate(own):
        until = own[number + 1].done if number + 1 < len(own) else float("inf")
        if flip.colour == line["colour"] and flip.begun <= line["end"] and line["start"] <= until:
            return True
    # What was live before the first flip is whatever that flip changed.
    return not own or (own[0].colour != line["colour"] and line["start"] <= own[0].done)
