# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which secrets an inventory needs, which of them a vault lacks, and the vault's text with them.

The text is changed at the values and nowhere else, so that comments and order stay, and is compared afterwards with
what it was meant to become. Nothing here reads, encrypts or writes a file.
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

VARIABLE = "platform_secrets"
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
VAULT_TAGS = ("!vault", "!vault-encrypted")

Path = tuple[str, ...]


class VaultTextError(ValueError):
    """The text of a vault cannot be read or changed; the message says why, without the text."""


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
        for text in _texts(value):
            if "{{" in text or "{%" in text:
                for match in REFERENCE.finditer(text):
                    found[match[1] or match[2]].add(variable)
    return dict(found)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for element in value.values():
            yield from _texts(element)
    elif isinstance(value, (list, tuple)):
        for element in value:
            yield from _texts(element)


def read_names(text: str) -> set[str]:
    """Return the names of the secrets in the text of a vault, placeholders included.

    Raises:
        VaultTextError: The text is not a mapping in YAML.

    """
    node = _find(_compose(text))
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
    root = _compose(text)
    node = _find(root)
    if node is not None and not isinstance(node, yaml.MappingNode) and not _is_empty(node):
        raise VaultTextError(f"{VARIABLE} is not a mapping of names to secrets.")

    def is_elsewhere(name: str) -> bool:
        variables = list(needed.get(name, ()))
        return bool(variables) and all(any(fnmatch(one, pattern) for pattern in issued_elsewhere) for one in variables)

    by_hand, weak, kept = {}, {}, []
    edits: list[tuple[int, int, str]] = []
    changes: dict[Path, str] = {}
    for path, leaf in _leaves(node):
        name = ".".join(path)
        value = _value(leaf, name, decrypt)
        if not is_placeholder(value):
            if leaf.tag not in VAULT_TAGS and "{{" not in value:
                kept.append(name)
            # What an expression comes to, preflight sees.
            problem = "" if "{{" in value or is_elsewhere(path[0]) else find_weakness(value, [name, path[-1]])
            if problem:
                weak[name] = problem
        elif BY_HAND.fullmatch(value.strip()) or is_elsewhere(path[0]):
            by_hand[name] = sorted(needed.get(path[0], ()))
        else:
            changes[path] = generate()
            edits.append(_replace(text, leaf, changes[path]))

    present = {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
    added = {}
    for name in sorted(set(needed) - present):
        if is_elsewhere(name):
            by_hand[name] = sorted(needed[name])
        else:
            added[name] = changes[(name,)] = generate()
    if added:
        edits.append(_add(text, node, added))

    changed = text
    # From the end, so that the places stay right; of two at one place the later one goes behind.
    for _, (start, end, replacement) in sorted(enumerate(edits), key=lambda pair: (pair[1][0], pair[0]), reverse=True):
        changed = changed[:start] + replacement + changed[end:]
    _verify(root, changed, changes)
    return Plan(changed, [".".join(path) for path in changes], by_hand, weak, kept)


def _compose(text: str) -> yaml.Node | None:
    """Return the root of a YAML text, which is a mapping or nothing."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        # Its text would show the lines around, with what is secret in them.
        mark = error.problem_mark or error.context_mark
        where = f" near line {mark.line + 1}" if mark else ""
        raise VaultTextError(f"it is not valid YAML{where}.") from None
    except (yaml.YAMLError, RecursionError):
        raise VaultTextError("it is not valid YAML.") from None
    if root is not None and not isinstance(root, yaml.MappingNode):
        if _is_empty(root):
            return None
        raise VaultTextError("it is not a mapping of variables to values.")
    return root


def _find(root: yaml.Node | None) -> yaml.Node | None:
    """Return the value of the variable with the secrets."""
    found = None
    for key, value in root.value if root else ():
        found = value if key.value == VARIABLE else found
    return found


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _leaves(node: yaml.Node | None, path: Path = ()) -> Iterator[tuple[Path, yaml.ScalarNode]]:
    """Yield the scalars in mappings; of two with one name the last, which is the one that counts."""
    if not isinstance(node, yaml.MappingNode):
        return
    for name, value in {key.value: value for key, value in node.value}.items():
        if isinstance(value, yaml.ScalarNode):
            yield (*path, str(name)), value
        else:
            yield from _leaves(value, (*path, str(name)))


def _value(leaf: yaml.ScalarNode, name: str, decrypt: Callable[[str], str]) -> str:
    if leaf.tag in VAULT_TAGS:
        try:
            return decrypt(leaf.value)
        except ValueError:
            raise VaultTextError(f"its value {name}, which is encrypted by itself, cannot be opened.") from None
    return "" if _is_empty(leaf) else str(leaf.value)


def _replace(text: str, leaf: yaml.ScalarNode, value: str) -> tuple[int, int, str]:
    start, end = leaf.start_mark.index, leaf.end_mark.index
    if start == end:
        return start, end, f" {value}"
    return start, end, value + ("\n" if text[start:end].endswith("\n") else "")


def _add(text: str, node: yaml.Node | None, added: Mapping[str, str]) -> tuple[int, int, str]:
    """Return the edit that adds secrets behind those that are there."""
    pairs = [f"{name}: {value}" for name, value in added.items()]
    if node is None:
        before = "" if not text or text.endswith("\n") else "\n"
        return len(text), len(text), f"{before}{VARIABLE}:\n" + "".join(f"  {pair}\n" for pair in pairs)
    if not isinstance(node, yaml.MappingNode):
        return node.start_mark.index, node.end_mark.index, "".join(f"\n  {pair}" for pair in pairs)
    if node.flow_style:
        place = node.end_mark.index - 1
        comma = ", " if node.value and not text[:place].rstrip().endswith(",") else ""
        return place, place, comma + ", ".join(pairs)
    indent = " " * node.value[0][0].start_mark.column
    last = node.value[-1][1]
    if last.flow_style if isinstance(last, yaml.CollectionNode) else last.style not in ("|", ">"):
        end = text.find("\n", last.end_mark.index)
        place = len(text) if end < 0 else end - text[:end].endswith("\r")
        return place, place, "".join(f"\n{indent}{pair}" for pair in pairs)
    # Where a block ends cannot be told from its marks; where the first name begins can.
    first = node.value[0][0].start_mark.index
    return first, first, "".join(f"{pair}\n{indent}" for pair in pairs)


def _verify(before: yaml.Node | None, text: str, changes: Mapping[Path, str]) -> None:
    """Refuse a text that differs from the one before in more than `changes`."""
    expected = dict(_flatten(before))
    if changes:
        expected.pop((VARIABLE,), None)  # it was empty, and is a mapping now
    expected |= {(VARIABLE, *path): ("tag:yaml.org,2002:str", value) for path, value in changes.items()}
    try:
        found = dict(_flatten(_compose(text)))
    except VaultTextError:
        found = {}
    if found != expected:
        raise VaultTextError(
            f"what is missing cannot be written into it without changing something else. Write {VARIABLE} with one "
            "name and value on each line, without anchors and aliases."
        )


def _flatten(node: yaml.Node | None, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], tuple[str, Any]]]:
    if isinstance(node, yaml.MappingNode):
        if not node.value and path:
            yield path, (node.tag, "{}")
        for key, value in node.value:
            yield from _flatten(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _flatten(value, (*path, index))
    elif node is not None:
        yield path, (node.tag, node.value)
