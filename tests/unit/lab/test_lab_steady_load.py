"""What asks all the while in molecule tests blames a server that is late, and not a machine that stood still."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "molecule/steady_load.py"
LIMIT = 2


class Server(http.server.ThreadingHTTPServer):
    """Answers, but while it is silent, and badly while it is broken."""

    def __init__(self):
        self.silent, self.broken = threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        while self.server.silent.is_set():
            time.sleep(0.05)
        self.send_response(503 if self.server.broken.is_set() else 200)
        self.end_headers()

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.silent.clear()
        server.shutdown()


@pytest.fixture
def load(server):
    """Ask while something happens; returns how many answers came, and what failed."""

    def during(happens):
        command = [sys.executable, PROGRAM, f"http://127.0.0.1:{server.server_port}/", str(LIMIT)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            time.sleep(1)
            happens(process)
            time.sleep(0.5)
            return json.loads(process.communicate()[0])

    return during


def silence(server, seconds):
    server.silent.set()
    time.sleep(seconds)
    server.silent.clear()


def test_nothing_happens(load):
    done, failed = load(lambda process: None)
    assert done > 3
    assert failed == []


def test_an_answer_that_comes_too_late_is_a_failure(load, server):
    _, failed = load(lambda process: silence(server, LIMIT + 0.5))
    assert len(failed) == 1
    assert "timed out" in failed[0]


def test_a_bad_answer_is_a_failure(load, server):
    _, failed = load(lambda process: (server.broken.set(), time.sleep(0.5), server.broken.clear()))
    assert failed
    assert all("503" in said for said in failed)


def test_nobody_is_to_blame_for_a_machine_that_stood_still(load, server):
    def stop(process):
        server.silent.set()
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(LIMIT + 1)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.3)
        server.silent.clear()

    done, failed = load(stop)
    assert done > 3
    assert failed == []


def test_a_server_that_is_late_after_the_machine_stood_still_is_to_blame(load, server):
    def stop(process):
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(LIMIT)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.3)
        silence(server, LIMIT + 0.5)

    assert len(load(stop)[1]) == 1
