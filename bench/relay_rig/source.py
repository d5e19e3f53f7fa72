"""The home of the rig without TLS: sends without end to whoever has said something, so that the way is the work."""

from __future__ import annotations

import socketserver
import threading

# As the home has them: to one of them the relay sends its PROXY header first.
PORTS = (443, 8443)
BLOCK = bytes(2**20)


class Sending(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Send until the other side has enough."""
        try:
            self.request.recv(65536)
            while True:
                self.request.sendall(BLOCK)
        except OSError:
            return


class Source(socketserver.ThreadingTCPServer):
    """Serves each connection in a thread of its own."""

    daemon_threads = True
    allow_reuse_address = True


if __name__ == "__main__":
    for port in PORTS:
        threading.Thread(target=Source(("", port), Sending).serve_forever).start()
