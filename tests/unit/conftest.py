"""Makes Ansible find the collection as it does at run time, before any test imports a part of it."""

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader


def pytest_configure():
    init_plugin_loader([str(Path(__file__).parents[2] / ".ansible/collections")])
