# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Google's free tier covers, as rules that name what breaking them costs. Pure.

Prices are list prices in US dollars for a month of 730 hours in us-west1, read in November 2026. They are there to tell
a coffee from a rent, not to replace the price list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import Relay
from ansible_collections.protostar.platform.plugins.module_utils._gce_errors import Refusal
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import World, is_external, leaf

REGIONS = ("us-west1", "us-central1", "us-east1")
MACHINE_TYPE = "e2-micro"
DISK_TYPE = "pd-standard"
DISK_SIZE = 30  # GB, of all disks of the billing account together
TIER = "standard"
FREE_TIER = "https://cloud.google.com/free/docs/free-cloud-features#compute"
MACHINE_PRICES = "https://cloud.google.com/compute/vm-instance-pricing"
DISK_PRICES = "https://cloud.google.com/compute/disks-image-pricing"
NETWORK_PRICES = "https://cloud.google.com/vpc/network-pricing"
# US dollars a month
_MACHINES = {"e2-micro": 6.11, "e2-small": 12.23, "e2-medium": 24.46, "f1-micro": 3.88, "g1-small": 13.13}
_DISKS = {"pd-standard": 0.04, "pd-balanced": 0.10, "pd-ssd": 0.17}  # for a GB
_ADDRESS_IN_USE = 3.65
ADDRESS_UNUSED = 7.30
_PREMIUM_EGRESS = 0.12  # for a GB, to North America, the first TB
_STANDARD_FREE = 200  # GB a month
# Projects of images that cost by the hour: https://cloud.google.com/compute/disks-image-pricing#premiumimages
_PAID_IMAGES = (
    "rhel-cloud", "rhel-sap-cloud", "suse-cloud", "suse-sap-cloud", "ubuntu-os-pro-cloud", "windows-cloud",
    "windows-sql-cloud",
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """A condition of the free tier.

    Attributes:
        id: The option or thing that it is about.
        broken: What is wrong, from the relay as declared and what the project has; empty if nothing is.
        rule: What the free tier covers.
        cost: What it would cost.
        source: Where that is written.

    """

    id: str
    broken: Callable[[Relay, World], str]
    rule: str
    cost: Callable[[Relay], str]
    source: str


def _machine_price(relay: Relay) -> str:
    price = _MACHINES.get(relay.machine_type)
    return f"about ${price:.2f} a month" if price else "its list price"


def _disk_price(relay: Relay) -> str:
    price = _DISKS.get(relay.disk_type)
    return f"about ${price * relay.disk_size:.2f} a month" if price else "its list price"


def _second_address(relay: Relay, world: World) -> str:
    if world.address(relay.place) is not None:
        return ""
    names = [
        f"{entry['name']} ({leaf(entry.get('region')) or 'global'})"
        for entry in world.other_addresses(relay.place)
        if is_external(entry)
    ]
    return f"the project has the reserved address {', '.join(names)} already" if names else ""


def _second_instance(relay: Relay, world: World) -> str:
    names = [f"{entry['name']} ({leaf(entry.get('zone'))})" for entry in world.other_instances]
    return f"the {MACHINE_TYPE} {', '.join(names)} runs in the project already" if names else ""


RULES = (
    Rule(
        "region",
        lambda relay, world: f"region is {relay.place.region}" if relay.place.region not in REGIONS else "",
        f"the free machine is in {', '.join(REGIONS)}",
        lambda relay: f"{_machine_price(relay)} for the machine, or more, and its disk",
        FREE_TIER,
    ),
    Rule(
        "machine_type",
        lambda relay, world: f"machine_type is {relay.machine_type}" if relay.machine_type != MACHINE_TYPE else "",
        f"the free machine is an {MACHINE_TYPE}",
        _machine_price,
        MACHINE_PRICES,
    ),
    Rule(
        "disk_type",
        lambda relay, world: f"disk_type is {relay.disk_type}" if relay.disk_type != DISK_TYPE else "",
        f"the free disk is {DISK_TYPE}",
        _disk_price,
        DISK_PRICES,
    ),
    Rule(
        "disk_size",
        lambda relay, world: f"disk_size is {relay.disk_size}" if relay.disk_size > DISK_SIZE else "",
        f"{DISK_SIZE} GB of {DISK_TYPE} are free",
        lambda relay: f"about ${_DISKS[DISK_TYPE] * (relay.disk_size - DISK_SIZE):.2f} a month",
        FREE_TIER,
    ),
    Rule(
        "network_tier",
        lambda relay, world: f"network_tier is {relay.network_tier}" if relay.network_tier != TIER else "",
        f"1 GB a month leaves free of charge on the premium tier, {_STANDARD_FREE} GB on the standard tier",
        lambda relay: f"about ${_PREMIUM_EGRESS:.2f} for each further GB that the relay sends",
        NETWORK_PRICES,
    ),
    Rule(
        "image",
        lambda relay, world: next(
            (f"image is of {name}" for name in _PAID_IMAGES if f"projects/{name}/" in relay.image), ""
        ),
        "the free machine covers free images",
        lambda relay: "its licence by the hour",
        DISK_PRICES,
    ),
    Rule(
        "address",
        _second_address,
        "the address of the free machine is credited, a second one is not",
        lambda relay: f"about ${_ADDRESS_IN_USE:.2f} a month in use and ${ADDRESS_UNUSED:.2f} unused",
        NETWORK_PRICES,
    ),
    Rule(
        "instance",
        _second_instance,
        f"the free hours of a month are those of one {MACHINE_TYPE}",
        lambda relay: f"about ${_MACHINES[MACHINE_TYPE]:.2f} a month",
        FREE_TIER,
    ),
)


def broken(relay: Relay, world: World) -> Mapping[str, str]:
    """Return a sentence for each rule that is broken, by its ID."""
    found = {}
    for rule in RULES:
        if problem := rule.broken(relay, world):
            found[rule.id] = f"{problem}, but {rule.rule}: it would cost {rule.cost(relay)} ({rule.source})"
    return found


def check(relay: Relay, world: World) -> None:
    """Refuse what would cost money.

    Args:
        relay: As declared.
        world: What the project has; an empty one for the rules that need not know it.

    Raises:
        Refusal: A rule is broken. All of them are told at once.

    """
    found = broken(relay, world) if relay.guard else {}
    if found:
        raise Refusal(
            f"The free tier would not cover this relay: {'; '.join(found.values())}. Correct that, "
            "or set guard_free_tier to false to pay for it."
        )
