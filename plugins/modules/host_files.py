#!/usr/bin/python
# Copyright: the protostar.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configuration files of a host, validated before and put back after a failure."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_files
short_description: Configuration files of a host, as transactions
version_added: 0.1.0
author: The protostar.platform authors
description:
  - Writes the configuration files of a host and puts them in force, in one call.
  - Every changed file is validated while it is still staged, all of them before the first is written. A refused file
    changes nothing.
  - Files with the same O(files[].apply) are one step. When one of its commands fails, the step's previous files come
    back, and the commands run again for them.
  - A call that was interrupted between writing and applying is finished by the next one.
notes:
  - File contents appear in the diff. This is no place for secrets.
attributes:
  check_mode:
    support: full
    description: Validates the changed files too, except with programs that are not installed yet.
  diff_mode:
    support: full
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      dest:
        description: Absolute path. A symbolic link is followed. Missing directories are made.
        type: path
        required: true
      content:
        description: Text of the file. Required unless O(files[].state=absent).
        type: str
      mode:
        description: Permissions, in octal.
        type: str
        default: "0644"
      state:
        description: Whether the file exists.
        type: str
        choices: [present, absent]
        default: present
      validate:
        description: Commands that must succeed before a changed file is written.
        type: list
        elements: dict
        default: []
        suboptions:
          command:
            description:
              - Program and arguments. V(%s) stands for the staged file.
              - An argument that starts with V(~) has its home directory expanded, as in V(~alice/.profile).
            type: list
            elements: str
            required: true
          remedy:
            description: What the reader can do when it fails, as a sentence.
            type: str
            default: ""
      apply:
        description: Commands, each a list of program and arguments, that put a changed file in force.
        type: list
        elements: list
        default: []
"""

EXAMPLES = r"""
- name: Bound the journal
  protostar.platform.host_files:
    files:
      - dest: /etc/systemd/journald.conf.d/60-protostar.conf
        content: |
          [Journal]
          SystemMaxUse=1G
        apply:
          - [systemctl, restart, systemd-journald.service]

- name: Refuse passwords over SSH
  protostar.platform.host_files:
    files:
      - dest: /etc/ssh/sshd_config.d/00-protostar.conf
        content: |
          PasswordAuthentication no
        validate:
          - command: [ssh-keygen, -l, -f, ~admin/.ssh/authorized_keys]
            remedy: Add a key for admin first, with ssh-copy-id.
          - command: [sshd, -t, -f, "%s"]
        apply:
          - [sshd, -t]
          - [systemctl, try-reload-or-restart, ssh.service]
"""

RETURN = r"""
actions:
  description: What was done, or would be, one sentence each.
  type: list
  elements: str
  returned: always
  sample: [write /etc/ssh/sshd_config.d/00-protostar.conf, "run: sshd -t"]
"""

import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.protostar.platform.plugins.module_utils import _files
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError

# What a file was before a step that has not been applied yet.
JOURNAL = Path("/var/lib/protostar/host_files")


@dataclass(frozen=True)
class Content:
    """Text and permissions of a file."""

    text: str
    mode: int


@dataclass(frozen=True)
class HostFile:
    """A file as asked for; ``content`` is None when it must not exist."""

    dest: Path
    content: Content | None
    validate: tuple[tuple[tuple[str, ...], str], ...] = ()
    apply: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Step:
    """Changed files that are applied together."""

    files: tuple[HostFile, ...]
    apply: tuple[tuple[str, ...], ...]


def plan(files: list[HostFile], current: dict[Path, Content | None], unapplied: set[Path]) -> list[Step]:
    """Group the files that differ, or whose last change was never applied, by what puts them in force."""
    steps: dict[tuple[tuple[str, ...], ...], list[HostFile]] = {}
    for file in files:
        if file.content != current[file.dest] or file.dest in unapplied:
            steps.setdefault(file.apply, []).append(file)
    return [Step(tuple(changed), apply) for apply, changed in steps.items()]


def describe(steps: list[Step]) -> list[str]:
    """Say what the steps do, one sentence for each file and command."""
    actions = []
    for step in steps:
        actions += [f"{'write' if file.content else 'remove'} {file.dest}" for file in step.files]
        actions += [f"run: {shlex.join(command)}" for command in step.apply]
    return actions


def differences(steps: list[Step], current: dict[Path, Content | None]) -> list[dict[str, str]]:
    """Return the steps as Ansible diffs."""

    def side(dest: Path, content: Content | None) -> tuple[str, str]:
        return (f"{dest} (mode {content.mode:04o})", content.text) if content else (f"{dest} (absent)", "")

    diffs = []
    for file in (file for step in steps for file in step.files):
        before_header, before = side(file.dest, current[file.dest])
        after_header, after = side(file.dest, file.content)
        diffs.append({"before_header": before_header, "before": before, "after_header": after_header, "after": after})
    return diffs


def read(path: Path) -> Content | None:
    """Return the file as it is.

    Raises:
        ServiceError: It is not text, so that it could not be put back.

    """
    if not path.exists():
        return None
    try:
        return Content(path.read_text(encoding="utf-8"), path.stat().st_mode & 0o7777)
    except (UnicodeDecodeError, IsADirectoryError):
        raise ServiceError(f"{path} is not a text file in UTF-8; nothing was changed. Move it away first.") from None


def put(path: Path, content: Content | None) -> None:
    """Make the file what it should be."""
    if content is None:
        _files.remove(path)
    else:
        _files.make_directory(path.parent, 0o755)
        _files.write(path, content.text, content.mode)


def expand(word: str) -> str:
    """Replace a leading ``~`` or ``~user`` by the home directory, if there is one."""
    try:
        return str(Path(word).expanduser()) if word.startswith("~") else word
    except RuntimeError:
        return word


def journal(dest: Path) -> Path:
    """Return where the previous content of ``dest`` waits for its step to be applied."""
    return JOURNAL / quote(str(dest), safe="")


def remember(dest: Path) -> None:
    """Record the file as it is, unless an interrupted call has recorded what it was before."""
    if not journal(dest).exists():
        previous = read(dest)
        _files.make_directory(JOURNAL)
        _files.write(journal(dest), json.dumps([previous.text, previous.mode] if previous else None))


def recall(dest: Path) -> Content | None:
    """Return what the file was before the step under way."""
    previous = json.loads(journal(dest).read_text(encoding="utf-8"))
    return Content(*previous) if previous else None


class Runner:
    """Runs the commands of files and steps."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module

    def run(self, command: tuple[str, ...]) -> str:
        """Run a command and return what it said if it failed, else nothing."""
        program = self.module.get_bin_path(command[0])
        if program is None:
            return f"{command[0]} is not installed"
        code, out, error = self.module.run_command([program, *command[1:]])
        if code == 0:
            return ""
        said = (error.strip() or out.strip() or f"exit code {code}").splitlines()[-5:]
        if command[0] == "systemctl":
            # systemctl only says that the unit failed; why is in the unit's journal.
            _code, log, _error = self.module.run_command(["journalctl", "-o", "cat", "-n", "8", "-u", command[-1]])
            said += log.strip().splitlines()
        return "\n".join(said)

    def validate(self, file: HostFile, directory: Path) -> str:
        """Check a staged file and return the sentence that refuses it, or nothing."""
        staged = directory / file.dest.name
        if file.content:
            _files.write(staged, file.content.text)
        for template, remedy in file.validate:
            command = tuple(expand(word).replace("%s", str(staged)) for word in template)
            if self.module.check_mode and self.module.get_bin_path(command[0]) is None:
                self.module.warn(f"{file.dest} was not validated: {command[0]} is not installed yet.")
            elif said := self.run(command):
                return " ".join(
                    filter(
                        None,
                        [
                            f"{file.dest} was refused, and nothing was changed.",
                            remedy,
                            f"({shlex.join(command)}: {said})",
                        ],
                    )
                )
        return ""

    def apply(self, step: Step) -> str:
        """Write a step's files and put them in force; return the sentence that says how it failed, or nothing."""
        for file in step.files:
            remember(file.dest)
        for file in step.files:
            put(file.dest, file.content)
        failure = self.commands(step)
        if failure:
            for file in step.files:
                put(file.dest, recall(file.dest))
            again = self.commands(step)
            restored = f"are back, but failed too: {again}" if again else "are in force again."
            failure = f"{', '.join(str(file.dest) for file in step.files)}: {failure}\nThe previous files {restored}"
        for file in step.files:
            _files.remove(journal(file.dest))
        return failure

    def commands(self, step: Step) -> str:
        """Run a step's commands up to the first that fails and return what it said."""
        for command in step.apply:
            if said := self.run(command):
                return f"`{shlex.join(command)}` failed: {said}"
        return ""


def desired(parameters: list[dict]) -> list[HostFile]:
    """Return the files that the task asks for."""
    return [
        HostFile(
            dest=Path(file["dest"]).resolve(),
            content=Content(file["content"], int(file["mode"], 8)) if file["state"] == "present" else None,
            validate=tuple((tuple(check["command"]), check["remedy"]) for check in file["validate"]),
            apply=tuple(tuple(str(word) for word in command) for command in file["apply"]),
        )
        for file in parameters
    ]


def main() -> None:
    """Run the module."""
    check = {"command": {"type": "list", "elements": "str", "required": True}, "remedy": {"type": "str", "default": ""}}
    file = {
        "dest": {"type": "path", "required": True},
        "content": {"type": "str"},
        "mode": {"type": "str", "default": "0644"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "validate": {"type": "list", "elements": "dict", "default": [], "options": check},
        "apply": {"type": "list", "elements": "list", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": file,
                "required_if": [("state", "present", ["content"])],
            }
        },
        supports_check_mode=True,
    )
    files = desired(module.params["files"])
    try:
        current = {file.dest: read(file.dest) for file in files}
    except ServiceError as error:
        module.fail_json(msg=str(error))
    steps = plan(files, current, {file.dest for file in files if journal(file.dest).exists()})
    result = {"changed": bool(steps), "actions": describe(steps), "diff": differences(steps, current)}

    runner = Runner(module)
    with tempfile.TemporaryDirectory(prefix="protostar-") as directory:
        for changed in (changed for step in steps for changed in step.files if changed.content):
            if refusal := runner.validate(changed, Path(directory)):
                module.fail_json(msg=refusal)
    if not module.check_mode:
        for step in steps:
            if failure := runner.apply(step):
                module.fail_json(msg=failure)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
