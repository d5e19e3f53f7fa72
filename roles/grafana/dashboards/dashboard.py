"""A dashboard of Grafana's model v1: rows of panels on its grid of 24 columns."""

from __future__ import annotations

from panels import BLUE, LOKI, PROMETHEUS, Json

COLUMNS = 24
# The dashboard schema that Grafana 12 writes; older ones it migrates, newer ones it does not know.
SCHEMA_VERSION = 41


def variable(name: str, label: str, metric: str = "", *, source: Json = PROMETHEUS, every: str | None = None) -> Json:
    """Offer the values of a label; with `every`, the pattern that stands for all, several at once."""
    if source is LOKI:
        definition, asked = f"label_values({name})", {"type": 1, "label": name, "stream": "", "refId": name}
    else:
        definition = f"label_values({metric}, {name})"
        asked = {"qryType": 1, "query": definition, "refId": name}
    chosen = {"text": ["All"], "value": ["$__all"]} if every else {}
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": source,
        "definition": definition,
        "query": asked,
        "refresh": 2,
        "sort": 1,
        "multi": bool(every),
        "includeAll": bool(every),
        "allValue": every,
        "current": chosen,
    }


def text(name: str, label: str) -> Json:
    """Offer a field to write into."""
    return {"type": "textbox", "name": name, "label": label, "query": "", "current": {"text": "", "value": ""}}


def annotation(name: str, expr: str, told: str) -> Json:
    """Mark where an expression has a value; `told` is what is said there, with labels as `{{name}}`."""
    return {
        "name": name,
        "datasource": PROMETHEUS,
        "enable": True,
        "iconColor": BLUE,
        "expr": expr,
        "step": "1m",
        "titleFormat": told,
    }


def dashboard(
    name: str, title: str, description: str, rows: list[tuple[str, int, list[Json]]], *,
    variables: tuple[Json, ...] = (), annotations: tuple[Json, ...] = (), since: str = "now-3h",
) -> Json:  # fmt: skip
    """Lay panels out: each row has a title, a height and panels, which share its width or bring their own."""
    panels: list[Json] = []
    top = 0
    for heading, height, members in rows:
        if heading:
            panels.append({"type": "row", "title": heading, "collapsed": False, "panels": [],
                           "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}})  # fmt: skip
            top += 1
        left = 0
        for member in members:
            width = COLUMNS // len(members)
            panels.append({**member, "gridPos": {"x": left, "y": top, "w": width, "h": height}})
            left += width
        top += height
    return {
        "uid": f"protostar-{name}",
        "title": title,
        "description": description,
        "tags": ["protostar"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "title": "Dashboards", "tags": ["protostar"], "asDropdown": True,
                   "keepTime": True, "includeVars": False, "icon": "external link"}],
        "templating": {"list": list(variables)},
        "annotations": {"list": list(annotations)},
        "panels": [{"id": index, **panel} for index, panel in enumerate(panels, start=1)],
    }  # fmt: skip
