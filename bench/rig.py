"""The scratch rig on which two ways to switch are compared: nginx, two colours that answer at once, and a client.

nginx runs as on the lab's main, with the very configuration that the role wrote there.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .measure import ROOT, BenchError, output

NETWORK = "protostar-bench-flip"
# The role's upstreams have these addresses; the lab's own network of this range is inside main.
SUBNET = "10.201.1.0/24"
EDGE = "10.201.1.2"
COLOURS = {"green": "10.201.1.21", "blue": "10.201.1.25"}
WAYS = ("flip", "reload")
CLIENT_IMAGE = "protostar/client:trixie"
NAME = "www.protostar.test"

_HERE = Path(__file__).with_name("flip_rig")
_CERTIFICATES = ROOT / "build/lab/certificates/protostar-main"
_AUTHORITY = ROOT / "build/lab/public/ca.crt"
_IMAGES = ROOT / "build/lab/images.json"
_DIRECTORY = ROOT / "build/bench-flip"
_PATIENCE = 30  # seconds until nginx answers
_USUAL_NGINX = ["--tmpfs", "/run", "--tmpfs", "/tmp", "--tmpfs", "/var/cache/nginx"]


def names(way: str) -> tuple[str, str]:
    """Return the containers of nginx and of the client for one way to switch."""
    return f"{NETWORK}-{way}", f"{NETWORK}-client-{way}"


@contextmanager
def standing() -> Iterator[None]:
    """Build the rig, and remove it whatever happens."""
    remove()
    try:
        output(["docker", "network", "create", "--internal", "--subnet", SUBNET, NETWORK])
        image = nginx_image()
        for colour, address in COLOURS.items():
            _backend(image, colour, address)
        yield
    finally:
        remove()


@contextmanager
def edge(way: str) -> Iterator[str]:
    """Start nginx and the client for one way to switch; one at a time, since both have the same address."""
    nginx, client = names(way)
    configuration = _ours() if way == "flip" else _theirs()
    try:
        _run(nginx, EDGE, [*_USUAL_NGINX, *configuration], nginx_image(), ["nginx", "-c", "/etc/nginx/rig/nginx.conf"])
        # In nginx's process namespace, so that the switch is made from beside it.
        _run(
            client,
            "10.201.1.99",
            [
                *("--pid", f"container:{nginx}", "--cap-add", "SYS_PTRACE", "--security-opt", "apparmor=unconfined"),
                *("--add-host", f"{NAME}:{EDGE}"),
                *("--volume", f"{_AUTHORITY}:/ca.crt:ro", "--env", "SSL_CERT_FILE=/ca.crt"),
                *("--volume", f"{Path(__file__).with_name('on_edge.py')}:/on_edge.py:ro"),
            ],
            CLIENT_IMAGE,
            ["sleep", "3600"],
        )
        _wait(client)
        yield client
    finally:
        _discard([client, nginx])


def remove() -> None:
    """Remove the rig, by the names of its parts."""
    _discard([name for way in WAYS for name in reversed(names(way))])
    _discard([f"{NETWORK}-{colour}" for colour in COLOURS])
    subprocess.run(["docker", "network", "rm", NETWORK], capture_output=True, check=False)


def backend_times(colour: str) -> list[float]:
    """Return when a colour answered, as it logged, in seconds since the epoch."""
    return [float(line) for line in output(["docker", "logs", f"{NETWORK}-{colour}"]).split() if line[0].isdigit()]


def nginx_image() -> str:
    """Return the image of nginx that the lab runs."""
    if not _IMAGES.exists():
        raise BenchError("the lab's images are not built: run 'make up' first")
    built = {image["name"]: image["tag"] for image in json.loads(_IMAGES.read_text())["images"]}
    if "nginx" in built:
        return f"protostar/nginx:{built['nginx']}"
    # In upstream mode it is the image that main runs.
    return output(["docker", "exec", "protostar-main", "docker", "inspect", "-f", "{{.Config.Image}}", "nginx"]).strip()


def _backend(image: str, colour: str, address: str) -> None:
    text = (_HERE / "backend.conf").read_text().replace("COLOUR", colour)
    place = _fresh(colour)
    (place / "nginx.conf").write_text(text)
    options = [*_USUAL_NGINX, "--volume", f"{place}:/etc/nginx/rig:ro"]
    _run(f"{NETWORK}-{colour}", address, options, image, ["nginx", "-c", "/etc/nginx/rig/nginx.conf"])


def _ours() -> list[str]:
    """Return how to mount what the role wrote on main, without the door for the other machine."""
    place, pools, preview = _fresh("ours"), _fresh("pools"), _fresh("preview")
    config = "/opt/protostar/services/nginx/config"
    packed = subprocess.run(
        ["docker", "exec", "protostar-main", "tar", "-C", config, "-c", "."], capture_output=True, check=False
    )
    if packed.returncode:
        raise BenchError("main has no nginx whose configuration could be measured: run 'make up' first")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(place, filter="data")
    file = place / "nginx.conf"
    text = re.sub(r"^\s*include peers\.conf;$", "", file.read_text(), flags=re.MULTILINE)
    # The line of each request is made, since the edge counts with it, and goes where no engine has to keep it.
    file.write_text(text.replace("access_log /dev/stdout ", "access_log /dev/null "))
    (pools / "pools.json").write_text('{"generation": 0, "apps": {}}\n')
    (preview / "preview.json").write_text('{"sha256": ""}\n')
    return [
        *("--volume", f"{place}:/etc/nginx/protostar:ro", "--volume", f"{place}:/etc/nginx/rig:ro"),
        *("--volume", f"{pools}:/etc/nginx/edge:ro", "--tmpfs", "/run/protostar:mode=0700"),
        *("--volume", f"{preview}:/etc/nginx/preview:ro"),
        *("--volume", f"{_CERTIFICATES}:/etc/nginx/certificates/{NAME}:ro"),
    ]


def _theirs() -> list[str]:
    place, live = _fresh("theirs"), _fresh("live")
    (place / "nginx.conf").write_text((_HERE / "reload.conf").read_text())
    (live / "nest.conf").write_text("proxy_pass http://nest-green/;\n")
    return [
        *("--volume", f"{place}:/etc/nginx/rig:ro", "--volume", f"{live}:/etc/nginx/live"),
        *("--volume", f"{_CERTIFICATES}:/etc/nginx/certificates:ro"),
    ]


def _fresh(name: str) -> Path:
    place = _DIRECTORY / name
    subprocess.run(["rm", "-rf", str(place)], check=True)
    place.mkdir(parents=True)
    return place


def _run(name: str, address: str, options: Sequence[str], image: str, command: Sequence[str]) -> None:
    started = ["docker", "run", "--detach", "--init=false", "--name", name, "--network", NETWORK, "--ip", address]
    output([*started, *options, image, *command])


def _wait(client: str) -> None:
    ask = ["docker", "exec", client, "curl", "-sf", "--cacert", "/ca.crt", f"https://{NAME}/api/nest/version"]
    deadline = time.monotonic() + _PATIENCE
    while subprocess.run(ask, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            raise BenchError(f"nginx of the scratch rig does not answer: read 'docker logs {client}' of its containers")
        time.sleep(0.2)


def _discard(containers: Sequence[str]) -> None:
    if containers:
        subprocess.run(["docker", "rm", "--force", *containers], capture_output=True, check=False)
