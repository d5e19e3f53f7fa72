"""Versions that fit each other: what does not is refused, and what is locked does not move with its tag."""

import re
import shutil

import pytest
import yaml
from expected import HOSTS, ROOT

REGISTRY = "registry.protostar.test:5000"
MOVING = f"{REGISTRY}/moving/redis-exporter:1.0.0"

# What does not fit: the play, the variables, and the words that the refusal must have.
REFUSALS = {
    "an image that breaks a rule": (
        "main", {"redis_image": "valkey/valkey:8.1"},
        ["redis-data-in-valkey", "Redis 7.4", "empty volume", "https://github.com/valkey-io", "preflight_allow"],
    ),
    "two images that break rules": (
        "sub", {"grafana_image": "grafana/grafana-oss:12.4.9", "loki_image": "grafana/loki:3.6.1"},
        ["2 problems", "grafana-oss-frozen", "loki-s3-address"],
    ),
    "a rule that does not exist": (
        "main", {"preflight_allow": ["redis-in-valkey"]},
        ["Did you mean redis-data-in-valkey?"],
    ),
    "more memory than there is": (
        "main", {"pgvector_memory_mb": 1000000},
        ["memory limits", "pgvector 1000000 MiB", "fastapi-blue", "available", "preflight_memory_factor"],
    ),
    "more cores than there are": (
        "sub", {"loki_cpus": 1000},
        ["loki has a limit of 1000 CPUs", "Lower loki_cpus", "preflight_cpu_factor"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", REFUSALS)
def test_what_does_not_fit_is_refused(playbook, look, wrong):
    play, variables, words = REFUSALS[wrong]
    before = look()
    run = playbook(play, "--tags", "redis,loki", **variables)
    assert run.code != 0
    assert run.total("changed") == 0
    text = re.sub(" +", " ", run.text)  # the columns of its tables are as wide as the longest name
    assert [word for word in words if word not in text] == [], run.text
    assert look() ^ before == set()


def test_a_rule_can_be_broken_knowingly(playbook):
    run = playbook(
        "main",
        "--check",
        "--tags",
        "preflight",
        redis_image="valkey/valkey:8",
        preflight_allow=["redis-data-in-valkey"],
    )
    assert run.code == 0, run.text


@pytest.fixture(scope="module")
def inventory(tmp_path_factory):
    """A copy of the lab's inventory, which the lock is written to."""
    root = tmp_path_factory.mktemp("lock")
    (root / "build").symlink_to(ROOT / "build")
    shutil.copytree(ROOT / "inventories/lab", root / "inventories/lab")
    return root / "inventories/lab"


@pytest.fixture(scope="module")
def lock(playbook, inventory):
    """Lock what the tags stand for now."""

    def lock(**variables):
        run = playbook("lock", "-i", str(inventory), "--diff", **variables)
        assert run.code == 0, run.text
        return run

    return lock


@pytest.fixture(scope="module")
def locked(lock, inventory):
    """The lock of what the lab runs."""
    lock()
    return yaml.safe_load((inventory / "group_vars/all/images.lock.yml").read_text())["platform_images_lock"]


def test_every_image_that_runs_is_locked_to_what_runs(locked, containers, main, sub):
    for host, machine in (("protostar-main", main), ("protostar-sub", sub)):
        for name in HOSTS[host]:
            container = containers[host][name]
            reference = locked[container["Config"]["Image"]]
            found = machine.check_output(f"docker image inspect --format '{{{{.Id}}}}' {reference}")
            assert found == container["Image"], name


def test_a_second_lock_changes_nothing(locked, lock):
    run = lock()
    assert run.total("changed") == 0, run.text


def test_a_lock_recreates_nothing(playbook, locked, inventory):
    run = playbook("site", "-i", str(inventory), "--check", "--diff", "--tags", "redis,grafana")
    assert run.code == 0, run.text
    assert len(re.findall(r"^\+ +image: .*@sha256:", run.text, re.MULTILINE)) == 3
    assert ": containers" not in run.text, run.text


def test_what_is_not_in_the_lock_is_refused(playbook, locked, inventory, look):
    before = look()
    run = playbook("main", "-i", str(inventory), "--tags", "redis", redis_image=f"{REGISTRY}/redis:9")
    assert run.code != 0
    [error] = run.errors
    assert f"{REGISTRY}/redis:9 of redis has no digest in the lock" in error
    assert "playbooks/lock.yml" in error
    assert look() ^ before == set()


def test_a_tag_that_moves_changes_nothing_until_it_is_locked_again(playbook, locked, lock, inventory, main):
    image = main.check_output("docker inspect --format '{{.Config.Image}}' redis-exporter")

    def move(form):
        """Have the tag stand for the same image in another form, which has another digest."""
        main.check_output(
            "skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false "
            f"--format {form} docker://{image} docker://{MOVING}"
        )

    def digest():
        """Return what the next run would release."""
        preview = ("-i", str(inventory), "--check", "--diff", "--tags", "redis")
        run = playbook("main", *preview, redis_exporter_image=MOVING)
        assert run.code == 0, run.text
        return re.search(rf"^\+ +image: {MOVING}@(sha256:[0-9a-f]+)$", run.text, re.MULTILINE)[1]

    move("v2s2")
    lock(redis_exporter_image=MOVING)
    first = digest()

    move("oci")
    assert digest() == first
    outdated = playbook("outdated", "-i", str(inventory), redis_exporter_image=MOVING)
    assert re.search(rf"{MOVING.rpartition(':')[0]} +1\.0\.0 +yes +yes$", outdated.text, re.MULTILINE), outdated.text

    lock(redis_exporter_image=MOVING)
    assert digest() != first
