"""What exists: the resources of a project, as Google would show them."""

from __future__ import annotations

import base64
import copy
import hashlib
import itertools
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from . import links

Json = dict[str, Any]

# What Google gives for no labels at all.
NO_LABELS = "42WmSpB8rSM="


def fingerprint(content: Any) -> str:
    """Return what changes whenever ``content`` does."""
    if content in ({}, None):
        return NO_LABELS
    text = json.dumps(content, sort_keys=True).encode()
    return base64.b64encode(hashlib.sha256(text).digest()[:8]).decode()


class World:
    """The resources, and what follows from them.

    Attributes:
        project: Its project.
        zones: Names of the zones that there are.
        resources: Per collection, resources by ``<zone>/<name>``, ``<region>/<name>`` or, of global ones, ``<name>``;
            images by ``<project>/<name>``. A test may change it by hand.
        guest_attributes: Per instance (``<zone>/<name>``), values by ``<namespace>/<key>``.
    """

    def __init__(self, project: str, zones: list[str]) -> None:
        self.project = project
        self.zones = zones
        self.resources: defaultdict[str, dict[str, Json]] = defaultdict(dict)
        self.guest_attributes: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._random = random.Random(f"{project} {zones}")
        self._count = 0

    @property
    def regions(self) -> list[str]:
        """The regions of its zones."""
        return sorted({region_of(zone) for zone in self.zones})

    def path(self, collection: str, key: str) -> str:
        """Return a resource's path, as in ``projects/p/zones/z/instances/i``."""
        scope, _, name = key.rpartition("/")
        if collection == "images":
            return f"projects/{scope}/global/images/{name}"
        if not scope:
            return f"projects/{self.project}/global/{collection}/{name}"
        return f"projects/{self.project}/{'zones' if scope in self.zones else 'regions'}/{scope}/{collection}/{name}"

    def key(self, path: str) -> tuple[str, str]:
        """Return the collection and key of a path; ("", "") when it is of another project."""
        parts = path.split("/")
        project, collection, name = parts[1], parts[-2], parts[-1]
        if collection == "images":
            return collection, f"{project}/{name}"
        if project != self.project:
            return "", ""
        return collection, name if parts[2] == "global" else f"{parts[3]}/{name}"

    def find(self, reference: str) -> Json | None:
        """Return the resource that a URL or path means, if it exists."""
        path = links.whole(reference, self.project)
        collection, key = self.key(path) if path else ("", "")
        return self.resources.get(collection, {}).get(key)

    def new_id(self) -> str:
        """Return an identifier that no resource had."""
        self._count += 1
        return str(10**18 + self._count * 7919 + self._random.randrange(1000))

    def all(self, collection: str) -> Iterator[Json]:
        """Go through the resources of a kind."""
        yield from self.resources.get(collection, {}).values()

    def new_address(self) -> str:
        """Return a public address that nobody has.

        The addresses are of 203.0.113.0/24, which is for documentation (RFC 5737).
        """
        taken = {address.get("address") for address in self.all("addresses")} | {
            access.get("natIP") for _, access in self.access_configs()
        }
        return next(address for n in itertools.count(10) if (address := f"203.0.113.{n}") not in taken)

    def access_configs(self) -> Iterator[tuple[Json, Json]]:
        """Go through (instance, access config)."""
        for instance in self.all("instances"):
            for interface in instance.get("networkInterfaces", ()):
                for access in interface.get("accessConfigs", ()):
                    yield instance, access

    def address_users(self, address: Json) -> list[str]:
        """Return the URLs of the instances that have a reserved address."""
        return [
            instance["selfLink"]
            for instance, access in self.access_configs()
            if access.get("natIP") == address.get("address")
        ]

    def disk_users(self, disk: Json) -> list[str]:
        """Return the URLs of the instances that a disk is attached to."""
        return [
            instance["selfLink"]
            for instance in self.all("instances")
            for attached in instance.get("disks", ())
            if attached.get("source") == disk["selfLink"]
        ]

    def derive(self) -> None:
        """Bring what follows from other fields up to date, also after a change by hand."""
        for instance in self.all("instances"):
            metadata, tags = instance.setdefault("metadata", {}), instance.setdefault("tags", {})
            metadata["kind"] = "compute#metadata"
            metadata["fingerprint"] = fingerprint(metadata.get("items"))
            tags["fingerprint"] = fingerprint(tags.get("items"))
            instance["labelFingerprint"] = fingerprint(instance.get("labels"))
            for interface in instance.get("networkInterfaces", ()):
                interface["fingerprint"] = fingerprint([interface.get(key) for key in ("accessConfigs", "networkIP")])
            content = {key: value for key, value in instance.items() if key not in ("fingerprint", "status")}
            instance["fingerprint"] = fingerprint(content)
        for address in self.all("addresses"):
            address["labelFingerprint"] = fingerprint(address.get("labels"))
            users = self.address_users(address)
            address.pop("users", None)
            if users:
                address["users"] = users
            if address.get("status") != "RESERVING":
                address["status"] = "IN_USE" if users else "RESERVED"
        for disk in self.all("disks"):
            disk["labelFingerprint"] = fingerprint(disk.get("labels"))
            users = self.disk_users(disk)
            disk.pop("users", None)
            if users:
                disk["users"] = users
        for network in self.all("networks"):
            network.pop("subnetworks", None)
            below = [one["selfLink"] for one in self.all("subnetworks") if one["network"] == network["selfLink"]]
            if below:
                network["subnetworks"] = below
        for subnetwork in self.all("subnetworks"):
            subnetwork["fingerprint"] = fingerprint({k: v for k, v in subnetwork.items() if k != "fingerprint"})

    def snapshot(self) -> Any:
        """Return a copy of everything, for ``restore``."""
        return copy.deepcopy((dict(self.resources), dict(self.guest_attributes), self._random.getstate(), self._count))

    def restore(self, snapshot: Any) -> None:
        """Make everything what it was."""
        resources, attributes, state, count = copy.deepcopy(snapshot)
        self.resources.clear()
        self.resources.update(resources)
        self.guest_attributes.clear()
        self.guest_attributes.update(attributes)
        self._random.setstate(state)
        self._count = count


def region_of(zone: str) -> str:
    """Return the region of a zone, as in ``us-west1`` of ``us-west1-b``."""
    return zone.rsplit("-", 1)[0]
