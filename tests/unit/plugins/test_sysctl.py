"""Kernel parameters: what is set, written and left alone."""

import pytest
from ansible_collections.protostar.platform.plugins.modules import sysctl
from ansible_collections.protostar.platform.plugins.modules.sysctl import Parameter, normal, path_of, plan


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """A kernel of two parameters."""
    monkeypatch.setattr(sysctl, "KERNEL", tmp_path)
    (tmp_path / "vm").mkdir()
    for name in ("swappiness", "overcommit"):
        (tmp_path / "vm" / name).write_text("60\n")
    return tmp_path


@pytest.mark.parametrize(
    ("parameter", "container", "set_", "in_file", "left_alone"),
    [
        (Parameter("0"), False, True, "net.x = 1", False),
        (Parameter("1"), False, False, "net.x = 1", False),
        (Parameter("1", writable=False), False, False, "net.x = 1", False),
        (Parameter("0", writable=False), False, False, "-net.x = 1", True),
        (Parameter(None), False, False, "-net.x = 1", True),
        (Parameter("0"), True, True, "net.x = 1", False),
    ],
)
def test_a_parameter_is_compared(parameter, container, set_, in_file, left_alone):
    steps = plan({"net.x": 1}, {"net.x": parameter}, container)
    assert steps.set == ({"net.x": "1"} if set_ else {})
    assert in_file in steps.content.splitlines()
    assert ("net.x" in steps.left_alone) == left_alone


def test_a_container_leaves_the_machines_kernel_alone_at_its_boot_too():
    steps = plan({"vm.swappiness": 10}, {"vm.swappiness": Parameter("60")}, container=True)
    assert not steps.set
    assert "vm.swappiness" not in steps.content
    assert "machine" in steps.left_alone["vm.swappiness"]


@pytest.mark.parametrize(("value", "printed"), [(True, "1"), (10, "10"), ("1024\t 65000 ", "1024 65000")])
def test_values_are_compared_as_the_kernel_prints_them(value, printed):
    assert normal(value) == printed


def test_a_slash_in_a_name_is_a_dot_of_an_interface():
    assert str(path_of("net.ipv4.conf.eth0/100.rp_filter")) == "/proc/sys/net/ipv4/conf/eth0.100/rp_filter"


def test_looking_reads_the_kernel(kernel):
    assert sysctl.look("vm.swappiness").value == "60"
    assert sysctl.look("vm.nonsense") == Parameter(None)


def test_a_refused_value_puts_back_the_ones_before(kernel):
    before = {"vm.swappiness": Parameter("60"), "vm.overcommit": Parameter("60")}
    (kernel / "vm/overcommit").unlink()
    (kernel / "vm/overcommit").mkdir()
    assert "vm.overcommit = many" in sysctl.apply({"vm.swappiness": "10", "vm.overcommit": "many"}, before)
    assert sysctl.look("vm.swappiness").value == "60"
