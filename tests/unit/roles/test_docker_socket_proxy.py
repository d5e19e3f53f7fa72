"""What the proxy in front of the engine passes, and who may ask it."""

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.protostar.platform.plugins.module_utils import _composefile

ROOT = Path(__file__).parents[3]
DIRECTORY = yaml.safe_load((ROOT / "roles/docker_socket_proxy/defaults/main.yml").read_text())[
    "docker_socket_proxy_directory"
]
CONSUMERS = {"cadvisor", "promtail", "alloy"}
SERVICES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/templates/compose.yaml.j2"))


@pytest.fixture
def config(render, file):
    return lambda **variables: file(render("docker_socket_proxy", **variables), "config/haproxy.cfg")


@pytest.fixture
def listed(config):
    """Whether a path is on the list of Docker's requests."""
    pattern = re.search(r"acl listed path -m reg (\S+)", config())[1]
    return lambda path: bool(re.search(pattern, path))


@pytest.mark.parametrize(
    "path",
    [
        "/_ping", "/v1.24/_ping", "/version", "/v1.52/info", "/v1.44/networks", "/v1.44/containers/json",
        f"/v1.44/containers/{'0a' * 32}/json", "/containers/fastapi-green-1/logs", "/containers/a_b.c/json",
    ],
)  # fmt: skip
def test_discovery_logs_and_metrics_are_read(listed, path):
    assert listed(path)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/v1.44/containers/create", "/v1.44/containers/a/exec", "/v1.44/containers/a/archive",
        "/containers/a/export",
        "/containers/a/attach/ws", "/containers/a/top", "/containers/a/stats", "/containers/a/changes", "/volumes",
        "/images/json", "/secrets", "/swarm", "/events", "/system/df", "/networks/a", "/containers/../volumes/json",
        "/containers/..%2fjson", "/containers/a/json/archive", "/containers/a%2farchive/json", "//containers/json",
        "/v1.44/../containers/a/archive/json", "/exec/a/json", "/x/containers/json",
    ],
)  # fmt: skip
def test_nothing_else_is(listed, path):
    assert not listed(path)


def test_every_way_to_a_daemon_has_a_list(config):
    frontends = re.findall(r"^frontend .*?(?=^\S|\Z)", config(), re.MULTILINE | re.DOTALL)
    assert len(frontends) == len(re.findall(r"^  server ", config(), re.MULTILINE)) > 1
    for frontend in frontends:
        rules = [line.strip() for line in frontend.splitlines() if line.strip().startswith("http-request")]
        assert rules[0].startswith("http-request deny unless ")
        # HTTP/2 has no upgrade.
        assert ("http-request del-header Upgrade" in rules) == ("proto h2" not in frontend)


def test_it_listens_on_no_network(render, config):
    service = render("docker_socket_proxy")["compose"]["services"]["docker-socket-proxy"]
    assert service["network_mode"] == "none"
    assert service["user"].partition(":")[0] != "0"
    binds = re.findall(r"^  bind (\S+)", config(), re.MULTILINE)
    mounts = {mount.source: mount for mount in _composefile.mounts(service)}
    assert {str(Path(bind).parent) for bind in binds} == {mounts[DIRECTORY].target}
    assert [source for source, mount in mounts.items() if not mount.read_only] == [DIRECTORY]


def test_it_has_the_group_of_the_engines_socket(render):
    looked = {"stat": {"gid": 4711}}
    service = render("docker_socket_proxy", __docker_socket_proxy_engine=looked)["compose"]["services"]
    assert "4711" in service["docker-socket-proxy"]["group_add"]


def test_more_configuration_is_appended(config):
    assert config(docker_socket_proxy_config_extra="frontend events\n  bind /x").rstrip().endswith("  bind /x")


@pytest.mark.parametrize("role", SERVICES)
def test_only_those_who_watch_containers_may_ask(render, role):
    sockets = ["/run/docker.sock", "/var/run/docker.sock", "/run/containerd/containerd.sock"]
    for name, service in render(role)["compose"]["services"].items():
        mounts = {mount.source: mount for mount in _composefile.mounts(service)}
        seen = [
            source for source in mounts if source and any(Path(socket).is_relative_to(source) for socket in sockets)
        ]
        # The whole file system, as a user who may not open them.
        allowed = {"docker_socket_proxy": ["/run"], "node_exporter": ["/"]}.get(role, [])
        assert seen == allowed, name
        assert (DIRECTORY in mounts) == (role in CONSUMERS | {"docker_socket_proxy"}), name
        if role in CONSUMERS:
            assert mounts[DIRECTORY].read_only


@pytest.mark.parametrize("role", sorted(CONSUMERS))
def test_they_ask_where_its_directory_is_mounted(render, role):
    arguments = render(role, **{f"{role}_docker_socket_directory": "/elsewhere"})
    mounts = _composefile.mounts(arguments["compose"]["services"][role])
    target = next(mount.target for mount in mounts if mount.source == "/elsewhere")
    asked = re.findall(r"unix://([\w./-]+)", str(arguments))
    assert asked
    assert set(asked) == {f"{target}/docker.sock"}
