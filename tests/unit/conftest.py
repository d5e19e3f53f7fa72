"""Makes Ansible find the collection as it does at run time, before any test imports a part of it."""

from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

HERE = Path(__file__).parent
# Templates and playbooks, of which each pair runs many all the same, and what is no part of the collection.
DIVIDED = {HERE / name for name in ("bench", "compute_fake", "lab", "roles", "scripts")}


def pytest_addoption(parser):
    parser.addoption("--share", default="1/1", metavar="I/N", help="of the tests marked `once`, the I-th of N shares")


def pytest_configure():
    init_plugin_loader([str(HERE.parents[1] / ".ansible/collections")])


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.path.parent in DIVIDED:
            item.add_marker("once")
    share, shares = map(int, config.getoption("share").split("/"))
    once = [item for item in items if item.get_closest_marker("once")]
    others = {item for number, item in enumerate(once) if number % shares != share - 1}
    config.hook.pytest_deselected(items=list(others))
    items[:] = [item for item in items if item not in others]
