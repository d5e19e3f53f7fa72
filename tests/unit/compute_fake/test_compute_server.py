"""The fake over HTTP, and as a process."""

import http.client
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from compute_fake import serve

TESTS = Path(__file__).parents[2]


@pytest.fixture
def served():
    """A fake that listens, and a session with a token for it."""
    with serve(project="shop", zones=["us-west1-b"]) as fake, requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {fake.tokens.issue()}"
        yield fake, session


def test_it_answers_over_http_as_in_process(served):
    fake, session = served
    url = f"{fake.endpoint}/projects/shop/global/firewalls"
    over, inside = session.get(url, timeout=10), fake.session().get(url)
    assert over.json() == inside.json()
    assert over.headers["Content-Type"] == inside.headers["Content-Type"]
    refused = session.post(url, json={"name": "x", "colour": 1}, params={"requestId": "1"}, timeout=10)
    assert refused.status_code == 400


def test_it_listens_on_this_machine_alone(served):
    fake, _ = served
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/compute/v1", fake.endpoint)


def test_a_connection_serves_many_requests_until_one_is_dropped(served):
    fake, session = served
    place = urlsplit(fake.endpoint)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
    headers = {"Authorization": session.headers["Authorization"]}
    path = f"{place.path}/projects/shop/global/networks"
    for verb in ("GET", "GET", "PUT", "GET"):
        connection.request(verb, path, headers=headers)
        own = connection.sock.getsockname()
        connection.getresponse().read()
        assert connection.sock.getsockname() == own
    fake.fault("GET networks", drop_reply=True)
    connection.request("GET", path, headers=headers)
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()


def test_a_killed_caller_finds_the_connection_closed(served):
    fake, session = served
    fake.kill_after = 1
    with pytest.raises(requests.exceptions.ConnectionError):
        session.get(f"{fake.endpoint}/projects/shop", timeout=10)
    assert fake.requests == []


def test_it_stops_at_the_end_of_the_block():
    with serve() as fake:
        endpoint = fake.endpoint
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"{endpoint}/projects/shop", timeout=10)


def test_it_is_a_process_too(tmp_path):
    account = tmp_path / "account.json"
    command = [sys.executable, "-m", "compute_fake", "--port", "0", "--project", "bench", "--zone", "us-east1-b"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(
        [*command, "--service-account", str(account)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        endpoint = process.stdout.readline().strip()
        answer = requests.get(f"{endpoint}/projects/bench/zones/us-east1-b", timeout=10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert answer.status_code == 401
    assert '"project_id": "bench"' in account.read_text()
