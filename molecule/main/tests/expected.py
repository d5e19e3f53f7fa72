"""What the inventory of the lab asks for, written down once more: these containers run, and no others.

An application has its first colour until something else is released.
"""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
HOSTS = {
    "protostar-main": [
        "cadvisor", "docker-socket-proxy", "fastapi-green", "frontend-green", "nest-green", "nginx", "nginx-exporter",
        "node-exporter", "pgvector", "pgvector-exporter", "promtail", "redis", "redis-exporter",
    ],
    "protostar-sub": [
        "alertmanager", "blackbox", "cadvisor", "docker-socket-proxy", "grafana", "loki", "minio", "nginx",
        "nginx-exporter", "node-exporter", "prometheus", "promtail",
    ],
}  # fmt: skip


def defaults(role):
    """The default variables of a role."""
    return yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
