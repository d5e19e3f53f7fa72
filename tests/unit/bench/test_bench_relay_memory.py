"""The relay's memory is what it cannot give back, and connections that were lost make no figure."""

import sys

import pytest

from bench import relay_memory, relay_stand
from bench.measure import BenchError
from bench.relay_memory import TARGET, Memory

MIB = 2**20


def memory(**figures):
    return Memory(**{"nginx": 10.0, "agent": 12.0, "held": 47.0, "connections": 1000, **figures})


@pytest.mark.parametrize(
    "statistics",
    [
        # Version 1: its own, then with those of the groups below.
        f"cache 0\nactive_file 1\ninactive_file 2\ntotal_active_file {3 * MIB}\ntotal_inactive_file {5 * MIB}",
        f"anon 1\nactive_file {3 * MIB}\ninactive_file {5 * MIB}\nslab 7",
    ],
)
def test_files_that_the_kernel_could_drop_do_not_count(statistics):
    assert relay_memory.mebibytes(f"{40 * MIB}\n{statistics}\n") == 32


def test_a_connection_is_what_was_added_last():
    assert memory().each == pytest.approx(25.6)
    assert memory(connections=500).each == pytest.approx(51.2)


@pytest.mark.parametrize(("held", "word"), [(TARGET, "met"), (TARGET + 1, "missed")])
def test_all_of_it_is_held_against_the_target(held, word):
    *others, last = relay_memory.table(memory(held=held)).splitlines()
    assert f"| {word} " in last
    assert not any("met" in line or "missed" in line for line in others)
    assert relay_memory.details(memory(held=held))["met"] is (word == "met")


def test_the_table_tells_the_parts():
    told = relay_memory.table(memory(nginx=9.9, agent=12.6, held=48.1))
    for part in ("9.9 MiB", "12.6 MiB", "26.2 KiB", "48.1 MiB", "1,000"):
        assert part in told


def visitor(monkeypatch, program):
    monkeypatch.setattr(relay_stand, "client", lambda *_: [sys.executable, "-c", program])


def test_connections_are_held_until_the_figure_is_taken(monkeypatch):
    visitor(monkeypatch, "import sys; print('held', flush=True); sys.stdin.read(); print('alive')")
    with relay_memory._held(3):
        taken = True
    assert taken


@pytest.mark.parametrize(
    ("program", "waited"),
    [
        ("raise SystemExit('no more descriptors')", False),
        ("import sys; print('held', flush=True); sys.stdin.read(); sys.exit('no more descriptors')", True),
    ],
)
def test_connections_that_were_not_taken_or_not_kept_make_no_figure(monkeypatch, program, waited):
    visitor(monkeypatch, program)
    figures = []
    with pytest.raises(BenchError, match="7 connections at once: no more descriptors"), relay_memory._held(7):
        figures.append(47)
    assert bool(figures) is waited


def test_the_visitor_ends_when_the_figure_cannot_be_taken(monkeypatch, tmp_path):
    ended = tmp_path / "ended"
    visitor(
        monkeypatch,
        f"import sys; print('held', flush=True); sys.stdin.read(); open({str(ended)!r}, 'w').close()",
    )
    with pytest.raises(RuntimeError, match="no cgroup"), relay_memory._held(7):
        raise RuntimeError("no cgroup")
    assert ended.exists()
