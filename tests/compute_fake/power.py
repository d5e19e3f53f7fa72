"""Starting and stopping instances."""

from __future__ import annotations

from collections.abc import Callable

from .errors import ApiError
from .kind import Call, Kind
from .operations import Operation
from .world import Json

RUNNING, STOPPED = "RUNNING", "TERMINATED"


def nothing(_: Json) -> None:
    """Change nothing."""


def want(instance: Json, status: str) -> None:
    """Refuse what an instance in another status does not allow.

    Raises:
        ApiError: 400.
    """
    if instance["status"] != status:
        state = "STOPPED" if status == STOPPED else status
        message = f"Invalid resource usage: 'Instance should be in the {state} state.'."
        raise ApiError(400, message, "invalidResourceUsage")


class Power(Kind):
    """What ``compute.instances`` has for starting and stopping."""

    def start(self, call: Call) -> Operation:
        """Start an instance that is stopped; nothing happens to one that runs."""
        key, instance = self.fetch_ready(call)
        if instance["status"] == RUNNING:
            return self.change(call, key, nothing)
        want(instance, STOPPED)
        instance["status"], instance["lastStartTimestamp"] = "PROVISIONING", self.state.clock.stamp()

        def effect(resource: Json) -> None:
            resource["status"] = RUNNING
            for interface in resource["networkInterfaces"]:
                for access in interface.get("accessConfigs", ()):
                    if "natIP" not in access:
                        access["natIP"] = self.world.new_address()

        return self.change(call, key, effect, undo=lambda resource: resource.update(status=STOPPED))

    def stop(self, call: Call) -> Operation:
        """Stop an instance that runs. An address that is not reserved is lost."""
        key, instance = self.fetch_ready(call)
        if instance["status"] == STOPPED:
            return self.change(call, key, nothing)
        want(instance, RUNNING)
        instance["status"] = "STOPPING"
        stamp = self.state.clock.stamp()

        def effect(resource: Json) -> None:
            resource["status"], resource["lastStopTimestamp"] = STOPPED, stamp
            reserved = {address["address"] for address in self.world.all("addresses")}
            for interface in resource["networkInterfaces"]:
                for access in interface.get("accessConfigs", ()):
                    if access.get("natIP") not in reserved:
                        access.pop("natIP", None)

        return self.change(call, key, effect, undo=lambda resource: resource.update(status=RUNNING))

    def reset(self, call: Call) -> Operation:
        """Restart an instance that runs, the hard way."""
        key, instance = self.fetch_ready(call)
        want(instance, RUNNING)
        return self.change(call, key, nothing)

    def while_stopped(self, call: Call, effect: Callable[[Json], None]) -> Operation:
        """Begin a change that needs a stopped instance.

        Raises:
            ApiError: 400, when it is not.
        """
        key, instance = self.fetch_ready(call)
        want(instance, STOPPED)
        return self.change(call, key, effect)
