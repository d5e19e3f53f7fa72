# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What takes the relay's instance to what is declared. Pure."""

from __future__ import annotations

from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils import _gce_bodies as bodies
from ansible_collections.protostar.platform.plugins.module_utils import _gce_normalise as normalise
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import Relay, holds_secret
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import Resource, View, World
from ansible_collections.protostar.platform.plugins.module_utils._gce_steps import Call, Change, Part, Step, merged

_NIC = "nic0"
_SHIELD = ("secure_boot", "vtpm", "integrity_monitoring")
_SCHEDULE = ("provisioning", "automatic_restart", "on_host_maintenance")
# What is to be in the place of metadata that are not shown.
FOREIGN = "(not ours: kept, not shown)"
HIDDEN = "(a private key: not shown)"


def instance(relay: Relay, world: World, ip: str) -> Part:
    """Return what has to be done to the instance, besides its access configuration.

    Args:
        relay: As declared.
        world: As it is.
        ip: Its public address, or what stands for it.

    """
    name, current = relay.place.name, world.instance
    if current is None:
        disk = world.disk["name"] if world.disk is not None else None
        body = bodies.instance(relay, ip, disk)
        create = Step(f"create the instance {name}", Call("POST", relay.place.zonal, "instances", body))
        return Part((create,), (Change(f"instance {name}", None, shown(relay, normalise.instance_view(body))),))
    before = normalise.instance_view(current)
    after = _desired(relay, before, ip)
    if before == after:
        return Part()
    steps = [*_running(relay, current, before, after), *_stopped(relay, before, after)]
    return Part(tuple(steps), (Change(f"instance {name}", shown(relay, before), shown(relay, after)),))


def _desired(relay: Relay, before: View, ip: str) -> View:
    """Return the view of the instance as it should be, with what others added to it."""
    fresh = normalise.instance_view(bodies.instance(relay, ip, None))
    return {
        **fresh,
        "tags": sorted({*before["tags"], *fresh["tags"]}),
        "labels": merged(before["labels"], relay.all_labels),
        "metadata": merged(before["metadata"], relay.all_metadata),
    }


def detach(relay: Relay, current: Resource | None, ip: str) -> Part:
    """Return what takes wrong public addresses from an instance that exists.

    It comes before a change of the address, which cannot be released while it is used.
    """
    if current is None or _attached(relay, current, ip):
        return Part()
    interface = (current.get("networkInterfaces") or [{}])[0]
    return Part(
        tuple(
            Step(
                f"take the address {config.get('natIP') or 'that it has not got yet'} from the instance "
                f"{current['name']}",
                _call(
                    relay,
                    "deleteAccessConfig",
                    accessConfig=config.get("name", bodies.NAT),
                    networkInterface=interface.get("name", _NIC),
                ),
            )
            for config in interface.get("accessConfigs") or ()
        )
    )


def attach(relay: Relay, current: Resource | None, ip: str) -> Part:
    """Return what gives an instance that exists its public address."""
    if current is None or _attached(relay, current, ip):
        return Part()
    interface = (current.get("networkInterfaces") or [{}])[0]
    call = _call(relay, "addAccessConfig", bodies.access(relay, ip), networkInterface=str(interface.get("name", _NIC)))
    return Part((Step(f"give the instance {current['name']} the address {ip}", call),))


def _attached(relay: Relay, current: Resource, ip: str) -> bool:
    view = normalise.instance_view(current)
    return bool(view["addresses"] == [ip] and view["tiers"] == [relay.network_tier])


def _running(relay: Relay, current: Resource, before: View, after: View) -> list[Step]:
    """Return what can be changed in whatever status the instance is."""
    name = relay.place.name
    steps = []
    if before["labels"] != after["labels"]:
        body = {"labels": after["labels"], "labelFingerprint": current.get("labelFingerprint", "")}
        steps.append(Step(f"set the labels of the instance {name}", _call(relay, "setLabels", body)))
    if before["deletion_protection"] != after["deletion_protection"]:
        what = "protect the instance {} from deletion" if relay.deletion_protection else "lift the protection of {}"
        steps.append(Step(what.format(name), protection(relay, on=relay.deletion_protection)))
    if before["tags"] != after["tags"]:
        tags = current.get("tags") or {}
        body = {"items": after["tags"], "fingerprint": tags.get("fingerprint", "")}
        steps.append(Step(f"set the tags of the instance {name}", _call(relay, "setTags", body)))
    if before["metadata"] != after["metadata"]:
        fingerprint = (current.get("metadata") or {}).get("fingerprint", "")
        changed = {
            key
            for key in {*before["metadata"], *after["metadata"]}
            if before["metadata"].get(key) != after["metadata"].get(key)
        }
        body = {"items": bodies.items(after["metadata"]), "fingerprint": fingerprint}
        action = f"set the metadata {', '.join(sorted(changed))} of the instance {name}"
        steps.append(Step(action, _call(relay, "setMetadata", body)))
    return steps


def _stopped(relay: Relay, before: View, after: View) -> list[Step]:
    """Return what only a stopped instance takes, with the way there and back."""
    name, where = relay.place.name, relay.place
    steps = []
    if before["machine_type"] != after["machine_type"]:
        link = where.link(where.zonal, "machineTypes", relay.machine_type)
        call = _call(relay, "setMachineType", {"machineType": link})
        steps.append(Step(f"make the instance {name} an {relay.machine_type}", call))
    if any(before[key] != after[key] for key in _SHIELD):
        call = _call(relay, "updateShieldedInstanceConfig", dict(bodies.SHIELDED), method="PATCH")
        steps.append(Step(f"shield the instance {name} (Secure Boot, vTPM, integrity monitoring)", call))
    if before["service_account"] != after["service_account"]:
        call = _call(relay, "setServiceAccount", {"email": "", "scopes": []})
        steps.append(Step(f"take the service account from the instance {name}", call))
    if any(before[key] != after[key] for key in _SCHEDULE):
        call = _call(relay, "setScheduling", dict(bodies.SCHEDULING))
        steps.append(Step(f"set the scheduling of the instance {name}", call))
    suspended = before["status"] in ("SUSPENDED", "SUSPENDING")
    runs = before["status"] == normalise.RUNNING
    if suspended:
        resume = Step(f"resume the instance {name}", _call(relay, "resume"))
        if not steps:
            return [resume]
        return [resume, _stop(relay), *steps, _start(relay)]
    if runs and not steps:
        return []
    return [*([_stop(relay)] if runs else []), *steps, _start(relay)]


def _stop(relay: Relay) -> Step:
    return Step(f"stop the instance {relay.place.name}", _call(relay, "stop"))


def _start(relay: Relay) -> Step:
    return Step(f"start the instance {relay.place.name}", _call(relay, "start"))


def protection(relay: Relay, *, on: bool) -> Call:
    """Return the request that sets or lifts the protection from deletion."""
    return _call(relay, "setDeletionProtection", deletionProtection="true" if on else "false")


def _call(relay: Relay, verb: str, body: dict[str, Any] | None = None, *, method: str = "POST", **params: str) -> Call:
    return Call(method, relay.place.zonal, f"instances/{relay.place.name}/{verb}", body, params)


def shown(relay: Relay, view: View) -> View:
    """Return an instance's view as it may be shown: without the values of metadata that are not the relay's."""
    declared = relay.all_metadata

    def value(key: str, text: str) -> str:
        if declared.get(key) is None:
            return FOREIGN
        return HIDDEN if holds_secret(text) else text

    return {**view, "metadata": {key: value(key, text) for key, text in view["metadata"].items()}}


def foreign_metadata(relay: Relay, current: Resource | None) -> list[str]:
    """Return the keys of metadata that are not the relay's."""
    if current is None:
        return []
    return sorted(key for key in normalise.metadata_of(current) if key not in relay.all_metadata)
