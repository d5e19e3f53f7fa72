# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that lays rows out as an aligned text table."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = r"""
name: table
short_description: Lay rows out as an aligned text table
description:
  - Turns a list of dictionaries into text that is easy to read in a terminal, one line per row.
options:
  _input:
    description:
      - The rows. A list is shown with commas, a truth as C(yes).
      - What a row lacks, and what is false, is an empty cell.
    type: list
    elements: dict
    required: true
  columns:
    description: Keys to show, in this order. The heading is the key, with spaces for underscores.
    type: list
    elements: str
    required: true
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: Show what runs where
  ansible.builtin.debug:
    msg: "{{ services | protostar.platform.table(['host', 'service', 'health']) }}"
"""

RETURN = r"""
_value:
  description: The table, without a newline at its end and without spaces at the end of a line.
  type: str
"""


def cell(value: object) -> str:
    """Return `value` on one line: a list separated by commas, a truth as `yes`, what is missing or false as nothing."""
    if isinstance(value, list):
        return ", ".join(map(cell, value))
    if value is None or isinstance(value, bool):
        return "yes" if value else ""
    return " ".join(str(value).split())


def table(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """Return `rows` as text: a heading, then one line per row, every column as wide as its widest cell."""
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)


class FilterModule:
    """The filter, for Ansible's loader."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by its name."""
        return {"table": table}
