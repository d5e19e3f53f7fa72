"""The server process without database and Redis: what needs them must say so, and everything else must work."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request
from email.message import Message
from typing import Any


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server(unittest.TestCase):
    def setUp(self) -> None:
        self.port = free_port()
        environment = {
            "DATABASE_HOST": "127.0.0.1",
            "DATABASE_PORT": "1",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": "1",
            "PORT": str(self.port),
            "APP_VERSION": "7",
            "APP_COLOUR": "green",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app"], env=os.environ | environment, stdout=subprocess.DEVNULL
        )
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        for _ in range(100):
            try:
                self.request("/health")
                return
            except OSError:
                time.sleep(0.1)
        self.fail("The server did not start.")

    def request(self, path: str, body: Any = None) -> tuple[int, Any, Message]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response), response.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error), error.headers

    def test_answers(self) -> None:
        status, body, headers = self.request("/version")
        self.assertEqual((status, body), (200, {"app": "fastapi", "version": "7", "colour": "green"}))
        self.assertEqual((headers["x-app-version"], headers["x-app-colour"]), ("7", "green"))

        status, body, _ = self.request("/ready")
        self.assertEqual((status, body), (503, {"status": "unready", "database": False, "redis": False}))

        self.assertEqual(self.request("/search?q=redis")[0], 503)
        self.assertEqual(self.request("/search?q=%3F")[0], 422)
        self.assertEqual(self.request("/documents", {"title": "", "text": "x"})[0], 422)
        self.assertEqual(self.request("/documents", {"title": "x", "text": "x" * 2001})[0], 422)

    def test_a_shutdown_finishes_requests_and_exits_0(self) -> None:
        answers: list[int] = []
        slow = threading.Thread(target=lambda: answers.append(self.request("/slow?seconds=2")[0]))
        slow.start()
        time.sleep(0.5)
        self.process.send_signal(signal.SIGTERM)
        slow.join()
        self.assertEqual(answers, [200])
        self.assertEqual(self.process.wait(timeout=10), 0)


if __name__ == "__main__":
    unittest.main()
