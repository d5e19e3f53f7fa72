"""Reserved addresses."""

from __future__ import annotations

from . import links
from .errors import ApiError
from .kind import Call, Kind
from .operations import Operation
from .world import Json

TIERS = ("PREMIUM", "STANDARD")


class Addresses(Kind):
    """``compute.addresses``, external IPv4 ones."""

    collection, noun, scopes = "addresses", "address", "regions"

    def insert(self, call: Call) -> Operation:
        """Reserve an address. As Google documents, labels are not taken here but by ``setLabels`` alone."""
        body = call.body
        if body.get("addressType", "EXTERNAL") != "EXTERNAL" or body.get("ipVersion", "IPV4") != "IPV4":
            raise ApiError.unimplemented("internal and IPv6 addresses")
        tier = body.get("networkTier", "PREMIUM")
        if tier not in TIERS:
            raise ApiError.invalid("resource.networkTier", tier, "Cannot be asked for.")
        key = self.key(call, body["name"])
        if key in self.mine:
            raise ApiError.exists(self.path(key))
        address: Json = {
            "description": "",
            **{name: value for name, value in body.items() if name != "labels"},
            "address": self._address(body.get("address"), tier),
            "addressType": "EXTERNAL",
            "networkTier": tier,
            "region": links.url(f"projects/{self.world.project}/regions/{call.scope}"),
            "status": "RESERVING",
        }
        return self.create(call, key, address, ready={"status": "RESERVED"})

    def _address(self, wanted: str | None, tier: str) -> str:
        if wanted is None:
            return self.world.new_address()
        # An address that an instance has for the time being may be kept so.
        borrowed = ((access.get("natIP"), access["networkTier"]) for _, access in self.world.access_configs())
        if (wanted, tier) in borrowed and wanted not in [address["address"] for address in self.mine.values()]:
            return wanted
        raise ApiError.invalid("resource.address", wanted, "Is not an address that can be reserved.")

    def set_labels(self, call: Call) -> Operation:
        """Replace the labels."""
        return self.replace_labels(call)

    def delete(self, call: Call) -> Operation:
        """Give an address back; refused at once while an instance has it."""
        key, address = self.fetch_ready(call)
        for user in address.get("users", ()):
            raise ApiError.in_use(self.noun, self.path(key), links.path(user))
        return self.remove(call, key)
