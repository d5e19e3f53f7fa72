#!/usr/bin/python3
"""A stand-in for a service that Debian does not package; it answers what probes and clients ask first.

Which service: the name it is called by, else STAND_IN. A server's arguments are accepted and not used, so that the
roles' own command lines work. Questions that upstream's programs answer without starting (version, configuration
check, health) are answered too. Called as mc, which MinIO's images bring, it writes down what it was asked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import engine

HERE = Path(__file__).resolve().parent
SERVICES = json.loads((HERE / "services.json").read_text(encoding="utf-8"))
COMMANDS = Path("/var/tmp/mc-commands.txt")
GROWING = {
    "loki_distributor_lines_received_total",
    "loki_distributor_bytes_received_total",
    "loki_write_sent_entries_total",
    "promtail_sent_entries_total",
}
SPEC = "/api/v2.0/spec/"
METRICS_PATHS = ("/metrics", "/minio/v2/metrics/cluster", "/minio/v2/metrics/node")


class Handler(BaseHTTPRequestHandler):
    """Answers from the service's table, and counts."""

    protocol_version = "HTTP/1.1"
    name = ""
    requests = 0

    def do_GET(self) -> None:
        """Answer metrics, the table's paths, and / with a page that says what this is."""
        path = urlsplit(self.path).path
        answers = SERVICES[self.name]["get"]
        if path in METRICS_PATHS:
            self.answer(200, metrics(self.name, Handler.requests), "text/plain; version=0.0.4; charset=utf-8")
        elif path in answers and self.headers.get("Upgrade", "").lower() == "websocket":
            self.upgrade()
        elif path in answers:
            self.answer_value(answers[path])
        elif self.name == "cadvisor" and path.startswith(SPEC):
            # As upstream it knows a container, itself too, only if the engine told of it.
            known = engine.ask(f"/containers/{path.removeprefix(SPEC)}/json")
            self.answer_value({"known": bool(known)}, status=200 if known else 500)
        elif path == "/stand-in/headers":
            self.answer_value(dict(self.headers.items()))
        elif path == "/":
            self.answer(200, page(self.name), "text/html; charset=utf-8")
        else:
            self.answer_value({"message": "not found", "standIn": self.name}, status=404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Take what clients send, and forget it."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answers = SERVICES[self.name]["post"]
        path = urlsplit(self.path).path
        if path not in answers:
            self.answer_value({"message": "not found", "standIn": self.name}, status=404)
        elif answers[path] is None:
            self.answer(204, "", "text/plain")
        else:
            self.answer_value(answers[path])

    def upgrade(self) -> None:
        """Open a WebSocket, say one text, and end it, which is enough to see one through a proxy."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.write(b"\x81\x08stand-in" + b"\x88\x00")
        self.close_connection = True

    def answer_value(self, value: object, status: int = 200) -> None:
        """Send text as it is, anything else as JSON."""
        if isinstance(value, str):
            self.answer(status, value, "text/plain; charset=utf-8")
        else:
            self.answer(status, json.dumps(value), "application/json")

    def answer(self, status: int, body: str, content_type: str) -> None:
        """Send one whole answer; every one names the stand-in."""
        Handler.requests += 1
        data = body.encode()
        self.send_response(status)
        self.send_header("X-Protostar-Stand-In", self.name)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: probes come every few seconds."""


def metrics(name: str, requests: int) -> str:
    """Speak the Prometheus text format: what this is, then the names of upstream's metrics, with values that stay."""
    return (
        "# HELP protostar_stand_in_info 1: this is no real service.\n# TYPE protostar_stand_in_info gauge\n"
        f'protostar_stand_in_info{{service="{name}"}} 1\n'
        "# HELP protostar_stand_in_requests_total Requests answered.\n"
        f"# TYPE protostar_stand_in_requests_total counter\nprotostar_stand_in_requests_total {requests}\n"
    ) + "".join([*seen(), *upstream_metrics(name, requests)])


def seen() -> Iterator[str]:
    """Tell how many containers the engine told of, in the place of their logs and measurements."""
    if engine.endpoint():
        containers = engine.ask("/containers/json")
        count = len(containers) if isinstance(containers, list) else -1
        yield f"# TYPE protostar_stand_in_containers gauge\nprotostar_stand_in_containers {count}\n"


def upstream_metrics(name: str, requests: int) -> Iterator[str]:
    """Yield the lines of the service's file. What counts lines of logs grows: one that stands still is an alert."""
    path = HERE / "metrics" / f"{name}.prom"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        sample, _, value = line.rpartition(" ")
        grown = f"{sample} {float(value) + requests}" if sample.partition("{")[0] in GROWING else line
        yield f"{grown}\n"


def page(name: str) -> str:
    """Tell a person who opens it what this is."""
    return (
        f"<!doctype html><title>{name} (stand-in)</title><h1>Stand-in for {name}</h1>"
        "<p>This is not the real service. The lab was built without access to its image; "
        "health and metrics are answered, nothing is stored.</p>"
    )


def healthy(name: str) -> bool:
    """Tell whether the server in this container answers (for upstream's `-health` flags)."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{SERVICES[name]['ports'][0]}/metrics", timeout=3):
            return True
    except OSError:
        return False


def serve(name: str) -> None:
    """Listen on the service's ports until SIGTERM or SIGINT."""
    Handler.name = name
    servers = [ThreadingHTTPServer(("", port), Handler) for port in SERVICES[name]["ports"]]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"Stand-in for {name}: not the real service; answers health and metrics only.", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        sys.exit(0)


def note(arguments: list[str]) -> None:
    """Write down a command of mc, where MinIO's data would be, instead of running it."""
    with COMMANDS.open("a", encoding="utf-8") as commands:
        print("mc", *arguments, file=commands)
    print("mc stand-in: the command was written down, not run", file=sys.stderr)


def main() -> int:
    """Answer a one-off question, or serve."""
    called = Path(sys.argv[0]).name
    if called == "mc":
        note(sys.argv[1:])
        return 0
    name = called if called in SERVICES else os.environ["STAND_IN"]
    flags = {argument.lstrip("-") for argument in sys.argv[1:] if argument.startswith("-")}
    if flags & {"version", "v"}:
        print(f"{name}, version stand-in")
    elif flags & {"verify-config", "check-syntax"} or "validate" in sys.argv[1:2]:
        print(f"{name} stand-in: the configuration was not checked")
    elif "health" in flags:
        return 0 if healthy(name) else 1
    else:
        serve(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
