"""The role relay as its tests see it: its variables, computed by Ansible, and its nginx.conf, run by a real nginx."""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROLE = Path(__file__).parents[3] / "roles/relay"
MODULES = Path("/usr/lib/nginx/modules")
KEY = "y0lR4pGQPnv2Fh6Zs2e6e4kHqfB3Wc8Tn1gqO9kFv1E="
FORWARD = {
    "relay_names": ["ops.example.com", "*.ops.example.com"],
    "relay_management_name": "ops.example.com",
    "relay_target": "home.example.com:8443",
}
WIREGUARD = {
    **FORWARD,
    "relay_transport": "wireguard",
    "relay_target": "10.202.0.2:8443",
    "relay_tunnel_peer_key": KEY,
}
METADATA = {"relay_delivery": "metadata", "relay_google": {"project": "shop-1234", "region": "us-west1"}}


@functools.cache
def load(path: str) -> dict:
    """Return a file of the role as Ansible reads it."""
    return DataLoader().load_from_file(str(ROLE / path), trusted_as_template=True)


def evaluate(name: str, **variables: object) -> object:
    """Return one of the role's variables, with others over its defaults."""
    context = {
        **load("defaults/main.yml"),
        **load("vars/main.yml"),
        **FORWARD,
        "ansible_search_path": [str(ROLE)],
        "role_path": str(ROLE),
        **variables,
    }
    return Templar(loader=DataLoader(), variables=context).template(context[name])


def file(name: str, **variables: object) -> str:
    """Return the text of one of the bundle's files."""
    return "".join(f"{line}\n" for line in evaluate("__relay_bundle", **variables)["files"][name])


def why_no_network() -> str:
    """Return why no network of one's own can be made here, or nothing."""
    if missing := [name for name in ("unshare", "nsenter", "ip", "nft") if shutil.which(name) is None]:
        return f"{missing[0]} is not installed"
    script = "ip link add one type veth peer name two && nft list tables && unshare --net true"
    tried = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script],
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    return f"no network of one's own here: {tried.stderr.strip()}" if tried.returncode else ""


def why_no_nginx() -> str:
    """Return why nginx cannot be run here, or nothing."""
    if shutil.which("nginx") is None:
        return "nginx is not installed"
    return "" if (MODULES / "ngx_stream_module.so").exists() else "nginx has no stream module (libnginx-mod-stream)"


class Authority:
    """A private authority, and certificates of it."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate, _ = self._sign("authority", self.key, authority=True)

    def machine(self, name: str) -> tuple[str, str]:
        """Return a machine's certificate and its key, as PEM texts."""
        return self._sign(name, ec.generate_private_key(ec.SECP256R1()))

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, authority: bool = False) -> tuple[str, str]:
        now = datetime.now(timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.KeyUsage(True, *[False] * 4, authority, *[False] * 3), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            # Python 3.13 insists on these.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


AUTHORITY = Authority()
_CERTIFICATE, _KEY = AUTHORITY.machine("relay")
PEER = {
    "relay_metrics_name": "relay",
    "relay_peer_authority": AUTHORITY.certificate,
    "relay_peer_certificate": _CERTIFICATE,
    "relay_peer_key": _KEY,
}


def greeting(name: str | None) -> bytes:
    """Return what a browser says first to a server of this name."""
    context = ssl.create_default_context()
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


class Home:
    """A listener at home: it keeps what each connection sends, and sends it back."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.server = socket.create_server((address, port))
        self.port = self.server.getsockname()[1]
        self.received: list[bytearray] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                self.received.append(bytearray())
                threading.Thread(target=self._echo, args=(connection, self.received[-1]), daemon=True).start()

    def _echo(self, connection: socket.socket, received: bytearray) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65536):
                received += data
                connection.sendall(data)

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


class NameServer:
    """Answers every question with one address, which is believed for a second."""

    def __init__(self) -> None:
        self.address = "127.0.0.1"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                asked, client = self.socket.recvfrom(512)
                head = asked[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0)
                question = asked[12 : asked.index(b"\0", 12) + 5]
                answer = struct.pack(">HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(self.address)
                self.socket.sendto(head + question + answer, client)

    def close(self) -> None:
        self.socket.close()


def free_ports(*names: int) -> dict[int, int]:
    """Return a free port in the place of each; all are taken at once, or one could come twice."""
    with contextlib.ExitStack() as taken:
        servers = {name: taken.enter_context(socket.create_server(("127.0.0.1", 0))) for name in names}
        return {name: server.getsockname()[1] for name, server in servers.items()}


class Relay:
    """nginx with the role's nginx.conf, but for its ports and paths."""

    def __init__(self, directory: Path, text: str, name_server: int = 53) -> None:
        self.directory = directory
        self.ports = free_ports(443, 80, 9180, 9181, 9444, 9101)
        for name in ("etc/peer", "run", "modules", "logs"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        for module in MODULES.glob("ngx_stream_module.so"):
            (directory / "modules/stream.conf").write_text(f"load_module {module};\n")
        self.config = directory / "nginx.conf"
        self.line("open")
        self.write(text, name_server)

    def write(self, text: str, name_server: int = 53) -> None:
        """Write the configuration, for this directory and these ports."""
        for port, other in self.ports.items():
            text = re.sub(rf"(listen (?:\S+:)?|127\.0\.0\.1:){port}\b", rf"\g<1>{other}", text)
        for old, new in {
            "user www-data": "user root",
            # One, so that it is known who has asked the name server and when.
            "worker_processes auto": "worker_processes 1",
            "/etc/nginx/modules-enabled": str(self.directory / "modules"),
            "/etc/protostar-relay": str(self.directory / "etc"),
            "/run/protostar-relay": str(self.directory / "run"),
            "/run/nginx.pid": str(self.directory / "nginx.pid"),
            "@VERSION@": "0123456789abcdef",
            "@RESOLVERS@": f"127.0.0.1:{name_server}",
        }.items():
            text = text.replace(old, new)
        text = re.sub(
            r"(access|error)_log syslog:\S+", lambda found: f"{found[1]}_log {self.directory}/{found[1]}", text
        )
        self.config.write_text(text)

    def line(self, state: str) -> None:
        """Open or close the line, as the agent does."""
        (self.directory / "etc/line.conf").write_text(f"map $remote_addr $relay_line {{ default {state}; }}\n")

    def _command(self, *arguments: str) -> list[str]:
        return [
            "nginx",
            "-p",
            str(self.directory),
            "-e",
            str(self.directory / "error"),
            "-c",
            str(self.config),
            *arguments,
        ]

    def check(self) -> str:
        """Return what nginx finds wrong in the configuration."""
        return subprocess.run(
            self._command("-t", "-q"), capture_output=True, check=False, encoding="utf-8", timeout=20
        ).stderr

    @contextlib.contextmanager
    def running(self) -> Iterator[Relay]:
        self.process = subprocess.Popen(self._command("-g", "daemon off;"))
        try:
            wait_for(lambda: self.version() != "")
            yield self
        finally:
            self.process.terminate()
            self.process.wait(timeout=20)

    def reload(self) -> None:
        """Let nginx read its configuration again, and wait until the workers of before take no new connections."""
        before = self._workers()
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self._workers() - before and not any(map(takes_connections, before)))

    def _workers(self) -> set[str]:
        return set(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split())

    def version(self) -> str:
        with contextlib.suppress(OSError), self.connect(9180) as connection:
            return receive(connection).decode()
        return ""

    def connect(self, port: int = 443, address: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection((address, self.ports[port]), timeout=10)

    def log(self) -> str:
        return (self.directory / "access").read_text()


def takes_connections(worker: str) -> bool:
    """Tell whether a worker, by its process id, has not been told to end."""
    with contextlib.suppress(OSError):
        return "shutting down" not in Path(f"/proc/{worker}/cmdline").read_text()
    return False


def receive(connection: socket.socket, size: int = 1 << 20) -> bytes:
    """Return what comes until there is so much, or the end."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while len(data) < size and (more := connection.recv(65536)):
            data += more
    return data


def wait_for(condition: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.02)
