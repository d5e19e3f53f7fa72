"""What the stand-ins for programs that watch containers ask the engine: as little as proves that they reach it."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
from pathlib import Path


class Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=3)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of an address."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def endpoint() -> str:
    """Find the socket that the command line names, or a configuration file on it; empty if there is none."""
    words = [argument.rpartition("=")[2] for argument in sys.argv[1:]]
    texts = words + [Path(word).read_text(encoding="utf-8") for word in words if Path(word).is_file()]
    found = re.search(r"unix://([\w./-]+)", "\n".join(texts))
    return found[1] if found else ""


def ask(path: str) -> object:
    """Ask the engine; None if it refuses, or cannot be reached."""
    connection = Connection(endpoint())
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return json.load(answer) if answer.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()
