"""What `make up` refuses before it changes anything: one sentence with the remedy."""

import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[3] / "scripts/check"
DEBIAN = 'ID=debian\nVERSION_ID="12"\n'
PLENTY = "MemAvailable:   16000000 kB\n"


@pytest.fixture
def check(tmp_path):
    """Run it on a made-up machine: programs that it asks are replaced by files in `tmp_path`."""

    def run(*, release=DEBIAN, meminfo=PLENTY, free="80G", route="", engine="", lab=False, user="0", sudo=None):
        programs = {
            "docker": f"case $1 in container) exit {0 if lab else 1};; esac\n"
            + (f"echo {engine}" if engine else "exit 1"),
            "df": f"printf 'Avail\\n{free}\\n'",
            "ip": f'case "$*" in *198.19*) printf "{route}";; esac',
            "id": f"case $1 in -u) echo {user};; *) echo someone;; esac",
        }
        if sudo is not None:
            programs["sudo"] = f"exit {sudo}"
        for name, text in programs.items():
            path = tmp_path / name
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        for name in ("bash", "dirname", "date", "sort", "head", "tail", "tr", "awk", "cat", "grep"):
            (tmp_path / name).symlink_to(f"/usr/bin/{name}")
        (tmp_path / "os-release").write_text(release)
        (tmp_path / "meminfo").write_text(meminfo)
        environment = {
            "PATH": str(tmp_path),
            "PROTOSTAR_OS_RELEASE": str(tmp_path / "os-release"),
            "PROTOSTAR_MEMINFO": str(tmp_path / "meminfo"),
        }
        return subprocess.run(
            ["/bin/bash", CHECK], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )

    return run


@pytest.mark.parametrize(
    "release",
    [DEBIAN, "ID=debian\nVERSION_ID=13\n", *(f'ID=ubuntu\nVERSION_ID="{v}"\n' for v in ("22.04", "24.04", "26.04"))],
)
def test_a_supported_machine_with_room_is_accepted(check, release):
    done = check(release=release)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ({"release": "ID=fedora\nVERSION_ID=43\n"}, ["fedora 43", "Debian 12"]),
        ({"release": 'ID=ubuntu\nVERSION_ID="20.04"\n'}, ["ubuntu 20.04"]),
        ({"free": "9G"}, ["9 GiB of disk", "free some"]),
        ({"meminfo": "MemAvailable: 4194303 kB\n"}, ["3 GiB of memory", "larger machine"]),
        ({"route": "198.19.0.0/24 dev br-other\\n"}, ["198.19.0.0/24", "br-other", "docker network ls"]),
        ({"engine": "19.03.15"}, ["19.03.15", "20.10", "upgrade it"]),
        ({"user": "1000"}, ["neither root nor sudo", "install sudo"]),
        ({"user": "1000", "sudo": 1}, ["sudo asks for a password", "sudo -v"]),
    ],
)
def test_what_cannot_work_is_one_sentence(check, machine, words):
    done = check(**machine)
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    for word in words:
        assert word in done.stderr


def test_a_second_run_has_taken_the_room_itself(check):
    done = check(
        lab=True,
        free="1G",
        meminfo="MemAvailable: 1 kB\n",
        route="198.19.0.0/24 dev protostar-home proto kernel\\n",
        engine="20.10.24",
    )
    assert done.returncode == 0, done.stderr
