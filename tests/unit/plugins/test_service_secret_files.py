"""Secrets from files of the host: the module as Ansible calls it, on a host made of files."""

import json
import os
import re

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.protostar.platform.plugins.module_utils import _deployment, _preflight, _run
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._secret_files import with_contents
from ansible_collections.protostar.platform.plugins.modules import service
from service_world import NAME, World, compose_for, left_over

KEY, OTHER = "-----BEGIN KEY-----\r\nMIIEvQIBADANBg\n", "-----BEGIN KEY-----\nanother-key-of-it\n"


@pytest.fixture(autouse=True)
def no_power_cuts(monkeypatch):
    """Nothing here cuts the power: waiting for the disk would only be slow."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def world(tmp_path, monkeypatch):
    made = World(tmp_path)
    deployment, compose = _deployment.Deployment, compose_for(made)
    monkeypatch.setattr(_run, "Engine", lambda: made)
    monkeypatch.setattr(
        _deployment, "Deployment", lambda store, engine, ready: deployment(store, engine, ready, compose)
    )
    return made


@pytest.fixture
def key(tmp_path):
    """The file of the host that the secret comes from."""
    path = tmp_path / "privkey.pem"
    path.write_bytes(KEY.encode())
    return path


@pytest.fixture
def live(world):
    return world.root / NAME / "secrets" / "key"


def secret(**source):
    return {"dest": "secrets/key", "owner": os.getuid(), **source}


@pytest.fixture
def call(world, capfd):
    """Call the module as Ansible does and return its result, with all that it wrote."""

    def call(*secrets, check=False, **changes):
        web = {"image": "web:1", "container_name": "web", "volumes": ["./config:/config:ro", "./secrets:/secrets:ro"]}
        arguments = {
            "name": NAME,
            "root": str(world.root),
            "compose": {"services": {"web": web}},
            "files": [{"dest": "config/main.conf", "content": "one", "owner": os.getuid()}],
            "secrets": list(secrets),
            "ready": {"timeout": 1, "interval": 0.01, "successes": 1},
            "reload": {"service": "web", "signal": "HUP"},
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_remote_tmp": "/tmp",
            **changes,
        }
        with patch_module_args(arguments), pytest.raises(SystemExit):
            service.main()
        out, error = capfd.readouterr()
        return {**json.loads(out), "told": out + error}

    return call


def test_check_run_check_run(call, key, live):
    assert call(secret(src=str(key)), check=True)["changed"]
    assert not live.exists()
    done = call(secret(src=str(key)))
    assert done["changed"]
    assert live.read_bytes() == KEY.encode()
    assert live.stat().st_mode & 0o777 == 0o400
    for check in (True, False):
        again = call(secret(src=str(key)), check=check)
        assert not again["changed"], again["actions"]


def test_the_same_text_is_the_same_secret_wherever_it_comes_from(call, key):
    call(secret(content=KEY))
    assert not call(secret(src=str(key)))["changed"]


@pytest.mark.parametrize("pattern", ["*", "config/*"])
def test_what_changed_in_the_file_is_taken_over_as_a_changed_content_is(call, world, key, pattern):
    reload = {"service": "web", "signal": "HUP", "files": [pattern]}
    call(secret(src=str(key)), reload=reload)
    before = set(world.load()["containers"])
    key.write_text(OTHER)
    planned = call(secret(src=str(key)), reload=reload, check=True)
    done = call(secret(src=str(key)), reload=reload)
    assert done["release"] == 2
    assert [action.removeprefix("would ").partition(" ")[2] for action in planned["actions"]] == [
        action.partition(" ")[2] for action in done["actions"]
    ]
    assert world.seen()["web"]["key"] == OTHER
    assert (set(world.load()["containers"]) == before) == (pattern == "*")


def test_a_failed_release_brings_the_text_of_before_back(call, world, key, live):
    call(secret(src=str(key)))
    key.write_text("sick, and another-key-of-it")
    message = call(secret(src=str(key)))["msg"]
    assert "release 1 was put back and is ready" in message
    assert "another-key" not in message
    assert live.read_bytes() == KEY.encode()
    assert left_over(world) == []


@pytest.mark.parametrize("text", [KEY, "short\n", "of several\n\nlines-of-it"])
def test_no_part_of_it_is_told(call, world, key, text, monkeypatch):
    key.write_text(text)
    results = [call(secret(src=str(key)), check=True), call(secret(src=str(key)))]
    assert "secret new" in results[1]["told"]
    key.write_text("something else")
    results.append(call(secret(src=str(key))))
    key.write_text(text)

    def repeat(*arguments, **options):
        raise ServiceError(f"a program says {text}")

    monkeypatch.setattr(_preflight, "check", repeat)
    results.append(call(secret(src=str(key))))
    assert "a program says" in results[-1]["msg"]
    lines = [line.strip() for line in text.splitlines() if line]
    assert [line for line in lines for result in results if line in result["told"]] == []


def directory(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def below_a_file(path):
    path.unlink()
    path.parent.joinpath("file").touch()
    path.symlink_to("file/key")


FAULTS = {
    "missing": (lambda path: path.unlink(), r"cannot be read \(No such file or directory\)", "make it first"),
    "leads nowhere": (below_a_file, r"cannot be read \(Not a directory\)", "correct src"),
    "directory": (directory, "is not a file", "name the file itself"),
    "pipe": (pipe, "is not a file", "name the file itself"),
    "empty": (lambda path: path.write_text(" \n"), "is empty", "have it made anew"),
    "binary": (lambda path: path.write_bytes(b"\xff\xfe"), "is not text in UTF-8", "name a file that is"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("check", [False, True])
def test_a_file_without_a_secret_changes_nothing(call, key, live, fault, check):
    call(secret(src=str(key)))
    spoil, what, remedy = FAULTS[fault]
    spoil(key)
    result = call(secret(src=str(key)), check=check)
    if fault == "missing" and check:
        assert result["changed"]
        return
    expected = rf"^web: secret 'secrets/key' comes from '{key}', which {what}; nothing was changed: .*{remedy}"
    assert re.search(expected, result["msg"])
    assert live.read_bytes() == KEY.encode()


def test_a_file_that_may_not_be_read_is_refused(call, key, monkeypatch):
    # Root, who runs this, may read everything.
    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(key), "read_bytes", refused)
    assert "(Permission denied); nothing was changed: let root read it" in call(secret(src=str(key)))["msg"]


@pytest.mark.parametrize("src", ["privkey.pem", "./privkey.pem", ""])
def test_a_relative_path_is_refused(call, key, src, monkeypatch):
    monkeypatch.chdir(key.parent)
    for check in (False, True):
        assert "is not an absolute path; nothing was changed" in call(secret(src=src), check=check)["msg"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({}, "one of the following is required: content, src"),
        ({"content": KEY, "src": "/x"}, "mutually exclusive: content|src"),
        ({"content": "", "src": "/x"}, "mutually exclusive: content|src"),
        ({"content": ""}, "secret 'secrets/key' is empty: set the variable it comes from"),
        ({"content": None}, "secret 'secrets/key' is empty: set the variable it comes from"),
    ],
)
def test_a_secret_comes_from_one_place(call, source, said):
    assert said in call(secret(**source))["msg"]


def test_check_mode_before_the_file_is_made(call, world, key, live):
    key.unlink()
    planned = call(secret(src=str(key)), check=True)
    assert planned["actions"] == [
        "would write compose.yaml (new)",
        "would write config/main.conf (new)",
        "would write secrets/key (new)",
        "would start web (new)",
    ]
    assert not live.exists()

    call(secret(content=KEY))
    told = []
    for _ in range(2):
        planned = call(secret(src=str(key)), check=True)
        assert planned["actions"] == [
            "would write secrets/key (changed)",
            "would reload the service (secrets/key changed)",
        ]
        told.append(planned["told"])
    assert told[0] == told[1], "what takes the place of the text is shown nowhere"
    assert live.read_bytes() == KEY.encode()


def test_what_is_not_known_yet_is_like_nothing_that_is_there(key):
    parameters = {"secrets": [secret(src=f"{key}.new", content=None)]}
    drawn = {with_contents(parameters, check=True)["secrets"][0]["content"] for _ in range(2)}
    assert len(drawn) == 2


def test_an_absent_service_needs_no_file(call, key, live):
    call(secret(src=str(key)))
    key.unlink()
    for check in (True, False):
        assert call(secret(src=str(key)), state="absent", check=check)["changed"]
    assert not live.exists()
