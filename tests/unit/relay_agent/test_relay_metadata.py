"""Bundles from metadata, against the lab's stand-in of Google's server, over loopback."""

import http.client
import json
import threading
import time

import bundle as bundles
import follow
import pytest
import server
from errors import Failed, Refused
from follow import Follower, Reporter
from loop import Agent
from metadata import Metadata, Unreachable
from relay_world import data_of, made

ATTRIBUTE = "attributes/protostar-relay"


class Service:
    """A running stand-in, changed by writing files."""

    def __init__(self, directory):
        self.directory = directory
        self.start()

    def start(self, port=0):
        self.server = server.serve("127.0.0.1", port, self.directory)
        self.environment = {"GCE_METADATA_HOST": f"127.0.0.1:{self.server.server_port}"}
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def write(self, name, data):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(".new")
        new.write_bytes(data if isinstance(data, bytes) else data.encode())
        new.replace(path)

    def fault(self, fault):
        self.write("fault", fault)

    def client(self, wait=1, timeout=0.5):
        return Metadata(self.environment, bundles.LARGEST, wait, timeout)

    def ask(self, method, path, headers=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=5)
        headers = {"Metadata-Flavor": "Google"} if headers is None else headers
        connection.request(method, f"/computeMetadata/v1/instance/{path}", body, headers)
        response = connection.getresponse()
        answer = response.status, response.read(), response.headers
        connection.close()
        return answer


@pytest.fixture
def service(tmp_path):
    service = Service(tmp_path / "metadata")
    yield service
    service.fault("")
    service.stop()


# The stand-in, by what upstream documents.


def test_a_value_comes_with_its_etag_and_the_flavor(service):
    service.write("attributes/one", "1")
    status, body, headers = service.ask("GET", "attributes/one")
    assert (status, body, headers["Metadata-Flavor"]) == (200, b"1", "Google")
    service.write("attributes/one", "2")
    assert service.ask("GET", "attributes/one")[2]["ETag"] != headers["ETag"]


def test_what_the_stand_in_refuses(service):
    service.write("attributes/one", "1")
    assert service.ask("GET", "attributes/one", {})[0] == 403
    assert service.ask("GET", "attributes/one", {"Metadata-Flavor": "Google", "X-Forwarded-For": "192.0.2.1"})[0] == 403
    for path in ("attributes/two", "attributes/one/more", "hostname", "attributes/../fault", "attributes/.new"):
        assert service.ask("GET", path)[0] == 404
    assert service.ask("PUT", "attributes/one", body=b"x")[0] == 404


def test_guest_attributes(service):
    path = "guest-attributes/space/key"
    assert service.ask("PUT", path, body=b"value")[0] == 404  # not enabled
    service.write("attributes/enable-guest-attributes", "true")
    assert service.ask("GET", path)[0] == 404
    assert service.ask("PUT", path, body=b"value")[0] == 200
    assert service.ask("GET", path)[1] == b"value"
    assert service.ask("GET", "guest-attributes/")[1] == b"space/\n"
    assert service.ask("GET", "guest-attributes/space/")[1] == b"key\n"
    assert (service.directory / path).read_bytes() == b"value"
    for bad in ("guest-attributes/key", "guest-attributes/a.b/key", "guest-attributes/a/b/c"):
        assert service.ask("PUT", bad, body=b"value")[0] == 404
    assert service.ask("DELETE", path)[0] == 200
    assert service.ask("GET", path)[0] == 404


def test_waiting_for_a_change(service):
    service.write("attributes/one", "1")
    tag = service.ask("GET", "attributes/one")[2]["ETag"]
    begun = time.monotonic()
    assert service.ask("GET", f"attributes/one?wait_for_change=true&last_etag={tag}&timeout_sec=0.3")[1] == b"1"
    assert time.monotonic() - begun >= 0.3
    assert service.ask("GET", "attributes/one?wait_for_change=true&last_etag=0")[1] == b"1"
    for known in (f"&last_etag={tag}", ""):
        service.write("attributes/one", "1")
        threading.Timer(0.2, service.write, ["attributes/one", "2"]).start()
        begun = time.monotonic()
        assert service.ask("GET", f"attributes/one?wait_for_change=true{known}&timeout_sec=20")[1] == b"2"
        assert 0.15 < time.monotonic() - begun < 5


# The client.


def test_following(service):
    service.write(ATTRIBUTE, data_of(1))
    client = service.client(wait=20)
    first = client.follow("0")
    assert first.data == data_of(1)
    threading.Timer(0.1, service.write, [ATTRIBUTE, data_of(2)]).start()
    begun = time.monotonic()
    second = client.follow(first.etag)
    assert second.data == data_of(2)
    assert second.etag != first.etag
    assert 0.05 < time.monotonic() - begun < 5


def test_nothing_new_in_time(service):
    service.write(ATTRIBUTE, data_of(1))
    first = service.client().follow("0")
    assert service.client().follow(first.etag) == first


FAULTS = {
    "hang": "timed out",
    "refuse": "no whole answer",
    "half": "no whole answer",
    "drip": "timed out",
    "flavor": "no metadata server",
    "403": "403",
    "404": "404",
    "500": "500",
    "503": "503",
    "301": "301",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_answer(service, fault):
    service.write(ATTRIBUTE, data_of(1))
    service.fault(fault)
    begun = time.monotonic()
    with pytest.raises(Unreachable, match=FAULTS[fault]):
        service.client().follow("0")
    assert time.monotonic() - begun < 3


def test_no_attribute_no_server_no_name(service):
    with pytest.raises(Unreachable, match="404"):
        service.client().follow("0")
    client = service.client()
    service.stop()
    with pytest.raises(Unreachable):
        client.follow("0")
    service.start()
    for host in ("name.invalid:1", "127.0.0.1:port", "[::1", "127.0.0.1:0"):
        with pytest.raises(Unreachable):
            Metadata({"GCE_METADATA_HOST": host}, 10, 1, 0.5).follow("0")


def test_a_value_that_is_too_large_is_not_read_whole(service):
    service.write(ATTRIBUTE, b"x" * 3_000_000)
    value = service.client().follow("0")
    assert len(value.data) == bundles.LARGEST + 1


def test_reporting(service):
    service.write("attributes/enable-guest-attributes", "TRUE")
    service.client().report(b'{"a": 1}')
    assert (service.directory / "guest-attributes/protostar-relay/status").read_bytes() == b'{"a": 1}'
    (service.directory / "attributes/enable-guest-attributes").unlink()
    with pytest.raises(Unreachable, match="404"):
        service.client().report(b"{}")


def test_the_default_is_googles_own():
    assert Metadata({}, 1).host == "metadata.google.internal"
    assert Metadata({"GCE_METADATA_HOST": ""}, 1).host == "metadata.google.internal"


# The follower.


class Taker:
    """Notes what is delivered."""

    def __init__(self, world, service, error=None):
        self.taken = []
        self.error = error
        self.stop = threading.Event()
        self.follower = Follower(world.machine, service.client(), self.take, self.stop)

    def take(self, data):
        self.taken.append(data)
        if self.error:
            raise self.error


def test_each_value_is_delivered_once(world, service):
    taker = Taker(world, service)
    service.write(ATTRIBUTE, data_of(1))
    taker.follower.once()
    begun = time.monotonic()
    taker.follower.once()
    assert time.monotonic() - begun > 0.9  # the server waits for a change
    service.write(ATTRIBUTE, data_of(2))
    taker.follower.once()
    assert taker.taken == [data_of(1), data_of(2)]
    assert taker.follower.trouble == ""


@pytest.mark.parametrize("fault", FAULTS)
def test_no_answer_changes_nothing_and_is_asked_less_and_less(world, service, fault):
    service.write(ATTRIBUTE, data_of(1))
    taker = Taker(world, service)
    taker.follower.client.wait = 0
    taker.follower.client.timeout = 0.05 if fault in ("hang", "drip") else 5
    service.fault(fault)
    pauses = [taker.follower.once() for _round in range(9)]
    assert taker.taken == []
    assert taker.follower.trouble
    assert all(pause <= follow.LONGEST_PAUSE for pause in pauses)
    assert pauses[-1] >= follow.LONGEST_PAUSE / 2
    assert pauses[0] <= follow.FIRST_PAUSE
    assert len(world.said) <= 2
    service.fault("")
    taker.follower.client.timeout = 5
    assert taker.follower.once() <= follow.SHORTEST_ROUND
    assert taker.taken == [data_of(1)]
    assert taker.follower.trouble == ""


def test_pauses_are_not_all_alike(world, service):
    service.fault("500")
    pauses = set()
    for _relay in range(5):
        taker = Taker(world, service)
        pauses.add(taker.follower.once())
    assert len(pauses) == 5


def test_another_programs_answer_is_fetched_again_though_nothing_changed(world, service):
    """A value that is no bundle may be half of one, which has the same ETag when it is whole."""
    taker = Taker(world, service, Refused("no."))
    service.write(ATTRIBUTE, data_of(1)[:-9])
    assert taker.follower.once() > 0
    assert taker.follower.once() > 0
    assert len(taker.taken) == 2


def test_a_refused_bundle_is_not_fetched_again(world, service):
    taker = Taker(world, service, Refused("no."))
    service.write(ATTRIBUTE, data_of(1))
    for _round in range(3):
        taker.follower.once()
    assert len(taker.taken) == 1


def test_a_bundle_that_failed_is_delivered_again(world, service):
    taker = Taker(world, service, Failed("no."))
    service.write(ATTRIBUTE, data_of(1))
    first, second = taker.follower.once(), taker.follower.once()
    assert len(taker.taken) == 2
    assert 0 < first <= follow.FIRST_PAUSE < second
    taker.error = None
    taker.follower.once()
    taker.follower.once()
    assert len(taker.taken) == 3
    assert len(world.said) == 1


def test_a_server_without_etags_is_not_asked_all_the_time(world, service):
    service.write(ATTRIBUTE, data_of(1))
    taker = Taker(world, service)
    inner = taker.follower.client.follow
    taker.follower.client.follow = lambda etag: type(value := inner(etag))(value.data, "")
    assert taker.follower.once() == follow.LONGEST_PAUSE
    assert taker.follower.once() == follow.LONGEST_PAUSE
    assert len(taker.taken) == 1


def test_a_server_that_does_not_wait_is_not_asked_all_the_time(world, service):
    service.write(ATTRIBUTE, data_of(1))
    taker = Taker(world, service)
    taker.follower.client.wait = 0
    taker.follower.once()
    assert taker.follower.once() > follow.SHORTEST_ROUND / 2


def test_the_reporter_sends_the_newest(world, service):
    service.write("attributes/enable-guest-attributes", "TRUE")
    stop = threading.Event()
    reporter = Reporter(world.machine, service.client(), stop)
    thread = threading.Thread(target=reporter.run)
    thread.start()
    for number in range(5):
        reporter.tell(str(number).encode())
    path = service.directory / "guest-attributes/protostar-relay/status"
    eventually(lambda: path.exists() and path.read_bytes() == b"4")
    stop.set()
    reporter.end()
    thread.join(5)
    assert not thread.is_alive()


def test_a_report_that_fails_is_said_once(world, service):
    reporter = Reporter(world.machine, service.client(), threading.Event())
    reporter.tell(b"{}")
    reporter.once()
    reporter.once()
    assert len(world.said) == 1


# The whole.


def test_the_agent_follows_and_reports(world, service, monkeypatch):
    """From the first bundle over a bad one and an absent server to a good one, with the daemon's own threads."""
    monkeypatch.setattr("metadata.WAIT", 1)
    monkeypatch.setattr("follow.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("loop.INTERVAL", 0.05)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    service.write("attributes/enable-guest-attributes", "TRUE")
    world.write(world.paths.settings, '{"source": "metadata"}')
    agent = Agent(world.machine, service.environment)
    agent.follower.client.timeout = 1.0
    thread = threading.Thread(target=agent.run)
    thread.start()
    guest = service.directory / "guest-attributes/protostar-relay/status"

    def told():
        return json.loads(guest.read_bytes()) if guest.exists() else {}

    try:
        eventually(lambda: "404" in world.status().get("source", ""))
        service.write(ATTRIBUTE, data_of(1))
        eventually(lambda: told().get("version") == made(1).version and told()["source"] == "")
        service.write(ATTRIBUTE, data_of(2, nginx="broken"))
        eventually(lambda: (told().get("rejected") or {}).get("version") == made(2, nginx="broken").version)
        assert told()["version"] == made(1).version
        service.fault("refuse")
        service.write(ATTRIBUTE, data_of(3))
        eventually(lambda: "source_reachable 0" in world.paths.metrics.read_text())
        assert made(1).version in world.kernel.nginx
        service.fault("")
        eventually(lambda: told()["version"] == made(3).version and told()["rejected"] is None)
    finally:
        agent.end()
        thread.join(10)
    assert not thread.is_alive()
    assert world.disagreements(made(3)) == []


def eventually(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
