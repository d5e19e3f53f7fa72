"""A stand-in for Google's metadata server: it answers what the relay's agent asks, from files.

This is not Google's server, and knows of one instance only:
  DIRECTORY/attributes/NAME                 the instance's custom metadata; write a file to change a value
  DIRECTORY/guest-attributes/NAMESPACE/KEY  what the instance reported
  DIRECTORY/fault                           how it misbehaves, one of FAULTS; no file: not at all

As upstream documents (https://cloud.google.com/compute/docs/metadata/querying-metadata, .../manage-guest-attributes):
the header Metadata-Flavor: Google is required, and answered; a forwarded request is refused; wait_for_change waits
for another ETag than last_etag, or the next change without one, at most timeout_sec seconds, and answers with what
there is then; unknown names are 404; guest attributes are there if the attribute enable-guest-attributes is TRUE, and
take letters, digits, _ and - in their two names.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

INSTANCE = "/computeMetadata/v1/instance/"
# hang: no answer; refuse: the connection is closed; half: a part of the body; drip: the body a byte a second;
# flavor: not the header of a metadata server; html: an answer that is another program's; a number: that status.
FAULTS = ("hang", "refuse", "half", "drip", "flavor", "html", "a status as 500")
INTERVAL = 0.02  # seconds between looks at a file
NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")


class Handler(BaseHTTPRequestHandler):
    """One request, answered from the files of a directory."""

    protocol_version = "HTTP/1.1"
    server_version = "MetadataStandIn"
    directory = Path()

    def do_GET(self) -> None:
        """Answer with an attribute, a guest attribute, or a list of names."""
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        path = self.place(url.path)
        if not self.admitted():
            return
        if path is None:
            self.answer(404, b"not found\n")
        elif path.is_dir():
            names = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in sorted(path.iterdir())]
            self.answer(200, "".join(f"{name}\n" for name in names if not name.startswith(".")).encode())
        else:
            self.answer_file(path, query)

    def do_PUT(self) -> None:
        """Take a guest attribute."""
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.place(urlsplit(self.path).path)
        if not self.admitted():
            return
        guest = self.directory / "guest-attributes"
        if path is None or path.parent.parent != guest:
            self.answer(404, b"not found\n")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{threading.get_ident()}")
        new.write_bytes(data)
        new.replace(path)
        self.answer(200, b"")

    def do_DELETE(self) -> None:
        """Forget a guest attribute."""
        path = self.place(urlsplit(self.path).path)
        if not self.admitted():
            return
        if path is None or path.parent.parent != self.directory / "guest-attributes" or not path.is_file():
            self.answer(404, b"not found\n")
            return
        path.unlink()
        self.answer(200, b"")

    def admitted(self) -> bool:
        """Refuse what is no request from the instance itself, and misbehave if told to."""
        if self.headers.get("Metadata-Flavor") != "Google" or self.headers.get("X-Forwarded-For"):
            self.answer(403, b"Missing Metadata-Flavor:Google header.\n")
            return False
        fault = self.fault()
        if fault == "hang":
            while self.fault() == fault:
                time.sleep(INTERVAL)
        if fault in ("hang", "refuse"):
            self.close_connection = True
            return False
        if fault.isdigit():
            self.answer(int(fault), b"unavailable\n")
            return False
        return True

    def fault(self) -> str:
        """Return how to misbehave."""
        with suppress(OSError):
            return (self.directory / "fault").read_text().strip()
        return ""

    def place(self, path: str) -> Path | None:
        """Return the file or directory of a request's path; None if there is none."""
        if not path.startswith(INSTANCE):
            return None
        kind, *names = path[len(INSTANCE) :].rstrip("/").split("/")
        if kind not in ("attributes", "guest-attributes") or not all(NAME.fullmatch(name) for name in names):
            return None
        if kind == "guest-attributes":
            enabled = self.directory / "attributes/enable-guest-attributes"
            if len(names) > 2 or not enabled.is_file() or enabled.read_text().strip().upper() != "TRUE":
                return None
        elif len(names) > 1:
            return None
        return self.directory.joinpath(kind, *names)

    def answer_file(self, path: Path, query: dict[str, str]) -> None:
        """Answer with a file: at once, or when it is another one than the client knows."""
        data = look(path)
        if query.get("wait_for_change", "").lower() == "true":
            known = query.get("last_etag") or etag(data)
            end = time.monotonic() + float(query.get("timeout_sec") or "inf")
            while data is not None and etag(data) == known and time.monotonic() < end:
                time.sleep(INTERVAL)
                data = look(path)
        if data is None:
            self.answer(404, b"not found\n")
        else:
            self.answer(200, data, etag(data))

    def answer(self, status: int, body: bytes, tag: str = "") -> None:
        """Send one answer."""
        fault = self.fault()
        if fault == "html":
            body, tag = b"<html>Welcome to the hotel's network</html>", ""
        self.send_response(status)
        self.send_header("Metadata-Flavor", "Hotel" if fault == "flavor" else "Google")
        self.send_header("Content-Type", "application/text")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Protostar-Stand-In", "metadata")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        if fault == "half":
            body = body[: len(body) // 2]
            self.close_connection = True
        with suppress(ConnectionError):
            for start in range(len(body)) if fault == "drip" else ():
                self.wfile.write(body[start : start + 1])
                time.sleep(1)
            if fault != "drip":
                self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: a client asks all the time."""


class Server(ThreadingHTTPServer):
    """Clients that go away while they wait are nothing to speak of."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say what is an error of the stand-in itself only."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def look(path: Path) -> bytes | None:
    """Return a file's bytes; None if there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def etag(data: bytes | None) -> str:
    """Return 16 hexadecimal digits that follow from the value."""
    return hashlib.sha256(data or b"").hexdigest()[:16]


def serve(address: str, port: int, directory: Path) -> Server:
    """Return a server of a directory, which it makes; port 0 takes a free one."""
    for name in ("attributes", "guest-attributes"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    return Server((address, port), type("Handler", (Handler,), {"directory": directory}))


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A stand-in for Google's metadata server.")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--directory", required=True, type=Path)
    arguments = parser.parse_args()
    address, _, port = arguments.listen.rpartition(":")
    server = serve(address, int(port), arguments.directory)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"Stand-in for Google's metadata server: GCE_METADATA_HOST={address}:{server.server_port}", flush=True)
    with suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
