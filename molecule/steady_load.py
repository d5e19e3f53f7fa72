"""Asks an address over and over until standard input ends; prints how many answers came, and what failed, as JSON.

steady_load.py URL LIMIT

Each request has a connection of its own, and LIMIT seconds in which this machine runs: one that is itself stopped for
a while by whoever lends it stops both ends of a request, and nobody is to blame. Redis answers who is not logged in
that a login is missing, which is an answer.
"""

import json
import socket
import sys
import threading
import time
import urllib.request

PAUSE = 0.1  # seconds between two requests, and between two looks at the clock
AT_MOST = 300  # seconds
STOOD_STILL = 1  # seconds in which no look at the clock came
TOLERANCE = 0.5  # seconds


class Clock(threading.Thread):
    """Knows when this machine stood still."""

    def __init__(self):
        super().__init__(daemon=True)
        self._gaps = []

    def run(self):
        last = time.monotonic()
        while True:
            time.sleep(PAUSE)
            now = time.monotonic()
            if now - last > STOOD_STILL:
                self._gaps.append((last, now))
            last = now

    def ran(self, began, ended):
        """Return for how many seconds it ran between two times."""
        return ended - began - sum(max(0, min(ended, until) - max(began, since)) for since, until in self._gaps)


def ask(url, limit):
    """Ask once."""
    scheme, _, address = url.partition("://")
    if scheme != "redis":
        urllib.request.urlopen(url, timeout=limit).read()
        return
    with socket.create_connection((address, 6379), limit) as connection:
        connection.sendall(b"PING\r\n")
        answer = connection.recv(100)
        if not answer.startswith(b"-NOAUTH"):
            raise ValueError(answer)


def main(url, limit):
    """Ask until told to stop."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    clock = Clock()
    clock.start()
    done, failed, late, end = 0, [], [], time.monotonic() + AT_MOST
    while not stop.wait(PAUSE) and time.monotonic() < end:
        began = time.monotonic()
        try:
            ask(url, limit)
            done += 1
        except Exception as error:
            said = time.strftime("%T ") + repr(error)
            if isinstance(getattr(error, "reason", error), TimeoutError):
                late.append((began, time.monotonic(), said))
            else:
                failed.append(said)
    time.sleep(3 * PAUSE)  # the clock has seen the last gap
    failed += [said for began, ended, said in late if clock.ran(began, ended) >= limit - TOLERANCE]
    print(json.dumps([done, failed]))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
