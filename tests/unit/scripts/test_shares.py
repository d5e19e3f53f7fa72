"""How `make unit` divides the tests marked `once` between the supported pairs."""

from pathlib import Path
from types import SimpleNamespace

UNIT = Path(__file__).parents[1]


class Item:
    """A collected test."""

    def __init__(self, directory, once):
        self.path, self.marks = UNIT / directory / "test_x.py", {"once"} if once else set()
        self.get_closest_marker = lambda name: name if name in self.marks else None
        self.add_marker = self.marks.add


def test_each_is_in_one_share_and_all_others_in_every(pytestconfig):
    conftest = pytestconfig.pluginmanager.get_plugin(str(UNIT / "conftest.py"))
    every, once = (
        [Item("plugins", False) for _ in range(3)],
        [Item("roles", True), *(Item("lab", False) for _ in "1234")],
    )
    shares = []
    for number in (1, 2):
        items = [*once[:2], *every, *once[2:]]
        said = SimpleNamespace(pytest_deselected=lambda items: None)
        config = SimpleNamespace(getoption=lambda _, number=number: f"{number}/2", hook=said)
        conftest.pytest_collection_modifyitems(config, items)
        assert [item for item in items if item in every] == every
        shares.append([item for item in items if item not in every])
    assert [len(share) for share in shares] == [3, 2]
    assert set(shares[0]) | set(shares[1]) == set(once)
