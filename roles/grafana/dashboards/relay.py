"""The relay: what it has sent of what it may, who is connected, and whether the management line is whole."""

from dashboard import annotation, dashboard
from panels import GREEN, LIMITS, RED, UP, YELLOW, compare, query, series, stat, states

GOOD = ((None, RED), (1, GREEN))
OPEN = {"0": ("closed", RED), "1": ("open", GREEN)}
ACCEPTED = {"0": ("accepted", GREEN), "1": ("refused", RED)}
REACHED = {"0": ("not reached", RED), "1": ("reached", GREEN)}
# After 180 s without a handshake a tunnel carries nothing.
HANDSHAKE = ((None, GREEN), (150, YELLOW), (180, RED))
SENT = "max(protostar_relay_egress_month_bytes)"
SOFT_CAP = "max(protostar_relay_egress_soft_cap_bytes > 0)"
HARD_CAP = "max(protostar_relay_egress_hard_cap_bytes > 0)"
VERSION = "protostar_relay_config_info"
PROBES = 'probe_success{line="management"}'


def tile(title: str, description: str, expr: str, meanings: dict[str, tuple[str, str]], **settings: object) -> dict:
    """Show the state of one thing as a coloured tile."""
    asked = query(expr, title, now=True)
    return stat(title, description, asked, tiles=True, mappings=meanings, **{"steps": GOOD, **settings})


RELAY = dashboard(
    "relay",
    "Relay",
    "The management line's way in. While the relay is dead it has no metrics, and the probe tells. A mark is a new"
    " configuration.",
    [
        ("", 4, [
            tile("Management line", "Whether the probe of the management line succeeds, through the relay and back.",
                 f"min({PROBES})", UP),
            tile("Line", "Whether the relay lets anybody in. It closes at its hard cap, until the month ends (UTC).",
                 "min(protostar_relay_line_open)", OPEN),
            tile("nginx", "Whether the agent sees the relay's nginx at work.", "min(protostar_relay_nginx_up)", UP),
            tile("Newest configuration", "Whether the relay accepted it. After a refusal the one before serves on.",
                 "max(protostar_relay_config_rejected)", ACCEPTED, steps=((None, GREEN), (1, RED))),
            tile("Metadata", "Whether the relay reaches what it takes its configuration from; over SSH there is nothing"
                 " to reach.", "min(protostar_relay_source_reachable)", REACHED),
            stat("Last handshake", "Time since the tunnel's last handshake; empty without a tunnel.",
                 query("time() - max(protostar_relay_tunnel_handshake_seconds)"), unit="s", steps=HANDSHAKE),
        ]),
        ("Egress of this month (UTC)", 8, [
            stat("Sent this month", "What has left the relay since the month began.", query(SENT), unit="bytes"),
            compare("Share of the caps", "What has been sent, of what may be.",
                    query(f"{SENT} / {SOFT_CAP}", "soft cap", now=True),
                    query(f"{SENT} / {HARD_CAP}", "hard cap", now=True), steps=LIMITS),
            series("Sent and caps", "What has left the relay since the month began, and the caps.",
                   query(SENT, "sent"), query(SOFT_CAP, "soft cap"), query(HARD_CAP, "hard cap"), unit="bytes",
                   colors={"soft cap": YELLOW, "hard cap": RED}),
            series("Egress", "What leaves the relay.",
                   query("sum(rate(protostar_relay_egress_bytes_total[$__rate_interval]))", "out"), unit="Bps"),
        ]),
        ("Clients", 8, [
            series("Connections", "Connections of clients that are open.",
                   query("sum(protostar_relay_connections)", "connections")),
            series("Time of the probe", "How long the probe of the management line takes.",
                   query('max by (instance) (probe_duration_seconds{line="management"})', "{{instance}}"), unit="s"),
        ]),
        ("Course", 8, [
            states("Probe of the management line", "When the probe of the management line succeeded.",
                   query(f"min by (instance) ({PROBES})", "{{instance}}"), mappings=UP),
            states("Configuration in force", "Which version the relay ran.",
                   query(f"max by (version) ({VERSION})", "{{version}}"),
                   mappings={"1": ("in force", GREEN)}),
            series("Age of the metrics", "Time since the agent last wrote the relay's metrics.",
                   query("time() - max(protostar_relay_agent_seconds)", "age"), unit="s",
                   steps=((None, GREEN), (60, YELLOW), (180, RED))),
        ]),
    ],
    annotations=(annotation("Configurations", f"{VERSION} unless {VERSION} offset 1m", "Configuration {{version}}"),),
    since="now-24h",
)  # fmt: skip
