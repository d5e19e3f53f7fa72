"""`bluegreen` on a real engine and a real Compose. What leads the requests is a stand-in for nginx: edge/edge.py."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from conftest import HERE, PORT, docker

NAME = "protostar-test-shop"
EDGE = NETWORK = "protostar-test-edge"
SECRET = "the preview secret"
PASSWORD = "correct horse battery staple"
ADDRESSES = {"green": "10.201.99.11", "blue": "10.201.99.15"}
STEPS = (
    "preflight", "migrate", "start", "smoke", "canary", "flip", "flipped", "verify", "bake", "drain", "standby",
    "prune", "record",
)  # fmt: skip


class Shop:
    """An application in two colours behind the stand-in."""

    def __init__(self, collections, images, path):
        self.environment = {**os.environ, "PYTHONPATH": str(collections)}
        self.images = images
        self.services, self.root, self.edge = path / "services", path / "releases", path / "edge"
        self.edge.mkdir()
        (self.edge / "pools.json").write_text('{"generation": 0, "apps": {}}')

    def up(self):
        docker("network", "create", "--subnet", "10.201.99.0/24", NETWORK)
        docker(
            "run", "--detach", "--name", EDGE, "--network", NETWORK, "--publish", f"127.0.0.1:{PORT}:80",
            "--tmpfs", "/run/protostar:mode=0700", "--volume", f"{HERE / 'edge'}:/edge:ro",
            "--volume", f"{self.edge}:/etc/nginx/edge:ro", "--env", f"NAME={NAME}", "--env", f"SECRET={SECRET}",
            "--env", f"GREEN={ADDRESSES['green']}", "--env", f"BLUE={ADDRESSES['blue']}",
            os.environ["PROTOSTAR_TEST_IMAGE"], "python3", "-u", "/edge/edge.py",
        )  # fmt: skip

    def down(self):
        project = f"label=com.docker.compose.project={NAME}"
        for kind in ("-green", "-blue", "-migration"):
            for found in docker("ps", "--all", "--quiet", "--filter", project + kind).split():
                docker("rm", "--force", found, check=False)
        docker("rm", "--force", EDGE, check=False)
        docker("network", "rm", NETWORK, check=False)

    def compose(self, colour, image):
        return {
            "services": {
                NAME: {
                    "image": image,
                    "container_name": f"{NAME}-{colour}",
                    "restart": "unless-stopped",
                    "mem_limit": "64m",
                    "stop_grace_period": "1s",
                    "environment": {"CONFIG": "/secrets/server.json", "APP_COLOUR": colour},
                    "volumes": ["./secrets:/secrets:ro"],
                    "networks": {"edge": {"ipv4_address": ADDRESSES[colour]}},
                    "healthcheck": {
                        "test": [
                            "CMD", "python3", "-c",
                            "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health')",
                        ],
                        "interval": "1s",
                        "start_period": "5s",
                        "start_interval": "200ms",
                        "retries": 2,
                    },
                }
            },
            "networks": {"edge": {"external": True, "name": NETWORK}},
        }  # fmt: skip

    def arguments(self, version, config=None, **more):
        """A release whose server says its version, and whose configuration is a secret."""
        image = self.images[version]
        content = json.dumps({"text": f"version {version}", "password": PASSWORD, **(config or {})})
        return {
            "apps": [
                {
                    "name": NAME,
                    "image": image,
                    "colours": {colour: {"compose": self.compose(colour, image)} for colour in ADDRESSES},
                    "secrets": [{"dest": "secrets/server.json", "content": content}],
                    "addresses": {colour: [address] for colour, address in ADDRESSES.items()},
                    "port": 8080,
                    "smoke": [{"url": "http://shop.example.com/", "body": "^version"}],
                    "ready": {"timeout": 15, "interval": 0.1, "successes": 1},
                    "bake": {"seconds": 0.5},
                    "drain": {"timeout": 2, "streams": 2},
                    **more,
                }
            ]
        }

    def start(self, arguments, *, kill="", check=False):
        script = [str(HERE / "run_killed.py"), kill] if kill else [str(HERE / "run_module.py"), "bluegreen"]
        process = subprocess.Popen(
            [sys.executable, *script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        common = {
            "owner": "ada@ci", "preview_secret": SECRET, "edge": {"container": EDGE, "directory": str(self.edge)},
            "services": str(self.services), "root": str(self.root),
            "_ansible_check_mode": check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp",
        }  # fmt: skip
        process.stdin.write(json.dumps({**common, **arguments}))
        process.stdin.close()
        return process

    def result(self, process):
        output, errors = process.stdout.read(), process.stderr.read()
        process.wait()
        assert output, errors
        for secret in (PASSWORD, SECRET):
            assert secret not in output + errors
        assert "Traceback" not in output + errors
        return json.loads(output)

    def run(self, arguments, **options):
        result = self.result(self.start(arguments, **options))
        assert not result.get("failed"), result["msg"]
        return result

    def refused(self, arguments):
        result = self.result(self.start(arguments))
        assert result.get("failed"), result
        return result

    def text(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=5) as answer:
            return answer.read().decode()

    def agrees(self):
        """Ledger, durable file and containers tell the same, and nothing is left over."""
        state = json.loads((self.root / "state.json").read_text())["apps"][NAME]
        durable = json.loads((self.edge / "pools.json").read_text())["apps"][NAME]
        assert durable == {"live": state["live"]}
        assert not (self.root / "journal.json").exists()
        for colour in state["slots"]:
            assert docker("inspect", "--format", "{{.State.Health.Status}}", f"{NAME}-{colour}") == "healthy"
        assert docker("ps", "--all", "--quiet", "--filter", f"name={NAME}-migration") == ""
        assert not list(self.root.glob("*/migration/*"))
        return True

    def told(self):
        """What is on disk beside the files of secrets."""
        found = [path for path in self.root.rglob("*.json") if "secrets" not in path.parts]
        return "".join(path.read_text() for path in found)


@pytest.fixture
def shop(collections, images, tmp_path):
    made = Shop(collections, images, tmp_path)
    made.down()
    made.up()
    yield made
    made.down()


def test_release_then_another_image_then_back(shop, load):
    assert shop.run(shop.arguments("1"), check=True)["changed"]
    assert not shop.root.exists()
    first = shop.run(shop.arguments("1"))
    assert (first["state"], first["release"], shop.text()) == ("released", 1, "version 1")
    again = shop.run(shop.arguments("1"))
    assert (again["changed"], again["state"]) == (False, "unchanged")
    with load:
        second = shop.run(shop.arguments("2"))
        assert (second["release"], shop.text()) == (2, "version 2")
        assert second["apps"][NAME]["version"] == "2"
        assert shop.agrees()
        started = docker("inspect", "--format", "{{.State.StartedAt}}", f"{NAME}-green")
        back = shop.run({"state": "rolled_back"})
        assert (back["state"], shop.text()) == ("rolled_back", "version 1")
    assert load.failed == []
    assert load.done > 20
    assert docker("inspect", "--format", "{{.State.StartedAt}}", f"{NAME}-green") == started, "the way back was warm"
    assert shop.agrees()
    assert PASSWORD not in shop.told()
    assert not shop.run({"state": "converged", **shop.arguments("1")})["changed"]


def test_killed_at_every_step_and_finished_by_the_same_call(shop, load):
    shop.run(shop.arguments("1"))
    more = {"migrate": {"command": ["--check"], "kind": "expand"}}
    versions = ["2", "1"] * len(STEPS)
    with load:
        for step, version in zip(STEPS, versions, strict=False):
            process = shop.start(shop.arguments(version, **more), kill=step)
            assert process.wait(60) == -signal.SIGKILL, step
            assert shop.text().startswith("version")
            shop.run(shop.arguments(version, **more))
            assert shop.text() == f"version {version}", step
            assert shop.agrees()
    assert load.failed == []


def test_the_second_of_two_deployers_is_told_who_is_at_work(shop):
    shop.run(shop.arguments("1"))
    hangs = {"migrate": {"command": ["serve"], "kind": "expand", "timeout": 6}}
    process = shop.start({"owner": "bob@ci", **shop.arguments("2", **hangs)})
    deadline = time.monotonic() + 20
    while not (shop.root / "journal.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    refused = shop.refused(shop.arguments("2"))
    assert refused["rc"] == 75
    assert refused["busy"]["owner"] == "bob@ci"
    assert refused["busy"]["release"] == 2
    assert 0 <= refused["busy"]["age"] < 30
    assert "bob@ci has been making release 2 for " in refused["msg"]
    ended = shop.result(process)
    assert ended["failed"]
    assert "the migration did not end within 6 s" in ended["msg"]
    assert shop.text() == "version 1"
    assert shop.agrees()


def test_a_migration_has_the_secrets_and_one_that_fails_leaves_all_as_it_was(shop):
    shop.run(shop.arguments("1"))
    migrate = {"migrate": {"command": ["--check"], "kind": "expand"}}
    # The check is for a text, which is in the file of secrets alone.
    assert shop.run(shop.arguments("2", **migrate))["state"] == "released"
    refused = shop.refused(shop.arguments("1", {"exit": "no"}, migrate={"command": ["up"], "kind": "expand"}))
    assert "the migration ended with 1; it said last: refusing to start: no" in refused["msg"]
    assert f"{NAME} is served by blue as before" in refused["msg"]
    assert shop.text() == "version 2"
    assert shop.agrees()


def test_an_image_that_never_gets_healthy_changes_nothing(shop, load):
    shop.run(shop.arguments("1"))
    shop.run(shop.arguments("2"))
    with load:
        refused = shop.refused(shop.arguments("1", {"healthy": False}))
        assert shop.text() == "version 2"
    assert load.failed == []
    assert "failed at start" in refused["msg"]
    assert "its health check fails" in refused["msg"]
    assert shop.agrees()
    assert shop.run({"state": "rolled_back"})["state"] == "rolled_back"
    assert shop.text() == "version 1"
