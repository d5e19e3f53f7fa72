# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where everything is on the relay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The relay's files, all below one root so that tests have machines of their own."""

    root: Path = Path("/")
    confirm_port: int = 9180

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Paths:
        """Take the root from PROTOSTAR_RELAY_ROOT and the port from PROTOSTAR_RELAY_CONFIRM_PORT (both for tests)."""
        return cls(
            Path(environment.get("PROTOSTAR_RELAY_ROOT") or "/"),
            int(environment.get("PROTOSTAR_RELAY_CONFIRM_PORT") or cls.confirm_port),
        )

    @property
    def nginx(self) -> Path:
        """Return nginx's configuration."""
        return self.root / "etc/nginx/nginx.conf"

    @property
    def rules(self) -> Path:
        """Return nftables' rules."""
        return self.root / "etc/protostar-relay/relay.nft"

    @property
    def line(self) -> Path:
        """Return the part of nginx's configuration that opens and closes the line."""
        return self.root / "etc/protostar-relay/line.conf"

    @property
    def settings(self) -> Path:
        """Return the agent's own settings."""
        return self.root / "etc/protostar-relay/agent.json"

    @property
    def tunnel(self) -> Path:
        """Return the configuration of the tunnel."""
        return self.root / "etc/wireguard/protostar.conf"

    @property
    def tunnel_key(self) -> Path:
        """Return the private key of this end of the tunnel. It is made here and never leaves."""
        return self.root / "etc/wireguard/protostar.key"

    @property
    def resolvers(self) -> Path:
        """Return the list of this machine's name servers."""
        return self.root / "etc/resolv.conf"

    @property
    def state(self) -> Path:
        """Return the directory of what must survive a reboot."""
        return self.root / "var/lib/protostar-relay"

    @property
    def runtime(self) -> Path:
        """Return the directory of what a reboot may clear."""
        return self.root / "run/protostar-relay"

    @property
    def proc(self) -> Path:
        """Return the kernel's view of its processes and sockets."""
        return self.root / "proc"

    @property
    def bundle(self) -> Path:
        """Return the last good bundle: the truth that live files are repaired from."""
        return self.state / "bundle.json"

    @property
    def egress(self) -> Path:
        """Return the sums of the egress meter."""
        return self.state / "egress.json"

    @property
    def status(self) -> Path:
        """Return what is reported."""
        return self.state / "status.json"

    @property
    def unfinished(self) -> Path:
        """Return the names of the files that were written and perhaps not put in force."""
        return self.state / "unfinished.json"

    @property
    def lock(self) -> Path:
        """Return the file that one process at a time holds while it changes this machine."""
        return self.state / "lock"

    @property
    def metrics(self) -> Path:
        """Return the metrics that nginx serves."""
        return self.runtime / "metrics.prom"
