# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that finds the newest tag of an image's flavour."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

DOCUMENTATION = r"""
name: newest_tag
short_description: Find the newest tag of the same flavour
version_added: 0.2.0
description:
  - Of the tags of a repository, returns the one with the highest version among those that look like the tag in use.
    They have the same words before and after a version of as many parts.
  - For C(8.2.9-bookworm) that is C(8.4.0-bookworm), but neither C(8.4.0) nor C(8.5-bookworm) nor C(9.0.0-rc1-bookworm).
  - A hash at the end, as many builds have it, may differ.
options:
  _input:
    description: Tags of the repository.
    type: list
    elements: str
    required: true
  tag:
    description: The tag in use.
    type: str
    required: true
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: Newest tag
  ansible.builtin.debug:
    msg: "{{ ['8.2.9-bookworm', '8.4.0-bookworm', '8.6.0'] | protostar.platform.newest_tag('8.2.9-bookworm') }}"
"""

RETURN = r"""
_value:
  description: The newest tag; the tag in use if there is no newer one, or if it has no version.
  type: str
"""

# A date and time, as MinIO's tags have it, or numbers with points between them.
VERSION = re.compile(r"(?P<before>[A-Za-z.]*?)(?P<version>\d+(?:-\d\d-\d\dT[\d-]+Z|(?:\.\d+)*))(?P<after>(?![\w.]).*)")
HASH = re.compile(r"-[0-9a-f]{7,64}$")


def read(tag: str) -> tuple[tuple[str, int, str], tuple[int, ...]] | None:
    """Return what `tag` looks like, and its version; None if it has none."""
    found = VERSION.fullmatch(tag)
    if not found:
        return None
    version = tuple(int(part) for part in re.findall(r"\d+", found["version"]))
    return (found["before"], len(version), HASH.sub("", found["after"])), version


def newest_tag(tags: Iterable[str], tag: str) -> str:
    """Return the newest of `tags` that looks like `tag`; `tag` itself if there is none."""
    known = read(tag)
    if known is None:
        return tag
    shape, version = known
    newest = tag
    for other in tags:
        found = read(other)
        if found and found[0] == shape and found[1] > version:
            newest, version = other, found[1]
    return newest


class FilterModule:
    """The filter, for Ansible's loader."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by its name."""
        return {"newest_tag": newest_tag}
