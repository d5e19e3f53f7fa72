# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The name servers that nginx asks where the home is."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

RESOLVERS = "@RESOLVERS@"


def resolvers(text: str) -> list[str]:
    """Return the name servers of a resolv.conf as nginx's resolver takes them.

    One with a scope (fe80::1%eth0) is left out: nginx has no notation for it.
    """
    found: dict[str, None] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver" or "%" in words[1]:
            continue
        try:
            address = ip_address(words[1])
        except ValueError:
            continue
        found[f"[{address}]" if isinstance(address, IPv6Address) else str(address)] = None
    return list(found)
