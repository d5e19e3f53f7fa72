"""Instances: making them, removing them, and what they report."""

from __future__ import annotations

from . import links
from .access import Access
from .attached import Attached
from .contents import check_labels, check_metadata, check_tags
from .errors import ApiError
from .kind import Call
from .operations import Operation
from .power import RUNNING
from .settings import Settings
from .world import Json

SCHEDULING = {
    "onHostMaintenance": "MIGRATE",
    "automaticRestart": True,
    "preemptible": False,
    "provisioningModel": "STANDARD",
}
SHIELDED = {"enableSecureBoot": False, "enableVtpm": True, "enableIntegrityMonitoring": True}
FROM_ELSEWHERE = ("sourceInstanceTemplate", "sourceMachineImage")


class Instances(Settings, Access, Attached):
    """``compute.instances``."""

    collection, noun, scopes = "instances", "instance", "zones"

    def insert(self, call: Call) -> Operation:
        """Make an instance, with its disks. It can be seen at once, and runs when the operation is done."""
        body = call.body
        key = self.key(call, body["name"])
        for name in FROM_ELSEWHERE:
            if name in call.parameters:
                raise ApiError.unimplemented(f"the parameter {name}")
        if key in self.mine:
            raise ApiError.exists(self.path(key))
        if not body.get("machineType"):
            raise ApiError.missing("resource.machineType")
        machine = self.machine_type(call, body["machineType"], "resource.machineType")
        check_metadata(body.get("metadata", {}), "resource.metadata")
        check_tags(body.get("tags", {}).get("items"), "resource.tags")
        check_labels(body.get("labels"), "resource.labels")
        interfaces = self.interfaces(call)
        disks, made = self.attached(call)
        instance: Json = {
            "description": "",
            "canIpForward": False,
            "deletionProtection": False,
            "startRestricted": False,
            **{name: value for name, value in body.items() if value not in ({}, [])},
            **{name: _items(body.get(name, {})) for name in ("metadata", "tags")},
            "machineType": machine,
            "zone": links.url(f"projects/{self.world.project}/zones/{call.scope}"),
            "networkInterfaces": interfaces,
            "disks": disks,
            "scheduling": {**SCHEDULING, **body.get("scheduling", {})},
            "shieldedInstanceConfig": {**SHIELDED, **body.get("shieldedInstanceConfig", {})},
            "shieldedInstanceIntegrityPolicy": {"updateAutoLearnPolicy": True},
            "status": "PROVISIONING",
            "cpuPlatform": "Unknown CPU Platform",
            "lastStartTimestamp": self.state.clock.stamp(),
        }
        stored = self.world.resources["disks"]
        stored.update({f"{call.scope}/{disk['name']}": disk for disk in made})

        def undo() -> None:
            for disk in made:
                self.world.resources["disks"].pop(f"{call.scope}/{disk['name']}", None)

        return self.create(call, key, instance, ready={"status": RUNNING, "cpuPlatform": "AMD Rome"}, undo=undo)

    def delete(self, call: Call) -> Operation:
        """Remove an instance, and those of its disks that go with it; refused at once while it is protected."""
        key, instance = self.fetch(call)
        if self.operations.pending(self.path(key), "delete"):
            raise ApiError.not_ready(self.path(key))
        if instance["deletionProtection"]:
            message = "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion.'."
            raise ApiError(400, message, "invalidResourceUsage")
        before, instance["status"] = instance["status"], "STOPPING"

        def take_disks() -> None:
            for disk in self.mine.get(key, {}).get("disks", ()):
                if disk["autoDelete"]:
                    collection, one = self.world.key(links.path(disk["source"]))
                    self.world.resources[collection].pop(one, None)
            self.world.guest_attributes.pop(key, None)

        def undo() -> None:
            self.mine[key]["status"] = before

        return self.remove(call, key, before=take_disks, undo=undo)

    def get_guest_attributes(self, call: Call) -> Json:
        """Return what the guest reported about itself.

        That it is 403 when the instance does not allow it is taken from what the guest itself is told; what Google's
        API says then is not known to the authors.
        """
        key, instance = self.fetch(call)
        items = {item["key"]: item.get("value", "") for item in instance["metadata"].get("items", ())}
        if items.get("enable-guest-attributes", "").upper() != "TRUE":
            raise ApiError(403, "Guest attributes endpoint access is disabled.", "forbidden")
        values = self.world.guest_attributes.get(key, {})
        answer: Json = {"kind": "compute#guestAttributes", "selfLink": f"{instance['selfLink']}/getGuestAttributes"}
        if variable := call.parameters.get("variableKey"):
            if variable not in values:
                raise _no_attribute(variable)
            return {**answer, "variableKey": variable, "variableValue": values[variable]}
        query = call.parameters.get("queryPath", "")
        below = query.rstrip("/") + "/" if query.strip("/") else ""
        found = sorted(path for path in values if path == query or path.startswith(below))
        if not found:
            raise _no_attribute(query)
        entries = [
            dict(zip(("namespace", "key"), path.split("/", 1), strict=True), value=values[path]) for path in found
        ]
        return {**answer, "queryPath": query, "queryValue": {"items": entries}}


def _items(given: Json) -> Json:
    return {"items": given["items"]} if given.get("items") else {}


def _no_attribute(query: str) -> ApiError:
    return ApiError(404, f"The resource '{query}' of type 'Guest Attribute' was not found.", "notFound")
