"""What can only be read: places, types, the project, and operations."""

from __future__ import annotations

from collections.abc import Iterable

from . import links
from .errors import NUMBER
from .kind import Call, Kind
from .world import Json


class Zones(Kind):
    """``compute.zones``."""

    collection, noun = "zones", "zone"

    def key(self, call: Call, name: str) -> str:
        """Return a zone's key: its name."""
        return name

    def path(self, key: str) -> str:
        """Return a zone's path."""
        return f"projects/{self.world.project}/{self.collection}/{key}"

    def visible(self, call: Call) -> Iterable[tuple[str, Json]]:
        """Go through all of them."""
        yield from self.mine.items()


class Regions(Zones):
    """``compute.regions``."""

    collection, noun = "regions", "region"


class MachineTypes(Kind):
    """``compute.machineTypes``."""

    collection, noun = "machineTypes", "machineType"


class DiskTypes(Kind):
    """``compute.diskTypes``."""

    collection, noun = "diskTypes", "diskType"


class Projects(Kind):
    """``compute.projects``."""

    collection, noun = "projects", "project"

    def get(self, call: Call) -> Json:
        """Return the project."""
        metric = {"metric": "NETWORKS", "limit": 5.0, "usage": float(len(self.world.resources["networks"]))}
        return {
            "kind": "compute#project",
            "id": NUMBER,
            "name": self.world.project,
            "selfLink": links.url(f"projects/{self.world.project}"),
            "defaultNetworkTier": "PREMIUM",
            "defaultServiceAccount": f"{NUMBER}-compute@developer.gserviceaccount.com",
            "commonInstanceMetadata": {"kind": "compute#metadata", "fingerprint": "AAAAAAAAAAA="},
            "quotas": [metric],
            "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        }


class ZoneOperations(Kind):
    """``compute.zoneOperations``."""

    collection, noun = "operations", "operation"

    def get(self, call: Call) -> Json:
        """Return an operation; asking brings it on."""
        return self.operations.get(self.key(call, call.name), poll=True)

    wait = get  # which answers at once here: Google's may, too

    def visible(self, call: Call) -> Iterable[tuple[str, Json]]:
        """Go through the operations of the request's zone or region, or the global ones."""
        yield from self.operations.all(call.scope).items()


class RegionOperations(ZoneOperations):
    """``compute.regionOperations``."""


class GlobalOperations(ZoneOperations):
    """``compute.globalOperations``."""
