"""What a role asks of the service module, computed by Ansible itself from the role's own files."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = Path(__file__).parents[3]
FACTS = {"memtotal_mb": 8192}
REQUIRED = {
    "alloy": {"alloy_host": "main"},
    "app": {"app_name": "shop", "app_definition": {"image": "shop:1"}},
    "grafana": {"grafana_admin_password": "root's"},
    "loki": {"loki_access_key": "loki", "loki_secret_key": "root's"},
    "minio": {
        "minio_root_password": "root's",
        "minio_users": [{"name": "ann", "password": "root's", "buckets": [{"name": "one"}]}],
    },
    "pgvector": {"pgvector_superuser_password": "root's", "pgvector_exporter_password": "exporter's"},
    "promtail": {"promtail_host": "main"},
    "redis": {"redis_monitor_password": "monitor's"},
}


@functools.cache
def load(path: Path) -> Any:
    """Return the YAML at `path`, its expressions trusted as Ansible trusts a role's."""
    return DataLoader().load_from_file(str(path), trusted_as_template=True) if path.exists() else {}


def arguments(role: str, **variables: Any) -> dict[str, Any]:
    """Return the arguments of a role's service task, with variables over its defaults."""
    path = ROOT / "roles" / role
    task = next(task for task in load(path / "tasks/main.yml") if "protostar.platform.service" in task)
    context = {
        **load(path / "defaults/main.yml"),
        **load(path / "vars/main.yml"),
        **task.get("vars", {}),
        **REQUIRED.get(role, {}),
        "ansible_facts": FACTS,
        "inventory_hostname": "host",
        "ansible_search_path": [str(path)],
        "role_path": str(path),
        **variables,
    }
    return Templar(loader=DataLoader(), variables=context).template(task["protostar.platform.service"])


by_default = functools.cache(arguments)


@pytest.fixture
def render() -> Callable[..., dict[str, Any]]:
    """Return a function that gives the arguments of a role's service task, with variables over its defaults."""
    return lambda role, **variables: arguments(role, **variables) if variables else copy.deepcopy(by_default(role))


@pytest.fixture
def file() -> Callable[[dict[str, Any], str], str]:
    """Return a function that gives the content of one of the files or secrets of a service task."""

    def file(arguments: dict[str, Any], dest: str) -> str:
        return next(
            entry["content"]
            for entry in arguments.get("files", []) + arguments.get("secrets", [])
            if entry["dest"] == dest
        )

    return file
