"""Buckets, users and policies of MinIO."""

import json
import re
from fnmatch import fnmatch

import pytest

BUCKETS = [
    {"name": "loki"},
    {"name": "backups", "versioning": True, "expire_versions_days": 30, "quota": "20GiB"},
    {"name": "scratch", "versioning": False, "expire_days": 7},
]
USERS = [
    {"name": "loki", "password": "loki's password", "buckets": [{"name": "loki", "access": "write"}]},
    {"name": "reader", "password": "p" * 40, "buckets": [{"name": "backups"}, {"name": "scratch", "access": "write"}]},
]


@pytest.fixture
def arguments(render):
    return render("minio", minio_buckets=BUCKETS, minio_users=USERS)


@pytest.fixture
def script(arguments, file):
    return file(arguments, "config/provision.sh")


@pytest.fixture
def policy(arguments, file):
    return lambda user: json.loads(file(arguments, f"config/policies/{user}.json"))


@pytest.mark.parametrize("user", USERS, ids=lambda user: user["name"])
def test_a_user_can_name_its_own_buckets_only(policy, user):
    own = {f"arn:aws:s3:::{bucket['name']}{end}" for bucket in user["buckets"] for end in ("", "/*")}
    statements = policy(user["name"])["Statement"]
    assert {resource for statement in statements for resource in statement["Resource"]} == own
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    assert not any("*" in action for statement in statements for action in statement["Action"])


def may(policy, user, bucket):
    return {
        action.removeprefix("s3:")
        for statement in policy(user)["Statement"]
        for action in statement["Action"]
        if any(resource.split(":::")[1].split("/")[0] == bucket for resource in statement["Resource"])
    }


def test_read_is_no_write_and_nobody_destroys_versions(policy):
    assert {"GetObject", "ListBucket"} <= may(policy, "reader", "backups")
    assert not re.search("Put|Delete|Abort", " ".join(may(policy, "reader", "backups")))
    assert {"GetObject", "ListBucket", "PutObject", "DeleteObject"} <= may(policy, "reader", "scratch")
    assert not any(re.search("Version|Policy|Lifecycle", action) for action in may(policy, "loki", "loki"))


def test_every_bucket_becomes_what_it_is_described_as(script):
    part = {
        name: script.split(f"mc mb --ignore-existing protostar/{name}\n")[1].split("\n\n")[0]
        for name in ("loki", "backups", "scratch")
    }
    assert "mc version" not in part["loki"]
    assert "mc version enable protostar/backups" in part["backups"]
    assert "mc version suspend protostar/scratch" in part["scratch"]
    assert "mc quota clear protostar/loki" in part["loki"]
    assert "mc quota set protostar/backups --size 20GiB" in part["backups"]
    assert "mc ilm rule import protostar/backups </etc/minio/lifecycles/backups.json" in part["backups"]
    assert "mc ilm rule rm --all --force protostar/loki" in part["loki"]


def test_lifecycles(arguments, file):
    rules = {
        bucket: json.loads(file(arguments, f"config/lifecycles/{bucket}.json"))["Rules"]
        for bucket in ("backups", "scratch")
    }
    assert [rule["Expiration"] for rule in rules["scratch"]] == [{"Days": 7}]
    assert rules["backups"][0]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert not any("Days" in rule.get("Expiration", {}) for rule in rules["backups"])
    everywhere = {"Status": "Enabled", "Filter": {"Prefix": ""}}
    assert all(everywhere.items() <= rule.items() for bucket in rules.values() for rule in bucket)


def test_passwords_are_in_secrets_alone(arguments, file):
    public = json.dumps({key: value for key, value in arguments.items() if key != "secrets"})
    assert not any(user["password"] in public for user in USERS)
    assert file(arguments, "secrets/users/loki") == "loki\nloki's password\n"
    alias = json.loads(file(arguments, "secrets/alias.json"))
    environment = arguments["compose"]["services"]["minio"]["environment"]
    assert alias["accessKey"] == environment["MINIO_ROOT_USER"]
    password = environment["MINIO_ROOT_PASSWORD_FILE"].replace("/run/secrets", "secrets")
    assert alias["secretKey"] == file(arguments, password)


def test_what_the_script_reads_is_mounted(arguments, script):
    mounts = dict(volume.split(":")[:2] for volume in arguments["compose"]["services"]["minio"]["volumes"])
    targets = {target: source.removeprefix("./") for source, target in mounts.items()}
    read = re.findall(r"(/etc/minio|/run/secrets)/([\w./-]+)", script)
    written = {entry["dest"] for entry in arguments["files"] + arguments["secrets"]}
    assert len(read) >= 2 * len(USERS) + 3
    assert {f"{targets[mount]}/{path}" for mount, path in read} <= written


def test_names_are_quoted_for_the_shell(render, file):
    text = file(render("minio", minio_buckets=[{"name": "a b;c"}]), "config/provision.sh")
    assert "mc mb --ignore-existing 'protostar/a b;c'" in text


@pytest.mark.parametrize("url", ["", "https://ops.example.com/minio/"])
def test_the_console_knows_its_address(render, url):
    environment = render("minio", minio_external_url=url)["compose"]["services"]["minio"]["environment"]
    assert environment.get("MINIO_BROWSER_REDIRECT_URL", "") == url


@pytest.mark.parametrize(
    ("changed", "restarts"),
    [
        ("config/provision.sh", False),
        ("config/policies/loki.json", False),
        ("secrets/users/loki", False),
        ("secrets/root_password", True),
        ("secrets/alias.json", True),
    ],
)
def test_the_server_restarts_for_its_own_credentials_only(arguments, changed, restarts):
    assert changed in {entry["dest"] for entry in arguments["files"] + arguments["secrets"]}
    assert any(fnmatch(changed, pattern) for pattern in arguments["reload"]["files"]) is not restarts
