"""Network interfaces of an instance that is being made."""

from __future__ import annotations

import ipaddress

from . import links
from .errors import ApiError
from .kind import Call, Kind
from .world import Json, region_of


class Interfaces(Kind):
    """What ``instances.insert`` says of networks."""

    def interfaces(self, call: Call) -> list[Json]:
        """Return the interfaces as the instance shows them.

        Raises:
            ApiError: 400 or 404.
        """
        given = call.body.get("networkInterfaces") or []
        if not given:
            raise ApiError.invalid("resource.networkInterfaces", "", "At least one network interface is required.")
        return [self._interface(call, interface, number) for number, interface in enumerate(given)]

    def _interface(self, call: Call, interface: Json, number: int) -> Json:
        place = f"resource.networkInterfaces[{number}]"
        subnetwork = self._subnetwork(call, interface, place)
        shown: Json = {
            "kind": "compute#networkInterface",
            "name": f"nic{number}",
            "network": subnetwork["network"],
            "subnetwork": subnetwork["selfLink"],
            "networkIP": interface.get("networkIP") or self._internal_address(subnetwork),
            "stackType": interface.get("stackType", "IPV4_ONLY"),
        }
        configs = interface.get("accessConfigs") or []
        if len(configs) > 1:
            raise ApiError.invalid(f"{place}.accessConfigs", "", "At most one access config is allowed.")
        if configs:
            shown["accessConfigs"] = [self.access_config(call, configs[0], f"{place}.accessConfigs[0]")]
        return shown

    def _subnetwork(self, call: Call, interface: Json, place: str) -> Json:
        region = region_of(call.scope)
        if interface.get("subnetwork"):
            key, subnetwork = self.refer(interface["subnetwork"], f"{place}.subnetwork", "subnetworks")
            if key.partition("/")[0] != region:
                raise ApiError.invalid(f"{place}.subnetwork", interface["subnetwork"], "It is in another region.")
            if interface.get("network"):
                _, network = self.refer(interface["network"], f"{place}.network", "networks")
                if network["selfLink"] != subnetwork["network"]:
                    raise ApiError.invalid(f"{place}.subnetwork", interface["subnetwork"], "It is of another network.")
            return subnetwork
        _, network = self.refer(interface.get("network") or "global/networks/default", f"{place}.network", "networks")
        if not network["autoCreateSubnetworks"]:
            why = "Subnetwork must be given for a network with custom subnetworks."
            raise ApiError.invalid(f"{place}.subnetwork", "", why)
        return next(
            subnetwork
            for key, subnetwork in self.world.resources["subnetworks"].items()
            if key.partition("/")[0] == region and subnetwork["network"] == network["selfLink"]
        )

    def _internal_address(self, subnetwork: Json) -> str:
        taken = {
            interface.get("networkIP")
            for instance in self.world.all("instances")
            for interface in instance.get("networkInterfaces", ())
        }
        hosts = list(ipaddress.IPv4Network(subnetwork["ipCidrRange"]).hosts())[1:]
        return next(str(host) for host in hosts if str(host) not in taken)

    def access_config(self, call: Call, config: Json, place: str) -> Json:
        """Return an access config as the instance shows it, with an address.

        Raises:
            ApiError: 400, when the address is not reserved, is in use or of another tier.
        """
        tier = config.get("networkTier", "PREMIUM")
        shown: Json = {
            "kind": "compute#accessConfig",
            "type": "ONE_TO_ONE_NAT",
            "name": config.get("name", "External NAT"),
            "networkTier": tier,
        }
        wanted = config.get("natIP")
        if not wanted:
            return {**shown, "natIP": self.world.new_address()}
        region = region_of(call.scope)
        found = [
            (key, address) for key, address in self.world.resources["addresses"].items() if address["address"] == wanted
        ]
        if not found or found[0][0].partition("/")[0] != region:
            why = f"The specified external IP address '{wanted}' was not found in region '{region}'."
            raise ApiError.invalid(f"{place}.natIP", wanted, why)
        key, address = found[0]
        path = self.world.path("addresses", key)
        if self.operations.pending(path, "insert", "delete"):
            raise ApiError.not_ready(path)
        for user in self.world.address_users(address):
            raise ApiError(
                400,
                f"External IP address: {wanted} is already in-use by '{links.path(user)}'.",
                "externalIpAlreadyInUse",
            )
        if address["networkTier"] != tier:
            raise ApiError(
                400,
                f"External IP address: {wanted} has a different network tier {address['networkTier']} from the network"
                f" tier in instance access config {tier}.",
                "invalid",
            )
        return {**shown, "natIP": wanted}
