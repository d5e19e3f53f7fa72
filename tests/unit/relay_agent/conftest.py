"""The agent runs as a directory, whose modules are found beside its __main__.py: they are imported from there."""

import os
import sys
import tempfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
sys.path.insert(0, str(REPOSITORY / "roles/relay/files/agent"))
sys.path.insert(0, str(REPOSITORY / "lab/metadata"))

from relay_world import World  # noqa: E402


@pytest.fixture
def place():
    """Memory instead of a disk, where there is any: everything is written so that it survives a power cut."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as path:
        yield Path(path)


@pytest.fixture
def world(place):
    return World(place / "machine")
