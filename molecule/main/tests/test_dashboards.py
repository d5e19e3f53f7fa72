"""Every panel, variable and rule asks for metrics that the running Prometheus has, and no panel is empty."""

import json
import re
import time
from itertools import product

import pytest
import yaml
from expected import ROOT

DASHBOARDS = {
    path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "roles/grafana/files/dashboards").glob("*.json"))
}
RULES = sorted((ROOT / "roles/prometheus/files/rules").glob("*.yml"))
# Metrics that a running service does not have before something happens, or that only another choice of services has.
NOT_YET = {
    "ALERTS": "the first alert",
    "loki_discarded_samples_total": "the first line that Loki refuses",
    "loki_objstore_bucket_operation_failures_total": "the first operation of the object store",
    "loki_write_dropped_entries_total": "platform_log_agent: alloy",
    "loki_write_sent_entries_total": "platform_log_agent: alloy",
    "minio_s3_requests_4xx_errors_total": "the first request that MinIO refuses",
    "minio_s3_requests_5xx_errors_total": "the first request that MinIO fails",
    "prometheus_remote_storage_queue_highest_sent_timestamp_seconds": "a remote store",
    "protostar_relay_tunnel_handshake_seconds": "platform_relay_transport: wireguard",
    "protostar_certificate_renewal_attempt_timestamp_seconds": "a certificate by ACME",
    "protostar_certificate_renewal_success": "a certificate by ACME",
    "protostar_reboot_required_time_seconds": "the first restart that an upgrade asks for",
    "protostar_backup_last_success_timestamp_seconds": "the first backup",
}
# What Grafana puts in; the windows are those of the scrape interval of 15 seconds.
BUILT_IN = {"$__rate_interval": "1m", "$__range": "1h", "$__interval": "15s"}
# Asks Prometheus many questions in one go: from standard input to standard output, as JSON.
ASK = """
import json, sys, urllib.parse, urllib.request
def ask(path, query):
    url = "http://127.0.0.1:9090/api/v1/" + path + "?" + urllib.parse.urlencode(query, doseq=True)
    try:
        return json.load(urllib.request.urlopen(url, timeout=30))
    except urllib.error.HTTPError as error:
        return json.load(error)
print(json.dumps([ask(*question) for question in json.load(sys.stdin)]))
"""
# What is no metric in an expression: texts, windows, selectors, lists of labels; then functions and words.
BESIDE = r'"[^"]*"|\'[^\']*\'|\[[^\]]*\]|\{[^}]*\}|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)'
NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
WORDS = {"and", "or", "unless", "offset", "bool", "group_left", "group_right", "inf", "nan"}


def names(expression):
    """Return the names of the metrics that an expression asks for."""
    return {name for name in NAME.findall(re.sub(BESIDE, " ", expression)) if name.lower() not in WORDS}


@pytest.fixture(scope="module")
def prometheus(sub):
    """Ask Prometheus, from the host that it runs on; each question is a path and what to ask it."""

    def ask(questions):
        answers = []
        # A command line has an end.
        for start in range(0, len(questions), 50):
            text = json.dumps(questions[start : start + 50])
            answers += json.loads(sub.check_output("printf '%%s' %s | python3 -c %s", text, ASK))
        return answers

    return ask


@pytest.fixture(scope="module")
def known(prometheus):
    """Return the names of the metrics that Prometheus has now, and not only remembers."""
    [answer] = prometheus([["query", {"query": 'group by (__name__) ({__name__!=""})'}]])
    return {sample["metric"]["__name__"] for sample in answer["data"]["result"]}


@pytest.fixture(scope="module")
def values(prometheus):
    """Return the values of every variable, by dashboard and name."""
    variables = {
        (name, variable["name"]): re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
        for name, dashboard in DASHBOARDS.items()
        for variable in dashboard["templating"]["list"]
        if variable.get("datasource", {}).get("uid") == "prometheus"
    }
    answers = prometheus([["query", {"query": f"group by ({found[2]}) ({found[1]})"}] for found in variables.values()])
    return {
        key: [sample["metric"][key[1]] for sample in answer["data"]["result"]]
        for key, answer in zip(variables, answers, strict=True)
    }


def panels():
    """Every panel that asks Prometheus: its dashboard, its title and its expressions."""
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            found = [
                target["expr"] for target in panel.get("targets", []) if target["datasource"]["uid"] == "prometheus"
            ]
            if found:
                yield name, panel["title"], found


def rules():
    """Every rule, by what it records or alerts."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                yield rule.get("alert") or rule["record"], rule["expr"]


def questions(values):
    """Every expression of every panel, with each value of its variables."""
    for name, title, expressions in panels():
        offered = [[(f"${key}", value) for value in found] for (where, key), found in values.items() if where == name]
        for expression, chosen in product(expressions, product(*offered)):
            text = expression
            for key, value in [*chosen, *BUILT_IN.items()]:
                text = text.replace(key, value)
            yield f"{name}: {title}: {text}", text


def test_names_are_found_in_expressions():
    expression = 'sum by (le, app) (rate(a_bucket{b="c", d!~"e"}[5m] offset 1h)) / on (f) group_left (g) h:i or time()'
    assert names(expression) == {"a_bucket", "h:i"}
    assert names("count without (a) (b == 0) unless c > bool 1e3") == {"b", "c"}


def test_no_dashboard_asks_for_an_unknown_metric(known):
    asked = {name: f"{where}: {title}" for where, title, found in panels() for text in found for name in names(text)}
    assert asked
    assert {name: where for name, where in asked.items() if name not in known | NOT_YET.keys()} == {}


def test_no_rule_asks_for_an_unknown_metric(known):
    asked = {name: rule for rule, text in rules() for name in names(text)}
    assert asked
    recorded = {rule for rule, _ in rules()}
    assert {name: rule for name, rule in asked.items() if name not in known | recorded | NOT_YET.keys()} == {}


def test_what_may_be_missing_is_asked_for():
    asked = {name for _, _, found in panels() for text in found for name in names(text)}
    assert NOT_YET.keys() - asked - {name for _, text in rules() for name in names(text)} == set()


def test_variables_offer_both_machines(values):
    assert {key: sorted(found) for key, found in values.items() if sorted(found) != ["main", "sub"]} == {}


def test_no_panel_is_empty(prometheus, known, values):
    # A service that was redeployed a moment ago has a rate after its second scrape only.
    deadline = time.monotonic() + 90
    waiting = [(where, text) for where, text in questions(values) if not names(text) & (NOT_YET.keys() - known)]
    assert waiting
    while True:
        answers = prometheus([["query", {"query": text}] for _, text in waiting])
        pairs = list(zip(waiting, answers, strict=True))
        wrong = [(where, answer["error"]) for (where, _), answer in pairs if "error" in answer]
        assert wrong == []
        waiting = [question for question, answer in pairs if not answer["data"]["result"]]
        if not waiting or time.monotonic() > deadline:
            break
        time.sleep(10)
    assert [where for where, _ in waiting] == []


def test_expressions_that_wait_for_an_event_are_right(prometheus, values):
    texts = [text for _, text in questions(values) if names(text) & NOT_YET.keys()]
    answers = prometheus([["query", {"query": text}] for text in texts])
    assert [answer["error"] for answer in answers if "error" in answer] == []
