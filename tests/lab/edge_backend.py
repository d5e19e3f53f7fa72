"""Applications in two colours, for the tests of the edge: python3 edge_backend.py app=port,address,address ...

The first address of each is green, the second blue. A server on port 9000 stops and starts them: /stop/one/green.
"""

import json
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SEEN = {}
PLACES = {}
SERVERS = {}


class Application(BaseHTTPRequestHandler):
    """Says who answered what; other answers have paths of their own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        name = self.path.strip("/").split("?")[0].split("/")
        if self.headers.get("Upgrade"):
            self.echo()
        elif name[0] == "events":
            self.events()
        elif name[0] == "slow":
            time.sleep(float(name[1]))
            self.say(200)
        elif name[0] == "status":
            self.say(int(name[1]))
        elif name[0] == "static" and self.server.colour not in name[1]:
            self.say(404)
        elif name[0] == "seen":
            self.say(200, seen=SEEN.get(name[1], 0))
        else:
            self.say(200)

    def do_POST(self):
        name, left = self.path.rsplit("/", 1)[-1], int(self.headers.get("Content-Length", 0))
        SEEN[name] = 0
        while left:
            part = self.rfile.read1(min(left, 65536))
            if not part:
                return
            SEEN[name] += len(part)
            left -= len(part)
        self.say(200, seen=SEEN[name])

    def say(self, status, **more):
        body = json.dumps({"app": self.server.app, "colour": self.server.colour, "path": self.path, **more}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def events(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while True:
            try:
                self.wfile.write(f"data: {self.server.colour}\n\n".encode())
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.1)

    def echo(self):
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.close_connection = True
        while part := self.connection.recv(1024):
            self.connection.sendall(part)

    def log_message(self, *arguments):
        """Nobody reads it."""


class Server(ThreadingHTTPServer):
    """One colour of one application."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, app, colour, address, port):
        self.app, self.colour, self.open = app, colour, set()
        super().__init__((address, port), Application)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def process_request(self, request, client_address):
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.open.discard(request)
        super().shutdown_request(request)

    def stop(self):
        """Refuse connections, and end those that are open."""
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Control(BaseHTTPRequestHandler):
    """Stops and starts the colours."""

    def do_GET(self):
        what, app, colour = self.path.strip("/").split("/")
        server = SERVERS.pop((app, colour), None)
        if server:
            server.stop()
        if what == "start":
            SERVERS[app, colour] = Server(app, colour, *PLACES[app, colour])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        """Nobody reads it."""


def main(arguments):
    for argument in arguments:
        app, place = argument.split("=")
        port, *addresses = place.split(",")
        for colour, address in zip(("green", "blue"), addresses, strict=True):
            PLACES[app, colour] = (address, int(port))
            SERVERS[app, colour] = Server(app, colour, address, int(port))
    ThreadingHTTPServer(("", 9000), Control).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
