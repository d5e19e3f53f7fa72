"""What the playbooks of releases refuse, ask of the module, and tell a person and a program, without a host."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).parents[3]
BOTH = {"green": "10.0.0.1", "blue": "10.0.0.5"}
APPS = {
    "nest": {"image": "nest:1", "port": 3000, "addresses": BOTH, "secrets": {"key": "hidden-words"}},
    "shop": {"image": "shop:1", "port": 3000, "addresses": BOTH, "replicas": 2},
    "worker": {"image": "worker:1"},
    "broken": {"image": "broken:1", "port": "many", "addresses": BOTH},
}
STUBS = ("bluegreen.py", "bluegreen_info.py")
# Stands in for the modules: it writes down what it is asked, and answers as it is told.
MODULE = """
import json
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule
names = ["state", "apps", "release", "owner", "reason", "preview_secret", "lock", "history", "final"]
module = AnsibleModule(argument_spec={name: {"type": "raw"} for name in names}, supports_check_mode=True)
here = Path(DIRECTORY)
(here / "asked.json").write_text(json.dumps(module.params))
module.exit_json(**json.loads((here / "answer.json").read_text()))
"""
RELEASED = {
    "changed": True,
    "state": "released",
    "release": 12,
    "actions": ["released 12: nest 2 is live in blue; green is the way back"],
    "steps": [{"step": "start", "seconds": 2.04}, {"step": "flip", "seconds": 0.02}],
    "flip_seconds": 0.0004,
    "apps": {"nest": {"image": "nest:2", "version": "2", "live": "blue", "previous": "green"}},
    "pending": {},
}
BUSY = {
    "failed": True,
    "rc": 75,
    "state": "busy",
    "busy": {"owner": "ada@laptop", "age": 7, "release": 11},
    "msg": "ada@laptop has been making release 11 for 7 s",
    "apps": {},
    "actions": [],
}


@pytest.fixture
def collection(tmp_path):
    """Make this collection once more, with the other module in the place of its own."""
    here = tmp_path / "collections/ansible_collections/protostar/platform"
    (here / "plugins/modules").mkdir(parents=True)
    for source in (ROOT, ROOT / "plugins", ROOT / "plugins/modules"):
        for path in source.iterdir():
            if path.name not in ("plugins", "modules", *STUBS) and not path.name.startswith("."):
                (here / source.relative_to(ROOT) / path.name).symlink_to(path)
    module = MODULE.replace("DIRECTORY", repr(str(tmp_path)))
    for name in STUBS:
        (here / "plugins/modules" / name).write_text(module)
    return here.parents[2]


@pytest.fixture
def playbook(tmp_path, collection):
    """Run a playbook for this machine as main.

    Returns its exit code, what it told, its summary, and what it asked of the module.
    """

    def run(name, answer=RELEASED, **variables):
        machine = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
        inventory = {"main": {"hosts": {"here": {**machine, "platform_apps": APPS, "app_preview_secret": "preview"}}}}
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
        (tmp_path / "answer.json").write_text(json.dumps(answer))
        summary, asked = tmp_path / "summary.json", tmp_path / "asked.json"
        extra = json.dumps({**variables, "summary": str(summary)})
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ansible", "playbook", "-i", str(tmp_path / "hosts.yml")),
                *(f"protostar.platform.{name}", "-e", extra),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(collection),
                "ANSIBLE_CALLBACKS_ENABLED": "protostar.platform.exit_code",
                "ANSIBLE_LOCAL_TEMP": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        told = done.stdout + done.stderr
        assert "Traceback" not in told
        assert "hidden-words" not in told
        return (
            done.returncode,
            told,
            *(json.loads(path.read_text()) if path.exists() else None for path in (summary, asked)),
        )

    return run


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, ["say what to release", "-e app=<name> -e image=<image>"]),
        ({"app": "nest", "image": ""}, ["say what to release"]),
        ({"app": "nest", "image": "nest:2", "release": {"nest": "nest:2"}}, ["say what to release"]),
        ({"release": "nest"}, ["say what to release"]),
        ({"release": {"nest": None}}, ["say what to release"]),
        ({"app": "nset", "image": "nest:2"}, ["has no nset, but broken, nest, shop, worker", "Correct the name"]),
        ({"app": "worker", "image": "worker:2"}, ["worker has no addresses", "site.yml --tags worker"]),
        ({"app": "broken", "image": "broken:2"}, ["what the role app takes"]),
    ],
)
def test_a_wrong_deploy_is_refused_in_a_sentence(playbook, variables, words):
    code, told, summary, asked = playbook("deploy", **variables)
    assert code == 2, told
    assert {"failed": True, "state": "refused", "changed": False}.items() <= summary.items()
    assert [word for word in words if word not in summary["msg"]] == [], summary
    # One error, and no other task afterwards that fails for want of it.
    assert told.count("[ERROR]") == 1, told
    assert asked is None


def test_a_deploy_asks_for_the_definition_with_another_image(playbook):
    code, told, summary, asked = playbook("deploy", app="nest", image="nest:2", reason="a reason", owner="me")
    assert code == 0, told
    [nest] = asked.pop("apps")
    assert {
        "state": "released",
        "owner": "me",
        "reason": "a reason",
        "preview_secret": "preview",
    }.items() <= asked.items()
    assert nest["image"] == nest["colours"]["blue"]["compose"]["services"]["nest-blue"]["image"] == "nest:2"
    assert nest["secrets"][0]["content"] == "hidden-words"
    assert summary == {**{key: RELEASED[key] for key in RELEASED if key != "pending"}, "failed": False}
    assert "platform_apps.nest.image: nest:2" in told


def test_several_applications_are_one_call(playbook):
    code, told, _, asked = playbook("deploy", release={"shop": "shop:2", "nest": "nest:2"})
    assert code == 0, told
    assert [(entry["name"], entry["image"]) for entry in asked["apps"]] == [("nest", "nest:2"), ("shop", "shop:2")]
    assert list(asked["apps"][1]["colours"]["green"]["compose"]["services"]) == ["shop-green-1", "shop-green-2"]


def test_a_busy_host_has_its_own_exit_code_and_a_summary(playbook):
    code, told, summary, _ = playbook("deploy", BUSY, app="nest", image="nest:2")
    assert code == 75, told
    assert summary == {**BUSY, "changed": False}


def test_a_failed_release_has_a_summary(playbook):
    failed = {
        **RELEASED,
        "failed": True,
        "changed": False,
        "state": "failed",
        "msg": "release 12 of nest failed at smoke",
    }
    code, told, summary, _ = playbook("deploy", failed, app="nest", image="nest:2")
    assert code == 2, told
    assert (summary["failed"], summary["msg"]) == (True, failed["msg"])
    assert told.count("[ERROR]") == 1, told


@pytest.mark.parametrize(
    ("name", "variables", "asked_for"),
    [
        ("deploy", {"resume": "true"}, ("resumed", [], None)),
        ("rollback", {}, ("rolled_back", [], None)),
        ("rollback", {"app": "nest, shop"}, ("rolled_back", ["nest", "shop"], None)),
        ("rollback", {"app": "nest", "to": 7}, ("rolled_back", ["nest"], 7)),
        ("promote", {}, ("promoted", [], None)),
        ("promote", {"app": "nest", "final": "true"}, ("promoted", ["nest"], None)),
        ("promote", {"app": "nest", "abort": "true"}, ("aborted", ["nest"], None)),
    ],
)
def test_what_the_other_playbooks_ask(playbook, name, variables, asked_for):
    code, told, summary, asked = playbook(name, {**RELEASED, "state": asked_for[0], "apps": {}}, **variables)
    assert code == 0, told
    release = int(asked["release"]) if asked["release"] is not None else None
    assert (asked["state"], [app["name"] for app in asked["apps"]], release) == asked_for
    assert asked["final"] is ("final" in variables)
    assert summary["state"] == asked_for[0]


ROW = {
    **{"app": "nest", "colour": "blue", "role": "live", "release": 12, "image": "nest:2", "version": "2"},
    **{"since": "2026-11-22T08:00:00+00:00", "health": "healthy", "owner": "ada@laptop"},
    **{"in_flight": 3, "websockets": 1, "streams": 0, "edge": True},
}
RECORD = {
    **{"id": 12, "kind": "release", "state": "released", "started": "2026-11-22T08:00:00+00:00", "seconds": 4.24},
    **{
        "finished": "2026-11-22T08:00:05+00:00",
        "flip_seconds": 0.0004,
        "owner": "ada@laptop",
        "reason": "",
        "error": "",
    },
    "apps": {"nest": {"version": "2", "from": "green", "to": "blue"}, "shop": {"from": None, "to": "green"}},
}


def test_status_tells_of_both_colours_and_of_what_is_under_way(playbook):
    standby = {**ROW, "colour": "green", "role": "standby", "image": "nest:1", "version": "1"}
    under_way = {"release": 13, "step": "smoke", "state": "running"}
    answer = {"apps": [ROW, standby], "releases": [], "under_way": under_way, "deployer": None}
    code, told, *_ = playbook("status", answer)
    assert code == 0, told
    lines = [line.split() for line in told.splitlines()]
    since = ["2026-11-22", "08:00"]
    assert ["nest", "blue", "live", "2", *since, "healthy", "3", "1", "0", "12", "ada@laptop", "nest:1"] in lines
    assert ["nest", "green", "standby", "1", *since, "healthy", "3", "1", "0", "12", "ada@laptop"] in lines
    assert "Release 13 is under way: running, smoke; nobody is at it, so run deploy.yml -e resume=true." in told


def test_history_tells_what_became_of_a_release(playbook):
    under_way = {**RECORD, "id": 13, "state": "running", "step": "smoke", "finished": "", "flip_seconds": None}
    code, told, _, asked = playbook("history", {"releases": [under_way, RECORD]}, history=5)
    assert code == 0, told
    assert int(asked["history"]) == 5
    lines = [line.strip() for line in told.splitlines()]
    [line] = [line for line in lines if line.startswith("12 ")]
    assert "nest 2 green → blue, shop new → green" in line
    assert "4.2" in line
    assert "0.4 ms" in line
    assert any(line.startswith("13 ") and "running: smoke" in line for line in lines)


def told(result):
    """What a person reads of a release."""
    template = (ROOT / "playbooks/templates/release.txt.j2").read_text()
    context = {
        "ansible_inventory_sources": ["/inventories/lab"],
        "ansible_check_mode": False,
        "platform_apps": APPS,
        "release_result": result,
    }
    # As the lookup `template` has it.
    environment = "#jinja2: trim_blocks: True\n"
    return Templar(loader=DataLoader(), variables=context).template(trust_as_template(environment + template)).strip()


def test_a_release_tells_what_to_commit_and_the_way_back():
    lines = told(RELEASED).splitlines()
    assert lines[0] == "released 12: nest 2 is live in blue; green is the way back."
    assert lines[1] == "It took 2.1 s: start 2.0, flip 0.0. The flip itself took 0.4 ms."
    assert lines[2].endswith("ansible-playbook -i /inventories/lab protostar.platform.rollback")
    assert lines[3].startswith("Commit this to the inventory")
    assert lines[4:] == ["  platform_apps.nest.image: nest:2"]


def test_what_the_inventory_says_already_is_not_to_be_committed():
    apps = {"nest": {**RELEASED["apps"]["nest"], "image": "nest:1"}}
    assert "Commit" not in told({**RELEASED, "apps": apps})


def test_a_first_release_has_no_way_back():
    apps = {"nest": {**RELEASED["apps"]["nest"], "previous": None}}
    assert "The way back" not in told({**RELEASED, "apps": apps})


def test_a_canary_that_waits_tells_both_decisions():
    text = told({**RELEASED, "state": "waiting"})
    assert "protostar.platform.promote\n" in text
    assert text.endswith("protostar.platform.promote -e abort=true")


def test_nothing_to_do_is_told_too():
    unchanged = {"state": "unchanged", "msg": "nest: this is what is live already", "actions": [], "apps": {}}
    assert told(unchanged) == "nest: this is what is live already."


def test_a_preview_is_what_would_be_done():
    assert told({"state": "released", "actions": ["would release nest nest:2 in blue"]}) == (
        "would release nest nest:2 in blue."
    )
