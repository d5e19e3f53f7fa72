"""What `make test` and `make test-quick` run in the background: it fails where any of its commands fails."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bash(tmp_path):
    """Run lines after those that the scripts begin with."""

    def run(*lines):
        script = "\n".join(["set -euo pipefail", ". scripts/background.sh", f"LOGS={tmp_path}", *lines])
        return subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize(
    ("command", "code"), [("true", 0), ("sh -c 'exit 3'", 3), ("several", 1), ("aside several", 1), ("aside true", 0)]
)
def test_its_code_is_that_of_the_first_command_that_fails(bash, tmp_path, command, code):
    done = bash(
        "several() { echo first; false; echo went on; }",
        f"begin name {command}",
        'wait "${process[name]}"',
    )
    assert done.returncode == code, done.stderr
    assert "went on" not in (tmp_path / "name.log").read_text()
    assert int((tmp_path / "name.seconds").read_text()) <= 5


def test_aside_leaves_the_others_first(bash, tmp_path):
    assert bash("begin name aside nice", 'wait "${process[name]}"').returncode == 0
    assert int((tmp_path / "name.log").read_text()) >= 10


def test_an_interruption_ends_all_that_a_command_began(bash, tmp_path):
    done = bash(
        "begin name sh -c 'sleep 60 & echo $! && wait'",
        f"until [ -s {tmp_path}/name.log ]; do sleep 0.1; done",
        "end_all",
        'wait "${process[name]}"',
    )
    assert done.returncode != 0
    state = Path(f"/proc/{(tmp_path / 'name.log').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
