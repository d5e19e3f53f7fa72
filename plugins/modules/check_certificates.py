#!/usr/bin/python
# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Refuses certificates that could not be had, or that would not serve, before anything changes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_certificates
short_description: Refuse certificates that could not be had or would not serve
version_added: 0.5.0
author: The protostar.platform authors
description:
  - Fails with a sentence for everything that is wrong with a list of certificates, and changes nothing.
  - A domain that an authority shall prove by HTTP must lead to one of O(public_addresses), as this host resolves it,
    and may be no wildcard.
  - A certificate that the user brings must be one, be valid now, be for its domains, and come with its own key.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    description: Nothing changes.
options:
  certificates:
    description: What is asked for.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the certificate, and of its directory.
        type: str
        required: true
      domains:
        description: The names that it is for.
        type: list
        elements: str
        required: true
      source:
        description: Where it comes from.
        type: str
        choices: [acme, files, authority]
        default: acme
      key_type:
        description: Kind of the key that is made on the host.
        type: str
        choices: [ecdsa, rsa]
        default: ecdsa
      addresses:
        description: Addresses that it is for, too. With V(authority) only.
        type: list
        elements: str
        default: []
      client:
        description: Whether the host also shows it as a client. With V(authority) only.
        type: bool
        default: false
      fullchain:
        description: A certificate of the user's own and its chain, as PEM.
        type: str
        default: ""
      key:
        description: Its key, as PEM.
        type: str
        default: ""
  directory:
    description: Where the certificates in force are on this host.
    type: path
    required: true
  public_addresses:
    description: Where the domains lead. Empty for not to look.
    type: list
    elements: str
    default: []
  dns_plugin:
    description: The plugin of certbot that proves the domains by the DNS. Empty for proofs by HTTP.
    type: str
    default: ""
  authority:
    description: Certificate of the private authority, as PEM.
    type: str
    default: ""
  authority_key:
    description: Its key, as PEM. Without this option it is not looked at, as on a host, which is not given it.
    type: str
"""

EXAMPLES = r"""
- name: Refuse what could not be had
  protostar.platform.check_certificates:
    certificates:
      - {name: www.example.com, domains: [www.example.com, example.com]}
    directory: /etc/protostar/certificates
    public_addresses: [192.0.2.7]
"""

RETURN = r""" # """

import ipaddress
import re
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.protostar.platform.plugins.module_utils._certificate import fault

DOMAIN = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
# A machine at home may have a name of one label.
HOST = re.compile(r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)", re.IGNORECASE)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Resolve = Callable[[str], list[str]]
Bring = Callable[[str], "tuple[str, str] | None"]


def faults(parameters: Mapping[str, Any], resolve: Resolve, brought: Bring) -> Iterator[str]:
    """Say what is wrong, one sentence for each.

    Args:
        parameters: The options of this module.
        resolve: Returns the addresses of a name; none if it has none.
        brought: Returns the chain and the key that this host has under a name, if there are any.

    """
    counted = Counter(entry["name"] for entry in parameters["certificates"])
    yield from (
        f"certificates_list: {name} is there {times} times. Give the others another name."
        for name, times in counted.items()
        if times > 1
    )
    for entry in parameters["certificates"]:
        where = f"certificates_list: {entry['name']}"
        if not NAME.fullmatch(entry["name"]):
            yield f"{where} is no name of a directory. Use letters, digits, dots and hyphens."
        elif not entry["domains"]:
            yield f"{where} has no domains. Add them."
        elif wrong := [name for name in entry["domains"] if not is_domain(name, entry["source"])]:
            yield f"{where} has the domain {wrong[0]}, which is none. Correct it."
        elif wrong := [address for address in entry["addresses"] if not is_address(address)]:
            yield f"{where} has the address {wrong[0]}, which is none. Correct it."
        elif entry["source"] != "authority" and (entry["addresses"] or entry["client"]):
            option = "addresses" if entry["addresses"] else "client"
            yield f"{where} has {option}, which only source: authority knows. Choose it, or delete {option}."
        else:
            yield from CHECKS[entry["source"]](where, entry, parameters, resolve, brought)


def is_domain(name: str, source: str) -> bool:
    """Tell whether a name is one that such a source has certificates for."""
    return bool(DOMAIN.fullmatch(name) or (source == "authority" and HOST.fullmatch(name)))


def is_address(text: str) -> bool:
    """Tell whether a text is an address of IPv4 or IPv6."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone is the host's own business, and no certificate's


def judge(fullchain: str, key: str, domains: Iterable[str]) -> str:
    """Return what is wrong with a pair; nothing on a host without openssl, which the role installs and looks again."""
    try:
        return fault(fullchain, key, domains)
    except FileNotFoundError:
        return ""


def by_acme(
    where: str, entry: Mapping[str, Any], parameters: Mapping[str, Any], resolve: Resolve, _: Bring
) -> Iterator[str]:
    """Say what a public authority could not prove."""
    if parameters["dns_plugin"]:
        return
    known = parameters["public_addresses"]
    for name in entry["domains"]:
        if name.startswith("*"):
            yield (
                f"{where} wants the wildcard {name}, which an authority proves by the DNS only. "
                "Set certificates_dns_plugin, or name each domain."
            )
        elif known and not (found := resolve(name)):
            yield (
                f"{where}: {name} has no address in the DNS. Add it at your DNS provider, or empty "
                "certificates_public_addresses, so that nobody looks."
            )
        elif known and (foreign := [address for address in found if address not in known]):
            yield (
                f"{where}: {name} leads to {foreign[0]} and not to {' or '.join(known)}. Correct it at your DNS "
                "provider, or certificates_public_addresses; empty, nobody looks."
            )


def by_files(
    where: str, entry: Mapping[str, Any], parameters: Mapping[str, Any], _: Resolve, brought: Bring
) -> Iterator[str]:
    """Say what is wrong with a certificate that the user brings."""
    given = [entry["fullchain"], entry["key"]]
    if any(given) and not all(given):
        yield f"{where} has {'no key' if given[0] else 'no fullchain'}. Add it."
        return
    pair = (given[0], given[1]) if all(given) else brought(entry["name"])
    if not pair:
        yield (
            f"{where} has no fullchain and key, and neither has {parameters['directory']}/{entry['name']} of this "
            "host. Add them, or choose another source."
        )
    elif why := judge(pair[0], pair[1], entry["domains"]):
        yield f"{where} {why}. Bring a certificate and key that belong together and are valid for its domains."


def by_authority(
    where: str, _: Mapping[str, Any], parameters: Mapping[str, Any], *__: Resolve | Bring
) -> Iterator[str]:
    """Say what keeps the private authority from signing."""
    key = parameters["authority_key"]
    if not parameters["authority"] or key == "":
        yield f"{where} wants the private authority. Set certificates_authority and certificates_authority_key."
    elif key is None:
        return
    elif why := judge(parameters["authority"], key, ()):
        yield f"{where}: certificates_authority {why}. Set an authority that is valid, and its own key."


CHECKS: dict[str, Callable[..., Iterator[str]]] = {"acme": by_acme, "files": by_files, "authority": by_authority}


def resolve(name: str) -> list[str]:
    """Return the addresses of a name, as this host resolves it."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)})
    except socket.gaierror:
        return []


def bring(directory: Path, name: str) -> tuple[str, str] | None:
    """Return the chain and the key that lie in a directory."""
    try:
        return (
            (directory / name / "fullchain.pem").read_text(encoding="utf-8"),
            (directory / name / "privkey.pem").read_text(encoding="utf-8"),
        )
    except OSError:
        return None


def refusal(found: Sequence[str]) -> str:
    """Return the message of a failure."""
    return "\n".join([*found, "Nothing was changed."]) if len(found) > 1 else f"{found[0]} Nothing was changed."


def main() -> None:
    """Run the module."""
    pair = {"fullchain": {"type": "str", "default": ""}, "key": {"type": "str", "default": "", "no_log": True}}
    module = AnsibleModule(
        argument_spec={
            "certificates": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "domains": {"type": "list", "elements": "str", "required": True},
                    "source": {"type": "str", "choices": ["acme", "files", "authority"], "default": "acme"},
                    "key_type": {"type": "str", "choices": ["ecdsa", "rsa"], "default": "ecdsa"},
                    "addresses": {"type": "list", "elements": "str", "default": []},
                    "client": {"type": "bool", "default": False},
                    **pair,
                },
            },
            "directory": {"type": "path", "required": True},
            "public_addresses": {"type": "list", "elements": "str", "default": []},
            "dns_plugin": {"type": "str", "default": ""},
            "authority": {"type": "str", "default": ""},
            "authority_key": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    directory = Path(module.params["directory"])
    found = list(faults(module.params, resolve, lambda name: bring(directory, name)))
    if found:
        module.fail_json(msg=refusal(found))
    module.exit_json()


if __name__ == "__main__":
    main()
