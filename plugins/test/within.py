# Copyright: the protostar.platform authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Test that tells whether an address is in one of some networks."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

DOCUMENTATION = r"""
name: within
short_description: Whether an address is in one of some networks
version_added: 0.5.0
description:
  - Tells whether an IP address is one of some addresses, or in one of some networks, of its own family.
  - What is no address or network contains nothing.
options:
  _input:
    description: The address, IPv4 or IPv6; the zone of a link-local one is not looked at.
    type: str
    required: true
  networks:
    description: Addresses and networks, such as V(192.0.2.1) or V(2001:db8::/64).
    type: list
    elements: str
    required: true
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: Refuse who is not at home
  ansible.builtin.assert:
    that: "'192.168.1.7' is protostar.platform.within(['192.168.1.0/24', 'fd00::/8'])"
"""

RETURN = r"""
_value:
  description: Whether it is.
  type: bool
"""


def _contains(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(str(network), strict=False)
    except ValueError:
        return False


def within(address: str, networks: Iterable[str]) -> bool:
    """Return whether the address is in one of the networks."""
    try:
        asked = ipaddress.ip_address(str(address).partition("%")[0])
    except ValueError:
        return False
    return any(_contains(network, asked) for network in networks)


class TestModule:
    """The test, for Ansible's loader."""

    __test__ = False  # None of pytest's.

    def tests(self) -> dict[str, Any]:
        """Return the test by its name."""
        return {"within": within}
