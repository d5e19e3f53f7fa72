# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The relay as declared: options, checked before anything is asked of Google. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import Refusal

OWNER_LABEL = "managed-by"
RELAY_LABEL = "protostar-relay"
OWNER = "protostar-platform"
# What the guest's agent and the owner's safety need: guest attributes carry the state back, and keys that somebody adds
# to the project open neither SSH nor the serial console.
OUR_METADATA = {"enable-guest-attributes": "TRUE", "block-project-ssh-keys": "TRUE", "serial-port-enable": "FALSE"}

# https://cloud.google.com/resource-manager/docs/creating-managing-projects, with the domain of legacy projects
_PROJECT = re.compile(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_REGION = re.compile(r"[a-z]+-[a-z]+[0-9]+")
_ZONE = re.compile(r"[a-z]+-[a-z]+[0-9]+-[a-z]")
# https://cloud.google.com/compute/docs/naming-resources; the longest suffix that is added to a name is "-allow"
_NAME = re.compile(r"[a-z](?:[-a-z0-9]*[a-z0-9])?")
_LONGEST_NAME = 63 - len("-allow")
_TYPE = re.compile(r"[a-z][a-z0-9-]*[a-z0-9]")
_IMAGE = re.compile(r"(?:https://[^/]+/compute/v1/)?projects/[^/]+/global/images/(?:family/)?[a-z][-a-z0-9]*")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_METADATA_KEY = re.compile(r"[a-zA-Z0-9_-]{1,128}")
# https://cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations, in bytes
_LARGEST_VALUE = 256 * 1024
_LARGEST_METADATA = 512 * 1024
# What must not be where every process of the VM, and everyone who may look at it, can read it.
_SECRET = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|^\s*PrivateKey\s*=\s*\S", re.MULTILINE)
_SMALLEST_DISK = 10  # GB: Debian's image
_LARGEST_DISK = 65536
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Place:
    """Where the relay is, and what it is called.

    Attributes:
        network: Name of an existing network; empty for a network of its own.

    """

    project: str
    region: str
    zone: str
    name: str
    network: str = ""

    @property
    def network_name(self) -> str:
        """Return the name of the network that the relay is in."""
        return self.network or self.name

    @property
    def marker(self) -> str:
        """Return the description that marks what has no labels."""
        return f"{OWNER_LABEL}={OWNER} {RELAY_LABEL}={self.name}"

    @property
    def ownership(self) -> dict[str, str]:
        """Return the labels that mark what is this relay's."""
        return {OWNER_LABEL: OWNER, RELAY_LABEL: self.name}

    def link(self, scope: str, collection: str, name: str) -> str:
        """Return a resource's partial URL, as requests name it."""
        return f"projects/{self.project}/{scope}/{collection}/{name}"

    @property
    def regional(self) -> str:
        """Return the scope of the region."""
        return f"regions/{self.region}"

    @property
    def zonal(self) -> str:
        """Return the scope of the zone."""
        return f"zones/{self.zone}"


@dataclass(frozen=True)
class Relay:
    """A relay as declared. The options' documentation tells what each is.

    Attributes:
        labels: By key; None for one that must not exist. Without the ownership labels.
        metadata: By key; None for one that must not exist.

    """

    place: Place
    subnetwork_range: str = "10.203.0.0/24"
    tcp_ports: tuple[int, ...] = (443,)
    udp_ports: tuple[int, ...] = ()
    ssh: str = "closed"
    network_tier: str = "standard"
    machine_type: str = "e2-micro"
    image: str = "projects/debian-cloud/global/images/family/debian-13"
    disk_type: str = "pd-standard"
    disk_size: int = 10
    deletion_protection: bool = True
    labels: Mapping[str, str | None] | None = None
    metadata: Mapping[str, str | None] | None = None
    adopt: bool = False
    guard: bool = True

    @property
    def all_labels(self) -> dict[str, str | None]:
        """Return all labels that are ours, those of ownership included."""
        return {**(self.labels or {}), **self.place.ownership}

    @property
    def all_metadata(self) -> dict[str, str | None]:
        """Return all metadata that are ours; the declared ones win over the module's own."""
        return {**OUR_METADATA, **(self.metadata or {})}


def place(options: Mapping[str, Any]) -> Place:
    """Return where the relay is.

    Args:
        options: The module's arguments.

    Raises:
        Refusal: One of them is malformed.

    """
    project, region, name = options["project"], options["region"], options["name"]
    zone, network = options.get("zone") or f"{region}-b", options.get("network") or ""
    _demand(
        _PROJECT.fullmatch(project),
        f"project is '{project}', which is no project ID",
        "set it to the ID that 'gcloud projects list' shows, such as shop-1234",
    )
    if _ZONE.fullmatch(region):
        raise Refusal(f"region is the zone '{region}': set region to {region[:-2]} and zone to {region}.")
    _demand(
        _REGION.fullmatch(region),
        f"region is '{region}', which is no region of Google",
        "set it to one such as us-west1",
    )
    _demand(
        _ZONE.fullmatch(zone) and zone.startswith(f"{region}-"),
        f"zone is '{zone}', which is no zone of {region}",
        f"leave it out, or set it to one such as {region}-b",
    )
    _demand(
        _NAME.fullmatch(name) and len(name) <= _LONGEST_NAME,
        f"name is '{name}'",
        f"use at most {_LONGEST_NAME} lower-case letters, digits and hyphens, beginning with a letter",
    )
    _demand(
        not network or (_NAME.fullmatch(network) and len(network) <= 63),
        f"network is '{network}'",
        "set it to the name of a network of the project, or leave it empty for one of the relay's own",
    )
    return Place(project, region, zone, name, network)


def relay(options: Mapping[str, Any]) -> Relay:
    """Return the relay as declared.

    Args:
        options: The module's arguments.

    Raises:
        Refusal: One of them is malformed, or would open what must stay closed.

    """
    where = place(options)
    _check_range(options["subnetwork_range"])
    for option in ("tcp_ports", "udp_ports"):
        for port in options[option]:
            _demand(0 < port < 65536, f"{option} holds {port}", "a port is a number from 1 to 65535")
    _demand(options["tcp_ports"], "tcp_ports is empty", "name at least 443, or the relay would serve nobody")
    _demand(
        22 not in options["tcp_ports"],
        "tcp_ports holds 22, which would open SSH to the world",
        "set ssh to iap, which admits Google's identity-aware proxy alone",
    )
    for option in ("machine_type", "disk_type"):
        _demand(_TYPE.fullmatch(options[option]), f"{option} is '{options[option]}'", "use a name, not a URL")
    _demand(
        _IMAGE.fullmatch(options["image"]),
        f"image is '{options['image']}'",
        "name it as in projects/debian-cloud/global/images/family/debian-13",
    )
    _demand(
        _SMALLEST_DISK <= options["disk_size"] <= _LARGEST_DISK,
        f"disk_size is {options['disk_size']} GB",
        f"use {_SMALLEST_DISK} to {_LARGEST_DISK}",
    )
    return Relay(
        place=where,
        subnetwork_range=options["subnetwork_range"],
        tcp_ports=tuple(sorted(set(options["tcp_ports"]))),
        udp_ports=tuple(sorted(set(options["udp_ports"]))),
        ssh=options["ssh"],
        network_tier=options["network_tier"],
        machine_type=options["machine_type"],
        image=options["image"],
        disk_type=options["disk_type"],
        disk_size=options["disk_size"],
        deletion_protection=options["deletion_protection"],
        labels=_labels(options["labels"] or {}, where),
        metadata=_metadata(options["metadata"] or {}),
        adopt=options["adopt"],
        guard=options["guard_free_tier"],
    )


def endpoint(address: str) -> str:
    """Return the address of the API without a slash at its end.

    Raises:
        Refusal: It would send the credentials over a network in the clear.

    """
    try:
        url = urlsplit(address)
        host = url.hostname or ""
    except ValueError:
        raise Refusal(f"api_endpoint is '{address}', which is no URL: leave it out.") from None
    _demand(
        host and not url.username and not url.query and not url.fragment,
        f"api_endpoint is '{address}'",
        "leave it out, or set it to a URL such as https://compute.googleapis.com/compute/v1",
    )
    _demand(
        url.scheme == "https" or (url.scheme == "http" and host in _LOOPBACK),
        f"api_endpoint is '{address}', which would send the credentials in the clear",
        "use https; http is for a stand-in on this machine's loopback address only",
    )
    return address.rstrip("/")


def encrypted(address: str) -> bool:
    """Whether requests to the address are encrypted."""
    return urlsplit(address).scheme == "https"


def holds_secret(value: str) -> bool:
    """Whether a metadata value holds a private key."""
    return bool(_SECRET.search(value))


def _check_range(text: str) -> None:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise Refusal(f"subnetwork_range is '{text}' ({error}): use a range such as 10.203.0.0/24.") from None
    _demand(
        network.is_private and 8 <= network.prefixlen <= 29,
        f"subnetwork_range is '{text}'",
        "use a private range of at least eight addresses, such as 10.203.0.0/24",
    )


def _labels(labels: Mapping[str, Any], where: Place) -> dict[str, str | None]:
    texts = {str(key): None if value is None else str(value) for key, value in labels.items()}
    for key, value in texts.items():
        _demand(
            _LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value or ""),
            f"labels holds {key}: {value}",
            "use lower-case letters, digits, '-' and '_', at most 63, and begin keys with a letter",
        )
        _demand(
            key not in where.ownership or value == where.ownership[key],
            f"labels holds {key}, which marks ownership",
            "leave it out",
        )
    return texts


def _metadata(metadata: Mapping[str, Any]) -> dict[str, str | None]:
    texts = {str(key): None if value is None else _text(value) for key, value in metadata.items()}
    for key, value in texts.items():
        _demand(_METADATA_KEY.fullmatch(key), f"metadata holds the key '{key}'", "use letters, digits, '-' and '_'")
        _demand(
            len((value or "").encode()) <= _LARGEST_VALUE,
            f"metadata['{key}'] has {len((value or '').encode())} bytes",
            f"Google takes at most {_LARGEST_VALUE}",
        )
        _demand(
            not holds_secret(value or ""),
            f"metadata['{key}'] holds a private key, which every process of the VM could read",
            "make keys on the machine that uses them",
        )
    _demand(
        sum(len(key) + len((value or "").encode()) for key, value in texts.items()) <= _LARGEST_METADATA,
        "metadata is too large",
        f"Google takes at most {_LARGEST_METADATA} bytes in all",
    )
    return texts


def _text(value: Any) -> str:  # noqa: ANN401  whatever a playbook may hold
    """Return a metadata value as Google stores it: text, with switches as TRUE and FALSE and structures as JSON."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    return str(value)


def _demand(holds: object, problem: str, remedy: str) -> None:
    if not holds:
        raise Refusal(f"{problem}: {remedy}.")


def firewall_names(where: Place) -> Iterable[str]:
    """Return the names of all firewall rules that may be the relay's."""
    return [f"{where.name}-{suffix}" for suffix in ("allow", "deny", "ssh")]
