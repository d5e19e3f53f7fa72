"""Alerts on their way: Prometheus fires, Alertmanager gets it, tells whom it should, and tells a cause only once."""

import json
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

API = "http://127.0.0.1:9093/api/v2/alerts"
WGET = "docker exec alertmanager wget -q -O -"
AMTOOL = "docker exec alertmanager amtool config routes test --config.file=/etc/alertmanager/alertmanager.yml"
# No host has this name, so nobody waits for what is said of it.
GHOST = "ghost"


@pytest.fixture
def alerts(sub):
    """The alerts with a label that Alertmanager knows, those too that it holds back."""

    def alerts(label, value):
        known = json.loads(sub.check_output(f"{WGET} {API}"))
        return [alert for alert in known if alert["labels"].get(label) == value]

    return alerts


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def test_an_alert_of_prometheus_reaches_alertmanager(alerts):
    (watchdog,) = until(lambda: alerts("alertname", "Watchdog"))
    assert watchdog["annotations"]["runbook_url"].endswith("/Watchdog.md")
    assert urlsplit(watchdog["generatorURL"]).hostname.endswith("ops.protostar.test")


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["alertname=HostDown", "severity=critical"], "people"),
        (["alertname=DiskFull", "severity=warning"], "people"),
        (["alertname=PromtailEndOfLife", "severity=info"], "people"),
        (["alertname=Watchdog", "severity=info"], "watchdog"),
        (["alertname=SomebodyElses"], "people"),
    ],
)
def test_an_alert_goes_to_its_receiver(sub, labels, receiver):
    assert sub.check_output(AMTOOL + " %s" * len(labels), *labels).strip() == receiver


@pytest.mark.parametrize(
    ("cause", "effects", "others"),
    [
        (
            {"alertname": "HostDown", "severity": "critical", "instance": GHOST, "host": GHOST},
            [
                {"alertname": "TargetDown", "instance": GHOST, "job": "redis"},
                {"alertname": "EdgeDown", "instance": GHOST, "host": GHOST},
                {"alertname": "ProbeFailed", "instance": "https://ghost.test/", "host": GHOST},
            ],
            [
                {"alertname": "TargetDown", "instance": "ghost2"},
                {"alertname": "ProbeFailed", "instance": "https://ghost2.test/", "host": "ghost2"},
                {"alertname": "ProbeFailed", "instance": "https://ghost3.test/"},
            ],
        ),
        (
            {"alertname": "EdgeDown", "severity": "critical", "instance": GHOST, "host": GHOST},
            [
                {"alertname": "TargetDown", "instance": GHOST},
                {"alertname": "ProbeFailed", "instance": "https://ghost.test/", "host": GHOST},
            ],
            [{"alertname": "DiskFull", "instance": GHOST}, {"alertname": "TargetDown", "instance": "ghost2"}],
        ),
        (
            {"alertname": "DiskFull", "severity": "critical", "instance": GHOST, "mountpoint": "/"},
            [{"alertname": "DiskFull", "severity": "warning", "instance": GHOST, "mountpoint": "/"}],
            [{"alertname": "DiskFull", "severity": "warning", "instance": GHOST, "mountpoint": "/data"}],
        ),
    ],
    ids=["host", "edge", "level"],
)
def test_of_a_cause_and_its_effects_only_the_cause_is_told(sub, alerts, cause, effects, others):
    mark = f"test-{time.monotonic_ns()}"

    def post(seconds, *entries):
        ends = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        body = json.dumps([{"labels": {**labels, "test": mark}, "endsAt": ends} for labels in entries])
        sub.check_output(f"{WGET} --header=%s --post-data=%s {API}", "Content-Type: application/json", body)

    def state(held_back):
        return sorted(
            json.dumps({key: value for key, value in alert["labels"].items() if key != "test"}, sort_keys=True)
            for alert in alerts("test", mark)
            if bool(alert["status"]["inhibitedBy"]) is held_back
        )

    def sort(entries):
        return sorted(json.dumps(labels, sort_keys=True) for labels in entries)

    post(60, cause)
    post(60, *effects, *others)
    try:
        until(lambda: state(held_back=True) == sort(effects), seconds=10)
        assert state(held_back=True) == sort(effects)
        assert state(held_back=False) == sort([cause, *others])
    finally:
        post(0, cause, *effects, *others)
