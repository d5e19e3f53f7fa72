"""A service with every fault that a release can have, chosen by its configuration file."""

import json
import os
import pathlib
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONFIG = pathlib.Path(os.environ.get("CONFIG", "/config/server.json"))
config = {}


def load(*_signal):
    config.clear()
    config.update(json.loads(CONFIG.read_text()))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        healthy = config.get("healthy", True) or self.path != "/health"
        body = config.get("text", "").encode()
        self.send_response(200 if healthy else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_arguments):
        pass


def hog():
    kept = []
    while True:
        kept.append(bytearray(16 << 20))
        for page in range(0, 16 << 20, 4096):
            kept[-1][page] = 1


if "--check" in sys.argv:
    load()
    sys.exit(f"{CONFIG}: 'text' is missing" if "text" not in config else 0)
load()
if config.get("exit"):
    sys.exit(f"refusing to start: {config['exit']}")
if config.get("exit_if") and pathlib.Path(config["exit_if"]).exists():
    sys.exit(f"refusing to start: {config['exit_if']} is too old")
if config.get("touch"):
    pathlib.Path(config["touch"]).touch()
signal.signal(signal.SIGHUP, load)
signal.signal(signal.SIGTERM, lambda *_signal: os._exit(0))
if config.get("hog"):
    hog()
time.sleep(config.get("delay", 0))
server = ThreadingHTTPServer(("", 8080), Handler)
if config.get("crash_after"):
    threading.Timer(config["crash_after"], lambda: os._exit(3)).start()
server.serve_forever()
