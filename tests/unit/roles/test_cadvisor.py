"""cAdvisor asks for as little of the host as its metrics need."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _composefile


@pytest.fixture
def cadvisor(render):
    """Give the service as rendered with variables."""
    return lambda **variables: render("cadvisor", **variables)["compose"]["services"]["cadvisor"]


def flags(service):
    """The command line as a mapping of flag to value."""
    return dict(argument.removeprefix("--").split("=", 1) for argument in service["command"])


def test_of_the_host_nothing_can_be_written_and_no_file_system_read(cadvisor):
    mounts = _composefile.mounts(cadvisor())
    proxy = "/var/lib/protostar/docker"
    assert {mount.source for mount in mounts} == {proxy, "/sys", "/proc", "/var/lib/docker/image"}
    assert all(mount.read_only for mount in mounts)
    assert "privileged" not in cadvisor()


def test_a_moved_engine_is_found_where_cadvisor_looks_for_the_host(cadvisor):
    assert "/srv/docker/image:/rootfs/srv/docker/image:ro" in cadvisor(cadvisor_docker_root="/srv/docker")["volumes"]


def test_both_sockets_are_in_what_is_mounted(cadvisor):
    service = cadvisor(cadvisor_docker_socket_directory="/elsewhere")
    targets = {mount.source: mount.target for mount in _composefile.mounts(service)}
    for flag in ("docker", "containerd"):
        assert flags(service)[flag].removeprefix("unix://") == f"{targets['/elsewhere']}/{flag}.sock"


@pytest.mark.parametrize(("kernel_log", "extra"), [(True, {"devices", "cap_add"}), (False, set())])
def test_the_kernel_log_takes_a_device_and_the_right_to_read_it(cadvisor, kernel_log, extra):
    service = cadvisor(cadvisor_kernel_log=kernel_log)
    assert service.keys() & {"devices", "cap_add"} == extra
    if extra:
        assert (service["devices"], service["cap_add"]) == (["/dev/kmsg"], ["SYSLOG"])


def test_nobody_reaches_it_but_over_its_network(cadvisor):
    assert "ports" not in cadvisor()
    assert "network_mode" not in cadvisor()


def test_the_service_is_the_only_label(cadvisor):
    assert flags(cadvisor())["store_container_labels"] == "false"
    assert flags(cadvisor())["whitelisted_container_labels"] == "com.docker.compose.project"


def test_metrics_interval_and_arguments_are_the_users(cadvisor):
    service = cadvisor(
        cadvisor_metrics=["cpu", "pressure"], cadvisor_interval="1m", cadvisor_arguments=["--port=1: odd"]
    )
    found = flags(service)
    assert (found["enable_metrics"], found["housekeeping_interval"]) == ("cpu,pressure", "1m")
    assert service["command"][-1] == "--port=1: odd"
