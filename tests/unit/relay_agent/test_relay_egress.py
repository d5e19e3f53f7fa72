"""The egress meter books every byte once, in one month, whatever counter and clock do."""

import random

import egress
import pytest
from egress import BELIEF, Meter, Reading, Sums, book, month_of
from relay_world import made

SEPTEMBER, OCTOBER = "2026-09", "2026-10"


def course(*steps, start=None):
    """Book steps: (source, count, month) or (source, count, month, elapsed)."""
    sums = start or Sums()
    for source, count, month, *elapsed in steps:
        sums = book(sums, None if source is None else Reading(source, count), month, *(elapsed or [15]))
    return sums


TABLE = {
    "grows": ([("a", 10, OCTOBER), ("a", 25, OCTOBER)], 25, 25),
    "stands still": ([("a", 10, OCTOBER)] * 5, 10, 10),
    "is set to nothing": ([("a", 10, OCTOBER), ("a", 4, OCTOBER)], 14, 14),
    "is another one, and larger": ([("a", 10, OCTOBER), ("b", 30, OCTOBER)], 40, 40),
    "is not there for a while": ([("a", 10, OCTOBER), (None, 0, OCTOBER), ("a", 12, OCTOBER)], 12, 12),
    "a new month": ([("a", 10, SEPTEMBER), ("a", 25, OCTOBER)], 15, 25),
    "the clock goes back": ([("a", 10, OCTOBER), ("a", 25, SEPTEMBER), ("a", 30, OCTOBER)], 30, 30),
    "the clock dies": ([("a", 10, OCTOBER), ("a", 25, "1970-01"), ("a", 26, "1970-01")], 26, 26),
    "the clock jumps ahead and back": (
        [("a", 10, OCTOBER), ("a", 25, "2031-01"), ("a", 30, OCTOBER), ("a", 31, OCTOBER, BELIEF)],
        31,
        31,
    ),
    "the clock jumps ahead, and back to another month": (
        [("a", 10, SEPTEMBER), ("a", 25, "2031-01"), ("a", 30, OCTOBER, BELIEF), ("a", 31, OCTOBER)],
        21,
        31,
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_counter(case):
    steps, month, total = TABLE[case]
    sums = course(*steps)
    assert (sums.bytes, sums.total) == (month, total)
    assert sum(dict(sums.months).values()) == total


def test_a_clock_that_is_back_for_less_than_a_day_is_not_believed():
    sums = course(("a", 10, OCTOBER), ("a", 20, SEPTEMBER, BELIEF - 1))
    assert (sums.month, sums.bytes) == (OCTOBER, 20)
    ahead = course(("a", 30, OCTOBER), ("a", 40, SEPTEMBER, BELIEF - 1), start=sums)
    assert (ahead.month, ahead.bytes) == (OCTOBER, 40)


def test_any_course_books_every_byte_once():
    chance = random.Random(20260901)
    for _course in range(300):
        sums, sent, source, count = Sums(), 0, 0, 0
        for _step in range(chance.randrange(1, 60)):
            if chance.random() < 0.2:
                source, count = source + 1, 0
            grown = chance.randrange(1000)
            count, sent = count + grown, sent + grown
            month = chance.choice([SEPTEMBER, OCTOBER, "2026-11", "1970-01", "2031-01"])
            before = sums
            sums = book(sums, Reading(str(source), count), month, chance.choice([15, BELIEF]))
            assert sums.total == sent
            assert sum(dict(sums.months).values()) == sent
            if sums.month == before.month:
                assert sums.bytes >= before.bytes


def test_old_months_are_forgotten_and_the_running_one_is_not():
    sums = course(*[("a", number, f"20{number:02}-01") for number in range(10, 60)])
    assert len(sums.months) == egress.MONTHS
    assert sums.bytes == 1
    assert sums.total == 59


def test_the_month_is_that_of_utc():
    assert month_of(1790812799) == SEPTEMBER  # 2026-09-30 23:59:59 UTC
    assert month_of(1790812800) == OCTOBER


def test_the_meter_is_on_disk(world):
    world.apply(made(1))
    world.kernel.counter = 100
    assert Meter(world.machine).take().total == 100
    world.kernel.counter = 130
    assert Meter(world.machine).take().total == 130
    before = world.paths.egress.stat().st_mtime_ns
    assert Meter(world.machine).take().total == 130
    assert world.paths.egress.stat().st_mtime_ns == before


def test_a_reboot_and_a_larger_counter(world):
    world.apply(made(1))
    world.kernel.counter = 100
    Meter(world.machine).take()
    world.reboot()
    world.repair(made(1))
    world.kernel.handles = 1  # the kernel counts tables anew
    world.kernel.counter = 250
    assert Meter(world.machine).take().total == 350


def test_replacing_the_rules_loses_nothing(world):
    world.apply(made(1))
    Meter(world.machine).take()
    world.kernel.counter = 100
    world.apply(made(2))
    world.kernel.counter = 500
    assert Meter(world.machine).take().total == 600


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"month": 1}', '{"month": "2026-10", "months": []}'])
def test_sums_that_cannot_be_read_start_anew(world, text):
    world.apply(made(1))
    world.kernel.counter = 10
    world.write(world.paths.egress, text)
    assert Meter(world.machine).take().bytes == 10
