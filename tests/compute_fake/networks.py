"""Networks, subnetworks and firewall rules."""

from __future__ import annotations

import copy
import ipaddress
import re

from . import links
from .errors import ApiError
from .kind import Call, Kind, merge
from .operations import Operation, OperationError
from .world import Json

IN_USE = "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE"
AUTOMATIC = ipaddress.IPv4Network("10.128.0.0/9")
PORTS = re.compile(r"(?P<first>[0-9]{1,5})(-(?P<last>[0-9]{1,5}))?")
WITH_PORTS = ("tcp", "udp", "sctp", "6", "17", "132")
PROTOCOLS = ("tcp", "udp", "icmp", "esp", "ah", "sctp", "ipip", "all")


class Networks(Kind):
    """``compute.networks``."""

    collection, noun = "networks", "network"

    def insert(self, call: Call) -> Operation:
        """Make a network; of those with automatic subnetworks, the fake makes no subnetworks."""
        body = call.body
        if "autoCreateSubnetworks" not in body:
            raise ApiError.invalid("resource.IPv4Range", "", "Legacy networks can no longer be made.")
        if body["autoCreateSubnetworks"]:
            raise ApiError.unimplemented("networks with automatic subnetworks, other than the default one")
        routing = {"routingMode": "REGIONAL", "bgpBestPathSelectionMode": "LEGACY"}
        defaults = {"mtu": 1460, "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL"}
        network = {**defaults, **body, "routingConfig": {**routing, **body.get("routingConfig", {})}}
        return self.create(call, body["name"], network)

    def patch(self, call: Call) -> Operation:
        """Change a network."""
        key, _ = self.fetch_ready(call)
        for name in call.body:
            if name not in ("name", "mtu", "routingConfig", "networkFirewallPolicyEnforcementOrder"):
                raise ApiError.invalid(f"resource.{name}", call.body[name], "Cannot be changed.")
        body = copy.deepcopy(call.body)
        return self.change(call, key, lambda network: merge(network, body))

    def delete(self, call: Call) -> Operation:
        """Remove a network. That it is in use is only said by the operation."""
        key, network = self.fetch_ready(call)
        link = network["selfLink"]

        def unused() -> None:
            for collection in ("subnetworks", "firewalls"):
                for user in self.world.all(collection):
                    if user["network"] == link:
                        path, by = links.path(link), links.path(user["selfLink"])
                        message = f"The network resource '{path}' is already being used by '{by}'"
                        raise OperationError(IN_USE, message)

        return self.remove(call, key, before=unused)


class Subnetworks(Kind):
    """``compute.subnetworks``."""

    collection, noun, scopes = "subnetworks", "subnetwork", "regions"

    def insert(self, call: Call) -> Operation:
        """Make a subnetwork."""
        body = call.body
        for name in ("name", "network", "ipCidrRange"):
            if not body.get(name):
                raise ApiError.missing(f"resource.{name}")
        key = self.key(call, body["name"])
        if key in self.mine:
            raise ApiError.exists(self.path(key))
        _, network = self.refer(body["network"], "resource.network", "networks")
        region = links.url(f"projects/{self.world.project}/regions/{call.scope}")
        block = self._range(body["ipCidrRange"], network["selfLink"], "")
        if network["autoCreateSubnetworks"] and block.overlaps(AUTOMATIC):
            why = "Extended subnetworks in auto subnet mode networks cannot overlap with 10.128.0.0/9."
            raise ApiError.invalid("resource.ipCidrRange", body["ipCidrRange"], why)
        subnetwork = {
            "privateIpGoogleAccess": False,
            "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
            "purpose": "PRIVATE",
            "stackType": "IPV4_ONLY",
            **body,
            "network": network["selfLink"],
            "ipCidrRange": str(block),
            "gatewayAddress": str(block.network_address + 1),
            "region": region,
        }
        return self.create(call, key, subnetwork)

    def _range(self, text: str, network: str, own: str) -> ipaddress.IPv4Network:
        try:
            block = ipaddress.IPv4Network(text)
        except ValueError:
            raise ApiError.invalid("resource.ipCidrRange", text, "Must be a CIDR address range.") from None
        if not 4 <= block.prefixlen <= 29:
            raise ApiError.invalid("resource.ipCidrRange", text, "Must be between /4 and /29.")
        for other in self.world.all("subnetworks"):
            if other["network"] != network or other["selfLink"] == own:
                continue
            if block.overlaps(ipaddress.IPv4Network(other["ipCidrRange"])):
                there = f"existing subnetwork '{other['name']}' in region '{links.last(other['region'])}'"
                why = f"Invalid IPCidrRange: {text} conflicts with {there}."
                raise ApiError.invalid("resource.ipCidrRange", text, why)
        return block

    def patch(self, call: Call) -> Operation:
        """Change a subnetwork."""
        key, subnetwork = self.fetch_ready(call)
        if call.body.get("fingerprint") != subnetwork["fingerprint"]:
            raise ApiError.stale("Invalid fingerprint.")
        changes = {name: value for name, value in call.body.items() if name not in ("name", "fingerprint")}
        for name, value in changes.items():
            if name not in ("privateIpGoogleAccess", "logConfig", "stackType", "purpose"):
                raise ApiError.invalid(f"resource.{name}", value, "Cannot be changed.")
        return self.change(call, key, lambda resource: merge(resource, changes))

    def expand_ip_cidr_range(self, call: Call) -> Operation:
        """Widen a subnetwork's range."""
        key, subnetwork = self.fetch_ready(call)
        text = call.body.get("ipCidrRange", "")
        block = self._range(text, subnetwork["network"], subnetwork["selfLink"])
        if not ipaddress.IPv4Network(subnetwork["ipCidrRange"]).subnet_of(block):
            raise ApiError.invalid("ipCidrRange", text, "Must contain the present range.")
        changes = {"ipCidrRange": str(block), "gatewayAddress": str(block.network_address + 1)}
        return self.change(call, key, lambda resource: resource.update(changes))

    def delete(self, call: Call) -> Operation:
        """Remove a subnetwork; refused at once while an instance is in it."""
        key, subnetwork = self.fetch_ready(call)
        for instance in self.world.all("instances"):
            if any(one.get("subnetwork") == subnetwork["selfLink"] for one in instance.get("networkInterfaces", ())):
                raise ApiError.in_use(self.noun, self.path(key), links.path(instance["selfLink"]))
        return self.remove(call, key)


class Firewalls(Kind):
    """``compute.firewalls``."""

    collection, noun = "firewalls", "firewall"

    def insert(self, call: Call) -> Operation:
        """Make a rule."""
        body = call.body
        if body["name"] in self.mine:
            raise ApiError.exists(self.path(body["name"]))
        return self.create(call, body["name"], self._complete(body))

    def _complete(self, rule: Json) -> Json:
        """Check a rule, and fill in what Google fills in."""
        _, network = self.refer(rule.get("network") or "global/networks/default", "resource.network", "networks")
        direction = rule.get("direction", "INGRESS")
        complete: Json = {
            "description": "",
            "priority": 1000,
            "disabled": False,
            **{name: value for name, value in copy.deepcopy(rule).items() if value != []},
            "network": network["selfLink"],
            "direction": direction,
            "logConfig": {"enable": False, **rule.get("logConfig", {})},
        }
        if not 0 <= complete["priority"] <= 65535:
            raise ApiError.invalid("resource.priority", complete["priority"], "Must be between 0 and 65535.")
        if ("allowed" in complete) == ("denied" in complete):
            raise ApiError.invalid("resource.allowed", "", "Exactly one of allowed and denied must be given.")
        for name in ("allowed", "denied"):
            for number, entry in enumerate(complete.get(name, ())):
                _check_protocol(entry, f"resource.{name}[{number}]")
        sources = [name for name in ("sourceRanges", "sourceTags", "sourceServiceAccounts") if name in complete]
        if direction == "EGRESS" and sources:
            raise ApiError.invalid(f"resource.{sources[0]}", "", "Sources cannot be given for EGRESS.")
        if direction == "EGRESS":
            complete.setdefault("destinationRanges", ["0.0.0.0/0"])
        elif not sources:
            complete["sourceRanges"] = ["0.0.0.0/0"]
        for name in ("sourceRanges", "destinationRanges"):
            for number, text in enumerate(complete.get(name, ())):
                _check_range(text, f"resource.{name}[{number}]")
        return complete

    def patch(self, call: Call) -> Operation:
        """Change a rule: what is given replaces what there was, arrays as a whole."""
        key, rule = self.fetch_ready(call)
        return self._replace(call, key, rule, merged=True)

    def update(self, call: Call) -> Operation:
        """Replace a rule."""
        key, rule = self.fetch_ready(call)
        return self._replace(call, key, rule, merged=False)

    def _replace(self, call: Call, key: str, rule: Json, *, merged: bool) -> Operation:
        server = ("kind", "id", "creationTimestamp", "selfLink")
        wanted = {name: copy.deepcopy(value) for name, value in rule.items() if name not in server} if merged else {}
        merge(wanted, call.body)
        if not merged:
            wanted.setdefault("network", rule["network"])
        wanted = self._complete({**wanted, "name": rule["name"]})
        for name in ("network", "direction"):
            if wanted[name] != rule[name]:
                raise ApiError.invalid(f"resource.{name}", wanted[name], "Cannot be changed.")

        def effect(resource: Json) -> None:
            kept = {name: resource[name] for name in server}
            resource.clear()
            resource.update(kept, **copy.deepcopy(wanted))

        return self.change(call, key, effect)

    def delete(self, call: Call) -> Operation:
        """Remove a rule."""
        return self.remove(call, self.fetch_ready(call)[0])


def _check_protocol(entry: Json, place: str) -> None:
    protocol = str(entry.get("IPProtocol", "")).lower()
    if not protocol:
        raise ApiError.missing(f"{place}.IPProtocol")
    if protocol not in PROTOCOLS and not (protocol.isdigit() and int(protocol) <= 255):
        raise ApiError.invalid(f"{place}.IPProtocol", protocol, "Unknown protocol.")
    entry["IPProtocol"] = protocol
    if entry.get("ports") == []:
        del entry["ports"]
    for number, text in enumerate(entry.get("ports", ())):
        found = PORTS.fullmatch(text)
        where = f"{place}.ports[{number}]"
        if protocol not in WITH_PORTS:
            raise ApiError.invalid(where, text, f"Ports cannot be given for {protocol}.")
        if not found or not 0 <= int(found["first"]) <= int(found["last"] or found["first"]) <= 65535:
            raise ApiError.invalid(where, text, "Must be a port or a range of ports.")


def _check_range(text: str, place: str) -> None:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        raise ApiError.invalid(place, text, "Must be a CIDR address range.") from None
