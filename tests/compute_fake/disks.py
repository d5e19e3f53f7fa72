"""Disks and images."""

from __future__ import annotations

from collections.abc import Iterable

from . import links
from .contents import check_labels
from .errors import ApiError
from .kind import Call, Kind
from .operations import Operation
from .world import Json, World


def resolve_image(world: World, reference: str, place: str) -> Json:
    """Return the image that a reference names, the newest one when it names a family.

    Raises:
        ApiError: 400 when it is malformed, 404 when there is none.
    """
    path = links.whole(reference, world.project)
    if path is None or "/global/images/" not in path:
        raise ApiError.invalid(place, reference, "The URL is malformed.")
    project, _, name = path.removeprefix("projects/").partition("/global/images/")
    if name.startswith("family/"):
        return newest(world, project, name.removeprefix("family/"))
    image = world.resources["images"].get(f"{project}/{name}")
    if image is None:
        raise ApiError.not_found(path)
    return image


def newest(world: World, project: str, family: str) -> Json:
    """Return the newest image of a family.

    Raises:
        ApiError: 404.
    """
    images = [
        image
        for key, image in world.resources["images"].items()
        if key.startswith(f"{project}/") and image.get("family") == family
    ]
    if not images:
        raise ApiError.not_found(f"projects/{project}/global/images/family/{family}")
    return max(images, key=lambda image: (image["creationTimestamp"], image["name"]))


def blank_disk(world: World, zone: str, fields: Json, place: str) -> Json:
    """Return a disk as an insert of it or of an instance describes it.

    Args:
        world: Where images and disk types are.
        zone: Of the disk.
        fields: ``sourceImage``, ``sizeGb``, ``type``, ``labels``, ``name``, all but the last optional.
        place: Where the request says so.
    """
    image = resolve_image(world, fields["sourceImage"], f"{place}.sourceImage") if fields.get("sourceImage") else None
    least = int(image["diskSizeGb"]) if image else 10
    size = int(fields.get("sizeGb") or (least if image else 500))
    if size < least:
        what = f"the image size ({least} GB)" if image else f"{least} GB"
        raise ApiError.invalid(f"{place}.diskSizeGb", str(size), f"Requested disk size cannot be smaller than {what}.")
    kind = fields.get("type") or f"zones/{zone}/diskTypes/pd-standard"
    path = links.whole(kind, world.project)
    if path is None or "/diskTypes/" not in path:
        raise ApiError.invalid(f"{place}.diskType", kind, "The URL is malformed.")
    if world.find(path) is None or path.split("/")[3] != zone:
        raise ApiError.not_found(path)
    check_labels(fields.get("labels"), f"{place}.labels")
    disk: Json = {
        "name": fields["name"],
        "sizeGb": str(size),
        "zone": links.url(f"projects/{world.project}/zones/{zone}"),
        "type": links.url(path),
        "physicalBlockSizeBytes": "4096",
        "enableConfidentialCompute": False,
        "accessMode": "READ_WRITE_SINGLE",
    }
    if image:
        disk["sourceImage"], disk["sourceImageId"] = image["selfLink"], image["id"]
        disk.update({name: image[name] for name in ("licenses", "guestOsFeatures", "architecture") if name in image})
    if fields.get("labels"):
        disk["labels"] = dict(fields["labels"])
    return disk


class Disks(Kind):
    """``compute.disks``."""

    collection, noun, scopes = "disks", "disk", "zones"

    def insert(self, call: Call) -> Operation:
        """Make a disk."""
        disk = blank_disk(self.world, call.scope, call.body, "resource")
        return self.create(
            call, self.key(call, disk["name"]), {**disk, "status": "CREATING"}, ready={"status": "READY"}
        )

    def resize(self, call: Call) -> Operation:
        """Make a disk larger."""
        key, disk = self.fetch_ready(call)
        size = int(call.body.get("sizeGb") or 0)
        if size <= int(disk["sizeGb"]):
            raise ApiError.invalid("sizeGb", str(size), "New disk size must be larger than the present one.")

        def effect(disk: Json) -> None:
            disk["sizeGb"] = str(size)
            for instance in self.world.all("instances"):
                for attached in instance.get("disks", ()):
                    if attached.get("source") == disk["selfLink"]:
                        attached["diskSizeGb"] = str(size)

        return self.change(call, key, effect)

    def set_labels(self, call: Call) -> Operation:
        """Replace the labels."""
        return self.replace_labels(call)

    def delete(self, call: Call) -> Operation:
        """Remove a disk; refused at once while it is attached."""
        key, disk = self.fetch_ready(call)
        for user in disk.get("users", ()):
            raise ApiError.in_use(self.noun, self.path(key), links.path(user))
        return self.remove(call, key)


class Images(Kind):
    """``compute.images``, of other projects too."""

    collection, noun = "images", "image"

    def key(self, call: Call, name: str) -> str:
        """Return an image's key: the images of a project have no zone or region."""
        return f"{call.parameters['project']}/{name}"

    def get_from_family(self, call: Call) -> Json:
        """Return the newest image of a family."""
        return newest(self.world, call.parameters["project"], call.name)

    def visible(self, call: Call) -> Iterable[tuple[str, Json]]:
        """Go through the images of the project that the request names."""
        for key, image in self.mine.items():
            project, _, name = key.partition("/")
            if project == call.parameters["project"]:
                yield name, image
