"""Disks of an instance that is being made."""

from __future__ import annotations

import json

from . import links
from .disks import blank_disk
from .errors import ApiError
from .kind import Call, Kind
from .world import Json

OF_THE_IMAGE = ("licenses", "guestOsFeatures", "architecture")


class Attached(Kind):
    """What ``instances.insert`` says of disks."""

    def attached(self, call: Call) -> tuple[list[Json], list[Json]]:
        """Return the attached disks as the instance shows them, and those that are made for it.

        Raises:
            ApiError: 400, 404 or 409.
        """
        given = call.body.get("disks") or []
        if not given:
            raise ApiError.invalid("resource.disks", "", "No disks are specified.")
        if [disk.get("boot", False) for disk in given] != [True] + [False] * (len(given) - 1):
            raise ApiError.invalid(
                "resource.disks[0].boot", "false", "The first disk, and only it, must be the boot disk."
            )
        shown, made = [], []
        for number, wanted in enumerate(given):
            place = f"resource.disks[{number}]"
            if "source" in wanted:
                disk = self._existing(wanted["source"], f"{place}.source")
            else:
                disk = self._new(call, wanted.get("initializeParams", {}), number, f"{place}.initializeParams")
                made.append(disk)
            shown.append(self._shown(wanted, disk, number))
        self._check_shielded(call.body.get("shieldedInstanceConfig"), shown[0])
        return shown, made

    def _existing(self, reference: str, place: str) -> Json:
        _, disk = self.refer(reference, place, "disks")
        for user in disk.get("users", ()):
            raise ApiError.in_use("disk", links.path(disk["selfLink"]), links.path(user))
        return disk

    def _new(self, call: Call, wanted: Json, number: int, place: str) -> Json:
        name = wanted.get("diskName") or (call.body["name"] if number == 0 else f"{call.body['name']}-{number}")
        fields = {
            "name": name,
            "sourceImage": wanted.get("sourceImage"),
            "sizeGb": wanted.get("diskSizeGb"),
            "type": wanted.get("diskType"),
            "labels": wanted.get("labels"),
        }
        path = self.world.path("disks", f"{call.scope}/{name}")
        if self.world.find(path):
            raise ApiError.exists(path)
        return {
            "kind": "compute#disk",
            "id": self.world.new_id(),
            "creationTimestamp": self.state.clock.stamp(),
            **blank_disk(self.world, call.scope, fields, place),
            "status": "READY",
            "selfLink": links.url(path),
        }

    @staticmethod
    def _shown(wanted: Json, disk: Json, number: int) -> Json:
        return {
            "kind": "compute#attachedDisk",
            "type": "PERSISTENT",
            "mode": wanted.get("mode", "READ_WRITE"),
            "source": disk["selfLink"],
            "deviceName": wanted.get("deviceName", f"persistent-disk-{number}"),
            "index": number,
            "boot": number == 0,
            "autoDelete": wanted.get("autoDelete", False),
            "interface": "SCSI",
            "diskSizeGb": disk["sizeGb"],
            **{name: disk[name] for name in OF_THE_IMAGE if name in disk},
        }

    @staticmethod
    def _check_shielded(config: Json | None, boot: Json) -> None:
        # Google looks at whether there is such a config, not at what it says.
        if config is not None and {"type": "UEFI_COMPATIBLE"} not in boot.get("guestOsFeatures", ()):
            why = "Shielded VM Config can only be set when using a UEFI-compatible disk."
            raise ApiError.invalid("resource.shieldedInstanceConfig", json.dumps(config), why)
