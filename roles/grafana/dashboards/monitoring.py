"""Who watches the watchers: Prometheus, its rules, Alertmanager and Grafana."""

from dashboard import dashboard
from panels import ANY_IS_BAD, GREEN, LIMITS, RED, UP, YELLOW, alerts, lines, query, series, stat, states

LINES = [lines("Lines of Prometheus", "&var-host=sub&var-service=prometheus")]
STORED = "sum(prometheus_tsdb_storage_blocks_bytes + prometheus_tsdb_wal_storage_size_bytes)"
GOOD = {"0": ("failed", RED), "1": ("good", GREEN)}

MONITORING = dashboard(
    "monitoring",
    "Monitoring",
    "What is scraped, what the rules say, and whether alerts get out.",
    [
        ("", 4, [
            stat("Configuration", "Whether the last configuration was taken over.",
                 query("min(prometheus_config_last_reload_successful)", "Prometheus", now=True),
                 query("min(alertmanager_config_last_reload_successful)", "Alertmanager", now=True), tiles=True,
                 mappings=GOOD, steps=((None, RED), (1, GREEN))),
            stat("Targets", "Services that are scraped.", query("count(up)")),
            stat("Series", "Series that are written to.", query("sum(prometheus_tsdb_head_series)")),
            stat("Stored", "Share of the size that the samples may take.",
                 query(f"{STORED} / (sum(prometheus_tsdb_retention_limit_bytes) > 0)"), unit="percentunit",
                 steps=LIMITS),
            stat("Failed rules", "Evaluations of rules that failed in the time shown.",
                 query("sum(increase(prometheus_rule_evaluation_failures_total[$__range]))"), decimals=0,
                 steps=ANY_IS_BAD, links=LINES),
            stat("Failed notifications", "Messages that Alertmanager could not deliver in the time shown.",
                 query("sum(increase(alertmanager_notifications_failed_total[$__range]))"), decimals=0,
                 steps=ANY_IS_BAD),
        ]),
        ("Alerts", 9, [
            alerts("Alerts", "Alerts that fire or are about to; each names its runbook."),
            series("Alerts over time", "How many alerts fire and how many wait.",
                   query('count(ALERTS{alertstate="firing"}) or vector(0)', "firing"),
                   query('count(ALERTS{alertstate="pending"}) or vector(0)', "pending"), decimals=0),
            series("Notifications", "Messages that Alertmanager sent, by receiver.",
                   query("sum by (integration) (rate(alertmanager_notifications_total[$__rate_interval]))",
                         "{{integration}}"), unit="cps"),
        ]),
        ("Targets", 10, [
            states("Targets", "When each service answered.",
                   query('min by (job, instance) (up{job!="probe"})', "{{instance}} · {{job}}"), mappings=UP),
            series("Time of a scrape", "How long each kind of target takes.",
                   query("max by (job) (scrape_duration_seconds)", "{{job}}"), unit="s",
                   steps=((None, GREEN), (5, YELLOW), (10, RED))),
            series("Samples", "Samples of a scrape, by kind of target.",
                   query("sum by (job) (scrape_samples_scraped)", "{{job}}"), stack=True),
        ]),
        ("Prometheus and Grafana", 8, [
            series("Samples stored", "Samples taken in.",
                   query("sum(rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))", "samples"),
                   unit="wps"),
            series("Size", "What blocks and the write-ahead log take.",
                   query("sum(prometheus_tsdb_storage_blocks_bytes)", "blocks"),
                   query("sum(prometheus_tsdb_wal_storage_size_bytes)", "write-ahead log"), unit="bytes", stack=True),
            series("Time of the rules", "How long the last evaluation of each group took.",
                   query("max by (rule_group) (prometheus_rule_group_last_duration_seconds)", "{{rule_group}}"),
                   unit="s"),
            series("Requests to Grafana", "What people and their browsers ask Grafana, by status.",
                   query("sum by (status_code) (rate(grafana_http_request_duration_seconds_count[$__rate_interval]))",
                         "{{status_code}}"), unit="reqps", stack=True,
                   links=[lines("Lines of Grafana", "&var-host=sub&var-service=grafana")]),
        ]),
    ],
)  # fmt: skip
