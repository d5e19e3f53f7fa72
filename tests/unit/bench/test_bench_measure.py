"""What is measured is checked: a figure of a run that did something else means nothing."""

import sys

import pytest

from bench import measure
from bench.cases import CASES
from bench.measure import BenchError

RECAP = """
PLAY RECAP *********************************************************************
localhost                  : ok=12   changed=0    unreachable=0    failed=0    skipped=3    rescued=0    ignored=0   

TASKS RECAP ********************************************************************
protostar.platform.images : Images -------------------------------------- 6.81s

PLAY RECAP *********************************************************************
protostar-main             : ok=33   changed=2    unreachable=0    failed=0    skipped=8    rescued=0    ignored=0   
protostar-sub              : ok=25   changed=0    unreachable=0    failed=0    skipped=8    rescued=0    ignored=0   
"""  # noqa: W291  as Ansible writes it


def test_every_recap_is_read():
    lines = measure.recap(RECAP)
    assert [line["host"] for line in lines] == ["localhost", "protostar-main", "protostar-sub"]
    assert [line["changed"] for line in lines] == [0, 2, 0]
    assert lines[1]["ok"] == 33


def test_change_where_there_must_be_none_is_told_with_its_host():
    with pytest.raises(BenchError, match=r"nothing.*protostar-main.*2"):
        measure.check_recap(RECAP, changed=False)


@pytest.mark.parametrize("changed", [True, None])
def test_change_where_it_may_be(changed):
    measure.check_recap(RECAP, changed=changed)


def test_nothing_changed_where_something_must():
    quiet = RECAP.replace("changed=2", "changed=0")
    measure.check_recap(quiet, changed=False)
    with pytest.raises(BenchError, match="something"):
        measure.check_recap(quiet, changed=True)


def test_no_recap_is_no_proof_that_nothing_changed():
    with pytest.raises(BenchError, match="no PLAY RECAP"):
        measure.check_recap("all is well", changed=False)


def test_failed_command_leaves_what_it_wrote(tmp_path, monkeypatch):
    log = tmp_path / "build/failure.log"
    monkeypatch.setattr(measure, "FAILURE", log)
    with pytest.raises(BenchError, match=f"ended with 3.*{log}"):
        measure.output([sys.executable, "-c", "print('why'); raise SystemExit(3)"])
    assert log.read_text() == "why\n"


def test_missing_command_is_a_sentence():
    with pytest.raises(BenchError, match="no-such-command: No such file"):
        measure.output(["no-such-command"])


def test_clock_of_the_script_does_not_reach_what_is_measured(monkeypatch):
    monkeypatch.setenv("PROTOSTAR_START", "1")
    assert "PROTOSTAR_START" not in measure.environment()


def test_sides_take_turns():
    order = []

    def side(name, figure):
        return lambda number: order.append((name, number)) or figure + number

    assert measure.interleaved([side("a", 10.0), side("b", 20.0)], 2) == [[10.0, 11.0], [20.0, 21.0]]
    assert order == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]


def test_summary():
    assert measure.summary([3.0, 1.0, 10.0]) == {"median": 3.0, "min": 1.0, "max": 10.0, "values": [3.0, 1.0, 10.0]}
    assert measure.summary([1.0, 2.0])["median"] == 1.5


def test_ratio_is_taken_round_by_round():
    assert measure.ratios([1.0, 10.0], [4.0, 20.0]) == [4.0, 2.0]


def test_a_changed_setting_differs_in_every_round():
    changing = [case for case in CASES if case.changes]
    assert changing
    for case in changing:
        assert case.arguments(0) != case.arguments(1)
