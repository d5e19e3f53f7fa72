"""The program runs as a directory, whose modules are found beside its __main__.py: they are imported from there."""

import sys

import pytest
from certificate_world import AGENT, SHARED, Authority

sys.path[:0] = [str(AGENT), str(SHARED)]


@pytest.fixture
def authority(tmp_path):
    def make(name="one"):
        directory = tmp_path / f"authority-{name}"
        directory.mkdir()
        return Authority(directory, name)

    return make
