"""The door of a machine: rate, errors and latency of each application, and connections."""

from dashboard import dashboard, variable
from panels import BY_STATUS, GREEN, LOKI, RED, YELLOW, lines, logs, query, series, stat

HERE = 'instance="$instance"'
LINES = [lines("Lines of nginx", "&var-host=$instance&var-service=nginx")]
SLOW = ((None, GREEN), (0.5, YELLOW), (1, RED))
ERRORS = ((None, GREEN), (0.01, YELLOW), (0.05, RED))


def requests(by: str = "", extra: str = "") -> str:
    """Return requests per second."""
    group = f" by ({by})" if by else ""
    return f"sum{group} (rate(protostar_nginx_requests_total{{{HERE}{extra}}}[$__rate_interval]))"


def latency(quantile: float, by: str = "") -> str:
    """Return the time within which this share of requests was answered."""
    group = f"le, {by}" if by else "le"
    metric = "protostar_nginx_request_duration_seconds_bucket"
    return f"histogram_quantile({quantile}, sum by ({group}) (rate({metric}{{{HERE}}}[$__rate_interval])))"


def spent(part: str, by: str) -> str:
    """Return how fast the sum or the count of the durations grows."""
    return f"sum by ({by}) (rate(protostar_nginx_request_duration_seconds_{part}{{{HERE}}}[$__rate_interval]))"


NGINX = dashboard(
    "nginx",
    "nginx",
    "Rate, errors and latency of what nginx answers, by application. The application nginx is what it answers itself.",
    [
        ("", 4, [
            stat("Requests", "Requests answered.", query(requests()), unit="reqps", links=LINES),
            stat("Server errors", "Share of requests answered with 5xx.",
                 query(f"""({requests(extra=', status="5xx"')} or vector(0)) / {requests()}"""),
                 unit="percentunit", steps=ERRORS, links=LINES),
            stat("Slowest of 20", "Time within which 95 of 100 requests were answered.", query(latency(0.95)),
                 unit="s", steps=SLOW, links=LINES),
            stat("Connections", "Connections that are open now.", query(f"nginx_connections_active{{{HERE}}}")),
            stat("Refused connections", "Connections that nginx dropped in the time shown.",
                 query(f"increase(nginx_connections_accepted{{{HERE}}}[$__range])"
                       f" - increase(nginx_connections_handled{{{HERE}}}[$__range])"),
                 decimals=0, steps=((None, GREEN), (1, RED))),
        ]),
        ("Rate and errors", 8, [
            series("Requests by application", "Requests answered.", query(requests("app"), "{{app}}"),
                   unit="reqps", stack=True, links=LINES),
            series("Requests by answer", "Requests by class of status.", query(requests("status"), "{{status}}"),
                   unit="reqps", stack=True, colors=BY_STATUS, links=LINES),
            series("Server errors by application", "Share of requests answered with 5xx.",
                   query(f"""({requests('app', ', status="5xx"')} or 0 * {requests('app')}) / {requests('app')}""",
                         "{{app}}"), unit="percentunit", steps=ERRORS, links=LINES),
        ]),
        ("Latency", 8, [
            series("Latency", "Time within which so many of 100 requests were answered.",
                   query(latency(0.5), "50"), query(latency(0.95), "95"), query(latency(0.99), "99"), unit="s",
                   links=LINES),
            series("Latency by application", "Time within which 95 of 100 requests were answered.",
                   query(latency(0.95, "app"), "{{app}}"), unit="s", links=LINES),
            series("Mean latency by application", "Mean time of a request.",
                   query(f"{spent('sum', 'app')} / {spent('count', 'app')}", "{{app}}"), unit="s", links=LINES),
        ]),
        ("Connections and errors", 9, [
            series("Connections by state", "What the open connections do.",
                   query(f"nginx_connections_reading{{{HERE}}}", "reading"),
                   query(f"nginx_connections_writing{{{HERE}}}", "writing"),
                   query(f"nginx_connections_waiting{{{HERE}}}", "idle"), stack=True),
            series("Lines by answer", "Lines of the access log by class of status, from Loki.",
                   query('sum by (status) (count_over_time('
                         '{host="$instance", service="nginx", status=~".+"} [$__auto]))', "{{status}}", source=LOKI),
                   bars=True, stack=True, colors=BY_STATUS, links=LINES),
            logs("Server errors", "Requests answered with 5xx, newest first.",
                 '{host="$instance", service="nginx", status="5xx"}'),
        ]),
    ],
    variables=(variable("instance", "Machine", "nginx_up"),),
)  # fmt: skip
