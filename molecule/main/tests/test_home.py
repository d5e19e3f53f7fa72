"""The management home page in a browser, as a person sees it."""

import json
import shlex
import subprocess

import pytest
from expected import HOSTS

HOME = "https://ops.protostar.test/"
WIDTHS = {"desktop": 1280, "phone": 360}
# The machines with their containers and what is told of each: [machine, [[container, version, state], …]]
MACHINES = """[...document.querySelectorAll(".machine")].map(machine => [
  machine.querySelector("h2").textContent,
  [...machine.querySelectorAll("tbody tr")].map(row => [
    row.querySelector("th").firstChild.textContent.trim(), row.cells[2].textContent, row.cells[3].innerText]),
])"""
ANSWERED = 'document.body.classList.contains("answers")'


@pytest.fixture(scope="module")
def browser(ssh_config, secrets):
    """Load a page in the client's browser and return what it tells."""

    def look(url, *arguments, login=f"operator:{secrets['ops_operator']}"):
        command = shlex.join(["browser", "--login", *arguments, url])
        # Over ssh itself, since the login is told on its input.
        ssh = ["ssh", "-F", str(ssh_config), "protostar-client"]
        done = subprocess.run([*ssh, command], input=login, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return look


@pytest.fixture(params=WIDTHS)
def seen(request, browser, scraped):
    scraped("promtail")
    return browser(HOME, "--width", str(WIDTHS[request.param]), "--until", ANSWERED, "--evaluate", MACHINES)


def test_every_container_is_on_the_page(seen):
    machines = {name: [container for container, *_ in rows] for name, rows in seen["value"]}
    assert {name: sorted(rows) for name, rows in machines.items()} == {
        name: sorted(containers) for name, containers in HOSTS.items()
    }
    assert all(version for _, rows in seen["value"] for _, version, _ in rows)


def test_nobody_scrolls_sideways_and_the_console_is_empty(seen):
    assert seen["overflow"] == 0
    assert seen["console"] == []


def test_the_state_is_what_prometheus_sees(seen):
    states = {(name, container): state for name, rows in seen["value"] for container, _, state in rows}
    assert {place: state for place, state in states.items() if state != "up"} == {}


def test_it_is_whole_without_javascript(browser):
    # An expression is evaluated all the same; only the page's own script does not run.
    seen = browser(HOME, "--no-script", "--evaluate", MACHINES)
    assert {name: len(rows) for name, rows in seen["value"]} == {name: len(found) for name, found in HOSTS.items()}
    assert {state for _, rows in seen["value"] for *_, state in rows} == {""}


def test_nobody_sees_it_without_the_login(browser):
    assert "protostar-main" not in browser(HOME, login="operator:wrong")["text"]
