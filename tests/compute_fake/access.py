"""Access configs of instances: whether and by which address one is reached from the Internet."""

from __future__ import annotations

import copy

from .errors import ApiError
from .interfaces import Interfaces
from .kind import Call, merge
from .operations import Operation
from .power import nothing
from .world import Json


class Access(Interfaces):
    """What ``compute.instances`` has for access configs and interfaces."""

    def _chosen(self, call: Call, instance: Json) -> Json:
        wanted = call.parameters["networkInterface"]
        for interface in instance["networkInterfaces"]:
            if interface["name"] == wanted:
                return interface
        raise ApiError.invalid("networkInterface", wanted, "No such network interface.")

    def add_access_config(self, call: Call) -> Operation:
        """Give an interface that has none an access config."""
        key, instance = self.fetch_ready(call)
        interface = self._chosen(call, instance)
        if interface.get("accessConfigs"):
            why = "At most one access config currently supported."
            raise ApiError.invalid("networkInterface", interface["name"], why)
        name = interface["name"]
        # The address is taken from here on, whatever else is asked for before the operation is done.
        interface["accessConfigs"] = [self.access_config(call, call.body, "resource")]
        return self.change(
            call, key, nothing, undo=lambda resource: _by_name(resource, name).pop("accessConfigs", None)
        )

    def delete_access_config(self, call: Call) -> Operation:
        """Take an interface's access config away."""
        key, instance = self.fetch_ready(call)
        interface = self._chosen(call, instance)
        name, config = interface["name"], call.parameters["accessConfig"]
        if config not in [one["name"] for one in interface.get("accessConfigs", ())]:
            raise ApiError.invalid("accessConfig", config, "No such access config.")
        return self.change(call, key, lambda resource: _by_name(resource, name).pop("accessConfigs", None))

    def update_access_config(self, call: Call) -> Operation:
        """Change what can be changed of an access config, which its address and its tier cannot."""
        key, instance = self.fetch_ready(call)
        interface = self._chosen(call, instance)
        configs = interface.get("accessConfigs")
        if not configs:
            raise ApiError.invalid("networkInterface", interface["name"], "It has no access config.")
        for field in ("natIP", "networkTier", "type"):
            if field in call.body and call.body[field] != configs[0].get(field):
                why = "Cannot be changed: delete the access config and add another."
                raise ApiError.invalid(f"resource.{field}", call.body[field], why)
        name, body = interface["name"], copy.deepcopy(call.body)
        return self.change(call, key, lambda resource: merge(_by_name(resource, name)["accessConfigs"][0], body))

    def update_network_interface(self, call: Call) -> Operation:
        """Change an interface; the fake knows nothing of it that could be changed."""
        raise ApiError.unimplemented("instances.updateNetworkInterface")


def _by_name(instance: Json, name: str) -> Json:
    return next(interface for interface in instance["networkInterfaces"] if interface["name"] == name)
