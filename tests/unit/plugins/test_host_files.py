"""Configuration files: plans by tables, and transactions on files and commands of a temporary directory."""

import sys
from pathlib import Path

import pytest
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.modules import host_files
from ansible_collections.protostar.platform.plugins.modules.host_files import Content, HostFile, Runner, Step, plan

OLD, NEW = Content("old\n", 0o644), Content("new\n", 0o644)
RELOAD, RESTART = (("reload",),), (("restart",),)


class Module:
    """Runs commands as AnsibleModule does, and those named in `failing` never succeed."""

    check_mode = False

    def __init__(self, failing=()):
        self.failing = failing
        self.ran = []

    def get_bin_path(self, name):
        return None if name == "missing" else name

    def run_command(self, command):
        self.ran.append(" ".join(command))
        return (1, "", f"{command[0]} is broken") if command[0] in self.failing else (0, "", "")

    def warn(self, text):
        self.warned = text


@pytest.fixture
def dest(tmp_path, monkeypatch):
    monkeypatch.setattr(host_files, "JOURNAL", tmp_path / "journal")
    path = tmp_path / "etc" / "x.conf"
    path.parent.mkdir()
    return path


@pytest.mark.parametrize(
    ("wanted", "current", "unapplied", "changes"),
    [
        (NEW, OLD, False, True),
        (NEW, NEW, False, False),
        (NEW, NEW, True, True),
        (NEW, None, False, True),
        (None, OLD, False, True),
        (None, None, False, False),
        (NEW, Content(NEW.text, 0o600), False, True),
    ],
)
def test_a_file_is_compared(wanted, current, unapplied, changes):
    file = HostFile(Path("/x"), wanted)
    assert bool(plan([file], {file.dest: current}, {file.dest} if unapplied else set())) == changes


def test_files_that_are_applied_alike_are_one_step():
    files = [
        HostFile(Path(name), NEW, apply=apply) for name, apply in (("/a", RELOAD), ("/b", RESTART), ("/c", RELOAD))
    ]
    steps = plan(files, {file.dest: None for file in files}, set())
    assert [[file.dest.name for file in step.files] for step in steps] == [["a", "c"], ["b"]]


def test_a_step_is_written_before_it_is_applied_and_leaves_no_journal(dest):
    module = Module()
    assert Runner(module).apply(Step((HostFile(dest, NEW, apply=RELOAD),), RELOAD)) == ""
    assert host_files.read(dest) == NEW
    assert module.ran == ["reload"]
    assert not host_files.journal(dest).exists()


@pytest.mark.parametrize("before", [OLD, None])
def test_a_step_that_fails_is_taken_back_and_applied_again(dest, before):
    host_files.put(dest, before)
    module = Module(failing={"reload"})
    said = Runner(module).apply(Step((HostFile(dest, NEW),), RELOAD))
    assert "reload is broken" in said
    assert host_files.read(dest) == before
    assert len(module.ran) == 2
    assert not host_files.journal(dest).exists()


def test_an_interrupted_step_is_taken_back_to_what_was_before_it(dest):
    host_files.put(dest, OLD)
    host_files.remember(dest)
    host_files.put(dest, NEW)  # the power goes here
    Runner(Module(failing={"reload"})).apply(Step((HostFile(dest, NEW),), RELOAD))
    assert host_files.read(dest) == OLD


def test_a_refused_file_says_what_to_do(dest, tmp_path):
    file = HostFile(dest, NEW, validate=((("check", "%s"), "Correct it."),))
    said = Runner(Module(failing={"check"})).validate(file, tmp_path)
    assert "nothing was changed. Correct it." in said
    assert "check is broken" in said


def test_validation_sees_the_staged_file(dest, tmp_path):
    code = "import pathlib, sys; sys.exit(pathlib.Path(sys.argv[1]).read_text() != 'new\\n')"
    module = Module()
    Runner(module).validate(HostFile(dest, NEW, validate=(((sys.executable, "-c", code, "%s"), ""),)), tmp_path)
    assert module.ran[0].endswith(f" {tmp_path / 'x.conf'}")
    assert (tmp_path / "x.conf").read_text() == NEW.text
    assert not dest.exists()


@pytest.mark.parametrize("check_mode", [True, False])
def test_only_a_check_forgives_a_missing_validator(dest, tmp_path, check_mode):
    module = Module()
    module.check_mode = check_mode
    refusal = Runner(module).validate(HostFile(dest, NEW, validate=((("missing",), ""),)), tmp_path)
    assert bool(refusal) != check_mode
    assert hasattr(module, "warned") == check_mode


def test_a_file_that_could_not_be_put_back_is_not_touched(dest):
    dest.write_bytes(b"\xff\xfe")
    with pytest.raises(ServiceError, match="nothing was changed"):
        host_files.read(dest)


def test_an_unknown_users_home_stays_a_word():
    assert host_files.expand("~nobody-of-that-name/x") == "~nobody-of-that-name/x"
    assert host_files.expand("~root/x") == str(Path("~root").expanduser() / "x")


def test_desired_files_follow_links(tmp_path):
    (tmp_path / "link").symlink_to("target")
    file = {
        "dest": str(tmp_path / "link"),
        "content": "x",
        "mode": "0600",
        "state": "present",
        "validate": [],
        "apply": [],
    }
    assert host_files.desired([file]) == [HostFile(tmp_path / "target", Content("x", 0o600))]
