"""MinIO: room, objects and requests."""

from dashboard import dashboard
from panels import ANY_IS_BAD, GREEN, LIMITS, RED, UP, lines, query, series, stat

LINES = [lines("Lines of MinIO", "&var-host=sub&var-service=minio")]
FREE = "sum(minio_cluster_capacity_usable_free_bytes)"
TOTAL = "sum(minio_cluster_capacity_usable_total_bytes)"

MINIO = dashboard(
    "minio",
    "MinIO",
    "The store of objects: the logs of Loki, and backups.",
    [
        ("", 4, [
            stat("MinIO", "Whether it calls itself healthy.",
                 query("min(minio_cluster_health_status)", "MinIO", now=True),
                 tiles=True, mappings=UP, steps=((None, RED), (1, GREEN)), links=LINES),
            stat("Drives offline", "Drives that cannot be used.", query("sum(minio_cluster_drive_offline_total)"),
                 steps=ANY_IS_BAD, links=LINES),
            stat("Room used", "Share of the capacity.", query(f"1 - {FREE} / {TOTAL}"), unit="percentunit",
                 steps=LIMITS),
            stat("Objects", "Objects in all buckets.", query("sum(minio_cluster_usage_object_total)")),
            stat("Size", "Size of all objects and their versions.", query("sum(minio_cluster_usage_total_bytes)"),
                 unit="bytes"),
            stat("Requests under way", "Requests that are being answered.",
                 query("sum(minio_s3_requests_inflight_total) or vector(0)")),
        ]),
        ("Requests", 8, [
            series("Requests", "Requests by operation.",
                   query("sum by (api) (rate(minio_s3_requests_total[$__rate_interval]))", "{{api}}"), unit="reqps",
                   stack=True),
            series("Errors", "Requests answered with 4xx and 5xx.",
                   query("sum(rate(minio_s3_requests_4xx_errors_total[$__rate_interval])) or vector(0)", "4xx"),
                   query("sum(rate(minio_s3_requests_5xx_errors_total[$__rate_interval])) or vector(0)", "5xx"),
                   unit="reqps", links=LINES),
            series("Traffic", "What clients sent and got.",
                   query("sum(rate(minio_s3_traffic_received_bytes[$__rate_interval]))", "in"),
                   query("sum(rate(minio_s3_traffic_sent_bytes[$__rate_interval]))", "out"), unit="Bps"),
        ]),
        ("Room", 8, [
            series("Room", "What is used, and what is left.", query(f"{TOTAL} - {FREE}", "used"), query(FREE, "free"),
                   unit="bytes", stack=True),
            series("Objects", "Objects and their versions.", query("sum(minio_cluster_usage_object_total)", "objects"),
                   query("sum(minio_cluster_usage_version_total)", "versions")),
            series("Running for", "Time since MinIO started.",
                   query("max(minio_node_process_uptime_seconds)", "time"), unit="s"),
        ]),
    ],
)  # fmt: skip
