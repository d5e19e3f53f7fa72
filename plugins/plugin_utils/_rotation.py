# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who uses a secret, in which stages it is changed, and the text of the vault at each of them.

Both values are in the vault for as long as either is used, so that whatever interrupts a rotation loses neither.
Nothing here reads, encrypts or writes a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ansible_collections.protostar.platform.plugins.plugin_utils import _secrets, _vault_text
from ansible_collections.protostar.platform.plugins.plugin_utils._vault_text import VARIABLE, VaultTextError

UNDER_WAY = "platform_rotation"
RECORD = "platform_rotated"
APPS = "platform_apps"
# What the role pgvector appends to a user's name for the login that stands in for it.
SUFFIX = "_rotating"
STAGES = {
    "accept": "the old and the new value are valid, and the old one is used",
    "use": "the new value is used",
    "return": "the new value is used with the first login again",
    "close": "the old value is refused",
}
KEPT = {
    "grafana_admin_password": "Grafana reads it once, and keeps it in its own database: change it there "
    "(roles/grafana/README.md), and then in the vault",
}


@dataclass(frozen=True)
class Users:
    """What of one host uses a secret."""

    roles: list[str] = field(default_factory=list)
    apps: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class UnderWay:
    """The rotation that a vault says is under way."""

    secret: str
    stage: str
    old: str
    new: str


def find_users(variables: Mapping[str, Any], secret: str, roles: Iterable[str]) -> Users:
    """Return what uses a secret.

    Args:
        variables: A host's, as they are written.
        secret: Its name.
        roles: Those that run on the host, in their order.

    """
    name = re.escape(secret)
    wanted = rf"\b(?:{VARIABLE}|{UNDER_WAY})(?:\.{name}\b|\[\s*[\"']{name}[\"']\s*\])"
    mine = {key: value for key, value in variables.items() if key not in (VARIABLE, UNDER_WAY, APPS, *_secrets.MAGIC)}
    found: set[str] = set()
    while more := {key for key, value in mine.items() if key not in found and mentions(value, wanted)}:
        found |= more
        wanted = rf"{wanted}|\b(?:{'|'.join(map(re.escape, sorted(found)))})\b"
    known = list(dict.fromkeys(roles))
    apps = variables.get(APPS) if "app" in known else None
    return Users(
        # The role app is run for each of its applications.
        [role for role in known if role != "app" and any(_owner(variable, known) == role for variable in found)],
        sorted(app for app in apps if mentions(apps[app], wanted)) if isinstance(apps, Mapping) else [],
        sorted(variable for variable in found if _owner(variable, known)),
    )


def mentions(value: object, pattern: str) -> bool:
    """Tell whether an expression in `value` matches a pattern."""
    return any(re.search(pattern, text) for text in _secrets.texts(value) if "{{" in text or "{%" in text)


def _owner(variable: str, roles: Iterable[str]) -> str:
    return max((role for role in roles if variable.startswith(f"{role}_")), key=len, default="")


def choose_stages(hosts: Iterable[Mapping[str, Any]], secret: str) -> list[str]:
    """Return the stages in which a secret is changed.

    One that no service takes two values of is replaced at once, by the service first.
    """
    name = rf"\b{UNDER_WAY}\.{re.escape(secret)}"
    hosts = list(hosts)
    if not any(mentions(list(variables.values()), rf"{name}\b") for variables in hosts):
        return ["use"]
    if any(mentions(list(variables.values()), rf"{name}\.suffix\b") for variables in hosts):
        return ["accept", "use", "return", "close"]
    return ["accept", "use", "close"]


def refuse(secret: str, text: str, users: Iterable[Users], issued_elsewhere: Iterable[str]) -> str:
    """Return in a sentence why a secret is not rotated; empty if it may be."""
    under_way = read(text)
    names = _secrets.read_names(text)
    if under_way and under_way.secret != secret:
        return f"the rotation of {under_way.secret} is not finished: run rotate.yml -e secret={under_way.secret} first."
    if secret not in names:
        near = get_close_matches(secret, sorted(names), 1)
        known = f"Did you mean {near[0]}?" if near else f"It has {', '.join(sorted(names)) or 'none'}."
        return (
            f"it has no secret {secret}. {known}"
            if secret
            else f"say which secret: -e secret=<name>. It has {', '.join(sorted(names)) or 'none'}."
        )
    variables = sorted({variable for one in users for variable in one.variables})
    if variables and all(_secrets.matches(variable, issued_elsewhere) for variable in variables):
        return (
            f"{secret} ({', '.join(variables)}) is issued by somebody else: get a new one there, write it with "
            "ansible-vault edit, and run site.yml."
        )
    for variable, why in KEPT.items():
        if variable in variables:
            return f"{secret} ({variable}) is not rotated here. {why}."
    if not any(one.roles or one.apps for one in users):
        return f"no role on main or sub uses {secret}: change it with ansible-vault edit, and where it is used by hand."
    return ""


def read(text: str) -> UnderWay | None:
    """Return the rotation under way.

    Raises:
        VaultTextError: What is said of it was not written by this.

    """
    for secret, entry in _read_line(text, UNDER_WAY).items():
        try:
            old, new = (*entry["passwords"], "", "")[:: max(len(entry["passwords"]) - 1, 1)][:2]
            return UnderWay(secret, entry["stage"], old, new)
        except (TypeError, KeyError):
            raise VaultTextError(f"{UNDER_WAY} is not as rotate.yml writes it.") from None
    return None


def write(
    text: str, secret: str, stage: str, *, decrypt: Callable[[str], str], generate: Callable[[], str] = _secrets.make
) -> str:
    """Return the text of the vault at a stage; it stays as it is if it is there already.

    Raises:
        VaultTextError: It cannot be changed without changing more than was meant.

    """
    under_way = read(text) or UnderWay(secret, "", _read_value(text, secret, decrypt), generate())
    if under_way.stage == stage:
        return text
    # The services take what is in `passwords` besides the secret itself, or in its place.
    entry: dict[str, Any] = {"stage": stage, "passwords": [under_way.old, under_way.new]}
    if stage == "accept":
        return _set_line(text, UNDER_WAY, {secret: entry})
    if stage == "use":
        entry["suffix"] = SUFFIX
    else:
        entry["passwords"] = [under_way.new] if stage == "return" else []
    changed = text if under_way.stage in ("use", "return") else _set_value(text, secret, under_way.new)
    return _set_line(changed, UNDER_WAY, {secret: entry})


def finish(text: str, secret: str, date: str) -> str:
    """Return the text of the vault after the last stage, with the day on which the secret was changed."""
    record = {**_read_line(text, RECORD), secret: date}
    return _set_line(_set_line(text, UNDER_WAY, {}), RECORD, record)


def _read_value(text: str, secret: str, decrypt: Callable[[str], str]) -> str:
    leaves = dict(_vault_text.leaves(_vault_text.find(_vault_text.compose(text))))
    if (secret,) not in leaves:
        raise VaultTextError(f"its secret {secret} has parts. Change it by hand.")
    value = _vault_text.value(leaves[(secret,)], secret, decrypt)
    if _secrets.is_placeholder(value):
        raise VaultTextError(f"its secret {secret} is not there yet. Run secrets.yml, or write it.")
    if "{{" in value or "{%" in value:
        raise VaultTextError(f"its secret {secret} is an expression. Change what that comes from.")
    return value


def _set_value(text: str, secret: str, value: str) -> str:
    root = _vault_text.compose(text)
    leaf = dict(_vault_text.leaves(_vault_text.find(root)))[(secret,)]
    start, end, replacement = _vault_text.replace(text, leaf, value)
    changed = text[:start] + replacement + text[end:]
    _vault_text.verify(root, changed, {(secret,): value})
    return changed


def _read_line(text: str, variable: str) -> dict[str, Any]:
    """Return a variable that this wrote, as JSON in a line of its own."""
    match = re.search(rf"^{variable}:(.*)$", text, re.MULTILINE)
    try:
        value = json.loads(match[1]) if match else {}
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise VaultTextError(f"{variable} is not as rotate.yml writes it.")
    return value


def _set_line(text: str, variable: str, value: Mapping[str, Any]) -> str:
    kept = re.sub(rf"^{variable}:.*(?:\n|\Z)", "", text, flags=re.MULTILINE)
    line = f"{variable}: {json.dumps(value)}\n" if value else ""
    changed = kept + ("" if kept.endswith("\n") or not line else "\n") + line

    def others(text: str) -> dict[Any, Any]:
        return {path: leaf for path, leaf in _vault_text.flatten(_vault_text.compose(text)) if path[0] != variable}

    try:
        same = others(changed) == others(text) and _read_line(changed, variable) == value
    except VaultTextError:
        same = False
    if not same:
        raise VaultTextError(f"{variable} cannot be written at its end without changing something else.")
    return changed
