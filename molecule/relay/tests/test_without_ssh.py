"""The relay as a VM of Google that nobody logs in to: what its metadata hold is all that makes it.

Google itself is a fake (tests/compute_fake), and so is its metadata server (lab/metadata). The startup script, the
agent, nginx and the line are real; this test carries what the one fake holds to the other, as Google does.
"""

import json
import sys
import threading

import pytest
from line import DIRECTORY, METADATA, ROOT, SERVER, START

sys.path.insert(0, str(ROOT / "tests"))
from compute_fake import serve

INSTANCE = "us-west1-b/protostar-relay"


class Machine:
    """The VM of the fake, played by the lab's relay: takes its metadata, boots with them, and reports."""

    def __init__(self, google, relay):
        self.google, self.relay = google, relay
        self.stop = threading.Event()
        self.booted = False
        self.trouble = None
        self._thread = threading.Thread(target=self.run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        self._thread.join()
        assert self.trouble is None

    def run(self):
        """Carry metadata in and the report out until told to stop."""
        known = {}
        try:
            while not self.stop.wait(1):
                instance = self.google.world.resources["instances"].get(INSTANCE)
                for item in (instance or {}).get("metadata", {}).get("items", []):
                    if known.get(item["key"]) != item["value"]:
                        known[item["key"]] = item["value"]
                        self.put(f"{DIRECTORY}/attributes/{item['key']}", item["value"])
                if instance and not self.booted:
                    self.boot()
                report = self.relay.run(f"cat {DIRECTORY}/guest-attributes/protostar-relay/status").stdout
                if report:
                    self.google.guest_attributes[INSTANCE] = {"protostar-relay/status": report}
        except Exception as error:
            self.trouble = error

    def put(self, path, text):
        """Write a file of the machine at once, as a rename does."""
        self.relay.check_output(f"mkdir -p $(dirname {path}); printf '%%s' %s > {path}.new; mv {path}.new {path}", text)

    def boot(self):
        """Do what Google's guest agent does at a boot."""
        self.put(SERVER, (ROOT / "lab/metadata/server.py").read_text(encoding="utf-8"))
        self.put("/etc/default/protostar-relay", f"GCE_METADATA_HOST={METADATA}\n")
        self.relay.check_output(START)
        self.relay.check_output(f"bash {DIRECTORY}/attributes/startup-script")
        self.booted = True


@pytest.fixture
def google():
    with serve(project="shop-1234", zones=["us-west1-b"]) as fake:
        yield fake


@pytest.fixture
def bare(relay, playbook):
    """A machine on which nothing of the relay is left; afterwards it is the lab's again."""
    removed = playbook("relay", "--skip-tags", "bootstrap", relay_state="absent")
    assert removed.code == 0, removed.text
    yield
    relay.check_output("systemctl stop protostar-lab-metadata 2>/dev/null || true")
    relay.check_output(f"rm -rf {DIRECTORY} {SERVER} /etc/default/protostar-relay")
    back = playbook("relay", "--skip-tags", "bootstrap")
    assert back.code == 0, back.text


@pytest.mark.usefixtures("bare")
def test_a_relay_that_only_its_metadata_configure(tmp_path, google, relay, playbook, answers):
    google.service_account(tmp_path / "account.json")
    account = {"api_endpoint": google.endpoint, "service_account_file": str(tmp_path / "account.json")}
    variables = {
        "relay_delivery": "metadata",
        "relay_peer_key": "",
        "relay_google": {"project": "shop-1234", "region": "us-west1", **account},
    }
    assert answers(2) is None
    with Machine(google, relay) as machine:
        run = playbook("relay", **variables)
        assert run.code == 0, run.text
        assert machine.booted
        assert answers(10) is not None
        assert json.loads(relay.check_output("cat /etc/protostar-relay/agent.json")) == {"source": "metadata"}

        before = len(google.requests)
        again = playbook("relay", **variables)
        assert (again.code, again.total("changed")) == (0, 0), again.text
        assert all(request.read for request in google.requests[before:])

        # Another configuration comes without a reboot, and while the line serves.
        more = playbook("relay", **variables, relay_egress_soft_cap_gb=7)
        assert (more.code, more.total("changed")) == (0, 1), more.text
        assert json.loads(relay.check_output("protostar-relay status"))["egress"]["soft_cap_bytes"] == 7 * 1024**3

        # A broken one is refused by the VM, and the playbook says so.
        broken = playbook("relay", **variables, relay_config_extra="nonsense on;")
        assert broken.code != 0
        assert "nonsense" in "".join(broken.errors)
        assert answers(5) is not None

        # Nothing in the metadata is a secret.
        items = google.world.resources["instances"][INSTANCE]["metadata"]["items"]
        text = "\n".join(item["value"] for item in items)
        assert "PRIVATE KEY" not in text
