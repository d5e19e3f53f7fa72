# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run returns: Ansible's diff, and the relay as it is. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from ansible_collections.protostar.platform.plugins.module_utils import _gce_normalise as normalise
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import Place
from ansible_collections.protostar.platform.plugins.module_utils._gce_free_tier import ADDRESS_UNUSED, NETWORK_PRICES
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import Resource, View
from ansible_collections.protostar.platform.plugins.module_utils._gce_session import Session
from ansible_collections.protostar.platform.plugins.module_utils._gce_steps import Change


def diffs(changes: Iterable[Change]) -> list[dict[str, str]]:
    """Return changes as Ansible shows them, one for each resource, as YAML."""
    return [
        {
            "before_header": change.resource if change.before is not None else f"{change.resource} (absent)",
            "before": _yaml(change.before),
            "after_header": change.resource if change.after is not None else f"{change.resource} (absent)",
            "after": _yaml(change.after),
        }
        for change in changes
    ]


def _yaml(view: View | None) -> str:
    if view is None:
        return ""
    readable = dict(view)
    if "metadata" in view:
        readable["metadata"] = {key: _opened(text) for key, text in view["metadata"].items()}
    return str(yaml.safe_dump(readable, sort_keys=True, default_flow_style=False))


def _opened(text: str) -> Any:  # noqa: ANN401  any JSON
    """Return a metadata value that is a JSON object as the object, of which one line can be told from another."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, Mapping) else text


def instance(resource: Resource | None) -> dict[str, Any] | None:
    """Return an instance as the module returns it: of its metadata the keys alone."""
    if resource is None:
        return None
    view = normalise.instance_view(resource)
    return {
        "name": resource["name"],
        "zone": normalise.leaf(resource.get("zone")),
        **{key: view[key] for key in ("machine_type", "deletion_protection", "tags", "labels")},
        "status": resource.get("status"),
        "metadata_keys": sorted(view["metadata"]),
    }


def requests(session: Session | None) -> dict[str, int]:
    """Return how many requests a session has sent; none if it was never opened."""
    return {"reads": session.reads if session else 0, "writes": session.writes if session else 0}


def public_address(address: Resource | None) -> str:
    """Return an address in digits; empty if there is none."""
    return str((address or {}).get("address") or "")


def unused(addresses: Iterable[Resource]) -> list[dict[str, str]]:
    """Return the addresses of the internet that are reserved and not used."""
    return normalise.unused_addresses(entry for entry in addresses if normalise.is_external(entry))


def unused_note(where: Place, addresses: list[dict[str, str]]) -> str:
    """Return the sentence that tells of unused addresses; empty if there are none."""
    if not addresses:
        return ""
    names = ", ".join(f"{entry['name']} ({entry['address']}, {entry['region']})" for entry in addresses)
    return (
        f"The project {where.project} has reserved addresses that nothing uses: {names}; each costs about "
        f"${ADDRESS_UNUSED:.2f} a month until it is released ({NETWORK_PRICES})."
    )
