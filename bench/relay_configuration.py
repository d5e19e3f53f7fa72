"""What the role `relay` hands to a relay's agent, computed by Ansible from the role's own files for the scratch rig."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.utils.collection_loader import AnsibleCollectionConfig

from .measure import ROOT
from .relay_ways import NAME

ROLE = ROOT / "roles/relay"
HOME_NAME = "home.protostar.test"

# One visitor stands for many.
_UNLIMITED = 60_000
_VARIABLES = {
    "relay_names": [NAME],
    "relay_management_name": NAME,
    # Looked up as in earnest; the engine's own name server knows it.
    "relay_target": f"{HOME_NAME}:8443",
    "relay_resolvers": ["127.0.0.11"],
    "relay_connections_per_address": _UNLIMITED,
    "relay_new_connections_per_second": _UNLIMITED,
    "inventory_hostname": "relay",
    "ansible_facts": {},
}


def bundle() -> dict[str, Any]:
    """Return the bundle that the role makes of its defaults, with the rig's home and without limits for one address."""
    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader([str(ROOT / ".ansible/collections")])
    variables = {
        **_loaded(ROLE / "defaults/main.yml"),
        **_loaded(ROLE / "vars/main.yml"),
        **_VARIABLES,
        "ansible_search_path": [str(ROLE)],
        "role_path": str(ROLE),
    }
    return dict(Templar(loader=DataLoader(), variables=variables).template(trust_as_template("{{ __relay_bundle }}")))


def files() -> dict[str, str]:
    """Return the texts of the bundle's files by name, as its agent would write them."""
    return {
        name: "".join(f"{line}\n" for line in lines).replace("@VERSION@", "bench")
        for name, lines in bundle()["files"].items()
    }


def _loaded(path: Path) -> dict[str, Any]:
    return dict(DataLoader().load_from_file(str(path), trusted_as_template=True))
