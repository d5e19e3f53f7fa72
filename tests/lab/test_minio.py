"""The real mc understands every command that the role minio gives it. Only a real server can say that they work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parents[2] / "roles/minio/templates/provision.sh.j2"
BUCKETS = [
    {"name": "one"},
    {"name": "two", "versioning": True, "expire_days": 1, "expire_versions_days": 2, "quota": "1GiB"},
]
USERS = [{"name": "ann", "password": "secret12", "buckets": [{"name": "one"}]}]
# Asked for its help, mc refuses an unknown command or option all the same.
PRELUDE = """
mc() {
  case $1 in
    alias) command mc "$@" >&2 ;;
    *) echo "mc $*" >&2; command mc "$@" --help >/dev/null || kill $$ ;;
  esac
}
"""


@pytest.fixture
def script(tmp_path):
    """Return the role's script, rendered by Ansible, with `PRELUDE` in front."""
    path = tmp_path / "provision.sh"
    variables = {"minio_buckets": BUCKETS, "minio_users": USERS, "ansible_python_interpreter": sys.executable}
    task = ["-m", "ansible.builtin.template", "-a", f"src={TEMPLATE} dest={path}", "-e", json.dumps(variables)]
    subprocess.run(["ansible", "localhost", "-i", "localhost,", "-c", "local", *task], check=True, capture_output=True)
    return PRELUDE + path.read_text()


@pytest.fixture
def run(start, script, tmp_path):
    """Run a script where the role's files are."""
    for name in ("etc/lifecycles/two.json", "etc/policies/ann.json", "secrets/users/ann"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    alias = {"url": "http://127.0.0.1:9000", "accessKey": "root", "secretKey": "secret12", "api": "s3v4", "path": "on"}
    (tmp_path / "secrets/alias.json").write_text(json.dumps(alias))
    mounts = [f"--volume={tmp_path}/etc:/etc/minio:ro", f"--volume={tmp_path}/secrets:/run/secrets:ro"]
    mc = start("mc", "--read-only", "--tmpfs=/tmp", "--user=10002", "--entrypoint=sleep", *mounts, command=("120",))
    return lambda change=str: mc.run("sh", "-c", change(script))


def test_mc_understands_the_role(run):
    result = run()
    assert result.returncode == 0, result.stderr
    seen = result.stderr.splitlines()
    for command in ("mb", "version", "ilm rule import", "ilm rule rm", "quota set", "admin policy attach"):
        assert any(line.startswith(f"mc {command} ") for line in seen), command


def test_mc_refuses_what_it_does_not_know(run):
    assert run(lambda script: script.replace("--ignore-existing", "--ignore-exist")).returncode != 0
