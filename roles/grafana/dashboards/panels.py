"""Panels of Grafana's dashboard model v1, with this platform's choices made once."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

PROMETHEUS: Json = {"type": "prometheus", "uid": "prometheus"}
LOKI: Json = {"type": "loki", "uid": "loki"}
GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
LIMITS = ((None, GREEN), (0.8, YELLOW), (0.9, RED))
ANY_IS_BAD = ((None, GREEN), (1, RED))
NEUTRAL = ((None, BLUE),)
UP = {"0": ("down", RED), "1": ("up", GREEN)}
BY_STATUS = {"2xx": GREEN, "3xx": BLUE, "4xx": YELLOW, "5xx": RED}
BY_LEVEL = {"critical": "purple", "error": RED, "warning": YELLOW, "info": GREEN, "debug": BLUE, "trace": "light-blue"}


def query(expr: str, legend: str = "", *, now: bool = False, source: Json = PROMETHEUS) -> Json:
    """Ask for an expression: over the whole range, or with `now` for its last value."""
    if source is LOKI:
        return {"datasource": source, "expr": expr, "legendFormat": legend, "queryType": "instant" if now else "range"}
    return {"datasource": source, "expr": expr, "legendFormat": legend or "__auto", "instant": now, "range": not now}


def _mappings(values: dict[str, tuple[str, str]]) -> list[Json]:
    options = {value: {"text": text, "color": color, "index": index} for index, (value, (text, color)) in
               enumerate(values.items())}  # fmt: skip
    return [{"type": "value", "options": options}]


def _panel(
    kind: str, title: str, description: str, queries: list[Json], *,
    unit: str = "short", steps: tuple[tuple[float | None, str], ...] = NEUTRAL, low: float | None = None,
    high: float | None = None, mappings: dict[str, tuple[str, str]] | None = None, links: list[Json] | None = None,
    color: str = "thresholds", custom: Json | None = None, options: Json | None = None, decimals: int | None = None,
) -> Json:  # fmt: skip
    defaults: Json = {
        "unit": unit,
        "color": {"mode": color},
        "thresholds": {"mode": "absolute", "steps": [{"value": value, "color": name} for value, name in steps]},
    }
    optional = {"min": low, "max": high, "decimals": decimals, "links": links, "custom": custom}
    if mappings:
        optional["mappings"] = _mappings(mappings)
    defaults.update({key: value for key, value in optional.items() if value is not None})
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": queries[0]["datasource"],
        "targets": [{**entry, "refId": chr(ord("A") + index)} for index, entry in enumerate(queries)],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options or {},
    }


def stat(title: str, description: str, *queries: Json, tiles: bool = False, **settings: Any) -> Json:  # noqa: ANN401
    """Show last values in large figures; with `tiles` one coloured tile with its name for each series."""
    options = {
        "colorMode": "background" if tiles else "value",
        "graphMode": "none" if tiles else "area",
        "textMode": "value_and_name" if tiles else "value",
        "justifyMode": "center",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return _panel("stat", title, description, list(queries), options=options, **settings)


def series(
    title: str, description: str, *queries: Json, stack: bool = False, bars: bool = False,
    colors: dict[str, str] | None = None, **settings: Any,  # noqa: ANN401
) -> Json:  # fmt: skip
    """Show the course of values; `colors` are those of series that mean good or bad."""
    custom: Json = {
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 60 if bars else 30 if stack else 10,
        "lineWidth": 0 if bars else 1,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
    }
    if "steps" in settings:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    settings = {"low": 0, "color": "palette-classic", **settings}
    panel = _panel("timeseries", title, description, list(queries), custom=custom, options=options, **settings)
    panel["fieldConfig"]["overrides"] = [
        {"matcher": {"id": "byName", "options": name},
         "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]}
        for name, color in (colors or {}).items()
    ]  # fmt: skip
    return panel


def compare(title: str, description: str, *queries: Json, **settings: Any) -> Json:  # noqa: ANN401
    """Compare last values; as use against a limit if nothing else is said."""
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "color",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    settings = {"unit": "percentunit", "steps": LIMITS, "low": 0, "high": 1, **settings}
    return _panel("bargauge", title, description, list(queries), options=options, **settings)


def states(title: str, description: str, *queries: Json, **settings: Any) -> Json:  # noqa: ANN401
    """Show when something was in which state."""
    options = {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.8,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    custom = {"fillOpacity": 80, "lineWidth": 0}
    return _panel("state-timeline", title, description, list(queries), options=options, custom=custom, **settings)


def logs(title: str, description: str, expr: str) -> Json:
    """Show lines of logs, newest first."""
    options = {
        "showTime": True,
        "wrapLogMessage": True,
        "prettifyLogMessage": False,
        "enableLogDetails": True,
        "sortOrder": "Descending",
        "dedupStrategy": "none",
    }
    return _panel("logs", title, description, [query(expr, source=LOKI)], options=options)


def alerts(title: str, description: str) -> Json:
    """List the alerts that Prometheus has pending or firing."""
    options = {
        "datasource": "Prometheus",
        "viewMode": "list",
        "groupMode": "default",
        "maxItems": 20,
        "sortOrder": 1,
        "stateFilter": {"firing": True, "pending": True, "normal": False, "noData": False, "error": True},
    }
    return {"type": "alertlist", "title": title, "description": description, "options": options}


def link(title: str, dashboard: str, variables: str = "") -> Json:
    """Lead from a value to another dashboard, at the same time."""
    return {"title": title, "url": f"/d/protostar-{dashboard}?${{__url_time_range}}{variables}"}


def lines(title: str, variables: str) -> Json:
    """Lead from a point of a graph to the lines of the logs in the five minutes around it."""
    return {"title": title, "url": f"/d/protostar-logs?time=${{__value.time}}&time.window=300000{variables}"}
