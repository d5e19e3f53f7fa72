"""All lines of both machines: how many, whose, how bad, and the lines themselves."""

from dashboard import dashboard, text, variable
from panels import BY_LEVEL, LOKI, lines, logs, query, series

CHOSEN = '{host=~"$host", service=~"$service", container=~"$container", level=~"$level"} |~ "(?i)$search"'
VARIABLES = (
    # Every line has a machine; Loki wants one label that is never empty.
    variable("host", "Machine", source=LOKI, every=".+"),
    variable("service", "Service", source=LOKI, every=".*"),
    variable("container", "Container", source=LOKI, every=".*"),
    variable("level", "Level", source=LOKI, every=".*"),
    text("search", "Search"),
)


def count(*by: str) -> dict:
    """Count the chosen lines; of several labels a line has one."""
    legend = "".join(f"{{{{{label}}}}}" for label in by)
    return query(f"sum by ({', '.join(by)}) (count_over_time({CHOSEN} [$__auto]))", legend, source=LOKI)


LOGS = dashboard(
    "logs",
    "Logs",
    "Lines of both machines. Click on a spike to see the five minutes around it.",
    [
        ("", 8, [
            series("Lines by service", "Lines of each service, or unit of the machine. A click leads to them.",
                   count("service", "unit"), bars=True, stack=True,
                   links=[lines("These lines", "&var-service=${__field.labels.service}&${host:queryparam}")]),
            series("Lines by level", "Lines of each level. A click leads to them.",
                   count("level"), bars=True, stack=True, colors=BY_LEVEL,
                   links=[lines("These lines",
                                "&var-level=${__field.labels.level}&${host:queryparam}&${service:queryparam}")]),
        ]),
        ("", 20, [
            logs("Lines", "The chosen lines, newest first. A line opens to show its labels and its context.", CHOSEN),
        ]),
    ],
    variables=VARIABLES,
    since="now-1h",
)  # fmt: skip
