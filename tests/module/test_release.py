"""Releasing: create, change, nothing to do, check mode, diff, reload, provision, absent."""

import json
import os
import signal
import time

import pytest
from conftest import NAME, PORT, docker


def test_check_run_check_run(service):
    arguments = service.arguments()
    planned = service.run(arguments, check=True)
    assert planned["changed"]
    assert not service.directory.exists()

    done = service.run(arguments)
    assert done["changed"]
    assert done["release"] == 1
    assert service.text() == "one"
    assert done["services"][0]["health"] == "healthy"

    for check in (True, False):
        again = service.run(arguments, check=check)
        assert not again["changed"], again["actions"]
        assert again["release"] == 1
    assert service.traces() == []


def test_check_mode_on_a_host_without_an_engine(service):
    planned = service.run(check=True, behind="mount -t tmpfs tmpfs /run")
    assert planned["changed"]
    assert "would start web (new)" in planned["actions"]
    assert not service.root.exists()


def test_nothing_to_do_starts_no_program(service):
    service.run()
    assert not service.run(behind="PATH=/nowhere && export PATH")["changed"]


def test_a_changed_file_is_a_new_release(service):
    service.run()
    before = service.container()["Id"]
    planned = service.run(service.arguments({"text": "two"}), check=True)
    assert json.loads(planned["diff"][0]["before"]) == {"text": "one"}
    assert json.loads(planned["diff"][0]["after"]) == {"text": "two"}
    assert service.text() == "one"
    done = service.run(service.arguments({"text": "two"}))
    assert done["release"] == 2
    assert service.text() == "two"
    assert service.container()["Id"] != before
    assert not service.run(service.arguments({"text": "two"}))["changed"]
    assert service.traces() == []


def test_a_new_image_is_a_new_release(service, images):
    service.run()
    done = service.run(service.arguments(image=images["2"]))
    assert done["services"][0]["version"] == "2"
    assert not service.run(service.arguments(image=images["2"]))["changed"]


def test_fixed_addresses_and_host_networks_are_rehearsed(service):
    docker("network", "create", "--subnet", "10.202.77.0/24", f"{NAME}-net")
    try:
        mounts = ["./config:/config:ro"]
        overrides = {
            "services": {
                "web": {"networks": {"fixed": {"ipv4_address": "10.202.77.10", "aliases": ["www"]}}},
                "side": {
                    "image": service.image,
                    "entrypoint": ["sleep", "600"],
                    "init": True,
                    "network_mode": "host",
                    "volumes": mounts,
                },
            },
            "networks": {"fixed": {"name": f"{NAME}-net", "external": True}},
        }
        service.run(service.arguments(overrides=overrides))
        done = service.run(service.arguments({"text": "two"}, overrides=overrides))
        assert done["release"] == 2
        assert service.text() == "two"
        network = service.container()["NetworkSettings"]["Networks"][f"{NAME}-net"]
        assert network["IPAddress"] == "10.202.77.10"
        assert service.traces() == []
    finally:
        service.run({"name": NAME, "root": str(service.root), "state": "absent", "purge": True})
        docker("network", "rm", f"{NAME}-net")


def test_only_so_many_releases_are_kept(service):
    for number in range(1, 5):
        service.run(service.arguments({"text": str(number)}, keep=1, rehearse=False))
    assert sorted(path.name for path in (service.directory / "releases").iterdir()) == ["3", "4"]


def test_a_file_and_a_service_that_are_gone_are_removed(service):
    arguments = service.arguments()
    arguments["files"].append({"dest": "config/more/old.conf", "content": "old"})
    sleeper = {"image": service.image, "entrypoint": ["sleep", "600"], "init": True}
    service.run({**arguments, "overrides": {"services": {"sleeper": sleeper}}})
    web = service.container()["Id"]
    done = service.run(service.arguments())
    assert not (service.directory / "config/more/old.conf").exists()
    assert len(done["services"]) == 1
    assert service.container()["Id"] != web, "it mounts the directory that the file was in"


def test_a_secret_is_in_no_output(service):
    for content in ("correct horse battery staple", "tr0ub4dor&3 and more of it"):
        arguments = service.arguments(secrets=[{"dest": "secrets/password", "content": content}])
        done = service.run(arguments)
        assert done["changed"]
        assert content not in json.dumps(done)
    arguments["provision"] = [
        {"service": "web", "command": ["python3", "-c", "raise SystemExit(open('/secrets/password').read())"]}
    ]
    message = service.refused(arguments)
    assert "tr0ub4dor&3" not in message
    assert "tr0ub4dor&3" not in docker("inspect", NAME)


def test_a_secret_from_a_file_of_the_host(service, tmp_path):
    """The key is made on the host, released, replaced, and lost."""
    key = tmp_path / "privkey.pem"
    arguments = service.arguments(
        secrets=[{"dest": "secrets/password", "src": str(key)}], reload={"service": "web", "signal": "HUP"}
    )
    assert service.run(arguments, check=True)["changed"], "in check mode nothing has made the key yet"
    assert f"comes from '{key}'" in service.refused(arguments)
    assert not service.directory.exists()

    containers = []
    for content in ("correct horse battery staple\n", "tr0ub4dor&3 and more of it\n"):
        key.write_text(content)
        planned, done = service.run(arguments, check=True), service.run(arguments)
        assert planned["changed"]
        assert done["changed"]
        assert content.strip() not in json.dumps([planned, done])
        assert docker("exec", NAME, "cat", "/secrets/password") == content.strip()
        assert (service.directory / "secrets/password").stat().st_mode & 0o777 == 0o400
        containers.append(service.container()["Id"])
        for check in (True, False):
            assert not service.run(arguments, check=check)["changed"]
    assert containers[0] == containers[1], "a reload takes it over"

    key.write_text("a key that goes nowhere")
    message = service.refused(
        {**arguments, "provision": [{"service": "web", "command": ["python3", "-c", "raise SystemExit(1)"]}]}
    )
    assert "was put back" in message
    assert docker("exec", NAME, "cat", "/secrets/password") == "tr0ub4dor&3 and more of it"

    key.unlink()
    assert service.run(arguments, check=True)["changed"]
    assert "cannot be read" in service.refused(arguments)
    assert docker("exec", NAME, "cat", "/secrets/password") == "tr0ub4dor&3 and more of it"


WAYS = {
    "signal": {"signal": "HUP"},
    "command": {"command": ["python3", "-c", "import os; os.kill(1, 1)"]},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_reload_keeps_the_container(service, load, way):
    reload = {"service": "web", "files": ["config/*"], **WAYS[way]}
    service.run(service.arguments(reload=reload))
    before = service.container()["Id"]
    with load:
        done = service.run(service.arguments({"text": "two"}, reload=reload))
    assert load.failed == []
    assert any("reloaded" in action for action in done["actions"])
    assert service.container()["Id"] == before
    assert service.text() == "two"
    assert not service.run(service.arguments({"text": "two"}, reload=reload))["changed"]

    # An engine that took the reload for a stop by hand would leave it dead.
    os.kill(service.container()["State"]["Pid"], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while (service.container()["RestartCount"], service.container()["State"]["Running"]) != (1, True):
        assert time.monotonic() < deadline, service.container()["State"]
        time.sleep(0.2)

    secret = [{"dest": "secrets/password", "content": "a secret is not in reload.files"}]
    service.run(service.arguments({"text": "two"}, reload=reload, secrets=secret))
    assert service.container()["Id"] != before


def test_a_reload_that_makes_it_unhealthy_is_undone(service):
    reload = {"service": "web", "signal": "HUP"}
    service.run(service.arguments(reload=reload))
    before = service.container()["Id"]
    bad = service.arguments({"text": "two", "healthy": False}, reload=reload, ready={"timeout": 15})
    message = service.refused(bad)
    assert "release 1 was put back and is ready" in message
    assert service.container()["Id"] == before
    assert service.text() == "one"
    assert not service.run(service.arguments(reload=reload))["changed"]


def test_a_reload_over_http_that_is_refused_is_undone(service):
    def reload(path):
        return {"service": "web", "http": {"url": f"http://127.0.0.1:{PORT}{path}"}}

    service.run(service.arguments(reload=reload("/")))
    assert service.run(service.arguments({"text": "two"}, reload=reload("/")))["release"] == 2
    message = service.refused(
        service.arguments({"text": "three"}, reload={"service": "web", "http": {"url": "http://127.0.0.1:1/"}})
    )
    assert "web did not reload" in message
    assert json.loads((service.directory / "config/server.json").read_text()) == {"text": "two"}


def test_provisioning_runs_once_for_each_release(service):
    write = "open('/data/log', 'a').write('x')"
    arguments = service.arguments(provision=[{"service": "web", "command": ["python3", "-c", write]}])
    service.run(arguments)
    service.run(arguments)
    assert docker("exec", NAME, "cat", "/data/log") == "x"


def test_absent_keeps_data_and_purge_does_not(service):
    gone = {"name": NAME, "root": str(service.root), "state": "absent"}
    service.run()
    (service.directory / "data").mkdir()
    (service.directory / "data" / "of-somebody-else").touch()
    assert service.run(gone, check=True)["changed"]
    assert service.container()
    assert service.run(gone)["changed"]
    assert service.container() is None
    assert [path.name for path in service.directory.iterdir()] == ["data"]
    assert docker("volume", "ls", "--quiet", "--filter", f"name={NAME}-data")
    assert not service.run(gone)["changed"]
    assert service.run({**gone, "purge": True})["changed"]
    assert docker("volume", "ls", "--quiet", "--filter", f"name={NAME}-data") == ""
    assert not service.directory.exists()
    assert not service.run({**gone, "purge": True})["changed"]


def test_info_lists_what_runs_and_what_is_missing(service):
    service.run()
    listed = service.run({"root": str(service.root)}, module="service_info")["services"]
    assert listed == [
        {
            "service": NAME,
            "container": NAME,
            "image": service.image,
            "version": "1",
            "state": "running",
            "health": "healthy",
            "addresses": [f"127.0.0.1:{PORT}→8080/tcp"],
            "stand_in": False,
            "since": service.container()["State"]["StartedAt"],
        }
    ]
    docker("rm", "--force", NAME)
    listed = service.run({"root": str(service.root)}, module="service_info")["services"]
    assert [item["state"] for item in listed] == ["missing"]
