"""Loki's own health, and that of the agents that feed it."""

from dashboard import dashboard
from panels import ANY_IS_BAD, GREEN, RED, UP, YELLOW, lines, query, series, stat

LINES = [lines("Lines of Loki", "&var-host=sub&var-service=loki")]
SENT = " or ".join(
    f"sum by (instance) (rate({metric}[$__rate_interval]))"
    for metric in ("promtail_sent_entries_total", "loki_write_sent_entries_total")
)
DROPPED = " or ".join(
    f"sum by (instance) (rate({metric}[$__rate_interval]))"
    for metric in ("promtail_dropped_entries_total", "loki_write_dropped_entries_total")
)

LOKI_DASHBOARD = dashboard(
    "loki",
    "Loki",
    "The store of logs: what comes in, what waits, what is kept, and how it answers.",
    [
        ("", 4, [
            stat("Loki", "Whether Prometheus reaches it.", query('min(up{job="loki"})', "Loki", now=True), tiles=True,
                 mappings=UP, steps=((None, RED), (1, GREEN)), links=LINES),
            stat("Lines", "Lines taken in.",
                 query("sum(rate(loki_distributor_lines_received_total[$__rate_interval]))"), unit="cps"),
            stat("Bytes", "Text taken in.",
                 query("sum(rate(loki_distributor_bytes_received_total[$__rate_interval]))"), unit="Bps"),
            stat("Streams", "Sets of labels that are written to.", query("sum(loki_ingester_memory_streams)"),
                 steps=((None, GREEN), (2000, YELLOW), (5000, RED))),
            stat("Server errors", "Share of requests answered with 5xx.",
                 query('(sum(rate(loki_request_duration_seconds_count{status_code=~"5.."}[$__rate_interval]))'
                       " or vector(0)) / sum(rate(loki_request_duration_seconds_count[$__rate_interval]))"),
                 unit="percentunit", steps=((None, GREEN), (0.01, YELLOW), (0.05, RED)), links=LINES),
            stat("Retention ran", "Time since logs that are too old were last looked for.",
                 query("time() - max(loki_compactor_apply_retention_last_successful_run_timestamp_seconds)"),
                 unit="s", steps=((None, GREEN), (10800, YELLOW), (86400, RED)), links=LINES),
        ]),
        ("Coming in", 8, [
            series("Sent by the agents", "Lines that the log agent of each machine delivered.",
                   query(SENT, "{{instance}}"), unit="cps", stack=True),
            series("Given up by the agents", "Lines that an agent could not deliver.", query(DROPPED, "{{instance}}"),
                   unit="cps", steps=ANY_IS_BAD),
            series("Refused by Loki", "Lines that Loki did not take, by reason.",
                   query("sum by (reason) (rate(loki_discarded_samples_total[$__rate_interval])) or vector(0)",
                         "{{reason}}"), unit="cps", links=LINES),
        ]),
        ("Kept", 8, [
            series("Streams and chunks", "What is held in memory before it goes to MinIO.",
                   query("sum(loki_ingester_memory_streams)", "streams"),
                   query("sum(loki_ingester_memory_chunks)", "chunks")),
            series("Waiting for MinIO", "Chunks that wait to be written.",
                   query("sum(loki_ingester_flush_queue_length)", "chunks"), links=LINES),
            series("Written", "Chunks that were written, by why they were.",
                   query("sum by (reason) (rate(loki_ingester_chunks_flushed_total[$__rate_interval]))", "{{reason}}"),
                   unit="cps", stack=True),
            series("Asked of MinIO", "Operations of the object store, by kind.",
                   query("sum by (operation) (rate(loki_objstore_bucket_operations_total[$__rate_interval]))",
                         "{{operation}}"), unit="ops", stack=True),
        ]),
        ("Answers", 8, [
            series("Requests", "Requests by route.",
                   query("sum by (route) (rate(loki_request_duration_seconds_count[$__rate_interval]))", "{{route}}"),
                   unit="reqps", stack=True),
            series("Latency", "Time within which 95 of 100 requests were answered, by route.",
                   query("histogram_quantile(0.95, sum by (le, route)"
                         " (rate(loki_request_duration_seconds_bucket[$__rate_interval])))", "{{route}}"), unit="s"),
            series("Failed operations of the store", "Operations of the object store that failed, by kind.",
                   query("sum by (operation) (rate(loki_objstore_bucket_operation_failures_total[$__rate_interval]))",
                         "{{operation}}"), unit="ops", steps=ANY_IS_BAD, links=LINES),
        ]),
    ],
)  # fmt: skip
