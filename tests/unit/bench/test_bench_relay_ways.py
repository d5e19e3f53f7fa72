"""Each way to the home is told beside the direct one, and the relay's nginx beside each."""

import pytest

from bench import relay_ways
from bench.measure import BenchError
from bench.relay_ways import DIRECT, FIGURES, RELAY, WAYS, Passage

DIRECTLY = {
    "bytes": [8e9, 8e9, 8e9],
    "download": [4e9, 5e9, 4e9],
    "kept": [0.001, 0.002, 0.001],
    "fresh": [0.01, 0.02, 0.01],
    "connections": [1000.0, 900.0, 1000.0],
}
PEER = next(way for way in WAYS if way.name == "HAProxy")


def passages(**relayed):
    figures = {key: [figure * 2 for figure in values] for key, values in DIRECTLY.items()}
    others = [Passage(way, DIRECTLY if way == DIRECT else figures) for way in WAYS if way != RELAY]
    return [*others, Passage(RELAY, {**figures, **relayed})]


def line(table, name):
    return next(line for line in table.splitlines() if line.startswith(f"| {name} "))


def cells(table, name):
    return [cell.strip() for cell in line(table, name).strip("|").split("|")]


@pytest.mark.parametrize(
    ("told", "bits"),
    [("512.00KB", 512 * 1024 * 8), ("1.50MB", 1.5 * 1024**2 * 8), ("2.00GB", 2 * 1024**3 * 8), ("16.00B", 128)],
)
def test_what_was_transferred_is_read_in_bits(told, bits):
    report = f"  10 requests in 2.00s, 1.00GB read\nRequests/sec:    5.00\nTransfer/sec:    {told}\n"
    assert relay_ways.bits(report) == pytest.approx(bits)


def test_a_report_without_transfer_is_refused():
    with pytest.raises(BenchError, match="no transfer"):
        relay_ways.bits("Requests/sec: 1")


@pytest.mark.parametrize(("rounds", "word"), [([9e8, 1e9, 5e9], "met"), ([9e8, 9e8, 5e9], "missed")])
def test_the_relay_alone_is_held_against_the_line(rounds, word):
    told = relay_ways.medians(passages(download=rounds))
    assert word in cells(told, RELAY.name)
    for way in WAYS:
        if way != RELAY:
            assert not {"met", "missed"} & set(cells(told, way.name))


def test_what_is_added_is_the_median_of_each_rounds_difference():
    # The difference of the medians would be 1.00 ms.
    shown = cells(relay_ways.medians(passages(kept=[0.002, 0.0022, 0.0015])), RELAY.name)
    assert shown[shown.index("2.00 ms") + 1] == "0.50 ms"


def test_a_way_that_was_quicker_adds_less_than_nothing():
    assert "-0.50 ms" in cells(relay_ways.medians(passages(kept=[0.0005, 0.0015, 0.0005])), RELAY.name)


def test_what_is_next_to_nothing_has_no_sign():
    assert "0.00 ms" in cells(relay_ways.medians(passages(kept=[0.000999, 0.001999, 0.000999])), RELAY.name)


def test_the_direct_way_adds_nothing_to_itself():
    shown = cells(relay_ways.medians(passages()), DIRECT.name)
    assert "1.00 ms" in shown
    assert "" in shown[shown.index("1.00 ms") + 1 :]
    assert "0.00 ms" not in shown


def test_every_figure_and_every_way_is_in_the_table():
    told = relay_ways.medians(passages())
    for way in WAYS:
        assert way.name in told
    for figure in FIGURES.values():
        assert figure.name in told
    for part in ("16.00 Gbit/s", "8.00 Gbit/s", "2.00 ms", "20.00 ms", "2000/s"):
        assert part in line(told, RELAY.name)


def test_the_relay_is_told_as_a_share_of_each_other_way():
    told = relay_ways.against(passages(bytes=[4e9, 2e9, 8e9]))
    head, _, *body = told.splitlines()
    names = [cell.strip() for cell in head.strip("|").split("|")][1:]
    assert names == [way.name for way in WAYS if way != RELAY]
    assert len(body) == len(FIGURES)
    shares = dict(zip(names, cells(told, FIGURES["bytes"].name)[1:], strict=True))
    assert shares[DIRECT.name] == "0.50 (0.25 to 1.00)"
    assert shares[PEER.name] == "0.25 (0.12 to 0.50)"


def test_the_file_has_every_round_and_every_share():
    document = relay_ways.details(passages(bytes=[4e9, 2e9, 8e9]))
    assert set(document) == {way.name for way in WAYS}
    assert document[RELAY.name]["bytes"]["values"] == [4e9, 2e9, 8e9]
    assert document[DIRECT.name]["bytes"]["relay_times"]["values"] == [0.5, 0.25, 1.0]
    assert document[RELAY.name]["bytes"]["relay_times"]["median"] == 1.0
