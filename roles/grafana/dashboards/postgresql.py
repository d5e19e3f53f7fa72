"""PostgreSQL with pgvector."""

from dashboard import dashboard
from panels import GREEN, LIMITS, RED, YELLOW, compare, lines, query, series, stat

# Databases of the platform; the templates change only when PostgreSQL is upgraded.
OURS = 'datname!~"template.*|"'
LINES = [lines("Lines of PostgreSQL", "&var-host=main&var-service=pgvector")]


def rate(metric: str, by: str = "datname") -> str:
    """Return a counter's rate by database."""
    return f"sum by ({by}) (rate(pg_stat_database_{metric}{{{OURS}}}[$__rate_interval]))"


HITS = "sum(rate(pg_stat_database_blks_hit[$__rate_interval]))"
READS = "sum(rate(pg_stat_database_blks_read[$__rate_interval]))"

POSTGRESQL = dashboard(
    "postgresql",
    "PostgreSQL",
    "The database of main: connections, work, cache and size, by database.",
    [
        ("", 4, [
            stat("PostgreSQL", "Whether it lets its exporter in.",
                 query("min(pg_up)", "PostgreSQL", now=True), tiles=True,
                 mappings={"0": ("down", RED), "1": ("up", GREEN)}, steps=((None, RED), (1, GREEN)), links=LINES),
            stat("Connections", "Share of the connections that may be open.",
                 query("sum(pg_stat_database_numbackends) / min(pg_settings_max_connections)"),
                 unit="percentunit", steps=LIMITS),
            stat("Found in memory", "Share of blocks that were not read from the disk.",
                 query(f"{HITS} / ({HITS} + {READS})"), unit="percentunit",
                 steps=((None, RED), (0.9, YELLOW), (0.98, GREEN))),
            stat("Size", "All databases together.", query("sum(pg_database_size_bytes)"), unit="bytes"),
            stat("Longest transaction", "How long the oldest open transaction has been at it.",
                 query("max(pg_stat_activity_max_tx_duration)"), unit="s",
                 steps=((None, GREEN), (300, YELLOW), (3600, RED))),
            stat("Deadlocks", "Transactions that were ended because they waited for each other, in the time shown.",
                 query("sum(increase(pg_stat_database_deadlocks[$__range]))"), decimals=0,
                 steps=((None, GREEN), (1, YELLOW), (10, RED))),
        ]),
        ("Connections and work", 8, [
            series("Connections", "Open connections by what they do.",
                   query("sum by (state) (pg_stat_activity_count)", "{{state}}"), stack=True, links=LINES),
            series("Transactions", "Transactions that were committed, by database.",
                   query(rate("xact_commit"), "{{datname}}"), unit="ops", links=LINES),
            series("Rolled back", "Share of transactions that were rolled back, by database.",
                   query(f"{rate('xact_rollback')} / ({rate('xact_commit')} + {rate('xact_rollback')})", "{{datname}}"),
                   unit="percentunit", links=LINES),
        ]),
        ("", 8, [
            series("Rows read", "Rows returned to queries, by database.", query(rate("tup_returned"), "{{datname}}"),
                   unit="rps"),
            series("Rows written", "Rows inserted, changed and deleted.",
                   query(rate("tup_inserted", "server"), "inserted"), query(rate("tup_updated", "server"), "changed"),
                   query(rate("tup_deleted", "server"), "deleted"), unit="wps"),
            series("Locks", "Locks that are held, by kind.",
                   query("sum by (mode) (pg_locks_count) > 0 or sum(pg_locks_count)", "{{mode}}"), stack=True),
        ]),
        ("Memory and disk", 8, [
            series("Found in memory", "Share of blocks that were not read from the disk, by database.",
                   query(f"{rate('blks_hit')} / ({rate('blks_hit')} + {rate('blks_read')})", "{{datname}}"),
                   unit="percentunit", high=1),
            series("Temporary files", "What queries wrote because it did not fit their memory.",
                   query(rate("temp_bytes"), "{{datname}}"), unit="Bps", links=LINES),
            compare("Databases", "Size of each database.",
                    query(f"sort_desc(pg_database_size_bytes{{{OURS}}})", "{{datname}}", now=True), unit="bytes",
                    high=None, steps=((None, "blue"),)),
            series("Write-ahead log", "What recovery would have to read.", query("pg_wal_size_bytes", "size"),
                   unit="bytes"),
        ]),
        ("Vacuum", 8, [
            series("Dead rows", "Share of the rows that are dead, in the ten tables with most of them.",
                   query("topk(10, pg_stat_user_tables_n_dead_tup)"
                         " / clamp_min(pg_stat_user_tables_n_dead_tup + pg_stat_user_tables_n_live_tup, 1)",
                         "{{datname}}.{{relname}}"), unit="percentunit", steps=((None, GREEN), (0.2, YELLOW))),
            series("Sizes", "Size of each database.", query(f"pg_database_size_bytes{{{OURS}}}", "{{datname}}"),
                   unit="bytes", stack=True),
        ]),
    ],
)  # fmt: skip
