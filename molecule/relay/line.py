"""The drawing's management line, written down once more."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENT = "198.18.0.30"
RELAY = "198.18.0.20"
PUBLIC = "198.18.0.10"
SUB = "198.19.0.20"
OPS = "ops.protostar.test"
# Needs no login, and is answered by sub's own nginx.
PATH = "/healthz"
# Where sub keeps the files of the page at /.
HOME = "/opt/protostar/www/home"

# The stand-in for Google's metadata server, on the relay's own loopback.
METADATA = "127.0.0.1:8181"
SERVER = "/run/protostar-lab/metadata.py"
DIRECTORY = "/run/protostar-lab/metadata"
START = f"systemd-run --unit protostar-lab-metadata python3 {SERVER} --listen {METADATA} --directory {DIRECTORY}"
