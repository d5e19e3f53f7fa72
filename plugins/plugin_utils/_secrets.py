# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which secrets an inventory needs, which of them a vault lacks, and the vault's text with them.

Nothing here reads, encrypts or writes a file.
"""

from __future__ import annotations

import re
import secrets
import string
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

import yaml
from ansible_collections.protostar.platform.plugins.plugin_utils import _vault_text
from ansible_collections.protostar.platform.plugins.plugin_utils._vault_text import VARIABLE, Path, VaultTextError

LENGTH = 32
MINIMUM = 16  # characters
VARIETY = 5  # different characters
PLACEHOLDER = re.compile(r"(change[ _-]?me|replace[ _-]?me|placeholder|todo|fixme|<.*>)", re.IGNORECASE)
BY_HAND = re.compile(r"<.*>")
# The last part of the options that hold a password which this platform itself sets.
PASSWORD = re.compile(r"(^|_)(password|secret|secret_key)$")
# Variables whose secrets a provider issues: they cannot be made here, and are as long as the provider likes.
ISSUED_ELSEWHERE = ("alertmanager_*", "ddclient_*")
DEFAULTS = re.compile(
    "(admin|administrator|changeit|changeme|default|demo|example|grafana|guest|letmein|loki|minio|minioadmin|operator|pass"
    "|passw0rd|password|postgres|prometheus|qwerty|redis|root|secret|test|toor|user|welcome|123456|12345678|123456789)+[0-9!]*"
)
MAGIC = ("groups", "hostvars", "vars")  # hold what the others hold
HEADER = "---\n# Made by playbooks/secrets.yml, which adds what is missing and changes nothing that is here.\n"
# A reference with a default works without the secret; a call, as in platform_secrets.items(), is none.
REFERENCE = re.compile(
    rf"\b{VARIABLE}(?:\.([A-Za-z_]\w*)\b(?!\s*\()|\[\s*[\"']([A-Za-z_][\w-]*)[\"']\s*\])(?!\s*\|\s*d(?:efault)?\b)"
)


@dataclass(frozen=True)
class Plan:
    """What becomes of a vault."""

    text: str
    made: list[str] = field(default_factory=list)
    by_hand: dict[str, list[str]] = field(default_factory=dict)  # with the variables that refer to it
    weak: dict[str, str] = field(default_factory=dict)  # with what is wrong
    kept: list[str] = field(default_factory=list)  # those that were there, written out


def make() -> str:
    """Return a new secret. It begins with a letter, so that no YAML takes it for a number."""
    alphabet = string.ascii_letters + string.digits
    return secrets.choice(string.ascii_letters) + "".join(secrets.choice(alphabet) for _ in range(LENGTH - 1))


def is_placeholder(value: str) -> bool:
    """Tell whether `value` stands for a secret that is not there yet."""
    return not value.strip() or bool(PLACEHOLDER.fullmatch(value.strip()))


def find_weakness(value: str, names: Collection[str] = ()) -> str:
    """Return what is wrong with the secret `value`, which is called one of `names`; empty for nothing."""
    plain = value.strip().lower()
    if plain in {name.lower() for name in names}:
        return "is its own name"
    if DEFAULTS.fullmatch(plain):
        return "is a default that everybody knows"
    if len(value) < MINIMUM:
        return f"is shorter than {MINIMUM} characters"
    if len(set(value)) < VARIETY:
        return f"has fewer than {VARIETY} different characters"
    return ""


def find_references(variables: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the secrets that the expressions in `variables` need, each with the variables that refer to it."""
    found: dict[str, set[str]] = defaultdict(set)
    for variable, value in variables.items():
        if variable in (VARIABLE, *MAGIC):
            continue
        for text in texts(value):
            if "{{" in text or "{%" in text:
                for match in REFERENCE.finditer(text):
                    found[match[1] or match[2]].add(variable)
    return dict(found)


def texts(value: object) -> Iterator[str]:
    """Yield every text in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for element in value.values():
            yield from texts(element)
    elif isinstance(value, (list, tuple)):
        for element in value:
            yield from texts(element)


def matches(variable: str, patterns: Iterable[str]) -> bool:
    """Tell whether a variable is one of shell patterns."""
    return any(fnmatch(variable, pattern) for pattern in patterns)


def read_names(text: str) -> set[str]:
    """Return the names of the secrets in the text of a vault, placeholders included.

    Raises:
        VaultTextError: The text is not a mapping in YAML.

    """
    node = _vault_text.find(_vault_text.compose(text))
    return {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()


def plan(
    text: str,
    needed: Mapping[str, Iterable[str]],
    *,
    issued_elsewhere: Collection[str] = ISSUED_ELSEWHERE,
    decrypt: Callable[[str], str],
    generate: Callable[[], str] = make,
) -> Plan:
    """Return what becomes of the vault whose text is `text`.

    Args:
        text: YAML with the mapping `platform_secrets`; empty for a vault that is not there.
        needed: The secrets that the inventory refers to, each with the variables that do.
        issued_elsewhere: Shell patterns of variables whose secrets are not for us to make.
        decrypt: Opens a value that is encrypted by itself (`!vault`).
        generate: Returns a new secret.

    Raises:
        VaultTextError: The text cannot be read, or not be changed without changing more than was meant.

    """
    root = _vault_text.compose(text)
    node = _vault_text.find(root)
    if node is not None and not isinstance(node, yaml.MappingNode) and not _vault_text.is_empty(node):
        raise VaultTextError(f"{VARIABLE} is not a mapping of names to secrets.")

    def is_elsewhere(name: str) -> bool:
        variables = list(needed.get(name, ()))
        return bool(variables) and all(matches(one, issued_elsewhere) for one in variables)

    by_hand, weak, kept = {}, {}, []
    edits: list[tuple[int, int, str]] = []
    changes: dict[Path, str] = {}
    for path, leaf in _vault_text.leaves(node):
        name = ".".join(path)
        value = _vault_text.value(leaf, name, decrypt)
        if not is_placeholder(value):
            if leaf.tag not in _vault_text.VAULT_TAGS and "{{" not in value:
                kept.append(name)
            # What an expression comes to, preflight sees.
            problem = "" if "{{" in value or is_elsewhere(path[0]) else find_weakness(value, [name, path[-1]])
            if problem:
                weak[name] = problem
        elif BY_HAND.fullmatch(value.strip()) or is_elsewhere(path[0]):
            by_hand[name] = sorted(needed.get(path[0], ()))
        else:
            changes[path] = generate()
            edits.append(_vault_text.replace(text, leaf, changes[path]))

    present = {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
    added = {}
    for name in sorted(set(needed) - present):
        if is_elsewhere(name):
            by_hand[name] = sorted(needed[name])
        else:
            added[name] = changes[(name,)] = generate()
    if added:
        edits.append(_vault_text.add(text, node, added))

    changed = text
    # From the end, so that the places stay right; of two at one place the later one goes behind.
    for _, (start, end, replacement) in sorted(enumerate(edits), key=lambda pair: (pair[1][0], pair[0]), reverse=True):
        changed = changed[:start] + replacement + changed[end:]
    _vault_text.verify(root, changed, changes)
    return Plan(changed, [".".join(path) for path in changes], by_hand, weak, kept)
