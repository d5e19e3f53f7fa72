"""What a new project has before anyone makes anything: places, types, images, the default network."""

from __future__ import annotations

from . import links
from .clock import Clock
from .world import Json, World, region_of

# Name: processors, memory in MiB, whether processors are shared.
MACHINE_TYPES = {
    "e2-micro": (2, 1024, True),
    "e2-small": (2, 2048, True),
    "e2-medium": (2, 4096, True),
    "e2-standard-2": (2, 8192, False),
    "f1-micro": (1, 614, True),
}
DISK_TYPES = ("pd-standard", "pd-balanced", "pd-ssd")
# Project: families, each with the name of its newest image, that image's size in GB, and whether it boots by UEFI.
IMAGES = {
    "debian-cloud": {
        "debian-12": ("debian-12-bookworm-v20261014", 10, True),
        "debian-13": ("debian-13-trixie-v20261014", 10, True),
    },
    "ubuntu-os-cloud": {
        "ubuntu-2404-lts-amd64": ("ubuntu-2404-noble-amd64-v20261020", 10, True),
        "ubuntu-minimal-2404-lts-amd64": ("ubuntu-minimal-2404-noble-amd64-v20261020", 10, True),
    },
    "rocky-linux-cloud": {"rocky-linux-9": ("rocky-linux-9-v20261009", 20, True)},
    "old-images": {"plain": ("plain-v1", 10, False)},  # no such project at Google: an image that cannot be shielded
}
# https://cloud.google.com/firewall/docs/firewalls#more_rules_default_vpc
DEFAULT_RULES: dict[str, tuple[list[Json], list[str]]] = {
    "default-allow-icmp": ([{"IPProtocol": "icmp"}], ["0.0.0.0/0"]),
    "default-allow-internal": (
        [
            {"IPProtocol": "tcp", "ports": ["0-65535"]},
            {"IPProtocol": "udp", "ports": ["0-65535"]},
            {"IPProtocol": "icmp"},
        ],
        ["10.128.0.0/9"],
    ),
    "default-allow-rdp": ([{"IPProtocol": "tcp", "ports": ["3389"]}], ["0.0.0.0/0"]),
    "default-allow-ssh": ([{"IPProtocol": "tcp", "ports": ["22"]}], ["0.0.0.0/0"]),
}


class Seeds:
    """Fills a new world."""

    def __init__(self, world: World, clock: Clock) -> None:
        self.world = world
        self.stamp = clock.stamp()

    def add(self, collection: str, key: str, kind: str, path: str, fields: Json) -> Json:
        """Add a resource, and return it."""
        resource = {
            "kind": f"compute#{kind}",
            "id": self.world.new_id(),
            "creationTimestamp": self.stamp,
            "name": key.rsplit("/", 1)[-1],
            "selfLink": links.url(path),
            **fields,
        }
        self.world.resources[collection][key] = resource
        return resource

    def usual(self, collection: str, key: str, kind: str, fields: Json) -> Json:
        """Add a resource that has the usual path."""
        return self.add(collection, key, kind, self.world.path(collection, key), fields)

    def link(self, path: str) -> str:
        """Return the URL of a path in the project, as in ``zones/us-west1-b``."""
        return links.url(f"projects/{self.world.project}/{path}")

    def images(self) -> None:
        """Add the images of Google's public projects."""
        for project, families in IMAGES.items():
            for family, (name, size, uefi) in families.items():
                fields = {
                    "family": family,
                    "diskSizeGb": str(size),
                    "status": "READY",
                    "architecture": "X86_64",
                    "licenses": [links.url(f"projects/{project}/global/licenses/{family}")],
                    "guestOsFeatures": [{"type": "GVNIC"}, *([{"type": "UEFI_COMPATIBLE"}] if uefi else [])],
                }
                self.usual("images", f"{project}/{name}", "image", fields)

    def places(self) -> None:
        """Add the regions and zones, and what a zone offers."""
        project = f"projects/{self.world.project}"
        for region in self.world.regions:
            zones = [self.link(f"zones/{zone}") for zone in self.world.zones if region_of(zone) == region]
            fields: Json = {"description": region, "status": "UP", "zones": zones}
            self.add("regions", region, "region", f"{project}/regions/{region}", fields)
        for zone in self.world.zones:
            fields = {"description": zone, "status": "UP", "region": self.link(f"regions/{region_of(zone)}")}
            self.add("zones", zone, "zone", f"{project}/zones/{zone}", fields)
            for name, (processors, memory, shared) in MACHINE_TYPES.items():
                fields = {"guestCpus": processors, "memoryMb": memory, "isSharedCpu": shared, "zone": zone}
                self.usual("machineTypes", f"{zone}/{name}", "machineType", fields)
            for name in DISK_TYPES:
                fields = {"zone": self.link(f"zones/{zone}"), "validDiskSize": "10GB-65536GB"}
                self.usual("diskTypes", f"{zone}/{name}", "diskType", fields)

    def default_network(self) -> None:
        """Add the network that Google gives every new project, which lets the world in by SSH."""
        fields: Json = {
            "description": "Default network for the project",
            "autoCreateSubnetworks": True,
            "mtu": 1460,
            "routingConfig": {"routingMode": "REGIONAL"},
            "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
        }
        network = self.usual("networks", "default", "network", fields)["selfLink"]
        for number, region in enumerate(self.world.regions, start=128):
            fields = {
                "network": network,
                "region": self.link(f"regions/{region}"),
                "ipCidrRange": f"10.{number}.0.0/20",
                "gatewayAddress": f"10.{number}.0.1",
                "privateIpGoogleAccess": False,
                "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
                "purpose": "PRIVATE",
                "stackType": "IPV4_ONLY",
            }
            self.usual("subnetworks", f"{region}/default", "subnetwork", fields)
        for name, (allowed, ranges) in DEFAULT_RULES.items():
            fields = {
                "network": network,
                "priority": 65534,
                "direction": "INGRESS",
                "allowed": [dict(entry) for entry in allowed],
                "sourceRanges": list(ranges),
                "disabled": False,
                "logConfig": {"enable": False},
            }
            self.usual("firewalls", name, "firewall", fields)


def plant(world: World, clock: Clock, *, default_network: bool) -> None:
    """Fill a new world.

    Args:
        world: An empty one.
        clock: Its time.
        default_network: Whether the project has the network ``default``.
    """
    seeds = Seeds(world, clock)
    seeds.images()
    seeds.places()
    if default_network:
        seeds.default_network()
    world.derive()
