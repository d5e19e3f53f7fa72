"""The drawing with live state: main on the left, sub on the right, the lines between, and what is wrong."""

from dashboard import dashboard
from panels import (
    ANY_IS_BAD,
    BY_STATUS,
    GREEN,
    RED,
    UP,
    YELLOW,
    alerts,
    compare,
    lines,
    link,
    query,
    series,
    stat,
    states,
)


def up(job: str, instance: str, label: str) -> dict:
    """Tell whether Prometheus reaches a service of a machine."""
    return query(f'max(up{{job=~"{job}", instance="{instance}"}})', label, now=True)


def healthy(name: str, label: str) -> dict:
    """Tell whether all containers of an application are healthy."""
    return query(f'min(container_health_state{{name=~"{name}(-.*)?", instance="main"}})', label, now=True)


def tiles(title: str, description: str, *queries: dict, links: tuple[dict, ...] = ()) -> dict:
    """Show each service as a tile, green while it is up."""
    return stat(title, description, *queries, tiles=True, mappings=UP, steps=((None, RED), (1, GREEN)), links=[*links])


def both(instance: str) -> list[dict]:
    """Ask for what watches a machine."""
    return [
        up("node", instance, "host"),
        up("cadvisor", instance, "containers"),
        up("promtail|alloy", instance, "log agent"),
    ]


OVERVIEW = dashboard(
    "overview",
    "Overview",
    "Both machines as in the drawing: main serves, sub watches. Green is well; a tile leads to its dashboard.",
    [
        ("", 4, [
            stat("Firing alerts", "Alerts that fire now.",
                 query('count(ALERTS{alertstate="firing"}) or vector(0)'), steps=ANY_IS_BAD),
            stat("Silent targets", "Services that Prometheus asks in vain.",
                 query("count(up == 0) or vector(0)"), steps=ANY_IS_BAD),
            stat("Failing probes", "Addresses that do not answer as they should, seen from outside of their container.",
                 query("count(probe_success == 0) or vector(0)"), steps=ANY_IS_BAD),
            stat("Requests", "What nginx of main answers.",
                 query('sum(rate(protostar_nginx_requests_total{instance="main"}[$__rate_interval]))'),
                 unit="reqps", links=[link("nginx", "nginx", "&var-instance=main")]),
            stat("Server errors", "Share of requests to main that were answered with 5xx.",
                 query('(sum(rate(protostar_nginx_requests_total{instance="main", status="5xx"}[$__rate_interval]))'
                       ' or vector(0)) / sum(rate(protostar_nginx_requests_total{instance="main"}[$__rate_interval]))'),
                 unit="percentunit", steps=((None, GREEN), (0.01, YELLOW), (0.05, RED)),
                 links=[link("nginx", "nginx", "&var-instance=main")]),
            stat("Log lines", "What Loki takes in.",
                 query("sum(rate(loki_distributor_lines_received_total[$__rate_interval]))"),
                 unit="cps", links=[link("Logs", "logs")]),
        ]),
        ("The drawing: main serves, sub watches", 4, [
            tiles("main: edge", "What the internet reaches.", up("nginx", "main", "nginx"),
                  links=(link("nginx", "nginx", "&var-instance=main"),)),
            tiles("sub: edge", "The only door to the tools.", up("nginx", "sub", "nginx"),
                  links=(link("nginx", "nginx", "&var-instance=sub"),)),
        ]),
        ("", 4, [
            tiles("main: applications", "Health of the applications' containers.", healthy("frontend", "frontend"),
                  healthy("nest", "nest"), healthy("fastapi", "fastapi"),
                  links=(link("Containers", "containers", "&var-instance=main"),)),
            tiles("sub: views and alarms", "What people look at, and what calls them.", up("grafana", "sub", "Grafana"),
                  up("alertmanager", "sub", "Alertmanager"), up("blackbox", "sub", "probes"),
                  links=(link("Monitoring", "monitoring"),)),
        ]),
        ("", 4, [
            tiles("main: data", "Whether the stores let their exporters in.",
                  query('min(pg_up{instance="main"})', "PostgreSQL", now=True),
                  query('min(redis_up{instance="main"})', "Redis", now=True),
                  links=(link("PostgreSQL", "postgresql"), link("Redis", "redis"))),
            tiles("sub: data", "Metrics, logs and objects.", up("prometheus", "sub", "Prometheus"),
                  up("loki", "sub", "Loki"), up("minio", "sub", "MinIO"),
                  links=(link("Loki", "loki"), link("MinIO", "minio"))),
        ]),
        ("", 4, [
            tiles("main: watched by", "What reports from main.", *both("main"),
                  links=(link("Host", "host", "&var-instance=main"),)),
            tiles("sub: watched by", "What reports from sub.", *both("sub"),
                  links=(link("Host", "host", "&var-instance=sub"),)),
        ]),
        ("Lines", 7, [
            states("Probes", "Each address by its line, as often as it was asked.",
                   query("min by (line, instance) (probe_success)", "{{line}} · {{instance}}"), mappings=UP),
            compare("Certificates", "Time that the certificates of the probed addresses are still valid.",
                    query("min by (instance) (probe_ssl_earliest_cert_expiry) - time()", "{{instance}}", now=True),
                    unit="s", high=7776000, steps=((None, RED), (604800, YELLOW), (1814400, GREEN))),
        ]),
        ("What is wrong, and what is used", 9, [
            alerts("Alerts", "Alerts that fire or are about to; each names its runbook."),
            compare("Machines", "Use of what each machine has. The fullest file system counts.",
                    query('1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))',
                          "{{instance}}: CPU", now=True),
                    query("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{{instance}}: memory",
                          now=True),
                    query('max by (instance) (1 - node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"}'
                          " / node_filesystem_size_bytes)", "{{instance}}: disk", now=True),
                    links=[link("Host", "host", "&var-instance=${__field.labels.instance}")]),
            series("Requests by answer", "What nginx of main answers, by class of status.",
                   query('sum by (status) (rate(protostar_nginx_requests_total{instance="main"}[$__rate_interval]))',
                         "{{status}}"), unit="reqps", stack=True, colors=BY_STATUS,
                   links=[lines("Lines of nginx", "&var-service=nginx&var-host=main")]),
        ]),
    ],
)  # fmt: skip
