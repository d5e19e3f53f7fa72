#!/usr/bin/python
# Copyright: the protostar.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kernel parameters of a host, all in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: sysctl
short_description: Kernel parameters, all in one call
version_added: 0.1.0
author: The protostar.platform authors
description:
  - Sets kernel parameters in the running kernel and in a file that is read at boot.
  - A parameter that this kernel lacks or does not let be written is left out with a warning, and listed in the result.
  - In a container only C(net.) parameters are the host's own; all others belong to the machine around it and are left
    alone.
  - When the kernel refuses a value, those set before it by the same call are put back.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
options:
  values:
    description: Parameters and their values, by name.
    type: dict
    required: true
  path:
    description: The file, below C(/etc/sysctl.d).
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Kernel of a host that runs Redis
  protostar.platform.sysctl:
    path: /etc/sysctl.d/60-redis.conf
    values:
      vm.overcommit_memory: 1
"""

RETURN = r"""
left_alone:
  description: Parameters left alone, each with the reason.
  type: dict
  returned: always
  sample: {vm.swappiness: belongs to the machine around this container}
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.protostar.platform.plugins.module_utils import _files

KERNEL = Path("/proc/sys")
CONTAINER_MARK = Path("/run/systemd/container")  # written by systemd: https://systemd.io/CONTAINER_INTERFACE
FOREIGN = "belongs to the machine around this container"
MISSING = "this kernel lacks it"
READ_ONLY = "cannot be written here"


@dataclass(frozen=True)
class Parameter:
    """A parameter of the running kernel; ``value`` is None where the kernel lacks it."""

    value: str | None
    writable: bool = True


@dataclass
class Plan:
    """What to write to the kernel and to the file, and what is left alone."""

    set: dict[str, str] = field(default_factory=dict)
    content: str = "# Written by Ansible.\n"
    left_alone: dict[str, str] = field(default_factory=dict)


def normal(value: object) -> str:
    """Return a value as the kernel prints it, with single blanks."""
    return " ".join(str(int(value) if isinstance(value, bool) else value).split())


def plan(values: Mapping[str, object], kernel: Mapping[str, Parameter], container: bool) -> Plan:
    """Compare the wanted values with the running kernel."""
    result = Plan()
    for name, value in values.items():
        parameter, wanted = kernel[name], normal(value)
        if container and not name.startswith("net."):
            # Not in the file either: the container's own boot would set the machine's kernel.
            result.left_alone[name] = FOREIGN
            continue
        if parameter.value is None:
            result.left_alone[name] = MISSING
        elif parameter.value != wanted and not parameter.writable:
            result.left_alone[name] = READ_ONLY
        elif parameter.value != wanted:
            result.set[name] = wanted
        # A leading "-" lets the boot go on where the parameter cannot be set, as sysctl.d(5) says.
        result.content += f"{'-' if name in result.left_alone else ''}{name} = {wanted}\n"
    return result


def notice(left_alone: Mapping[str, str]) -> str:
    """Say which parameters were left alone, by reason."""
    return "; ".join(
        f"{', '.join(name for name in left_alone if left_alone[name] == reason)} left alone: {reason}"
        for reason in dict.fromkeys(left_alone.values())
    )


def path_of(name: str) -> Path:
    """Return the file of a parameter; a slash in a name stands for a dot, as in sysctl.d(5)."""
    return KERNEL / name.translate(str.maketrans("./", "/."))


def look(name: str) -> Parameter:
    """Return a parameter of the running kernel."""
    path = path_of(name)
    if not path.exists():
        return Parameter(None)
    readable = os.access(path, os.R_OK)
    return Parameter(normal(path.read_text()) if readable else "", os.access(path, os.W_OK))


def apply(wanted: Mapping[str, str], kernel: Mapping[str, Parameter]) -> str:
    """Set the parameters in the running kernel; return the sentence that says which one it refused, or nothing."""
    done: list[str] = []
    for name, value in wanted.items():
        try:
            path_of(name).write_text(value)
        except OSError as error:
            for earlier in done:
                path_of(earlier).write_text(kernel[earlier].value or "")
            return f"The kernel refused {name} = {value} ({error.strerror}); nothing was changed. Correct the value."
        done.append(name)
    return ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"values": {"type": "dict", "required": True}, "path": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    path = Path(module.params["path"])
    values = module.params["values"]
    kernel = {name: look(name) for name in values}
    steps = plan(values, kernel, CONTAINER_MARK.exists())
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    changed = before != steps.content

    if not module.check_mode:
        if failure := apply(steps.set, kernel):
            module.fail_json(msg=failure)
        if changed:
            _files.make_directory(path.parent, 0o755)
            _files.write(path, steps.content, 0o644)
    if changed and steps.left_alone:
        module.warn(notice(steps.left_alone))
    module.exit_json(
        changed=changed or bool(steps.set),
        left_alone=steps.left_alone,
        diff=[
            {"before_header": str(path), "before": before, "after_header": str(path), "after": steps.content},
            {
                "before_header": "running kernel",
                "before": "".join(f"{name} = {kernel[name].value}\n" for name in steps.set),
                "after_header": "running kernel",
                "after": "".join(f"{name} = {value}\n" for name, value in steps.set.items()),
            },
        ],
    )


if __name__ == "__main__":
    main()
