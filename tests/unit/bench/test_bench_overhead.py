"""The stack is switched off and on in turns, runs in the end, and its price is told."""

import pytest

from bench import overhead
from bench.measure import BenchError
from bench.overhead import Overhead

WRK = "Running 5s test\n  100 requests in 5.00s, 1.00MB read\n{}Requests/sec:  {}\nTransfer/sec: 1.00MB\n"


class Lab:
    """Containers that are stopped and started, and a load that is told how many of them watch."""

    def __init__(self, running, failing=()):
        self.running = {host: set(names) for host, names in running.items()}
        self.failing = failing
        self.seen = []

    def output(self, command):
        _, _, host, program, *rest = command
        if program == "wrk":
            self.seen.append(sum(map(len, self.running.values())))
            return WRK.format("  Socket errors: timeout 1\n" if len(self.seen) in self.failing else "", 1000)
        verb, *names = rest
        if verb == "ps":
            return "\n".join(self.running[host])
        if verb == "stop":
            self.running[host] -= set(names)
        elif verb == "start":
            self.running[host] |= set(names)
        return "healthy\n" * len(names) if verb == "inspect" else ""


HOSTS = {"one": ["a", "b"], "two": ["c"]}


@pytest.fixture
def lab(monkeypatch):
    def start(running, **options):
        found = Lab(running, **options)
        monkeypatch.setattr(overhead, "output", found.output)
        return found

    return start


def test_rate_is_read_from_the_report():
    assert overhead.rate(WRK.format("", "12984.65")) == 12984.65


@pytest.mark.parametrize("line", ["  Non-2xx or 3xx responses: 4\n", "  Socket errors: connect 0, read 1\n"])
def test_a_rate_of_failures_is_none(line):
    with pytest.raises(BenchError, match=line.split()[0]):
        overhead.rate(WRK.format(line, 10))


def test_every_round_has_each_route_with_and_without(lab):
    found = lab(HOSTS)
    measured = overhead.measure(2, HOSTS)
    assert [len(item.watched) for item in measured] == [len(item.alone) for item in measured] == [2, 2]
    assert found.seen == [count for count in (3, 0, 0, 3) for _ in overhead.ROUTES]


def test_only_what_ran_is_started_again(lab):
    found = lab({"one": ["b", "other"], "two": ["c"]})
    overhead.measure(1, HOSTS)
    assert found.running == {"one": {"b", "other"}, "two": {"c"}}


def test_the_stack_runs_again_after_a_failure(lab):
    found = lab(HOSTS, failing=[len(overhead.ROUTES) + 1])
    with pytest.raises(BenchError, match="Socket errors"):
        overhead.measure(1, HOSTS)
    assert found.seen[-1] == 0
    assert found.running == {host: set(names) for host, names in HOSTS.items()}


def test_without_a_stack_there_is_nothing_to_compare(lab):
    lab({"one": ["other"], "two": []})
    with pytest.raises(BenchError, match="nothing on one"):
        overhead.measure(1, HOSTS)


@pytest.mark.parametrize(("watched", "met"), [([96.0, 90.0, 98.0], True), ([94.0, 99.0, 90.0], False)])
def test_what_is_lost_is_told_round_by_round(watched, met):
    item = Overhead("a route", watched, [100.0, 100.0, 100.0])
    assert item.lost["values"] == pytest.approx([1 - rate / 100 for rate in watched])
    assert item.met is met
    assert ("| met " if met else "| missed ") in overhead.table([item])
