"""The fake is found beside the tests of the collection, and each test has a project of its own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from compute_caller import ZONES, Caller
from compute_fake import Fake


@pytest.fixture
def fake():
    """A new project."""
    return Fake("shop", ZONES)


@pytest.fixture
def google(fake):
    """Its caller."""
    return Caller(fake)
