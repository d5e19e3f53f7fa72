"""Runs on main, with nothing but its Python: asks the edge, watches which colour is live, waits for a step.

on_main.py ask                 a request a line on standard input, [method, path, body]; its answer and times as a line
on_main.py watch               a line for each change of the live colours, until standard input ends
on_main.py step NAME SIGNAL    waits until a release under way has come to a step, sends a signal (0 for none) to who
                               makes it, at once since the step may be over in two seconds, and prints who that is
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path("/opt/protostar/releases")
INTERVAL = 0.01
SECONDS = 60  # that a step is waited for


class Connection(http.client.HTTPConnection):
    """The edge's socket, by way of nginx's own root directory."""

    def __init__(self):
        super().__init__("edge", timeout=5)

    def connect(self):
        inspect = ["docker", "inspect", "--format", "{{.State.Pid}}", "nginx"]
        process = subprocess.run(inspect, capture_output=True, text=True, check=False).stdout.strip()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(f"/proc/{process}/root/run/protostar/edge.sock")

    def ask(self, method, path, body=None):
        """Ask; the connection is opened again when nginx has closed it."""
        began = time.time()
        try:
            self.request(method, path, json.dumps(body) if body else None)
            answer = self.getresponse()
            document = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        return {"began": began, "ended": time.time(), "status": answer.status, "body": document}


def ask():
    connection = Connection()
    for line in sys.stdin:
        print(json.dumps(connection.ask(*json.loads(line))), flush=True)


def watch():
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    # What is seen first was so before, too.
    connection, known, since = Connection(), None, 0
    while not over.wait(INTERVAL):
        try:
            seen = connection.ask("GET", "/pools")
        except (OSError, http.client.HTTPException, ValueError):
            continue
        apps = seen["body"]["apps"]
        if apps != known:
            line = {"apps": apps, "generation": seen["body"]["generation"], "begun": since, "done": seen["ended"]}
            print(json.dumps(line), flush=True)
            known = apps
        since = seen["began"]


def step(name, number):
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            journal = json.loads((ROOT / "journal.json").read_text())
            if journal["step"] == name and not journal["undo"]:
                lease = json.loads((ROOT / ".lease").read_text())
                os.kill(lease["pid"], int(number))
                print(json.dumps(lease))
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.01)
    sys.exit(f"no release came to the step {name} in {SECONDS} s")


if __name__ == "__main__":
    {"ask": ask, "watch": watch, "step": step}[sys.argv[1]](*sys.argv[2:])
