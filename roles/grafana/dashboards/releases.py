"""Both colours of every application: which one is live, what each answers, and what is under way in it."""

from dashboard import annotation, dashboard
from panels import BLUE, GREEN, RED, YELLOW, lines, query, series, states

LINES = [lines("Lines of nginx", "&var-service=nginx")]
ERRORS = ((None, GREEN), (0.01, YELLOW), (0.05, RED))


def requests(extra: str = "") -> str:
    """Return requests per second by application and colour; what has no colour is no application."""
    metric = "protostar_nginx_requests_total"
    return f'sum by (app, colour) (rate({metric}{{colour!=""{extra}}}[$__rate_interval]))'


def under_way(kinds: str, by: str) -> str:
    """Return how much of these kinds is under way."""
    return f'sum by ({by}) (protostar_nginx_in_flight{{kind=~"{kinds}"}})'


def latency(quantile: float) -> str:
    """Return the time within which this share of requests was answered, by application and colour."""
    metric = "protostar_nginx_request_duration_seconds_bucket"
    rate = f'sum by (le, app, colour) (rate({metric}{{colour!=""}}[$__rate_interval]))'
    return f"histogram_quantile({quantile}, {rate})"


RELEASES = dashboard(
    "releases",
    "Releases",
    "Both colours of every application. A mark is a change of colours: a flip, a way back, or a step of a canary.",
    [
        ("", 8, [
            states("Live colour", "Where each application leads everybody, but for a canary and previews.",
                   query('protostar_nginx_live{colour="green"}', "{{app}}"),
                   mappings={"1": ("green", GREEN), "0": ("blue", BLUE)}),
        ]),
        ("What visitors see", 8, [
            series("Requests by colour", "Requests answered by each colour.",
                   query(requests(), "{{app}} {{colour}}"), unit="reqps", stack=True, links=LINES),
            series("Server errors by colour", "Share of requests answered with 5xx.",
                   query(f"""({requests(', status="5xx"')} or 0 * {requests()}) / {requests()}""",
                         "{{app}} {{colour}}"), unit="percentunit", steps=ERRORS, links=LINES),
            series("Latency by colour", "Time within which 95 of 100 requests were answered.",
                   query(latency(0.95), "{{app}} {{colour}}"), unit="s", links=LINES),
        ]),
        ("What a drain waits for", 8, [
            series("Under way by colour", "Requests that are being answered, without WebSockets and event streams.",
                   query(under_way("http", "app, colour"), "{{app}} {{colour}}")),
            series("WebSockets and event streams by colour", "Sessions that are open.",
                   query(under_way("websocket|stream", "app, colour, kind"), "{{app}} {{colour}} {{kind}}")),
        ]),
    ],
    annotations=(annotation("Changes of colours", "changes(protostar_nginx_generation[1m]) > 0",
                            "Colours or a canary changed"),),
)  # fmt: skip
