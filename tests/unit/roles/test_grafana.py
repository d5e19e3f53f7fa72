"""What Grafana is given: its configuration, its provisioning files, and the dashboards."""

import configparser
import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles/grafana"
SCHEMAS = ROOT / "tests/unit/schemas"
DASHBOARDS = {path.name: json.loads(path.read_text()) for path in sorted((ROLE / "files/dashboards").glob("*.json"))}
UIDS = {content["uid"] for content in DASHBOARDS.values()}
BUILT_IN = {"__rate_interval", "__range", "__auto", "__url_time_range", "__value.time"}


@pytest.fixture(params=DASHBOARDS.values(), ids=DASHBOARDS)
def dashboard(request):
    return request.param


def check(value, schema):
    jsonschema.Draft202012Validator(json.loads((SCHEMAS / schema).read_text())).validate(value)


def targets(dashboard):
    return [target for panel in dashboard["panels"] for target in panel.get("targets", [])]


def urls(dashboard):
    defaults = [panel.get("fieldConfig", {}).get("defaults", {}) for panel in dashboard["panels"]]
    return [link["url"] for entry in defaults for link in entry.get("links", [])]


def used(text):
    """Name the variables in an expression or URL, `${name:format}` and `$name` alike."""
    return {a or b for a, b in re.findall(r"\$\{([\w.]+)(?::\w+)?\}|\$(\w+)", text)}


def test_dashboards_are_what_their_source_writes():
    program = "import json, runpy, sys; print(json.dumps(runpy.run_path(sys.argv[1], run_name='check')['FILES']))"
    command = [sys.executable, "-c", program, str(ROLE / "dashboards")]
    written = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert written == {path.name: path.read_text() for path in (ROLE / "files/dashboards").glob("*")}


def test_a_dashboard_fits_the_model(dashboard):
    check(dashboard, "grafana-dashboard-v1.json")


def test_names_of_dashboards_and_panels_are_unique():
    assert len(UIDS) == len({content["title"] for content in DASHBOARDS.values()}) == len(DASHBOARDS)
    for content in DASHBOARDS.values():
        numbers = [panel["id"] for panel in content["panels"]]
        assert len(numbers) == len(set(numbers))


def test_panels_fill_the_grid_and_do_not_overlap(dashboard):
    def cells(panel):
        at = panel["gridPos"]
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    covered = [cells(panel) for panel in dashboard["panels"]]
    assert all(not one & other for one, other in combinations(covered, 2))
    assert max(x for cell in covered for x, _ in cell) < 24
    bottom = max(y for cell in covered for _, y in cell)
    assert {y for cell in covered for _, y in cell} == set(range(bottom + 1))


def test_thresholds_rise(dashboard):
    for panel in dashboard["panels"]:
        steps = panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds", {}).get("steps", [])
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(values)


def test_every_data_source_is_provisioned(render, file, dashboard):
    sources = yaml.safe_load(file(render("grafana"), "config/provisioning/datasources/datasources.yml"))["datasources"]
    known = {source["uid"]: source["type"] for source in sources}
    asked = [
        entry["datasource"] for entry in targets(dashboard) + dashboard["templating"]["list"] if "datasource" in entry
    ]
    assert [source for source in asked if known.get(source["uid"]) != source["type"]] == []
    named = {panel["options"]["datasource"] for panel in dashboard["panels"] if panel["type"] == "alertlist"}
    assert named <= {source["name"] for source in sources}


def test_every_variable_is_declared_and_used(dashboard):
    declared = {variable["name"] for variable in dashboard["templating"]["list"]}
    asked = {name for target in targets(dashboard) for name in used(target["expr"])}
    linked = {name for url in urls(dashboard) for name in used(url) if not name.startswith("__field.labels.")}
    assert asked - BUILT_IN == declared
    assert linked <= declared | BUILT_IN


def test_no_interval_is_fixed(dashboard):
    for target in targets(dashboard):
        assert set(re.findall(r"\[([^\]]*)\]", target["expr"])) <= {"$__rate_interval", "$__range", "$__auto"}


def test_links_lead_to_dashboards_and_their_variables(dashboard):
    for url in urls(dashboard):
        uid = re.match(r"/d/([\w-]+)\?", url)[1]
        assert uid in UIDS
        target = next(content for content in DASHBOARDS.values() if content["uid"] == uid)
        offered = {variable["name"] for variable in target["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=|\{(\w+):queryparam", url)) <= {
            pair for name in offered for pair in ((name, ""), ("", name))
        }


def test_a_label_in_a_link_is_a_label_of_the_series(dashboard):
    for panel in dashboard["panels"]:
        links = panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
        for label in re.findall(r"__field\.labels\.(\w+)", json.dumps(links)):
            kept = [re.search(rf"by \([^)]*\b{label}\b", target["expr"]) or " by " not in target["expr"]
                    for target in panel["targets"]]  # fmt: skip
            assert all(kept), panel["title"]


def given(node):
    """Name the labels that a log agent's configuration gives to lines."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node if isinstance(node, list) else []):
        if key in ("labels", "external_labels"):
            yield from value
        elif key == "target_label":
            yield value
        else:
            yield from given(value)


def test_logs_are_asked_by_labels_that_they_have(render, file, dashboard):
    labels = set(given(yaml.safe_load(file(render("promtail"), "config/config.yml"))))
    for entry in targets(dashboard) + dashboard["templating"]["list"]:
        if entry.get("datasource", {}).get("uid") == "loki":
            text = entry.get("expr") or f"{{{entry['query']['label']}=}}"
            selectors = re.findall(r"\{([^}]*)\}", text)
            assert selectors
            names = {name for selector in selectors for name in re.findall(r"(\w+)\s*(?:=|!)", selector)}
            assert names
            grouped = {name for group in re.findall(r"\bby \(([^)]*)\)", text) for name in group.split(", ")}
            assert names | grouped <= labels


def test_a_question_for_all_logs_names_one_label_that_is_never_empty(dashboard):
    every = {f"${variable['name']}": variable.get("allValue") for variable in dashboard["templating"]["list"]}
    for entry in targets(dashboard):
        if entry["datasource"]["uid"] == "loki":
            for selector in re.findall(r"\{([^}]*)\}", entry["expr"]):
                patterns = re.findall(r"=~?\s*\"([^\"]*)\"", selector)
                assert any(not re.fullmatch(every.get(text) or text, "") for text in patterns), selector


def test_provisioning_files_fit_their_schema(render, file):
    arguments = render("grafana")
    names = [entry["dest"] for entry in arguments["files"] if "/provisioning/" in entry["dest"]]
    for name in names:
        check(yaml.safe_load(file(arguments, name)), "grafana-provisioning.json")
    providers = yaml.safe_load(file(arguments, "config/provisioning/dashboards/dashboards.yml"))["providers"]
    volumes = arguments["compose"]["services"]["grafana"]["volumes"]
    mounted = next(volume.split(":")[1] for volume in volumes if volume.startswith("./config:"))
    assert [provider["options"]["path"] for provider in providers] == [f"{mounted}/dashboards"]
    assert {entry["dest"] for entry in arguments["files"]} >= {f"config/dashboards/{name}" for name in DASHBOARDS}


def configuration(text):
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    return parser


def test_settings_of_the_user_win_and_leave_the_others(render, file):
    extra = {"users": {"default_theme": "light"}, "security": {"cookie_secure": True}, "live": {"max_connections": 7}}
    plain = configuration(file(render("grafana"), "config/grafana.ini"))
    changed = configuration(file(render("grafana", grafana_config_extra=extra), "config/grafana.ini"))
    assert changed["users"]["default_theme"] == "light"
    assert changed["live"]["max_connections"] == "7"
    assert (plain["security"]["cookie_secure"], changed["security"]["cookie_secure"]) == ("false", "true")
    assert dict(plain["users"]).items() <= dict(changed["users"]).items()


def test_the_password_is_read_from_its_file(render, file):
    arguments = render("grafana")
    path = re.fullmatch(
        r"\$__file\{(.*)\}", configuration(file(arguments, "config/grafana.ini"))["security"]["admin_password"]
    )[1]
    volumes = arguments["compose"]["services"]["grafana"]["volumes"]
    source, target, _ = next(volume for volume in volumes if volume.startswith("./secrets")).split(":")
    assert [entry["dest"] for entry in arguments["secrets"]] == [path.replace(target, source.removeprefix("./"))]


@pytest.mark.parametrize(("url", "secure"), [("", "false"), ("https://ops.example.com/grafana/", "true")])
def test_the_public_address_is_told_if_there_is_one(render, file, url, secure):
    parsed = configuration(file(render("grafana", grafana_external_url=url), "config/grafana.ini"))
    assert parsed.get("server", "root_url", fallback="") == url
    assert parsed["security"]["cookie_secure"] == secure


def test_nothing_is_open_to_who_did_not_log_in(render, file):
    parsed = configuration(file(render("grafana", grafana_external_url="https://a.test/"), "config/grafana.ini"))
    closed = [("auth.anonymous", "enabled"), ("users", "allow_sign_up"), ("users", "allow_org_create")]
    closed += [("public_dashboards", "enabled"), ("snapshots", "enabled"), ("snapshots", "external_enabled")]
    assert {parsed.getboolean(*setting) for setting in closed} == {False}
    assert parsed.getboolean("auth.anonymous", "hide_version")
    security = parsed["security"]
    assert security["cookie_samesite"] in ("lax", "strict")
    assert [security[f"disable_{what}_login_protection"] for what in ("brute_force", "ip_address")] == ["false"] * 2


@pytest.mark.parametrize("key", ["", "what only this Grafana knows"])
def test_the_key_of_the_database_is_read_from_its_file(render, file, key):
    arguments = render("grafana", grafana_secret_key=key)
    text = file(arguments, "config/grafana.ini")
    assert ("secret_key = $__file{/run/secrets/secret_key}" in text) == bool(key)
    kept = [entry for entry in arguments["secrets"] if entry["dest"] == "secrets/secret_key"]
    assert [(entry["content"], entry["owner"]) for entry in kept] == ([(key, 472)] if key else [])
    assert not key or key not in json.dumps({name: value for name, value in arguments.items() if name != "secrets"})


def test_only_dashboards_are_taken_over_without_a_restart(render):
    arguments = render("grafana")
    pattern = arguments["reload"]["files"][0].replace("*", ".*")
    taken = {entry["dest"] for entry in arguments["files"] if re.fullmatch(pattern, entry["dest"])}
    assert taken == {f"config/dashboards/{name}" for name in DASHBOARDS}


def test_dashboards_of_the_user_join_or_replace_those_of_the_role(render, file, tmp_path):
    (tmp_path / "mine.json").write_text('{"uid": "mine"} {{ kept }}\n')
    arguments = render("grafana", grafana_dashboards_directories=[str(tmp_path)])
    assert file(arguments, "config/dashboards/mine.json") == '{"uid": "mine"} {{ kept }}\n'
    home = "default_home_dashboard_path"
    assert home not in file(arguments, "config/grafana.ini")
    both = render("grafana", grafana_dashboards_directories=[str(ROLE / "files/dashboards"), str(tmp_path)])
    assert home in file(both, "config/grafana.ini")
    assert len(both["files"]) == len(render("grafana")["files"]) + 1
