"""The modules as Ansible calls them: over HTTP, with google-auth's own credentials."""

import json
import socket
import warnings

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.protostar.platform.plugins.doc_fragments.google import ModuleDocFragment
from ansible_collections.protostar.platform.plugins.module_utils import _gce_http, _gce_session
from ansible_collections.protostar.platform.plugins.module_utils._gce_options import PLACE
from ansible_collections.protostar.platform.plugins.modules import gcp_l4_relay, gcp_l4_relay_info
from gcp_world import KEYS, NAME, PROJECT, REGION, mine, served, writes


@pytest.fixture(scope="module")
def server():
    with served() as fake:
        yield fake, fake.snapshot()


@pytest.fixture
def fake(server):
    """The project as it was at the beginning."""
    fake, beginning = server
    fake.restore(beginning)
    fake.tokens.enabled = True
    fake.operation_polls = 0
    return fake


@pytest.fixture
def key(fake, tmp_path):
    return fake.service_account(tmp_path / "key.json")


@pytest.fixture
def call(fake, key, capfd):
    """Call a module as Ansible does and return its result."""

    def call(module=gcp_l4_relay, *, check=False, **given):
        options = {
            "project": PROJECT,
            "region": REGION,
            "service_account_file": key,
            "api_endpoint": fake.endpoint,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **given,
        }
        options = {name: value for name, value in options.items() if value is not None}
        with patch_module_args(options), pytest.raises(SystemExit), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.main()
        out, error = capfd.readouterr()
        secret = json.loads(open(key, encoding="utf-8").read())["private_key"].splitlines()[1]  # noqa: PTH123, SIM115
        assert "ya29." not in out + error
        assert secret not in out + error
        # Ansible takes warnings from the result or from standard error, by its version.
        return {**json.loads(out), "told": out + error}

    return call


@pytest.mark.parametrize(("module", "arguments"), [(gcp_l4_relay, gcp_l4_relay.ARGUMENTS), (gcp_l4_relay_info, PLACE)])
def test_the_documentation_says_what_the_module_takes(module, arguments):
    described = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    described |= yaml.safe_load(module.DOCUMENTATION).get("options", {})
    keys = ("type", "default", "choices", "elements", "required")
    assert {
        name: {key: option[key] for key in keys if key in option} for name, option in described.items()
    } == arguments


def test_check_run_check_run(call, fake):
    planned = call(check=True)
    assert planned["changed"] is True
    assert planned["address"] == ""
    assert planned["instance"] is None
    assert planned["requests"]["writes"] == 0
    assert not writes(fake)
    done = call()
    assert done["changed"] is True
    assert done["actions"] == planned["actions"]
    assert done["diff"] == planned["diff"]
    assert done["address"] == mine(fake, "addresses")["address"]
    assert done["instance"]["status"] == "RUNNING"
    assert done["requests"]["writes"] == len(done["actions"])
    fake.settle()
    for check in (True, False):
        same = call(check=check)
        assert (same["changed"], same["actions"], same["diff"]) == (False, [], [])
        assert same["requests"] == {"reads": 8, "writes": 0}
        assert same["address"] == done["address"]
    gone = call(state="absent")
    assert gone["changed"] is True
    assert (gone["address"], gone["instance"]) == ("", None)
    assert call(state="absent")["changed"] is False


def test_a_diff_can_be_read(call, fake):
    call()
    fake.settle()
    fake.world.resources["firewalls"][f"{NAME}-allow"]["allowed"] = [{"IPProtocol": "tcp", "ports": ["1-65535"]}]
    mine(fake, "instances")["metadata"]["items"].append({"key": "theirs", "value": "their password"})
    fake.world.derive()
    bundle = {"format": 1, "files": {"nginx.conf": ["worker_processes auto;", "}"]}}
    shown = call(check=True, metadata={"protostar-relay": bundle})
    rule, instance = shown["diff"]
    assert "- tcp:1-65535" in rule["before"]
    assert "- tcp:443" in rule["after"]
    assert "- worker_processes auto;\n" in instance["after"]
    assert "their password" not in json.dumps(shown)
    assert shown["foreign_metadata"] == ["theirs"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"project": None}, "missing required arguments: project"),
        ({"project": "My Shop"}, "project is 'My Shop'"),
        ({"region": "us-west1-b"}, "region is the zone"),
        ({"name": "Relay"}, "name is 'Relay'"),
        ({"api_endpoint": "http://compute.example.com/compute/v1"}, "in the clear"),
        ({"tcp_ports": [22]}, "ssh to iap"),
        ({"region": "europe-west1"}, "guard_free_tier"),
        ({"metadata": {"x": "-----BEGIN PRIVATE KEY-----"}}, "private key"),
        ({"service_account_file": "/nonexistent/key.json"}, "/nonexistent/key.json"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(call, fake, given, told):
    result = call(**given)
    assert result["failed"] is True
    assert told in result["msg"]
    assert "\n" not in result["msg"]
    assert fake.requests == []


def test_a_broken_file_of_credentials_is_told_without_its_content(call, tmp_path):
    broken = tmp_path / "broken.json"
    for text in (
        "{",
        "[]",
        '{"type": "service_account", "private_key": "very-secret"}',
        '{"type": "sandwich"}',
        "\x00",
    ):
        broken.write_text(text)
        result = call(service_account_file=str(broken))
        assert "holds no credentials that can be used" in result["msg"]
        assert "very-secret" not in json.dumps(result)


def test_workload_identity_is_taken(call, fake, tmp_path):
    assert call(service_account_file=fake.workload_identity(tmp_path / "federation.json"))["changed"] is True


def test_application_default_credentials_are_taken(call, fake, key, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key)
    monkeypatch.setattr(_gce_http, "encrypted", lambda endpoint: True)
    assert call(service_account_file=None)["changed"] is True


def test_no_credentials_go_out_in_the_clear_by_themselves(call, key, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", key)
    assert "does not accept these credentials" in call(service_account_file=None)["msg"]


def test_a_missing_default_is_told(call, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    monkeypatch.setattr(_gce_http, "encrypted", lambda endpoint: True)
    assert "gcloud auth application-default login" in call(service_account_file=None)["msg"]


def test_a_token_that_ends_in_the_middle_is_renewed(call, fake):
    given = fake.tokens.given

    seen = set()

    def late(request):
        name = request.query.get("requestId")
        if name and name not in seen:
            seen.add(name)
            fake.clock.advance(4000)
        return False

    fake.fault(late)
    assert len(call()["actions"]) == 7
    assert fake.tokens.given - given == 8
    assert len(seen) == 7


def test_an_account_that_was_removed_is_told(call, fake):
    fake.tokens.enabled = False
    result = call()
    assert "The credentials from the file" in result["msg"]
    assert result["msg"].endswith("Nothing was changed.")
    assert result["changed"] is False


def test_a_network_that_is_down_is_told(call, monkeypatch):
    monkeypatch.setattr(_gce_session, "_SILENCE", 0.2)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        result = call(api_endpoint=f"http://127.0.0.1:{closed.getsockname()[1]}/compute/v1")
    assert "does not answer" in result["msg"]
    assert "HTTPS_PROXY" in result["msg"]


def test_a_failure_tells_what_was_done(call, fake):
    fake.fault("POST instances.insert", status=403, reason="quotaExceeded", message="Quota 'CPUS' exceeded.")
    result = call()
    assert "iam-admin/quotas" in result["msg"]
    assert "The next run goes on from there" in result["msg"]
    assert result["changed"] is True
    assert len(result["actions"]) == 6


def test_a_missing_library_is_told(call, monkeypatch):
    for module in (gcp_l4_relay, gcp_l4_relay_info):
        monkeypatch.setattr(_gce_http, "MISSING", "google-auth")
        assert "Failed to import the required Python library (google-auth)" in call(module)["msg"]


@pytest.mark.parametrize("module", [gcp_l4_relay, gcp_l4_relay_info])
def test_a_fault_of_ours_is_no_traceback(call, monkeypatch, module):
    monkeypatch.setattr(_gce_http, "connect", lambda endpoint, file: 1 / 0)
    said = call(module)["msg"]
    assert said.startswith("ZeroDivisionError")
    assert "Traceback" not in said


def test_unused_addresses_are_reported(call, fake):
    call(name="first", guard_free_tier=False)
    fake.settle()
    instance = fake.world.resources["instances"].pop(f"{KEYS['instances'].partition('/')[0]}/first")
    fake.world.derive()
    address = instance["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    result = call(guard_free_tier=False)
    assert result["unused_addresses"] == [{"name": "first", "address": address, "region": REGION, "tier": "standard"}]
    assert f"first ({address}, {REGION}); each costs about" in result["told"]


def test_info_tells_what_the_relay_is_doing(call, fake):
    nothing = call(gcp_l4_relay_info)
    assert (nothing["exists"], nothing["status"], nothing["guest"]) == (False, "ABSENT", None)
    made = call()
    fake.settle()
    quiet = call(gcp_l4_relay_info)
    assert (quiet["exists"], quiet["status"], quiet["guest"]) == (True, "RUNNING", None)
    assert quiet["address"] == made["address"]
    assert quiet["labels"]["protostar-relay"] == NAME
    status = {"version": "0123456789abcdef", "rejected": None, "line": "open"}
    fake.guest_attributes[KEYS["instances"]] = {"protostar-relay/status": json.dumps(status)}
    told = call(gcp_l4_relay_info)
    assert told["guest"] == status
    assert told["requests"] == {"reads": 3, "writes": 0}
    assert told["changed"] is False
    mine(fake, "instances")["labels"] = {}
    fake.world.derive()
    assert call(gcp_l4_relay_info)["exists"] is False


def test_info_outlives_a_report_that_is_no_json_and_guests_that_may_not_report(call, fake):
    call()
    fake.settle()
    fake.guest_attributes[KEYS["instances"]] = {"protostar-relay/status": "{"}
    assert call(gcp_l4_relay_info)["guest"] == "{"
    mine(fake, "instances")["metadata"]["items"] = []
    fake.world.derive()
    assert call(gcp_l4_relay_info)["guest"] is None
