# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text of a vault: what is in it, and how a value is changed.

The text is changed at the values and nowhere else, so that comments and order stay, and is compared afterwards with
what it was meant to become.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

VARIABLE = "platform_secrets"
VAULT_TAGS = ("!vault", "!vault-encrypted")

Path = tuple[str, ...]


class VaultTextError(ValueError):
    """The text of a vault cannot be read or changed; the message says why, without the text."""


def compose(text: str) -> yaml.Node | None:
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
        if is_empty(root):
            return None
        raise VaultTextError("it is not a mapping of variables to values.")
    return root


def find(root: yaml.Node | None) -> yaml.Node | None:
    """Return the value of the variable with the secrets."""
    found = None
    for key, value in root.value if root else ():
        found = value if key.value == VARIABLE else found
    return found


def is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def leaves(node: yaml.Node | None, path: Path = ()) -> Iterator[tuple[Path, yaml.ScalarNode]]:
    """Yield the scalars in mappings; of two with one name the last, which is the one that counts."""
    if not isinstance(node, yaml.MappingNode):
        return
    for name, value in {key.value: value for key, value in node.value}.items():
        if isinstance(value, yaml.ScalarNode):
            yield (*path, str(name)), value
        else:
            yield from leaves(value, (*path, str(name)))


def value(leaf: yaml.ScalarNode, name: str, decrypt: Callable[[str], str]) -> str:
    if leaf.tag in VAULT_TAGS:
        try:
            return decrypt(leaf.value)
        except ValueError:
            raise VaultTextError(f"its value {name}, which is encrypted by itself, cannot be opened.") from None
    return "" if is_empty(leaf) else str(leaf.value)


def replace(text: str, leaf: yaml.ScalarNode, value: str) -> tuple[int, int, str]:
    start, end = leaf.start_mark.index, leaf.end_mark.index
    if start == end:
        return start, end, f" {value}"
    return start, end, value + ("\n" if text[start:end].endswith("\n") else "")


def add(text: str, node: yaml.Node | None, added: Mapping[str, str]) -> tuple[int, int, str]:
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


def verify(before: yaml.Node | None, text: str, changes: Mapping[Path, str]) -> None:
    """Refuse a text that differs from the one before in more than `changes`."""
    expected = dict(flatten(before))
    if changes:
        expected.pop((VARIABLE,), None)  # it was empty, and is a mapping now
    expected |= {(VARIABLE, *path): ("tag:yaml.org,2002:str", value) for path, value in changes.items()}
    try:
        found = dict(flatten(compose(text)))
    except VaultTextError:
        found = {}
    if found != expected:
        raise VaultTextError(
            f"what is missing cannot be written into it without changing something else. Write {VARIABLE} with one "
            "name and value on each line, without anchors and aliases."
        )


def flatten(node: yaml.Node | None, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], tuple[str, Any]]]:
    if isinstance(node, yaml.MappingNode):
        if not node.value and path:
            yield path, (node.tag, "{}")
        for key, value in node.value:
            yield from flatten(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from flatten(value, (*path, index))
    elif node is not None:
        yield path, (node.tag, node.value)
