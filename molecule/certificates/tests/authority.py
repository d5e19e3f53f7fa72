"""Pebble on the lab's internet, and what the tests want of it."""

from pathlib import Path

ROOT = Path(__file__).parents[3]
WWW, API, OPS = "www.protostar.test", "api.protostar.test", "ops.protostar.test"
WILD = "wild.protostar.test"
PEBBLE = "https://acme.protostar.test:14000/dir"
# The same at its rate limit, and an address where nobody listens.
LIMITED = "https://acme.protostar.test:14001/dir"
NOBODY = "https://acme.protostar.test:14002/dir"
ROOTS = "https://acme.protostar.test:15000/roots/0"
PAIRS = "/etc/protostar/certificates"
PROGRAM = "protostar-certificates"


def for_hosts(**values):
    """A variable that differs from host to host, as an expression."""
    return f"{{{{ { ({f'protostar-{host}': value for host, value in values.items()})!r}[inventory_hostname] }}}}"


ACME = {
    "certificates_acme_server": PEBBLE,
    "certificates_email": "operator@protostar.test",
    "certificates_public_addresses": for_hosts(main=["198.18.0.10"], sub=["198.18.0.20"]),
    "certificates_list": for_hosts(main=[{"name": WWW, "domains": [WWW, API]}], sub=[{"name": OPS}]),
}
