"""The visitor of the scratch rig: `client.py times|hold|take NAME PORT FIGURE…`; it trusts what SSL_CERT_FILE names."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import ssl
import statistics
import sys
import time

PATIENCE = 10  # seconds for one answer


def connect(name: str, port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a connection over TLS."""
    plain = socket.create_connection((name, port), timeout=PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname=name)


def ask(connection: ssl.SSLSocket, name: str) -> None:
    """Ask for the small answer, and take it whole."""
    connection.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\nok\n"):
        part = connection.recv(4096)
        if not part:
            sys.exit(f"{name} ended the connection after {answer!r}.")
        answer += part


def times(name: str, port: int, kept: int, fresh: int) -> dict[str, float]:
    """Return the median seconds of a small request.

    Args:
        name: Whom to ask.
        port: Where.
        kept: How many requests are made over one connection.
        fresh: How many are made over a connection of their own, each with a full handshake.

    """
    context = ssl.create_default_context()
    figures: dict[str, list[float]] = {"kept": [], "fresh": []}
    with connect(name, port, context) as connection:
        ask(connection, name)
        for _ in range(kept):
            began = time.perf_counter()
            ask(connection, name)
            figures["kept"].append(time.perf_counter() - began)
    for _ in range(fresh):
        began = time.perf_counter()
        with connect(name, port, context) as connection:
            ask(connection, name)
            figures["fresh"].append(time.perf_counter() - began)
    return {figure: statistics.median(seconds) for figure, seconds in figures.items()}


def hold(name: str, port: int, count: int) -> None:
    """Hold connections that were served once and are idle, until the input ends."""
    context = ssl.create_default_context()
    held = []
    for _ in range(count):
        held.append(connect(name, port, context))
        ask(held[-1], name)
    print("held", flush=True)
    sys.stdin.read()
    for connection in held:
        # Whoever was cut off meanwhile was not held.
        ask(connection, name)
    print("alive", flush=True)


def greeting(name: str) -> bytes:
    """Return the first bytes of a connection over TLS, by which a relay knows who is wanted."""
    written = ssl.MemoryBIO()
    begun = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), written, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        begun.do_handshake()
    return written.read()


def take(name: str, port: int, streams: int, seconds: float) -> float:
    """Return the bits a second of streams that are taken together from the home without TLS."""
    buffer = bytearray(2**20)
    taken = 0
    with contextlib.ExitStack() as opened, selectors.DefaultSelector() as selector:
        for _ in range(streams):
            stream = opened.enter_context(socket.create_connection((name, port), timeout=PATIENCE))
            stream.sendall(greeting(name))
            stream.recv_into(buffer)
            selector.register(stream, selectors.EVENT_READ, stream.recv_into)
        began = time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            for key, _ in selector.select(timeout=0.1):
                size = key.data(buffer)
                if not size:
                    sys.exit(f"{name} ended a stream.")
                taken += size
    return taken * 8 / passed


if __name__ == "__main__":
    verb, name, *given = sys.argv[1:]
    if verb == "times":
        print(json.dumps(times(name, *map(int, given))))
    elif verb == "hold":
        hold(name, *map(int, given))
    elif verb == "take":
        print(take(name, int(given[0]), int(given[1]), float(given[2])))
