"""Every alert fires when it should and only then, and leads to a page that helps.

Prometheus's own promtool judges, in the image that the lab runs; build the lab's images first.
"""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "roles/prometheus/files/rules"
TESTS = sorted(Path(__file__).parent.glob("*.yml"))
RUNBOOKS = ROOT / "docs/runbooks"
IMAGES = ROOT / "inventories/lab/group_vars/all/images.yml"


def load(path):
    return yaml.safe_load(path.read_text())


ALERTS = [
    rule
    for path in sorted(RULES.glob("*.yml"))
    for group in load(path)["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
NAMES = {rule["alert"] for rule in ALERTS}


def expectations(path):
    """What a file's tests say of alerts: name, severity or nothing."""
    for test in load(path)["tests"]:
        for question in test["promql_expr_test"]:
            for name in re.findall(r'alertname="(\w+)"', question["expr"]):
                samples = [sample["labels"] for sample in question["exp_samples"]]
                yield from ((name, severity) for text in samples for severity in re.findall(r'severity="(\w+)"', text))
                if not samples:
                    yield name, None


@pytest.fixture(scope="module")
def promtool():
    """Run promtool on this checkout, in the image of the lab."""
    image = load(IMAGES)["prometheus_image"].partition("/")[2]

    def run(*arguments):
        return subprocess.run(
            ["docker", "run", "--rm", "--network=none", "--volume", f"{ROOT}:/src:ro", "--workdir=/src/tests/rules",
             "--entrypoint=promtool", f"127.0.0.1:5000/{image}", *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(promtool, path):
    done = promtool("test", "rules", path.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_level_of_every_alert_is_seen_firing():
    expected = {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS}
    assert expected == {found for path in TESTS for found in expectations(path) if found[1]}


def test_every_alert_is_urgent_to_a_known_degree_and_says_how_bad_it_is():
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        # Where the value is no more than yes or no, the sentence says it.
        compares = re.search(r"[<>]=? [\d.(]", rule["expr"])
        assert not compares or "$value" in rule["annotations"]["description"], rule["alert"]


def test_every_alert_leads_to_its_runbook():
    repository = load(ROOT / "galaxy.yml")["repository"]
    for rule in ALERTS:
        page = rule["annotations"]["runbook_url"].removeprefix(f"{repository}/blob/main/")
        assert page == f"docs/runbooks/{rule['alert']}.md"
        assert (ROOT / page).read_text().startswith(f"# {rule['alert']}\n")


def test_every_runbook_belongs_to_an_alert_and_is_in_the_index():
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == NAMES
    assert set(re.findall(r"\[(\w+)\]\((?:\1)\.md\)", (RUNBOOKS / "README.md").read_text())) == NAMES
