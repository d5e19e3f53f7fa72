"""A release that fails: what ran keeps running, or comes back."""

import json
import subprocess
import time

import pytest
from conftest import NAME, PORT, docker


def untouched(service, load, arguments):
    """Try a release that must fail, under load; return its message once it is proven to have touched nothing."""
    service.run()
    before = service.container()["Id"]
    with load:
        message = service.refused(arguments)
    assert load.failed == []
    assert load.done > 5
    assert service.container()["Id"] == before
    assert json.loads((service.directory / "config/server.json").read_text()) == {"text": "one"}
    assert service.traces() == []
    assert not service.run()["changed"]
    return message


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"text": "two", "exit": "no licence"}, "no licence"),
        ({"text": "two", "healthy": False}, "HTTP Error 500"),
        ({"text": "two", "hog": True}, "want of memory (limit 64 MiB)"),
        ({"text": "two", "delay": 60}, "Connection refused"),
        ({"no text": ""}, "'text' is missing"),
    ],
    ids=["exits at once", "never healthy", "out of memory", "never answers", "config rejected by its program"],
)
def test_a_bad_release_interrupts_nothing(service, load, config, said):
    message = untouched(service, load, service.arguments(config, ready={"timeout": 8, "interval": 0.2}))
    assert said in message
    assert "the previous release 1 is still running" in message


def test_an_image_that_does_not_exist_interrupts_nothing(service, load):
    image = "registry.invalid/no/such:1"
    message = untouched(service, load, service.arguments({"text": "two"}, image=image))
    assert image in message
    assert "still running" in message


def test_a_file_that_compose_rejects_interrupts_nothing(service, load):
    arguments = service.arguments({"text": "two"}, overrides={"services": {"web": {"mem_limitt": "1g"}}})
    assert "mem_limitt" in untouched(service, load, arguments)


def test_a_variable_that_nothing_sets_interrupts_nothing(service, load):
    arguments = service.arguments({"text": "two"}, overrides={"services": {"web": {"hostname": "${NOWHERE}"}}})
    assert "NOWHERE is not set" in untouched(service, load, arguments)


def test_a_port_of_another_process_interrupts_nothing(service, load):
    listen = "import socket; s = socket.create_server(('127.0.0.1', 18081)); print('listening', flush=True); s.accept()"
    with subprocess.Popen(["python3", "-c", listen], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            ports = {"ports": [f"127.0.0.1:{PORT}:8080", "18081:8081"]}
            message = untouched(service, load, service.arguments(overrides={"services": {"web": ports}}))
        finally:
            process.kill()
    assert f"port 18081/tcp is taken by python3 (process {process.pid})" in message


def test_a_port_of_another_container_is_refused(service, images):
    docker(
        "run",
        "--detach",
        "--name",
        f"{NAME}-other",
        "--publish",
        f"{PORT}:1",
        "--entrypoint",
        "sleep",
        images["1"],
        "60",
    )
    try:
        message = service.refused(service.arguments())
    finally:
        docker("rm", "--force", f"{NAME}-other")
    assert f"port 127.0.0.1:{PORT}/tcp is taken by container {NAME}-other" in message
    assert "nothing was changed" in message
    assert not service.directory.exists()


def test_two_services_with_one_container_name_are_refused(service, load):
    service.run()
    other = service.arguments(name=f"{NAME}-two", overrides={"services": {"web": {"container_name": NAME}}})
    message = service.refused(other)
    assert f"the container name {NAME} belongs to the service {NAME}" in message
    assert service.text() == "one"


def test_an_external_network_that_does_not_exist_is_refused(service):
    network = {"networks": {"data": {"name": "nowhere", "external": True}}, "services": {"web": {"networks": ["data"]}}}
    assert "network nowhere does not exist" in service.refused(service.arguments(overrides=network))
    assert service.run(service.arguments(overrides=network), check=True)["changed"]


def test_live_data_that_the_new_release_cannot_read_brings_the_previous_one_back(service):
    service.run(service.arguments({"text": "one", "touch": "/data/marker"}))
    bad = {"text": "two", "exit_if": "/data/marker"}
    message = service.refused(service.arguments(bad))
    assert "/data/marker is too old" in message
    assert "release 1 was put back and is ready" in message
    assert service.text() == "one"
    assert service.traces() == []
    assert not service.run(service.arguments({"text": "one", "touch": "/data/marker"}))["changed"]


def test_a_release_that_was_not_rehearsed_brings_the_previous_one_back(service, images):
    service.run()
    arguments = service.arguments({"text": "two", "exit": "no licence"}, image=images["2"], rehearse=False)
    message = service.refused(arguments)
    assert "no licence" in message
    assert service.text() == "one"
    assert service.container()["Config"]["Image"] == images["1"]
    assert not service.run()["changed"]


def test_a_failed_provisioning_brings_the_previous_one_back(service):
    provision = [{"service": "web", "command": ["python3", "-c", "raise SystemExit('no such table')"]}]
    service.run()
    message = service.refused(service.arguments({"text": "two"}, provision=provision))
    assert "no such table" in message
    assert service.text() == "one"


def test_a_first_release_that_fails_leaves_nothing(service):
    message = service.refused(service.arguments({"text": "one", "exit": "no licence"}))
    assert "no licence" in message
    assert service.container() is None
    assert docker("volume", "ls", "--quiet", "--filter", f"name={NAME}-data") == ""
    assert not service.directory.exists()


def test_a_first_release_that_fails_keeps_data_that_was_there(service):
    service.run()
    service.run({"name": NAME, "root": str(service.root), "state": "absent"})
    service.refused(service.arguments({"text": "one", "exit": "no licence"}))
    assert docker("volume", "ls", "--quiet", "--filter", f"name={NAME}-data") == f"{NAME}-data"


def test_a_stopped_engine_is_one_sentence(service, load):
    service.run()
    with load:
        message = service.refused(service.arguments({"text": "two"}), behind="mount --bind /dev/null /run/docker.sock")
    assert "systemctl start docker" in message
    assert load.failed == []
    assert not service.run()["changed"]


def test_a_full_disk_is_refused(service, tmp_path):
    service.root = tmp_path / "small"
    service.root.mkdir()
    service.directory = service.root / NAME
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(service.root)], check=True)
    try:
        service.run()
        before = service.container()["Id"]
        large = service.arguments()
        large["files"].append({"dest": "config/large", "content": "x" * 1_500_000})
        assert "make room on the disk" in service.refused(large)
        (service.root / "ballast").write_bytes(bytes(1_200_000))
        assert "KiB free" in service.refused(service.arguments({"text": "two"}))
        assert service.traces() == []
        assert service.container()["Id"] == before
        (service.root / "ballast").unlink()
        assert not service.run()["changed"]
        service.run({"name": NAME, "root": str(service.root), "state": "absent", "purge": True})
    finally:
        subprocess.run(["umount", str(service.root)], check=True)


def test_a_parallel_run_is_refused(service):
    service.run()
    patient = {"services": {"web": {"healthcheck": {"start_period": "60s"}}}}
    ready = {"timeout": 60, "interval": 0.2}
    slow = service.start(service.arguments({"text": "two", "delay": 8}, ready=ready, overrides=patient))
    while not (service.directory / "journal.json").exists():
        time.sleep(0.05)
    message = service.refused(service.arguments({"text": "three"}))
    assert f"(process {slow.pid})" in message
    assert not service.result(slow).get("failed")
    assert service.text() == "two"
