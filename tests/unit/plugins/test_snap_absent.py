"""Removal of snap: what is refused, and in which order things go."""

import pytest
from ansible_collections.protostar.platform.plugins.modules import snap_absent
from ansible_collections.protostar.platform.plugins.modules.snap_absent import Plan, Snap, State, parse_snaps, plan

HOST = State(
    pinned=False,
    packages=("snapd", "lxd-installer"),
    snaps=(
        Snap("core22", "base"),
        Snap("snapd", "snapd"),
        Snap("core", "core"),
        Snap("lxd", "app"),
        Snap("hello", "app"),
    ),
    remains=("/snap", "/var/snap"),
)


def with_(**changes):
    return State(**{**vars(HOST), **changes})


def test_snaps_go_before_what_they_need():
    assert plan(HOST).snaps == ("hello", "lxd", "core22", "core", "snapd")


def test_a_clean_host_needs_nothing():
    assert plan(State()) == Plan()
    assert plan(State()).actions() == []


def test_a_missing_pin_alone_is_drift():
    assert plan(State(pinned=False)).actions() == ["pin snapd in apt"]


def test_every_step_is_said():
    actions = plan(HOST).actions()
    for thing in ("hello", "snapd", "lxd-installer", "/var/snap"):
        assert any(action.endswith(thing) for action in actions)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"docker_data": ("volume ledger",)}, ["volume ledger", "docker volume rm"]),
        ({"lxd_data": ("containers/mail",)}, ["containers/mail", "lxc export"]),
        ({"boots_from_snaps": True}, ["boots from snaps"]),
        ({"snaps": (Snap("pc-kernel", "kernel"),)}, ["boots from snaps"]),
        ({"snaps": (Snap("pc", "gadget"),)}, ["boots from snaps"]),
        ({"snaps": (), "unlisted": ("hello_2.snap",)}, ["hello_2.snap", "systemctl start"]),
    ],
)
def test_what_would_destroy_is_refused_without_a_step(changes, words):
    refused = plan(with_(**changes))
    for word in [*words, "Nothing was changed."]:
        assert word in refused.refusal
    assert not refused.actions()


def test_data_is_refused_even_when_snapd_is_gone_already():
    assert plan(State(remains=("/var/snap",), docker_data=("volume ledger",))).refusal


def test_a_listing_has_a_line_for_each_revision():
    listing = """\
Name       Version  Rev   Tracking       Publisher   Notes
core22     20260101 1     latest/stable  canonical✓  base
hello      2.9      1     latest/stable  canonical✓  disabled
hello      2.10     2     latest/stable  canonical✓  -
pc-kernel  6.8      3     24/stable      canonical✓  kernel,disabled
snapd      2.69     4     latest/stable  canonical✓  snapd
"""
    assert parse_snaps(listing) == (
        Snap("core22", "base"),
        Snap("hello", "app"),
        Snap("pc-kernel", "kernel"),
        Snap("snapd", "snapd"),
    )


def test_no_listing_has_no_snaps():
    assert parse_snaps("") == ()


class Host(snap_absent.Host):
    """A host whose snap command refuses to remove what another snap still needs."""

    def __init__(self, needs):
        self.needs = needs
        self.removed = []

    def tried(self, *command):
        name = command[-1]
        if not set(self.needs.get(name, ())) <= set(self.removed):
            return f"{name} is needed"
        self.removed.append(name)
        return ""


def test_removal_repeats_while_it_gets_anywhere():
    host = Host({"content": ["app"], "base": ["content"]})
    assert host.remove_snaps(("base", "content", "app")) == ""
    assert sorted(host.removed) == ["app", "base", "content"]


def test_removal_ends_when_nothing_can_go():
    host = Host({"one": ["two"], "two": ["one"]})
    assert host.remove_snaps(("one", "two", "free")) == "one is needed"
    assert host.removed == ["free"]
