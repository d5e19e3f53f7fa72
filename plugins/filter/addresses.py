# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that counts addresses up from a first one."""

from __future__ import annotations

import ipaddress
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: addresses
short_description: Count addresses up from a first one
version_added: 0.3.0
description:
  - Returns consecutive IP addresses, as the replicas of an application have them.
options:
  _input:
    description: The first address, IPv4 or IPv6, without a prefix length.
    type: str
    required: true
  count:
    description: How many addresses to return, the first among them.
    type: int
    default: 1
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: Three addresses, 10.201.1.21 to 10.201.1.23
  ansible.builtin.debug:
    msg: "{{ '10.201.1.21' | protostar.platform.addresses(3) }}"
"""

RETURN = r"""
_value:
  description: The addresses, in their order.
  type: list
  elements: str
"""


def addresses(first: str, count: int = 1) -> list[str]:
    """Return `count` consecutive addresses from `first` on.

    Raises:
        AnsibleFilterError: `first` is no address, there are fewer behind it, or `count` is below 1.

    """
    if count < 1:
        raise AnsibleFilterError(f"{count} addresses were asked for: ask for at least one.")
    try:
        start = ipaddress.ip_address(str(first))
    except ValueError as error:
        raise AnsibleFilterError(f"'{first}' is not an IP address such as 10.201.1.21.") from error
    try:
        return [str(start + offset) for offset in range(count)]
    except ipaddress.AddressValueError as error:
        raise AnsibleFilterError(f"There are no {count} addresses from {first} on.") from error


class FilterModule:
    """The filter, for Ansible's loader."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by its name."""
        return {"addresses": addresses}
