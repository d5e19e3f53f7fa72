"""What can be set on an instance."""

from __future__ import annotations

import copy

from .contents import check_labels, check_metadata, check_tags
from .errors import ApiError
from .kind import Call, merge
from .operations import Operation, OperationError
from .power import RUNNING, Power, want
from .world import Json, fingerprint

STALE_METADATA = "Supplied fingerprint does not match current metadata fingerprint."
STALE_TAGS = "Supplied fingerprint does not match current tags fingerprint."
STALE_INSTANCE = "Supplied fingerprint does not match current instance fingerprint."
UPDATABLE = ("labels", "metadata", "tags", "deletionProtection", "description")


class Settings(Power):
    """What ``compute.instances`` has for settings."""

    def machine_type(self, call: Call, reference: str, place: str) -> str:
        """Return the URL of a machine type of the request's zone.

        Raises:
            ApiError: 400 or 404.
        """
        key, machine = self.refer(reference, place, "machineTypes")
        if key.partition("/")[0] != call.scope:
            raise ApiError.invalid(place, reference, "It is in another zone.")
        return str(machine["selfLink"])

    def set_metadata(self, call: Call) -> Operation:
        """Replace all metadata."""
        key, instance = self.fetch_ready(call)
        check_metadata(call.body, "metadata")
        given = call.body.get("fingerprint")
        if given != fingerprint(instance["metadata"].get("items")):
            raise ApiError.stale(STALE_METADATA)
        items = copy.deepcopy(call.body.get("items") or [])

        def effect(resource: Json) -> None:
            # Another change may have been quicker: then it is the operation that fails.
            if given != fingerprint(resource["metadata"].get("items")):
                raise OperationError("CONDITION_NOT_MET", STALE_METADATA)
            resource["metadata"] = {"items": items} if items else {}

        return self.change(call, key, effect)

    def set_tags(self, call: Call) -> Operation:
        """Replace all tags."""
        key, instance = self.fetch_ready(call)
        check_tags(call.body.get("items"), "tags")
        if call.body.get("fingerprint") != fingerprint(instance["tags"].get("items")):
            raise ApiError.stale(STALE_TAGS)
        items = list(call.body.get("items") or [])
        return self.change(call, key, lambda resource: resource.update(tags={"items": items} if items else {}))

    def set_labels(self, call: Call) -> Operation:
        """Replace all labels."""
        return self.replace_labels(call)

    def set_deletion_protection(self, call: Call) -> Operation:
        """Protect an instance, or no longer."""
        key, _ = self.fetch_ready(call)
        wanted = call.parameters.get("deletionProtection", True)
        return self.change(call, key, lambda resource: resource.update(deletionProtection=wanted))

    def set_disk_auto_delete(self, call: Call) -> Operation:
        """Say whether a disk goes with the instance."""
        key, instance = self.fetch_ready(call)
        device, wanted = call.parameters["deviceName"], call.parameters["autoDelete"]
        if device not in [disk["deviceName"] for disk in instance["disks"]]:
            raise ApiError.invalid("deviceName", device, "No attached disk found with this device name.")

        def effect(resource: Json) -> None:
            for disk in resource["disks"]:
                if disk["deviceName"] == device:
                    disk["autoDelete"] = wanted

        return self.change(call, key, effect)

    def set_machine_type(self, call: Call) -> Operation:
        """Change the type of an instance that is stopped."""
        link = self.machine_type(call, call.body.get("machineType") or "", "machineType")
        return self.while_stopped(call, lambda resource: resource.update(machineType=link))

    def set_scheduling(self, call: Call) -> Operation:
        """Change how an instance that is stopped will be treated when its machine is serviced."""
        body = copy.deepcopy(call.body)
        return self.while_stopped(call, lambda resource: merge(resource["scheduling"], body))

    def set_service_account(self, call: Call) -> Operation:
        """Change whom an instance that is stopped will act as."""
        email, scopes = call.body.get("email"), list(call.body.get("scopes") or [])

        def effect(resource: Json) -> None:
            resource.pop("serviceAccounts", None)
            if email:
                resource["serviceAccounts"] = [{"email": email, "scopes": scopes}]

        return self.while_stopped(call, effect)

    def update_shielded_instance_config(self, call: Call) -> Operation:
        """Change what an instance that is stopped will be shielded by."""
        body = copy.deepcopy(call.body)
        return self.while_stopped(call, lambda resource: merge(resource["shieldedInstanceConfig"], body))

    def set_shielded_instance_integrity_policy(self, call: Call) -> Operation:
        """Take what runs now as what is meant to run."""
        key, instance = self.fetch_ready(call)
        want(instance, RUNNING)
        body = copy.deepcopy(call.body)
        return self.change(call, key, lambda resource: merge(resource["shieldedInstanceIntegrityPolicy"], body))

    def update(self, call: Call) -> Operation:
        """Replace what can be replaced in one go: labels, metadata, tags, deletion protection."""
        key, instance = self.fetch_ready(call)
        if call.body.get("fingerprint") != instance["fingerprint"]:
            raise ApiError.stale(STALE_INSTANCE)
        for name, value in call.body.items():
            if name not in (*UPDATABLE, "fingerprint") and value != instance.get(name):
                raise ApiError.unimplemented(f"instances.update of {name}")
        check_labels(call.body.get("labels"), "resource.labels")
        check_metadata(call.body.get("metadata") or {}, "resource.metadata")
        check_tags((call.body.get("tags") or {}).get("items"), "resource.tags")
        wanted = {name: copy.deepcopy(call.body[name]) for name in UPDATABLE if name in call.body}
        return self.change(call, key, lambda resource: resource.update(wanted))
