"""The memory of the platform's own services is told by host, and stand-ins apart."""

import pytest

from bench import memory

STATS = "shop\t100MiB / 512MiB\nredis\t4.5MiB / 512MiB\ngrafana\t14MiB / 1GiB\nnginx\t1.5GiB / 2GiB\n"


@pytest.mark.parametrize(("text", "mib"), [("512KiB", 0.5), ("21.5MiB", 21.5), ("1.5GiB", 1536), ("0B", 0)])
def test_sizes_are_those_of_the_engine(text, mib):
    assert memory.mebibytes(text) == mib


def test_applications_are_left_out_and_stand_ins_marked():
    found = memory.usages("main", STATS, ["grafana"], ["shop"])
    assert [(usage.container, usage.mib, usage.stand_in) for usage in found] == [
        ("grafana", 14, True),
        ("nginx", 1536, False),
        ("redis", 4.5, False),
    ]


def test_each_host_has_a_sum_without_its_stand_ins():
    main = memory.usages("main", STATS, ["grafana"], ["shop"])
    sub = memory.usages("sub", "redis\t2.5MiB / 8MiB\n", [], [])
    cells = [[cell.strip() for cell in line.split("|")[1:4]] for line in memory.table([*main, *sub]).splitlines()]
    assert ["main", "all but stand-ins", "1540"] in cells
    assert ["main", "with stand-ins", "1554"] in cells
    assert [line for line in cells if line[0] == "sub"] == [["sub", "redis", "2"], ["sub", "all but stand-ins", "2"]]
