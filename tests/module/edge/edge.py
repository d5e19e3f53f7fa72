"""A stand-in for nginx: it keeps the edge's contract, as far as a release can tell, on a host that has no image of it.

It chooses the colour of each request, counts, and takes new colours over a unix socket. One application, one replica.
"""

import http.client
import json
import os
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NAME, SECRET = os.environ["NAME"], os.environ["SECRET"]
BACKENDS = {"green": os.environ["GREEN"], "blue": os.environ["BLUE"]}
SOCKET = "/run/protostar/edge.sock"
pools = json.loads(Path("/etc/nginx/edge/pools.json").read_text(encoding="utf-8"))
lock = threading.Lock()
counters = {
    colour: {
        "requests": 0, "statuses": {"2xx": 0, "5xx": 0}, "buckets": [0, 0], "seconds": 0, "in_flight": 0,
        "websockets": 0, "streams": 0,
    }
    for colour in BACKENDS
}  # fmt: skip


class Visitors(BaseHTTPRequestHandler):
    def do_GET(self):
        preview = self.headers.get("X-Protostar-Preview")
        probe = self.headers.get("X-Protostar-Probe")
        if (preview or probe or SECRET) != SECRET:
            return self.reply(403, b"")
        with lock:
            live = pools["apps"].get(NAME, {"live": "green"})["live"]
            colour = {"green": "blue", "blue": "green"}[live] if preview else live
            counters[colour]["in_flight"] += 1
        status, body = self.asked(colour)
        with lock:
            counted = counters[colour]
            counted["in_flight"] -= 1
            counted["requests"] += 1
            counted["statuses"]["5xx" if status >= 500 else "2xx"] += 1
            counted["buckets"][0] += 1
        return self.reply(status, body, colour if preview or probe else "")

    def asked(self, colour):
        connection = http.client.HTTPConnection(BACKENDS[colour], 8080, timeout=5)
        try:
            connection.request("GET", self.path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 502, b""
        finally:
            connection.close()

    def reply(self, status, body, colour=""):
        self.send_response(status)
        if colour:
            self.send_header("X-Protostar-Colour", colour)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


class Admin(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        with lock:
            known = {
                "/pools": {**pools, "config": "stand-in"},
                "/counters": {"bounds": [0.1], "apps": {NAME: counters}},
                "/sessions": [],
            }
            self.reply(200, known[path])

    def do_PUT(self):
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            if wanted.pop("expected") != pools["generation"]:
                return self.reply(409, {"error": "stale", "generation": pools["generation"]})
            pools.update(wanted)
            return self.reply(200, {**pools, "config": "stand-in"})

    def reply(self, status, document):
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def address_string(self):
        return "local"

    def log_message(self, *_arguments):
        pass


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


threading.Thread(target=UnixServer(SOCKET, Admin).serve_forever, daemon=True).start()
ThreadingHTTPServer(("", 80), Visitors).serve_forever()
