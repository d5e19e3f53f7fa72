"""The relay is measured with the role's own configuration, beside others that do the same, in turns."""

import importlib.util
import json
import re
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import relay, relay_configuration, relay_stand, relay_ways
from bench.relay import Measured
from bench.relay_memory import Memory
from bench.relay_module import Unchanged
from bench.relay_ways import DIRECT, FIGURES, NAME, RELAY, WAYS, Passage

RIG = Path(relay.__file__).with_name("relay_rig")


def load(name):
    """Import a program of the rig, which is no package."""
    specification = importlib.util.spec_from_file_location(f"relay_rig_{name}", RIG / f"{name}.py")
    program = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(program)
    return program


@pytest.fixture(scope="module")
def role():
    return relay_configuration.files()


def test_the_configuration_is_the_roles_with_nothing_left_to_the_agent(role):
    text = role["nginx.conf"]
    assert not re.findall(r"@\w+@|{{", "".join(role.values()))
    assert f"{relay_configuration.HOME_NAME}:" in text
    assert re.search(rf"^\s*{re.escape(NAME)} home;", text, re.MULTILINE)
    # What makes the relay's work: without it the comparison says nothing.
    for part in ("ssl_preread on;", "proxy_protocol on;", "resolver ", "access_log syslog", "limit_conn "):
        assert part in text


def test_one_visitor_is_not_limited(role):
    limits = re.findall(r"limit_conn addresses (\d+);", role["nginx.conf"])
    limits += re.findall(r"limit rate over (\d+)/second", role["relay.nft"])
    assert len(limits) > 1
    assert min(map(int, limits)) > 10_000


def test_the_rig_listens_where_the_ways_lead(role):
    texts = {file.name: file.read_text() for file in RIG.iterdir() if file.is_file()}
    listening = {
        "socat": re.search(r"TCP-LISTEN:(\d+)", texts["relay.sh"]),
        "HAProxy": re.search(r"bind :(\d+)", texts["haproxy.cfg"]),
        "nftables DNAT": re.search(r"dport (\d+) dnat", texts["dnat.nft"]),
        RELAY.name: re.search(r"listen (443)", role["nginx.conf"]),
        DIRECT.name: re.search(r"listen (443) ssl", texts["home.conf"]),
    }
    assert {name: int(found.group(1)) for name, found in listening.items()} == {way.name: way.port for way in WAYS}


def test_the_home_is_told_the_client_by_those_who_say_it(role):
    # A header at a port that expects none, or none where one is expected, is no connection.
    expecting = re.search(r"listen (\d+) ssl proxy_protocol", (RIG / "home.conf").read_text()).group(1)
    assert re.search(rf"HOME_ADDRESS:{expecting} send-proxy$", (RIG / "haproxy.cfg").read_text(), re.MULTILINE)
    assert f"{relay_configuration.HOME_NAME}:{expecting}" in role["nginx.conf"]
    for file, port in (("dnat.nft", "443"), ("relay.sh", "443")):
        assert set(re.findall(r"HOME_ADDRESS:(\d+)", (RIG / file).read_text())) == {port}
    assert {443, int(expecting)} == set(load("source").PORTS)


def test_a_way_is_found_in_the_clients_first_words():
    hello = load("client").greeting(NAME)
    assert hello[0] == 0x16
    assert NAME.encode() in hello


@contextmanager
def home(handle):
    """Have a home whose connections are handled by a function of the socket."""
    source = load("source")
    handler = type("Handler", (source.Sending,), {"handle": lambda self: handle(self.request)} if handle else {})
    with source.Source(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        try:
            yield serving.server_address
        finally:
            serving.shutdown()


def test_streams_are_taken_together():
    with home(None) as (name, port):
        rate = load("client").take(name, port, 2, 0.1)
    assert rate > 8 * len(load("source").BLOCK)


def test_a_rate_is_in_bits_a_second_after_the_first_bytes():
    ended = threading.Event()

    def slow(connection):
        connection.recv(65536)
        connection.sendall(bytes(50))
        time.sleep(0.2)
        connection.sendall(bytes(1000))
        ended.wait(10)

    with home(slow) as (name, port):
        began = time.perf_counter()
        rate = load("client").take(name, port, 1, 0.4)
        passed = time.perf_counter() - began
        ended.set()
    assert 8000 / passed <= rate <= 8000 / 0.4


def test_a_home_that_ends_a_stream_is_noticed():
    def short(connection):
        connection.recv(65536)
        connection.sendall(b"bye")

    with home(short) as (name, port), pytest.raises(SystemExit, match="ended a stream"):
        load("client").take(name, port, 1, 5)


def test_all_ways_take_turns_once_they_answer(monkeypatch):
    told = []
    monkeypatch.setattr(relay_stand, "wait", lambda command, part: told.append((*command, part)))

    def one(way):
        told.append(way)
        return {"kept": len(told)}

    figures = relay._passages((one,), 2, lambda way: [way.name])
    assert told == [*((way.name, "ways") for way in WAYS), *reversed(WAYS), *WAYS]
    assert figures[RELAY]["kept"] == [len(WAYS) * 2 - WAYS.index(RELAY), len(WAYS) * 2 + 1 + WAYS.index(RELAY)]


def test_everything_is_told_and_written():
    figures = {key: [1e9, 1e9] for key in FIGURES}
    measured = Measured(
        [Passage(way, figures) for way in WAYS], Memory(10, 12, 47, 1000), Unchanged([0.5], [0.1], {"a": 1})
    )
    told = relay.table(measured)
    for part in (relay_ways.medians(measured.passages), relay_ways.against(measured.passages), "MiB", "Google"):
        assert part in told
    document = json.loads(json.dumps(relay.details(measured)))
    assert document["ways"][RELAY.name]["bytes"]["median"] == 1e9
    assert document["memory"]["connections"] == 1000
    assert document["unchanged"]["calls"] == 1
    assert [row.ours for row in relay.rows(measured)] == [[0.1], [0.5]]
