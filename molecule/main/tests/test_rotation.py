"""rotate.yml under load, on a copy of the inventory with a vault: nobody notices, and the old value is refused."""

import shutil
import subprocess

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from expected import ROOT
from release_lab import Traffic, note

PASSWORD = b"a long password of a vault"
# Who logs in writes nothing but whether it could; the password comes as a line of the input.
REDIS = "import sys, redis; redis.Redis('redis', username=sys.argv[1], password=sys.stdin.readline().strip()).ping()"
DATABASE = """import sys, psycopg
psycopg.connect(host="pgvector", dbname="fastapi", user=sys.argv[1], password=sys.stdin.readline().strip())"""
BRIEF = {
    "bake: {seconds: 3}": "bake: {seconds: 2}",
    "drain: {timeout: 10, streams: 10}": "drain: {timeout: 5, streams: 3}",
}


class Rotation:
    """The inventory with its vault, and the playbook on it."""

    def __init__(self, root, playbook, secrets):
        self._playbook, self._secrets, self._password = playbook, secrets, root / "password"
        self._inventory = root / "inventories/lab"
        shutil.copytree(ROOT / "inventories/lab", self._inventory)
        (root / "build").symlink_to(ROOT / "build")
        self._password.write_bytes(PASSWORD)
        variables = self._inventory / "group_vars/all"
        (variables / "secrets.yml").unlink()
        text = yaml.safe_dump({"platform_secrets": dict(secrets)})
        self._vault = variables / "vault.yml"
        self._vault.write_bytes(VaultLib([]).encrypt(text, VaultSecret(PASSWORD)))
        platform = (variables / "platform.yml").read_text()
        for usual, brief in BRIEF.items():
            platform = platform.replace(usual, brief)
        (variables / "platform.yml").write_text(platform)

    def vault(self):
        opened = VaultLib([("default", VaultSecret(PASSWORD))]).decrypt(self._vault.read_bytes())
        return yaml.safe_load(bytes(opened))

    def run(self, secret, *arguments, **variables):
        """Rotate; no value may be shown, neither of before nor of afterwards."""
        given = ("-i", str(self._inventory), "--vault-password-file", str(self._password))
        run = self._playbook("rotate", *given, *arguments, secret=secret, **variables)
        self.keep()
        assert [name for name, value in self._secrets.items() if value in run.text] == []
        return run

    def keep(self):
        """Have the lab's own inventory, and the tests, know the values that are used now."""
        for name, value in self.vault()["platform_secrets"].items():
            if self._secrets[name] != value:
                self._secrets[name] = value
                (ROOT / f"build/lab/secrets/{name}").write_text(f"{value}\n")


@pytest.fixture(scope="module")
def rotation(tmp_path_factory, playbook, secrets):
    found = Rotation(tmp_path_factory.mktemp("rotation"), playbook, secrets)
    yield found
    # What failed in the middle is finished, so that the lab's own inventory fits again.
    for secret in found.vault().get("platform_rotation", {}):
        found.run(secret)


@pytest.fixture
def enters(live):
    """Tell whether a password is taken, asked from the application's network."""

    def enters(program, user, password):
        command = ["docker", "exec", "-i", "protostar-main", "docker", "exec", "-i", live("fastapi"), "python3", "-c"]
        done = subprocess.run([*command, program, user], input=password, text=True, capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        assert not done.returncode or "password" in done.stderr.lower() or "WRONGPASS" in done.stderr, done.stderr
        return done.returncode == 0

    return enters


def test_a_password_of_redis_is_rotated_under_load_though_the_first_run_fails(rotation, secrets, enters, line):
    old = secrets["redis_fastapi"]
    with Traffic(apps="fastapi", get=4, post=8) as traffic, line() as ready:
        # After Redis takes both values, and before the application has the new one.
        failed = rotation.run("redis_fastapi", app_compose_overrides="none")
        pending = rotation.vault()
        both = [enters(REDIS, "fastapi", value) for value in (old, secrets["redis_fastapi"])]
        again = rotation.run("redis_fastapi")

    assert failed.code != 0
    assert "app_releases" in failed.errors[0], failed.text
    assert pending["platform_rotation"]["redis_fastapi"]["passwords"] == [old, secrets["redis_fastapi"]]
    assert secrets["redis_fastapi"] != old
    assert both == [True, True]

    assert again.code == 0, again.text
    traffic.nothing_lost()
    assert ready.failed == []
    note("rotation of redis_fastapi, failed and run again", requests=traffic.summary.total + ready.done)
    assert enters(REDIS, "fastapi", secrets["redis_fastapi"])
    assert not enters(REDIS, "fastapi", old)
    assert "platform_rotation" not in rotation.vault()
    assert "redis_fastapi" in rotation.vault()["platform_rotated"]


def test_a_password_of_postgresql_is_rotated_under_load(rotation, secrets, enters, line, main):
    old = secrets["pgvector_fastapi"]
    with Traffic(apps="fastapi", get=4, post=8) as traffic, line() as ready:
        run = rotation.run("pgvector_fastapi", "-vvv")
    assert run.code == 0, run.text
    traffic.nothing_lost()
    assert ready.failed == []
    note("rotation of pgvector_fastapi", requests=traffic.summary.total + ready.done)
    assert enters(DATABASE, "fastapi", secrets["pgvector_fastapi"])
    assert not enters(DATABASE, "fastapi", old)
    # The second login, which stood in, has gone, and owns nothing.
    assert not enters(DATABASE, "fastapi_rotating", secrets["pgvector_fastapi"])
    owners = main.check_output(
        "docker exec pgvector psql -X -At -d fastapi -c 'select distinct tableowner from pg_tables'"
    )
    assert set(owners.split()) == {"postgres", "fastapi"}


def test_the_lab_is_as_its_own_inventory_says(playbook):
    run = playbook("main", "--tags", "redis,pgvector,fastapi", "--check")
    assert (run.code, run.total("changed")) == (0, 0), run.text
    assert "release it with" not in run.text
