"""A release is broken off at its worst moments, or asked for wrongly: the live colour serves, the next run goes on."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from signal import SIGKILL, SIGSTOP

import pytest
from release_lab import (
    MAIN,
    PASSING,
    Releases,
    Traffic,
    definitions,
    live,
    main_output,
    pools,
    under_way,
    variant,
    wait_for_step,
)

LEASE = "/opt/protostar/releases/.lease"
BUSY = 75
# How long nginx may be away after a crash, in seconds, on a machine that does much else.
BACK = 10


@pytest.fixture(scope="module")
def releases(playbook):
    """The playbooks; what the inventory declares is live again afterwards."""
    found = Releases(playbook)
    yield found
    found.declared()


@pytest.fixture
def begin(releases):
    """Begin a release in the background."""
    with ThreadPoolExecutor() as pool:
        yield lambda *arguments, **variables: pool.submit(releases.deploy, *arguments, **variables)


@pytest.fixture
def version(releases):
    """A version that is not live: each test has something to release."""
    now = main_output("docker", "exec", f"nest-{live()}", "printenv", "APP_VERSION").strip()
    return "1.0.2" if now == "1.0.1" else "1.0.1"


def serving(app="nest"):
    """The version that the live colour answers with, asked as a visitor."""
    ask = [
        "docker",
        "exec",
        "protostar-client",
        "curl",
        "-sS",
        "--max-time",
        "5",
        "--retry",
        "10",
        "--retry-all-errors",
    ]
    url = f"https://www.protostar.test/api/{app}/version"
    return json.loads(subprocess.run([*ask, url], capture_output=True, text=True, check=True).stdout)["version"]


def finish(releases, version):
    """Run the release again, and see that it comes to its end; one that is still at work is waited for."""
    deadline = time.monotonic() + 60
    while (run := releases.deploy(variant("nest", version))).code == BUSY and time.monotonic() < deadline:
        time.sleep(1)
    assert run.code == 0, run.text
    assert under_way() is None
    assert serving() == version
    colour = live()
    assert main_output("docker", "exec", f"nest-{colour}", "printenv", "APP_VERSION").strip() == version
    # The truth on disk is that of the edge.
    durable = json.loads(main_output("cat", "/opt/protostar/edge/pools.json"))
    assert durable["apps"]["nest"]["live"] == colour


def kill(process):
    main_output("kill", "-KILL", str(process))


def parents(process):
    """The processes above one, from the nearest: number and name."""
    found = []
    while process > 1:
        status = main_output("cat", f"/proc/{process}/stat")
        process = int(status.rpartition(")")[2].split()[1])
        name = main_output("cat", f"/proc/{process}/comm", check=False).strip()
        found.append((process, name))
    return found


@pytest.mark.parametrize("step", ["start", "bake"])
def test_a_killed_release_is_finished_by_the_next_run(releases, begin, version, step):
    before = serving()
    with Traffic(**PASSING) as traffic:
        run = begin(variant("nest", version))
        wait_for_step(step, SIGKILL)
        assert run.result().code != 0
        # Its lease ended with it. What serves is one of the two, whole.
        assert under_way()["step"] == step
        assert serving() == (before if step == "start" else version)
        finish(releases, version)
    traffic.nothing_lost()


def test_a_release_whose_connection_is_cut_is_finished(releases, begin, version):
    with Traffic(**PASSING) as traffic:
        run = begin(variant("nest", version))
        owner = wait_for_step("start")["pid"]
        (session, name) = next((process, name) for process, name in parents(owner) if name.startswith("sshd"))
        assert name
        kill(session)
        assert run.result().code != 0
        finish(releases, version)
    traffic.nothing_lost()


def test_nginx_killed_in_a_release_comes_back_on_the_right_colour(releases, begin, version):
    with Traffic(**PASSING) as traffic:
        run = begin(variant("nest", version))
        wait_for_step("bake")
        killed = time.time()
        kill(main_output("docker", "inspect", "--format", "{{.State.Pid}}", "nginx").strip())
        run.result()  # it may have been undone, or not have noticed
        finish(releases, version)
    assert not traffic.summary.wrong, traffic.summary
    late = [line for line in traffic.summary.lost if not killed <= line["end"] <= killed + BACK]
    assert not late, traffic.summary


def test_an_engine_killed_in_a_release_stops_nobody(releases, begin, version):
    with Traffic(**PASSING) as traffic:
        run = begin(variant("nest", version))
        wait_for_step("start")
        main_output("systemctl", "kill", "--signal=KILL", "docker.service")
        run.result()  # it may have failed, or have waited long enough
        main_output("systemctl", "start", "docker.service")
        finish(releases, version)
    traffic.nothing_lost()


def test_a_host_without_power_comes_back_on_the_right_colour(releases, begin, version):
    run = begin(variant("nest", version))
    wait_for_step("bake")
    subprocess.run(["docker", "kill", MAIN], check=True, capture_output=True)
    try:
        assert run.result().code != 0
    finally:
        subprocess.run(["docker", "start", MAIN], check=True, capture_output=True)
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with suppress(AssertionError, subprocess.CalledProcessError, ValueError, IndexError):
            # The flip was on disk before it was made.
            assert serving() == version
            main_output("docker", "exec", "nginx", "true")
            break
        time.sleep(1)
    finish(releases, version)


def test_the_second_of_two_deployers_is_told_who_is_at_work(releases, begin, version):
    with Traffic(**PASSING) as traffic:
        run = begin(variant("nest", version), owner="ada@ci")
        # Or it might be over before the second comes.
        owner = wait_for_step("start", SIGSTOP)
        try:
            second = releases.deploy(variant("nest", "1.0.5"), owner="bob@ci")
        finally:
            main_output("kill", "-CONT", str(owner["pid"]))
        assert second.code == BUSY, second.text
        busy = second.summary["busy"]
        assert busy["owner"] == "ada@ci"
        assert 0 <= busy["age"] < 60
        assert "ada@ci has been making release" in second.summary["msg"]
        assert run.result().code == 0, run.result().text
    assert serving() == version
    traffic.nothing_lost()


def test_an_owner_that_hangs_for_too_long_is_taken_over(releases, begin, version):
    run = begin(variant("nest", version), owner="ada@ci")
    owner = wait_for_step("start", SIGSTOP)
    # Its time is up: nobody waits 45 minutes in a test.
    main_output("tee", LEASE, text=json.dumps({**owner, "expires": 0}))
    finish(releases, version)
    assert run.result().code != 0


def migration(verb):
    return {"command": ["migrate", verb], "kind": "expand", "timeout": 3}


def test_a_migration_finds_its_settings_and_secrets(releases, version):
    run = releases.deploy(variant("nest", version), apps=definitions(migrate=migration("succeed")))
    assert run.code == 0, run.text
    assert serving() == version

    again = releases.deploy(variant("nest", version), apps=definitions(migrate=migration("succeed")))
    assert (again.code, again.total("changed"), again.summary["state"]) == (0, 0, "unchanged"), again.text


@pytest.fixture(scope="module")
def unnoticed(releases):
    """A load during all that is refused."""
    assert releases.deploy(variant("nest", "1.0.1")).code == 0
    before = pools()["apps"]
    with Traffic(**PASSING) as traffic:
        yield before
    traffic.nothing_lost()
    assert len(traffic.changed("nest")) == 1


def hook(*command, at="preflight"):
    return [{"at": at, "command": list(command), "timeout": 2}]


NOWHERE = "registry.protostar.test:5000/nest:no-such-tag"
WRONG_DIGEST = "sha256:" + "0" * 64
REFUSED = {
    "an unknown app": ({"app": "shop"}, "platform_apps has no shop"),
    "a missing image": ({"image": NOWHERE}, "no-such-tag"),
    "another digest": ({"digest": WRONG_DIGEST}, WRONG_DIGEST),
    "a colour of another name": ({"addresses": {"green": "10.201.1.21", "red": "10.201.1.25"}}, "red"),
    "a migration that fails": ({"migrate": migration("fail")}, "column 'colour' already exists"),
    "a migration that hangs": ({"migrate": migration("hang")}, "3 s"),
    "a hook that fails": ({"hooks": hook("sh", "-c", "echo not on a Friday >&2; exit 3")}, "not on a Friday"),
    "a hook that hangs": ({"hooks": hook("sleep", "60")}, "2 s"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_released_changes_nothing(releases, unnoticed, case):
    asked, words = dict(REFUSED[case][0]), REFUSED[case][1]
    image, app = asked.pop("image", None) or variant("nest", "1.0.7"), asked.pop("app", "nest")
    if "digest" in asked:
        image += "@" + asked.pop("digest")
    run = releases.deploy(image, app=app, apps=definitions(**asked))
    assert run.code == 2, run.text
    assert words in " ".join([run.summary["msg"], *run.errors]), run.text
    assert "Traceback" not in run.text
    assert pools()["apps"] == unnoticed
    assert under_way() is None
    assert serving() == "1.0.1"


def test_a_rollback_to_no_release_changes_nothing(releases, unnoticed):
    run = releases.run("rollback", app="nest", to=9999)
    assert run.code == 2, run.text
    assert "9999" in run.summary["msg"]
    assert pools()["apps"] == unnoticed
