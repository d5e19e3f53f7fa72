"""What the inventory of the lab asks for, written down once more: these containers run, and no others."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
HOSTS = {
    "protostar-main": [
        "fastapi", "frontend", "nest", "nginx", "node-exporter", "pgvector", "pgvector-exporter",
        "redis", "redis-exporter",
    ],
    "protostar-sub": ["nginx", "node-exporter", "prometheus"],
}  # fmt: skip


def defaults(role):
    """The default variables of a role."""
    return yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text())
