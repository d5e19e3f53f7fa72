"""Who runs Ansible: a CI job, or a person."""

import pytest
from ansible_collections.protostar.platform.plugins.lookup import deployer

GITHUB = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "shop/nest",
    "GITHUB_RUN_ID": "17",
}


@pytest.mark.parametrize(
    ("environment", "job"),
    [
        ({"CI_JOB_URL": "https://gitlab.example.com/j/1"}, "https://gitlab.example.com/j/1"),
        ({"BUILD_URL": "https://ci.example.com/job/nest/17/"}, "https://ci.example.com/job/nest/17/"),
        (GITHUB, "https://github.com/shop/nest/actions/runs/17"),
        ({"USER": "ada"}, ""),
    ],
)
def test_a_job_is_found_by_its_address(environment, job):
    assert deployer.find_job(environment) == job


def test_a_person_is_found_outside_of_a_job(monkeypatch):
    for name in (*GITHUB, "CI_JOB_URL", "BUILD_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(deployer.socket, "gethostname", lambda: "laptop")
    assert deployer.LookupModule().run([]) == ["ada@laptop"]


def test_a_user_without_a_name_has_a_number(monkeypatch):
    monkeypatch.setattr(deployer.getpass, "getuser", lambda: (_ for _ in ()).throw(KeyError("uid")))
    assert deployer.find_person().partition("@")[0].isdecimal()
