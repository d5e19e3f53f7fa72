"""The host that runs containers, after the roles ran and after every refusal."""

import base64
import hashlib
import io
import json
import tarfile

import pytest

testinfra_hosts = ["ansible://engines"]


@pytest.fixture(scope="module")
def engine(host):
    return json.loads(host.check_output("docker info --format '{{json .}}'"))


@pytest.fixture
def volume(host):
    name = host.check_output("docker volume create kept")
    yield name
    host.check_output(f"docker volume rm {name}")


def networks(host):
    listed = host.check_output("docker network ls --quiet --filter driver=bridge").split()
    found = json.loads(host.check_output(f"docker network inspect {' '.join(listed)}"))
    return {network["Name"]: network for network in found}


def test_the_engine_runs_from_every_boot_on_with_compose(host):
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled
    assert host.check_output("docker compose version --short").startswith("2.")


def test_its_packages_are_held(host):
    assert set(host.check_output("apt-mark showhold").split()) == {"docker.io", "docker-cli", "docker-compose"}


def test_the_options_are_in_force(engine):
    assert engine["LiveRestoreEnabled"]
    assert engine["LoggingDriver"] == "json-file"
    assert engine["DefaultAddressPools"] == [{"Base": "10.201.16.0/20", "Size": 24}]


def test_a_container_gets_the_defaults_and_the_users_keys(host):
    log = json.loads(host.check_output("docker inspect --format '{{json .HostConfig.LogConfig}}' witness"))
    # max-file is the inventory's, merged into the role's log-opts.
    assert log == {"Type": "json-file", "Config": {"max-file": "2", "max-size": "10m"}}
    assert host.check_output("docker exec witness /bin/busybox sh -c 'ulimit -n'") == "16384"


def test_a_container_runs_on_a_network(host):
    ran = host.check_output("docker run --rm --network protostar-edge busybox /bin/busybox ip -4 addr show dev eth0")
    assert "10.201.1." in ran


def test_the_witness_outlived_every_refusal(host):
    running = host.check_output("docker inspect --format '{{.State.Running}} {{.State.Pid}}' witness")
    assert running == f"true {host.file('/run/witness').content_string.strip()}"


def test_networks_are_as_asked_for_and_others_come_from_the_pool(host):
    host.check_output("docker network create other")
    try:
        found = networks(host)
    finally:
        host.check_output("docker network rm other")
    assert found["protostar-edge"]["IPAM"]["Config"][0]["Subnet"] == "10.201.1.0/24"
    assert found["protostar-data"]["IPAM"]["Config"][0]["Subnet"] == "10.201.2.0/24"
    assert found["protostar-data"]["Internal"]
    assert found["other"]["IPAM"]["Config"][0]["Subnet"].startswith("10.201.")


def load_image(host, name, created):
    """Load an image of one empty layer that says when it was built."""
    layer = bytes(1024)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"layer.tar": layer, "config.json": json.dumps(config), "manifest.json": json.dumps(manifest)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(path)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    host.check_output(f"echo {base64.b64encode(archive.getvalue()).decode()} | base64 -d | docker load")


def test_pruning_deletes_old_images_only(host, volume):
    now = host.check_output("date --utc --iso-8601=seconds").replace("+00:00", "Z")
    load_image(host, "unused:old", "2026-01-01T00:00:00Z")
    load_image(host, "unused:new", now)
    host.check_output("systemctl start docker-prune.service")
    assert host.check_output("docker image ls --format '{{.Tag}}' unused") == "new"
    assert host.service("docker-prune.timer").is_running
    assert volume in host.check_output("docker volume ls --quiet")
    # No container is on this one, and `docker system prune` would have deleted it.
    assert "protostar-data" in networks(host)


def test_nobody_controls_the_engine_without_sudo(host):
    assert host.group("docker").members == []
