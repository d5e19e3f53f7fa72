"""What somebody changed by hand is found in check mode, shown in the diff, repaired, and then quiet."""

import json

import pytest
from conftest import NAME, docker


def edit_files(service):
    (service.directory / "config/server.json").write_text('{"text": "by hand"}')
    (service.directory / "secrets/password").write_text("tr0ub4dor&3 by hand")
    (service.directory / "secrets/password").chmod(0o644)
    (service.directory / "compose.yaml").open("a").write("# by hand\n")


DRIFTS = {
    "stopped": lambda service: docker("stop", NAME),
    "removed": lambda service: docker("rm", "--force", NAME),
    "limits": lambda service: docker("update", "--memory", "100m", "--memory-swap", "200m", NAME),
    "network": lambda service: docker("network", "disconnect", f"{NAME}_default", NAME),
    "files": edit_files,
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_repaired(service, drift):
    service.run()
    DRIFTS[drift](service)
    planned = service.run(check=True)
    assert planned["changed"]
    assert planned["diff"]
    done = service.run()
    assert [action.partition(" ")[2] for action in done["actions"]] == [
        action.removeprefix("would ").partition(" ")[2] for action in planned["actions"]
    ]
    assert done["release"] == 1
    assert service.text() == "one"
    assert service.container()["State"]["Health"]["Status"] == "healthy"
    assert (service.directory / "secrets/password").stat().st_mode & 0o777 == 0o400
    assert not service.run()["changed"]
    for result in (planned, done):
        assert "correct horse" not in json.dumps(result["diff"])
        assert "tr0ub4dor" not in json.dumps(result["diff"])


def test_another_image_under_the_same_tag_is_replaced(service, images):
    service.run()
    released = service.container()["Image"]
    docker("tag", images["1"], f"{NAME}:saved")
    docker("tag", images["2"], images["1"])
    try:
        assert not service.run()["changed"], "a moved tag alone is no change"
        docker("compose", "--file", str(service.directory / "compose.yaml"), "up", "--detach")
        assert service.container()["Image"] != released
        assert "another image" in str(service.run()["actions"])
        assert service.container()["Image"] == released
    finally:
        docker("tag", f"{NAME}:saved", images["1"])
        docker("image", "rm", f"{NAME}:saved")


def test_by_hand_with_compose_changes_nothing(service):
    service.run()
    before = service.container()["Id"]
    docker("compose", "--file", str(service.directory / "compose.yaml"), "up", "--detach")
    assert service.container()["Id"] == before
    assert not service.run()["changed"]
