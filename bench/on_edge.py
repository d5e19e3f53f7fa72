"""Switches the live colour of nest, beside nginx: `on_edge.py flip|reload TIMES PAUSE [PROCESS [FIRST]]`.

On the scratch rig it runs in nginx's own process namespace, where nginx is process 1.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOCKET = "/proc/{}/root/run/protostar/edge.sock"
INCLUDE = Path("/proc/1/root/etc/nginx/live/nest.conf")
COLOURS = ("blue", "green")


class Edge(http.client.HTTPConnection):
    """The edge's socket, by way of the root directory of nginx's process."""

    def __init__(self, process: str) -> None:
        super().__init__("edge", timeout=5)
        self._path = SOCKET.format(process)

    def connect(self) -> None:
        """Connect to the socket instead of an address."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)

    def ask(self, method: str, body: object = None) -> Any:  # noqa: ANN401  whatever nginx answers
        """Ask for the pools, or set them."""
        self.request(method, "/pools", json.dumps(body) if body else None)
        answer = self.getresponse()
        document = json.loads(answer.read())
        if answer.status != 200:
            sys.exit(f"the edge answers {answer.status}: {document}")
        return document


def flip(edge: Edge, colour: str) -> tuple[float, float]:
    """Switch by one write."""
    now = edge.ask("GET")
    number = now["generation"]
    wanted = {"expected": number, "generation": number + 1, "apps": {**now["apps"], "nest": {"live": colour}}}
    began = time.time()
    edge.ask("PUT", wanted)
    return began, time.time()


def reload(colour: str) -> tuple[float, float]:
    """Switch by an included file and the signal that `nginx -s reload` sends."""
    draft = INCLUDE.with_suffix(".new")
    began = time.time()
    draft.write_text(f"proxy_pass http://nest-{colour}/;\n")
    draft.replace(INCLUDE)
    os.kill(1, signal.SIGHUP)
    return began, time.time()


def main(way: str, times: str, pause: str, process: str = "1", first: str = "blue") -> None:
    """Switch to and fro, and tell when."""
    edge = Edge(process) if way == "flip" else None
    switch: Callable[[str], tuple[float, float]] = (lambda colour: flip(edge, colour)) if edge else reload
    done = []
    for number in range(int(times)):
        time.sleep(float(pause))
        colour = COLOURS[(number + COLOURS.index(first)) % 2]
        began, ended = switch(colour)
        done.append({"colour": colour, "began": began, "ended": ended})
    time.sleep(float(pause))
    print(json.dumps(done))


if __name__ == "__main__":
    main(*sys.argv[1:])
