"""What the module asks of Google is counted by what it reads, and only runs that did nothing count."""

import json
from collections import Counter

import pytest

from bench import relay_module
from bench.measure import BenchError
from bench.relay_module import Unchanged

NETWORK, INSTANCE = "projects/p/global/networks/n", "projects/p/zones/z/instances/i"


def unchanged(**reads):
    return Unchanged([0.5, 0.7, 0.6], [0.1, 0.3, 0.2], Counter(reads))


def module(monkeypatch, tmp_path, program):
    """Put a program in the place of the one that runs the module."""
    file = tmp_path / "run.py"
    file.write_text(program)
    monkeypatch.setattr(relay_module, "_RUN", file)


def test_reads_are_counted_by_resource():
    counts = relay_module.reads([("GET", NETWORK), ("GET", INSTANCE), ("GET", NETWORK)])
    assert counts == {NETWORK: 2, INSTANCE: 1}


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_a_write_is_no_run_with_nothing_to_do(method):
    with pytest.raises(BenchError, match=f"{method} {INSTANCE}"):
        relay_module.reads([("GET", NETWORK), (method, INSTANCE)])


@pytest.mark.parametrize(("reads", "word"), [({"a": 1, "b": 1}, "met"), ({"a": 1, "b": 2}, "missed"), ({}, "missed")])
def test_no_resource_may_be_read_twice(reads, word):
    measured = unchanged(**reads)
    calls, most = relay_module.table(measured).splitlines()[-2:]
    assert f"| {sum(reads.values())} " in calls
    assert f"| {max(reads.values(), default=0)} " in most
    assert f"| {word} " in most
    assert relay_module.details(measured)["met"] is (word == "met")


def test_the_file_has_every_run_and_every_path():
    document = json.loads(json.dumps(relay_module.details(unchanged(a=1, b=1))))
    assert document["work"]["median"] == 0.2
    assert document["process"]["values"] == [0.5, 0.7, 0.6]
    assert document["reads"] == {"a": 1, "b": 1}
    assert document["calls"] == 2


def test_the_work_is_told_apart_from_the_whole_process():
    work, process = relay_module.rows(unchanged(a=1))
    assert work.ours == [0.1, 0.3, 0.2]
    assert process.ours == [0.5, 0.7, 0.6]


def test_result_and_seconds_come_from_the_module_itself(monkeypatch, tmp_path):
    program = (
        "import json, sys, time\n"
        "given = json.load(sys.stdin)\n"
        "time.sleep(0.1)\n"
        "print(json.dumps({'changed': False, 'name': given['name'], 'module': sys.argv[1]}))\n"
        "print('a warning', file=sys.stderr)\n"
        "print(0.05, file=sys.stderr)\n"
    )
    module(monkeypatch, tmp_path, program)
    result, process, work = relay_module._run({"name": "one"})
    assert result == {"changed": False, "name": "one", "module": relay_module.MODULE}
    assert work == 0.05
    assert process > 0.1


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ('import sys; print(\'{"failed": true, "msg": "no quota"}\'); print(1, file=sys.stderr)', "no quota"),
        ("raise SystemExit('no such module')", "no such module"),
        ("print('{}')", "said no result"),
    ],
)
def test_a_module_that_fails_is_one_sentence(monkeypatch, tmp_path, program, problem):
    module(monkeypatch, tmp_path, program)
    with pytest.raises(BenchError, match=problem):
        relay_module._run({})
