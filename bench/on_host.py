"""Measures on a host of the lab, with nothing but its Python: `on_host.py modules|start …`, figures as JSON."""

from __future__ import annotations

import http.client
import json
import runpy
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ENGINE_SOCKET = "/var/run/docker.sock"
PATIENCE = 30  # seconds that Redis has to answer


def modules(directories: list[str], runs: int) -> list[list[dict[str, Any]]]:
    """Run modules again that Ansible left in directories with the arguments that it gave them.

    Args:
        directories: Where they are; the directories take turns.
        runs: How often each module is run.

    Returns:
        For each directory its modules but the fact gathering, in the order in which Ansible ran them: name and, in
        seconds, `process` (the whole process, with the start of Python and the unpacking of the module) and `work` (its
        main function alone).

    """
    sides = [_left_modules(Path(directory)) for directory in directories]
    for _ in range(runs):
        for module in (module for side in sides for module in side):
            began = time.perf_counter()
            subprocess.run([sys.executable, module["file"]], check=True, capture_output=True)
            module["process"].append(time.perf_counter() - began)
            done = subprocess.run([sys.executable, __file__, "work", module["file"]], check=True, capture_output=True)
            module["work"].append(float(done.stderr.splitlines()[-1]))
    return sides


def _left_modules(directory: Path) -> list[dict[str, Any]]:
    files = sorted(directory.glob("*/AnsiballZ_*.py"), key=lambda file: file.stat().st_mtime_ns)
    found = [{"module": file.stem.removeprefix("AnsiballZ_"), "file": str(file)} for file in files]
    return [{**module, "process": [], "work": []} for module in found if module["module"] != "setup"]


def work(file: str) -> None:
    """Run one module as Ansible does, and write the seconds of its main function to standard error."""

    def run_module(mod_name: str, init_globals: dict[str, object], **_: object) -> None:
        main = __import__("__main__")
        vars(main).update(init_globals)
        module = __import__(mod_name, fromlist=["main"])
        began = time.perf_counter()
        try:
            module.main()
        finally:
            print(time.perf_counter() - began, file=sys.stderr)

    run_path = runpy.run_path
    runpy.run_module = run_module  # type: ignore[assignment]  # the last thing that Ansible's wrapper calls
    sys.argv = [file]
    run_path(file, run_name="__main__")


class _Engine(http.client.HTTPConnection):
    def __init__(self) -> None:
        super().__init__("localhost")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(ENGINE_SOCKET)


def _engine(method: str, path: str) -> bytes:
    connection = _Engine()
    connection.request(method, path)
    return connection.getresponse().read()


def _answers(address: str, password: str) -> bool:
    try:
        with socket.create_connection((address, 6379), timeout=1) as connection:
            connection.sendall(f"AUTH monitor {password}\r\nPING\r\n".encode())
            replies = connection.makefile("rb")
            return [replies.readline(), replies.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
    except OSError:
        return False


def start(container: str, password_file: str, runs: int) -> list[float]:
    """Return the seconds from the start of a stopped Redis container to its answer to PING."""
    password = Path(password_file).read_text().strip()
    figures = []
    for _ in range(runs):
        _engine("POST", f"/containers/{container}/stop")
        began = time.perf_counter()
        _engine("POST", f"/containers/{container}/start")
        networks = json.loads(_engine("GET", f"/containers/{container}/json"))["NetworkSettings"]["Networks"]
        address = next(iter(networks.values()))["IPAddress"]
        while not _answers(address, password):
            if time.perf_counter() - began > PATIENCE:
                sys.exit(f"{container} did not answer within {PATIENCE} s: read its log on this host.")
            time.sleep(0.005)
        figures.append(time.perf_counter() - began)
    return figures


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "work":
        work(rest[0])
    elif verb == "modules":
        print(json.dumps(modules(rest[1:], int(rest[0]))))
    elif verb == "start":
        print(json.dumps(start(rest[0], rest[1], int(rest[2]))))
