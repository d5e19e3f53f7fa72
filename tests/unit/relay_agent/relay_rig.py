"""A relay with the real nginx, on loopback ports of its own; systemd and nftables are played by small programs."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

AGENT = Path(__file__).parents[3] / "roles/relay/files/agent"
MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

# A command that is told to kills whoever called it, as a machine without memory might.
_KILL = """
count=$(( $(cat "$RIG/count" 2>/dev/null || echo 0) + 1 )); echo $count >"$RIG/count"
[ "$count" != "$(cat "$RIG/kill" 2>/dev/null)" ] || kill -9 $PPID
"""
_SYSTEMCTL = """#!/bin/sh
pid=$(cat "$RIG/nginx.pid" 2>/dev/null)
[ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || pid=
start() { nginx -c "$RIG/root/etc/nginx/nginx.conf"; }
case "$1" in
  reload-or-restart) if [ -n "$pid" ]; then kill -HUP "$pid"; else start; fi || exit 1 ;;
  restart)
    [ -z "$pid" ] || { kill -TERM "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done; }
    start || exit 1 ;;
  is-active) if [ -n "$pid" ]; then echo active; else echo inactive; exit 3; fi ;;
  *) exit 1 ;;
esac
"""
_NFT = """#!/bin/sh
[ "$1" != -f ] || { cp "$2" "$RIG/rules"; echo 0 >"$RIG/bytes"; }
case "$*" in
  *tables*)
    [ ! -e "$RIG/rules" ] || table='{"table": {"family": "inet", "name": "protostar_relay", "handle": 1}}'
    echo "{\\"nftables\\": [$table]}" ;;
  *counter*) echo "{\\"nftables\\": [{\\"counter\\": {\\"bytes\\": $(cat "$RIG/bytes")}}]}" ;;
esac
"""


def missing():
    """Return why the rig cannot be built here; empty if it can."""
    if not shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"):
        return "nginx is not installed on this machine (Debian: nginx-light)"
    return "" if MODULE.exists() else "nginx has no stream module here (Debian: libnginx-mod-stream)"


def free_ports(count):
    """Free ports; all are taken at once, or one could come twice."""
    with contextlib.ExitStack() as taken:
        listeners = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


class Backend:
    """The home: answers each line with itself, as long as the client likes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _address = self.listener.accept()
                threading.Thread(target=self._echo, args=[connection], daemon=True).start()

    def _echo(self, connection):
        with suppress(OSError), connection:
            while data := connection.recv(65536):
                connection.sendall(data)


class Rig:
    """The machine."""

    def __init__(self, path):
        self.path = path
        self.root = path / "root"
        self.backend = Backend()
        self.port, self.confirm_port = free_ports(2)
        for directory in ("etc/nginx", "etc/protostar-relay", "var/lib", "run", "proc"):
            (self.root / directory).mkdir(parents=True)
        (self.root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
        programs = path / "bin"
        programs.mkdir()
        for name, text in (("systemctl", _SYSTEMCTL), ("nft", _NFT)):
            (programs / name).write_text(text.replace("#!/bin/sh\n", f"#!/bin/sh\n{_KILL}"))
            (programs / name).chmod(0o755)
        self.environment = {
            "RIG": str(path),
            "PATH": f"{programs}:/usr/sbin:/usr/bin:/bin",
            "PROTOSTAR_RELAY_ROOT": str(self.root),
            "PROTOSTAR_RELAY_CONFIRM_PORT": str(self.confirm_port),
        }

    def bundle(self, number, nginx="", hard=0):
        """Write a bundle of a stream proxy to the backend, and return its file."""
        text = f"""# {number}
load_module {MODULE};
worker_processes 2;
pid {self.path}/nginx.pid;
error_log {self.path}/error.log;
events {{ worker_connections 256; }}
stream {{
  include {self.root}/etc/protostar-relay/line.conf;
  resolver @RESOLVERS@;
  map $relay_line $relay_upstream {{ open 127.0.0.1:{self.backend.port}; default ""; }}
  server {{ listen 127.0.0.1:{self.port}; proxy_pass $relay_upstream; }}
  server {{ listen 127.0.0.1:{self.confirm_port}; return @VERSION@; }}
  {nginx}
}}"""
        files = {"nginx.conf": text.split("\n"), "relay.nft": [f"# rules of {number}"]}
        caps = {"egress_soft_cap_bytes": 0, "egress_hard_cap_bytes": hard}
        path = self.path / f"bundle-{number}.json"
        path.write_text(json.dumps({"format": 1, "files": files, "agent": caps}))
        return path

    def command(self, *arguments):
        return [sys.executable, "-I", "-B", str(AGENT), *map(str, arguments)]

    def call(self, *arguments):
        command = self.command(*arguments)
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=90, check=False)

    def start(self):
        return subprocess.Popen(self.command("run"), env=self.environment, stderr=subprocess.PIPE, text=True)

    def status(self):
        return json.loads(self.call("status").stdout)

    def running_version(self):
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.confirm_port), 2) as connection:
            return connection.recv(64).decode()
        return ""

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), 5)
        connection.settimeout(5)
        return connection

    def echoes(self):
        """Tell whether a new client reaches the home."""
        try:
            with self.connect() as connection:
                connection.sendall(b"hello")
                return connection.recv(16) == b"hello"
        except OSError:
            return False

    def count(self, size):
        (self.path / "bytes").write_text(f"{size}\n")

    def kill_at(self, number):
        (self.path / "count").write_text("0\n")
        (self.path / "kill").write_text(f"{number}\n")

    def end(self):
        self.backend.listener.close()
        with suppress(OSError, ValueError):
            pid = int((self.path / "nginx.pid").read_text())
            os.kill(pid, signal.SIGTERM)
            for _try in range(100):
                os.kill(pid, 0)
                time.sleep(0.02)
