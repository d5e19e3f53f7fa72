"""Redis."""

from dashboard import dashboard
from panels import ANY_IS_BAD, GREEN, LIMITS, RED, YELLOW, lines, query, series, stat

LINES = [lines("Lines of Redis", "&var-host=main&var-service=redis")]
HITS = "sum(rate(redis_keyspace_hits_total[$__rate_interval]))"
MISSES = "sum(rate(redis_keyspace_misses_total[$__rate_interval]))"

REDIS = dashboard(
    "redis",
    "Redis",
    "The cache of main: memory, commands, keys and what it keeps on disk.",
    [
        ("", 4, [
            stat("Redis", "Whether it lets its exporter in.", query("min(redis_up)", "Redis", now=True), tiles=True,
                 mappings={"0": ("down", RED), "1": ("up", GREEN)}, steps=((None, RED), (1, GREEN)), links=LINES),
            stat("Memory", "Share of what Redis may hold before it evicts or refuses.",
                 query("sum(redis_memory_used_bytes) / sum(redis_memory_max_bytes)"), unit="percentunit", steps=LIMITS),
            stat("Found", "Share of the keys asked for that were there.", query(f"{HITS} / ({HITS} + {MISSES})"),
                 unit="percentunit"),
            stat("Clients", "Connections that are open now.", query("sum(redis_connected_clients)")),
            stat("Refused connections", "Connections refused in the time shown because there were too many.",
                 query("sum(increase(redis_rejected_connections_total[$__range]))"), decimals=0, steps=ANY_IS_BAD),
            stat("Saved", "Whether the last snapshot and the last write of the log of commands succeeded.",
                 query("min(redis_rdb_last_bgsave_status)", "snapshot", now=True),
                 query("min(redis_aof_last_write_status)", "log", now=True), tiles=True,
                 mappings={"0": ("failed", RED), "1": ("good", GREEN)}, steps=((None, RED), (1, GREEN)), links=LINES),
        ]),
        ("Work", 8, [
            series("Commands", "Commands answered, by kind.",
                   query("sum by (cmd) (rate(redis_commands_total[$__rate_interval]))", "{{cmd}}"), unit="ops",
                   stack=True),
            series("Time of a command", "Mean time of a command, by kind.",
                   query("sum by (cmd) (rate(redis_commands_duration_seconds_total[$__rate_interval]))"
                         " / sum by (cmd) (rate(redis_commands_total[$__rate_interval]))", "{{cmd}}"), unit="s"),
            series("Asked for", "Keys that were there and that were not.", query(HITS, "found"),
                   query(MISSES, "missing"), unit="ops", stack=True),
        ]),
        ("Memory and keys", 8, [
            series("Memory", "What the data takes, what the kernel has given, and the limit.",
                   query("sum(redis_memory_used_bytes)", "used"), query("sum(redis_memory_used_rss_bytes)", "resident"),
                   query("sum(redis_memory_max_bytes)", "limit"), unit="bytes"),
            series("Keys", "Keys by database.", query("sum by (db) (redis_db_keys)", "{{db}}"), stack=True),
            series("Gone", "Keys that ran out, and keys thrown out for room.",
                   query("sum(rate(redis_expired_keys_total[$__rate_interval]))", "expired"),
                   query("sum(rate(redis_evicted_keys_total[$__rate_interval]))", "evicted"), unit="ops"),
        ]),
        ("Clients and disk", 8, [
            series("Clients", "Open connections, and those that wait in a blocking command.",
                   query("sum(redis_connected_clients)", "connected"), query("sum(redis_blocked_clients)", "waiting")),
            series("Traffic", "What clients sent and got.",
                   query("sum(rate(redis_net_input_bytes_total[$__rate_interval]))", "in"),
                   query("sum(rate(redis_net_output_bytes_total[$__rate_interval]))", "out"), unit="Bps"),
            series("Unsaved changes", "Changes since the last snapshot.",
                   query("sum(redis_rdb_changes_since_last_save)", "changes"), steps=((None, GREEN), (100000, YELLOW))),
        ]),
    ],
)  # fmt: skip
