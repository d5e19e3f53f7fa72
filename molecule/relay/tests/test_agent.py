"""The relay keeps serving the last good configuration, whatever happens to it, to its agent, or to what it follows."""

import contextlib
import json
import subprocess
import time

import pytest
from line import DIRECTORY, METADATA, OPS, PATH, RELAY, ROOT, SERVER, START

ENVIRONMENT = "/etc/default/protostar-relay"
FAKE_TIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@pytest.fixture
def until():
    """Wait until something is so; returns what it was at last."""

    def wait(look, wanted, seconds=30):
        deadline = time.monotonic() + seconds
        while (found := look()) != wanted and time.monotonic() < deadline:
            time.sleep(0.3)
        return found

    return wait


@pytest.fixture
def bundle(relay):
    """The bundle in force, as the role wrote it."""
    return json.loads(relay.check_output("cat /etc/protostar-relay/bundle.json"))


@pytest.fixture
def steady(load):
    """All the while, each new connection of a real client is answered."""
    with load("protostar-client", f"https://{OPS}{PATH}") as requests:
        # It asks before and after as well, or a quick test would be over before the first request.
        time.sleep(2)
        yield
        time.sleep(1)
    assert requests.failed == []
    assert requests.done > 5


def send(relay, path, text):
    """Write a file on the relay at once, as a rename does."""
    relay.check_output(f"mkdir -p $(dirname {path}); printf '%%s' %s > {path}.new; mv {path}.new {path}", text)


def broken(bundle):
    """A bundle whose nginx.conf nginx refuses."""
    lines = ["nonsense on;", *bundle["files"]["nginx.conf"]]
    return {**bundle, "files": {**bundle["files"], "nginx.conf": lines}}


def deaf(bundle):
    """A bundle that nginx takes, but that never answers with its version."""
    lines = [line.replace("9180", "9181") for line in bundle["files"]["nginx.conf"]]
    return {**bundle, "files": {**bundle["files"], "nginx.conf": lines}}


def another(bundle, number):
    """A bundle that does the same, and has another version."""
    return {**bundle, "agent": {**bundle["agent"], "egress_soft_cap_bytes": 10**12 + number}}


def test_the_relay_restarted(answers, status):
    before = status()["version"]
    subprocess.run(["docker", "restart", "--time", "30", "protostar-relay"], check=True, capture_output=True)
    assert answers(60) is not None
    # The line is there before the machine lets anybody log in.
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with contextlib.suppress(RuntimeError):  # testinfra: ssh does not answer yet
            status()
            break
        time.sleep(1)
    assert status()["version"] == before


def test_its_nginx_killed(relay, answers):
    relay.check_output("pkill -KILL -x nginx")
    assert answers(10) is not None


@pytest.mark.usefixtures("steady")
def test_its_agent_killed(relay, until):
    relay.check_output("systemctl kill --signal KILL protostar-relay.service")
    active = "systemctl is-active --quiet protostar-relay.service"
    assert until(lambda: relay.run(active).rc, 0) == 0


@pytest.mark.usefixtures("steady")
def test_a_file_changed_by_hand_is_put_back(relay, until):
    before = relay.check_output("sha256sum /etc/nginx/nginx.conf")
    relay.check_output("echo nonsense >> /etc/nginx/nginx.conf")
    assert until(lambda: relay.check_output("sha256sum /etc/nginx/nginx.conf"), before) == before


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize("spoil", [broken, deaf])
def test_a_broken_configuration_over_ssh(relay, bundle, status, spoil):
    before = status()["version"]
    live = relay.check_output("sha256sum /etc/nginx/nginx.conf")
    send(relay, "/run/broken.json", json.dumps(spoil(bundle)))
    refused = relay.run("protostar-relay apply /run/broken.json")
    assert refused.rc == 1
    assert len(refused.stderr.strip().splitlines()) == 1, refused.stderr
    assert relay.check_output("sha256sum /etc/nginx/nginx.conf") == live
    assert status()["version"] == before


@pytest.mark.usefixtures("steady")
def test_the_role_says_why_a_configuration_is_refused_and_changes_nothing(playbook, relay):
    before = relay.check_output("sha256sum /etc/nginx/nginx.conf /etc/protostar-relay/bundle.json")
    run = playbook("relay", "--skip-tags", "bootstrap", relay_config_extra="nonsense on;")
    assert (run.code != 0, run.total("changed")) == (True, 0), run.text
    assert "nonsense" in "".join(run.errors)
    assert relay.check_output("sha256sum /etc/nginx/nginx.conf /etc/protostar-relay/bundle.json") == before


@pytest.fixture
def metadata(relay, bundle, until):
    """The relay follows a stand-in for Google's metadata server on its own loopback; metadata(bundle) changes it."""
    send(relay, SERVER, (ROOT / "lab/metadata/server.py").read_text(encoding="utf-8"))
    send(relay, f"{DIRECTORY}/attributes/enable-guest-attributes", "TRUE")
    relay.check_output(START)

    def change(document):
        text = document if isinstance(document, str) else json.dumps(document)
        send(relay, f"{DIRECTORY}/attributes/protostar-relay", text)

    change(bundle)
    send(relay, ENVIRONMENT, f"GCE_METADATA_HOST={METADATA}\n")
    send(relay, "/etc/protostar-relay/agent.json", '{"source": "metadata"}')
    relay.check_output("systemctl restart protostar-relay.service")
    reported = f"cat {DIRECTORY}/guest-attributes/protostar-relay/status"
    assert until(lambda: relay.run(reported).rc, 0) == 0
    change.reported = lambda: json.loads(relay.check_output(reported))
    yield change
    relay.check_output(f"rm -f {ENVIRONMENT} /etc/protostar-relay/agent.json; systemctl stop protostar-lab-metadata")
    relay.check_output(f"systemctl restart protostar-relay.service; rm -rf {DIRECTORY} {SERVER}")
    relay.check_output("protostar-relay apply /etc/protostar-relay/bundle.json")


@pytest.mark.usefixtures("steady")
def test_a_configuration_by_metadata(metadata, bundle, status, until):
    before = status()["version"]
    metadata(another(bundle, 1))
    assert until(lambda: status()["egress"]["soft_cap_bytes"], 10**12 + 1) == 10**12 + 1
    after = status()["version"]
    assert after != before
    assert until(lambda: metadata.reported()["version"], after) == after


@pytest.mark.usefixtures("steady")
@pytest.mark.parametrize(
    "spoil",
    [broken, deaf, lambda bundle: json.dumps(bundle)[:-20], lambda bundle: {**bundle, "files": {"passwd": ["root"]}}],
    ids=["refused by nginx", "never in force", "half", "unknown file"],
)
def test_a_broken_configuration_by_metadata(metadata, bundle, status, until, spoil):
    before = status()["version"]
    metadata(spoil(bundle))
    assert until(lambda: bool(metadata.reported()["rejected"]), True) is True
    assert metadata.reported()["version"] == before
    # And a good one after it is taken.
    metadata(another(bundle, 2))
    assert until(lambda: status()["egress"]["soft_cap_bytes"], 10**12 + 2, 90) == 10**12 + 2
    assert until(lambda: metadata.reported()["rejected"], None) is None


@pytest.mark.usefixtures("steady")
def test_its_metadata_unreachable_for_an_hour(relay, metadata, bundle, status, until):
    relay.check_output("dpkg -s libfaketime >/dev/null 2>&1 || apt-get install -qq -y libfaketime >/dev/null 2>&1")
    clock = "/run/protostar-lab/clock"
    send(relay, clock, "+0s")
    send(
        relay,
        ENVIRONMENT,
        f"GCE_METADATA_HOST={METADATA}\n"
        f"LD_PRELOAD={FAKE_TIME}\nFAKETIME_TIMESTAMP_FILE={clock}\nFAKETIME_NO_CACHE=1\nDONT_FAKE_MONOTONIC=1\n",
    )
    relay.check_output("systemctl restart protostar-relay.service")
    metadata(another(bundle, 3))
    assert until(lambda: status()["egress"]["soft_cap_bytes"], 10**12 + 3) == 10**12 + 3
    before, began = status()["version"], status()["time"]

    relay.check_output("systemctl stop protostar-lab-metadata")
    send(relay, clock, "+1h")
    assert until(lambda: status()["time"] > began + 3500, True) is True
    assert until(lambda: bool(status()["source"]), True) is True
    assert status()["version"] == before

    relay.check_output(START)
    metadata(another(bundle, 4))
    assert until(lambda: status()["egress"]["soft_cap_bytes"], 10**12 + 4, 90) == 10**12 + 4
    assert until(lambda: status()["source"], "") == ""


def test_the_hard_cap_closes_the_line_but_not_the_metrics(relay, bundle, curl, until, answers):
    capped = {**bundle, "agent": {"egress_soft_cap_bytes": 1, "egress_hard_cap_bytes": 2}}
    send(relay, "/run/capped.json", json.dumps(capped))
    relay.check_output("protostar-relay apply /run/capped.json")
    try:
        closed = "grep -q '^protostar_relay_line_open 0' /run/protostar-relay/metrics.prom"
        assert until(lambda: relay.run(closed).rc, 0, 40) == 0
        assert curl("--max-time", "3", f"https://{OPS}{PATH}").rc != 0
        # Prometheus on sub still learns why: its question needs a certificate, and gets that far.
        door = ["--resolve", f"protostar-relay:443:{RELAY}", "https://protostar-relay/metrics"]
        asked = curl("--insecure", "--output", "/dev/null", "--write-out", "%{http_code}", *door)
        assert asked.stdout == "400"
    finally:
        relay.check_output("protostar-relay apply /etc/protostar-relay/bundle.json")
    assert answers(40) is not None
