"""What the choice and the counters cost is told beside plain proxy_pass, and the rig is the role's configuration."""

from pathlib import Path

import pytest

from bench import edge
from bench.edge import PLAIN, WAYS, Cost, Way
from bench.measure import BenchError

TEMPLATE = Path(__file__).parents[3] / "roles/nginx/templates/nginx.conf.j2"
REPORT = "  Latency Distribution\n     50%    1.10ms\n     99%    {}\n"


def cost(way, rates, slow):
    return Cost(way, rates, slow, [100.0, 100.0, 100.0], [0.01, 0.01, 0.01])


@pytest.mark.parametrize(("told", "seconds"), [("910.00us", 0.00091), ("3.28ms", 0.00328), ("1.02s", 1.02)])
def test_the_slow_requests_are_read(told, seconds):
    assert edge.slow(REPORT.format(told)) == pytest.approx(seconds)


def test_a_report_without_latency_is_refused():
    with pytest.raises(BenchError, match="no latency"):
        edge.slow("Requests/sec: 1")


@pytest.mark.parametrize(
    ("rates", "slow", "met"),
    [
        ([90.0, 85.0, 10.0], [0.013, 0.01, 0.5], (True, True)),
        ([84.0, 84.0, 99.0], [0.01, 0.01, 0.01], (False, True)),
        ([99.0, 99.0, 99.0], [0.014, 0.014, 0.01], (True, False)),
    ],
)
def test_medians_are_held_against_the_targets(rates, slow, met):
    assert cost(WAYS[1], rates, slow).met == met


def test_the_table_tells_shares_and_targets():
    lines = edge.table(
        [
            cost(PLAIN, [100.0, 100.0, 100.0], [0.01, 0.01, 0.01]),
            cost(WAYS[1], [90.0, 80.0, 90.0], [0.02, 0.02, 0.02]),
            cost(Way("peer", 1), [50.0, 50.0, 50.0], [0.02, 0.02, 0.02]),
        ]
    ).splitlines()
    told = {way: next(line for line in lines if way in line) for way in (PLAIN.name, WAYS[1].name, "peer")}
    assert "met" not in told[PLAIN.name]
    assert "missed" not in told[PLAIN.name]
    for part in ("90/s", "0.90", "0.80 to 0.90", "≥ 0.85", "met", "20.0 ms", "2.00", "≤ 1.3", "missed"):
        assert part in told[WAYS[1].name]
    assert "0.50" in told["peer"]
    assert "≥" not in told["peer"]


def test_the_rig_differs_from_the_role_in_nothing_but_the_sites_and_the_log():
    text = edge.without_sites(TEMPLATE.read_text())
    assert "include ways.conf;" in text
    assert "worker_processes 1;" in text
    for part in ("sites.conf", "apps.conf", "peers.conf"):
        assert f"include {part}" not in text
    counted, plain = (text.split(f"log_format {name} ")[1].split(";\n")[0] for name in ("requests", "plain"))
    assert counted.replace('"colour":"$edge_finished",', "") == plain
    assert "$edge_finished" in counted


def test_a_line_that_was_changed_is_noticed():
    text = TEMPLATE.read_text().replace('"colour":"$edge_finished"', '"who":"$edge_finished $edge_colour"')
    with pytest.raises(BenchError, match="has changed"):
        edge.without_sites(text)


def test_the_peer_is_started_by_its_own_command():
    variables = {"BENCH_PEER_COMMAND": "{peer} --listen {port} --to {target} --name '{x}'"}
    assert edge.peer_command(variables) == "/peer --listen 8004 --to 127.0.0.1:3000 --name '{x}'"


@pytest.mark.parametrize("variables", [{}, {"BENCH_PEER_COMMAND": "{peer} --to {target}"}])
def test_a_peer_without_its_command_is_refused(variables):
    with pytest.raises(BenchError, match="BENCH_PEER_COMMAND"):
        edge.peer_command(variables)
