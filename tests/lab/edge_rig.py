"""nginx of the lab with what the role writes for two small applications, and who asks it."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLE = Path(__file__).parents[2] / "roles/nginx"
CLIENT = "protostar/client:trixie"
# Whom nginx believes that it is the relay: the tests.
GATEWAY = ["the gateway of the network"]
SECRET = "let me see"
NAME = "shop.test"
ADDRESSES = {"green": ["127.0.1.1"], "blue": ["127.0.1.2"]}
APPS = {
    "one": {"port": 3001, **ADDRESSES},
    "two": {"port": 3002, **ADDRESSES, "failover": True},
    "rpc": {"port": 3003, **ADDRESSES},
}
VARIABLES = {
    "nginx_apps": APPS,
    "nginx_preview_secret": SECRET,
    "nginx_sites": [
        {
            "server_name": NAME,
            "locations": [
                {"path": "/", "app": "one", "buffering": False, "timeout": "1h"},
                {"path": "/static/", "app": "one", "assets": True},
                {"path": "/upload/", "app": "one", "request_buffering": False},
                {"path": "/two/", "app": "two", "uri": "/"},
                {"path": "/rpc/", "app": "rpc", "grpc": True},
            ],
        }
    ],
    # The answers to gRPC come from nginx itself, by its own HTTP/2.
    "nginx_config_extra": """
server {
  listen 127.0.1.1:3003;
  listen 127.0.1.2:3003;
  set $edge_app "";
  default_type application/grpc;
  add_header Grpc-Status 0;
  return 200 $server_addr;
}""",
}


def render(**variables: Any) -> dict[str, Any]:
    """Return the arguments of the role's service task."""

    def load(name: str) -> Any:
        return DataLoader().load_from_file(str(ROLE / name), trusted_as_template=True)

    task = next(task for task in load("tasks/main.yml") if "protostar.platform.service" in task)
    context = {**load("defaults/main.yml"), **load("vars/main.yml"), "inventory_hostname": "host", **variables}
    context |= {"ansible_search_path": [str(ROLE)], "role_path": str(ROLE)}
    return Templar(loader=DataLoader(), variables=context).template(task["protostar.platform.service"])


def write(place: Path, image: str, **variables: Any) -> None:
    """Write below `place` what the role writes on a host, in the files that are there already."""
    variables["nginx_image"] = image
    arguments = render(**{**VARIABLES, **variables})
    for entry in [*arguments["files"], *arguments["secrets"]]:
        path = place / entry["dest"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry["content"])


def certificate(place: Path) -> None:
    """Write a certificate that nobody checks."""
    place.mkdir(parents=True)
    files = ["-newkey", "rsa:2048", "-keyout", str(place / "privkey.pem"), "-out", str(place / "fullchain.pem")]
    subject = ["-subj", f"/CN={NAME}", "-days", "2", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", *subject, *files], check=True, capture_output=True)


class Tls(http.client.HTTPConnection):
    """A connection to the site at an address that its name does not lead to."""

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock, server_hostname=NAME)


class Unix(http.client.HTTPConnection):
    """A connection to the socket at a path."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.path)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def colour(self) -> str:
        return self.json["colour"]


def ask(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", body: Any = None, **headers: str
) -> Answer:
    """Ask over a connection, which stays open."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers={"Host": NAME, **names})
    answer = connection.getresponse()
    return Answer(answer.status, answer.headers, answer.read().decode())


class Rig:
    """nginx beside the applications, in whose network namespace it runs."""

    def __init__(self, nginx: Any, applications: Any, place: Path, docker: Any) -> None:
        self.nginx, self.applications, self.place, self._docker = nginx, applications, place, docker
        self.address, self.gateway = (
            self._inspect(applications, f"{{{{range .NetworkSettings.Networks}}}}{{{{.{what}}}}}{{{{end}}}}")
            for what in ("IPAddress", "Gateway")
        )

    def write(self, **variables: Any) -> None:
        """Write what the role would write for other variables."""
        write(self.place, self._inspect(self.nginx, "{{.Config.Image}}"), **variables)

    def wait(self) -> None:
        """Wait until nginx answers."""
        self.nginx.until("curl", "-sf", "http://127.0.0.1:8080/healthz")
        pid = self._inspect(self.nginx, "{{.State.Pid}}")
        self.socket = f"/proc/{pid}/root/run/protostar/edge.sock"

    def connection(self, port: int = 443) -> http.client.HTTPConnection:
        return (Tls if port == 443 else http.client.HTTPConnection)(self.address, port, timeout=20)

    def get(self, path: str, port: int = 443, **headers: str) -> Answer:
        """Ask over a connection of its own."""
        connection = self.connection(port)
        try:
            return ask(connection, path, **headers)
        finally:
            connection.close()

    def admin(self, path: str, method: str = "GET", body: Any = None) -> Answer:
        """Ask the socket."""
        connection = Unix(self.socket)
        try:
            return ask(connection, path, method, body if body is None or isinstance(body, str) else json.dumps(body))
        finally:
            connection.close()

    def put(self, expected: int, generation: int, apps: Any) -> Answer:
        return self.admin("/pools", "PUT", {"expected": expected, "generation": generation, "apps": apps})

    def generation(self) -> int:
        return self.admin("/pools").json["generation"]

    def lead(self, **apps: Any) -> int:
        """Lead to these colours, `{"live": …}` or its name; the others are green. Returns the generation."""
        now = self.generation()
        wanted = {app: {"live": pool} if isinstance(pool, str) else pool for app, pool in apps.items()}
        answer = self.put(now, now + 1, wanted)
        assert answer.status == 200, answer
        return now + 1

    def keep(self, generation: int, **apps: str) -> None:
        """Write the durable colours, as the module does before it changes them."""
        pools = {"generation": generation, "apps": {app: {"live": live} for app, live in apps.items()}}
        (self.place / "edge/pools.json.new").write_text(json.dumps(pools))
        (self.place / "edge/pools.json.new").replace(self.place / "edge/pools.json")

    def counts(self, app: str, colour: str) -> dict[str, Any]:
        return self.admin("/counters").json["apps"][app][colour]

    def sessions(self, app: str, colour: str) -> list[dict[str, Any]]:
        return self.admin(f"/sessions?app={app}&colour={colour}").json

    def control(self, what: str, app: str, colour: str) -> None:
        """Stop or start an application."""
        assert self.get(f"/{what}/{app}/{colour}", port=9000).status == 204

    def reload(self) -> Any:
        return self.nginx.run("sh", "/etc/nginx/protostar/reload.sh")

    def restart(self, *how: str) -> None:
        """End nginx by a command of docker, and start it."""
        self._docker(*how, self.nginx.name)
        self._docker("start", self.nginx.name)
        self.wait()

    def _inspect(self, container: Any, what: str) -> str:
        return self._docker("inspect", "--format", what, container.name).stdout.strip()


def header(client):
    """The PROXY header of a client, as the relay sends it."""
    kind, own = ("TCP6", "2001:db8::1") if ":" in client else ("TCP4", "198.51.100.1")
    return f"PROXY {kind} {client} {own} 40000 443\r\n".encode()


def relayed(rig, client, name=NAME, protocols=(), port=8443):
    """A TLS connection as a relay passes it on for a client; without a header for None."""
    begun = socket.create_connection((rig.address, port), timeout=20)
    if client:
        begun.sendall(header(client))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    try:
        return context.wrap_socket(begun, server_hostname=name)
    except (OSError, ssl.SSLError):
        begun.close()
        raise


class Relayed(http.client.HTTPConnection):
    """A connection to the site for a client behind a relay."""

    def __init__(self, rig, client):
        super().__init__(rig.address)
        self.rig, self.client = rig, client

    def connect(self):
        self.sock = relayed(self.rig, self.client)


def once(rig, client, path, **headers):
    connection = Relayed(rig, client)
    try:
        return ask(connection, path, **headers)
    finally:
        connection.close()


@contextmanager
def running(name: str, place: Path, image: str, docker: Any, container: Any, **variables: Any) -> Iterator[Rig]:
    """Run nginx beside the applications while a `with` lasts."""
    if os.geteuid():
        pytest.skip("only root reaches the socket of the edge")
    (place / "edge").mkdir()
    certificate(place / "certificates" / NAME)
    (place / "edge/pools.json").write_text('{"generation": 0, "apps": {}}')
    names = [f"tmp-lab-{name}-{os.getpid()}-{part}" for part in ("applications", "nginx")]
    program = f"--volume={Path(__file__).with_name('edge_backend.py')}:/edge_backend.py:ro"
    places = [f"{app}={APPS[app]['port']},127.0.1.1,127.0.1.2" for app in ("one", "two")]
    mounts = [
        f"--volume={place}/{source}:/etc/nginx/{target}:ro"
        for source, target in (
            ("config", "protostar"),
            ("secrets/preview", "preview"),
            ("secrets/users", "users"),
            ("edge", "edge"),
            ("certificates", "certificates"),
        )
    ]
    directories = ["/run", "/run/protostar:mode=0700", "/tmp", "/var/cache/nginx"]
    hardened = ["--read-only", "--cap-drop=ALL", *(f"--tmpfs={directory}" for directory in directories)]
    hardened += [f"--cap-add={capability}" for capability in ("CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID")]
    try:
        docker(
            "run", "--detach", "--init", f"--name={names[0]}", program, CLIENT, "python3", "/edge_backend.py", *places
        )
        made = Rig(container(names[1]), container(names[0]), place, docker)
        if variables.get("nginx_proxy_sources") == GATEWAY:
            variables["nginx_proxy_sources"] = [made.gateway]
        write(place, image, **variables)
        command = ["nginx", "-c", "/etc/nginx/protostar/nginx.conf"]
        network = f"--network=container:{names[0]}"
        docker("run", "--detach", f"--name={names[1]}", network, *hardened, *mounts, image, *command)
        made.wait()
        yield made
    finally:
        for each in reversed(names):
            docker("rm", "--force", "--volumes", each, check=False)


def until(true: Any, seconds: float = 5) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
