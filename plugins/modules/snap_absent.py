#!/usr/bin/python
# Copyright: the protostar.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Removal of snap that destroys no data and lasts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: snap_absent
short_description: Removes snap for good, unless that would destroy data
version_added: 0.1.0
author: The protostar.platform authors
description:
  - Pins C(snapd) in apt so that nothing brings it back, removes every snap (applications, then bases, then C(snapd)),
    purges the packages that need or reinstall it, and deletes what is left in C(/snap), C(/var/snap),
    C(/var/lib/snapd), C(/var/cache/snapd) and the users' C(~/snap).
  - Refuses, before any change, where the system boots from snaps (a hybrid Ubuntu with a kernel snap or TPM-backed disk
    encryption), where the docker snap holds containers or volumes, and where LXD holds instances or storage volumes.
    Removing these snaps deletes that data.
  - Data of all other snaps is deleted with them.
  - Fails when apt would still install C(snapd) afterwards.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    description: Lists the snaps, packages and directories that go.
options: {}
"""

EXAMPLES = r"""
- name: No snap
  protostar.platform.snap_absent:
"""

RETURN = r"""
actions:
  description: What was done, or would be, one sentence each.
  type: list
  elements: str
  returned: always
  sample: [remove the snap lxd, purge the package snapd]
"""

import pwd
from dataclasses import dataclass
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.protostar.platform.plugins.module_utils import _files

PIN = Path("/etc/apt/preferences.d/60-protostar-no-snap")
PIN_CONTENT = """\
# Written by Ansible. Packages that recommend snapd install without it; those that need it do not install.
Package: snapd
Pin: release a=*
Pin-Priority: -10
"""
# snapd and what installs it again: https://packages.ubuntu.com/noble/lxd-installer
PACKAGES = ("snapd", "lxd-installer", "lxd-agent-loader", "gnome-software-plugin-snap")
REMAINS = ("/snap", "/var/snap", "/var/lib/snapd", "/var/cache/snapd")
DOCKER_DATA = "/var/snap/docker/common/var-lib-docker"
LXD_DATA = "/var/snap/lxd/common/lxd"
# Snaps go in this order, since snapd keeps a base for as long as a snap uses it.
ORDER = ("app", "base", "core", "snapd")


@dataclass(frozen=True)
class Snap:
    """An installed snap and its type: app, base, core, snapd, kernel or gadget."""

    name: str
    type: str


@dataclass(frozen=True)
class State:
    """What a host has of snap. Paths are strings."""

    pinned: bool = True
    packages: tuple[str, ...] = ()
    snaps: tuple[Snap, ...] = ()
    remains: tuple[str, ...] = ()
    boots_from_snaps: bool = False
    docker_data: tuple[str, ...] = ()
    lxd_data: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    """Snap files that the snap command did not list, because snapd does not answer."""


@dataclass(frozen=True)
class Plan:
    """The sentence that refuses the removal, or else its steps in order."""

    refusal: str = ""
    pin: bool = False
    snaps: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()

    def actions(self) -> list[str]:
        """Say what the plan does, one sentence for each step."""
        return (
            ["pin snapd in apt"] * self.pin
            + [f"remove the snap {name}" for name in self.snaps]
            + [f"purge the package {name}" for name in self.packages]
            + [f"delete {path}" for path in self.remains]
        )


def refusal(state: State) -> str:
    """Return why snap must not be removed and what to do, or nothing."""
    if state.boots_from_snaps or {snap.type for snap in state.snaps} & {"kernel", "gadget"}:
        return (
            "This system boots from snaps (a kernel snap, or a disk that snapd unlocks with the TPM) and would not "
            "start without them. Leave snap on this host, or reinstall it without TPM-backed encryption."
        )
    if state.docker_data:
        return (
            f"The docker snap holds {', '.join(state.docker_data)} in {DOCKER_DATA}, which removing it deletes. "
            "Copy the volumes elsewhere, delete them with docker rm and docker volume rm, then run this again."
        )
    if state.lxd_data:
        return (
            f"LXD holds {', '.join(state.lxd_data)}, which removing its snap deletes. "
            "Export them with lxc export, delete them with lxc delete, then run this again."
        )
    if state.unlisted:
        return (
            f"snapd does not answer, so that {', '.join(state.unlisted)} cannot be removed in order. "
            "Start it with systemctl start snapd.socket, then run this again."
        )
    return ""


def plan(state: State) -> Plan:
    """Return how to get from ``state`` to a host without snap."""
    if why := refusal(state):
        return Plan(refusal=f"{why} Nothing was changed.")
    return Plan(
        pin=not state.pinned,
        snaps=tuple(snap.name for snap in sorted(state.snaps, key=lambda snap: (ORDER.index(snap.type), snap.name))),
        packages=state.packages,
        remains=state.remains,
    )


def parse_snaps(listing: str) -> tuple[Snap, ...]:
    """Read the output of ``snap list --all``, which has a line for each revision; the last column tells the type."""
    types = {}
    for line in listing.splitlines()[1:]:
        columns = line.split()
        notes = set(columns[-1].split(","))
        types[columns[0]] = next(
            (kind for kind in ("base", "core", "snapd", "kernel", "gadget") if kind in notes), "app"
        )
    return tuple(Snap(name, kind) for name, kind in types.items())


def children(directory: str, pattern: str = "*") -> list[Path]:
    """Return what a directory holds, sorted; nothing where it is missing."""
    return sorted(Path(directory).glob(pattern))


def user_directories() -> list[str]:
    """Return the users' ``~/snap`` that hold nothing but what snapd put there, one directory for each snap."""
    homes = {Path(user.pw_dir) for user in pwd.getpwall() if user.pw_uid == 0 or 1000 <= user.pw_uid < 65534}
    return [
        str(home / "snap")
        for home in sorted(homes)
        if (home / "snap").is_dir()
        and all((child / "common").is_dir() or (child / "current").is_symlink() for child in (home / "snap").iterdir())
    ]


def boots_from_snaps() -> bool:
    """Tell whether snapd manages how this machine boots, as on Ubuntu Core and on hybrid Ubuntu."""
    return "snapd_recovery_mode" in Path("/proc/cmdline").read_text() or any(
        Path(path).exists() for path in ("/var/lib/snapd/modeenv", "/var/lib/snapd/device/fde")
    )


class Host:
    """The host on which the module runs."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module

    def run(self, *command: str) -> str:
        """Run a command and return its output, whatever its exit code."""
        return self.module.run_command(list(command))[1]

    def state(self) -> State:
        """Look at what the host has of snap."""
        statuses = self.run("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *PACKAGES)
        installed = tuple(line.split()[0] for line in statuses.splitlines() if not line.endswith(" not-installed"))
        snaps = parse_snaps(self.run("snap", "list", "--all")) if self.module.get_bin_path("snap") else ()
        files = children("/var/lib/snapd/snaps", "*.snap")
        remains = [path for path in REMAINS if Path(path).exists()]
        return State(
            pinned=PIN.exists() and PIN.read_text(encoding="utf-8") == PIN_CONTENT,
            packages=installed,
            snaps=snaps,
            remains=tuple(remains + user_directories()) if remains else (),
            boots_from_snaps=boots_from_snaps(),
            docker_data=tuple(
                f"{path.parent.name[:-1]} {path.name}"
                for kind in ("volumes", "containers")
                for path in children(f"{DOCKER_DATA}/{kind}")
                if path.is_dir()
            ),
            lxd_data=tuple(
                str(path.relative_to(LXD_DATA))
                for pattern in ("containers/*", "virtual-machines/*", "storage-pools/*/custom/*")
                for path in children(LXD_DATA, pattern)
            ),
            unlisted=() if snaps else tuple(path.name for path in files),
        )

    def tried(self, *command: str) -> str:
        """Run a command and return the sentence that says how it failed, or nothing."""
        code, out, error = self.module.run_command(list(command), environ_update={"DEBIAN_FRONTEND": "noninteractive"})
        return f"{' '.join(command)} failed: {(error or out).strip()}" if code else ""

    def remove_snaps(self, names: tuple[str, ...]) -> str:
        """Remove snaps, again and again while that gets anywhere; return how the last one failed, or nothing."""
        failed: dict[str, str] = dict.fromkeys(names, "")
        while failed:
            failures = {name: self.tried("snap", "remove", "--purge", name) for name in failed}
            left = {name: why for name, why in failures.items() if why}
            if len(left) == len(failed):
                return next(iter(left.values()))
            failed = left
        return ""

    def apply(self, steps: Plan) -> str:
        """Carry out the plan; return the sentence that says how it failed, or nothing."""
        if steps.pin:
            _files.write(PIN, PIN_CONTENT, 0o644)
        if failure := self.remove_snaps(steps.snaps):
            return failure
        purge = ("apt-get", "-o", "DPkg::Lock::Timeout=120", "--yes", "purge", *steps.packages)
        if steps.packages and (failure := self.tried(*purge)):
            return failure
        for path in (path for path in steps.remains if Path(path).exists()):
            mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
            if mounted := [mount for mount in mounts if f"{mount}/".startswith(f"{path}/")]:
                return f"{', '.join(mounted)} is still mounted, so {path} was kept: unmount it, or reboot."
            _files.remove_tree(Path(path))
        return ""

    def purged(self, packages: tuple[str, ...]) -> list[str]:
        """Return every package that goes when ``packages`` are purged."""
        simulation = self.run("apt-get", "--simulate", "purge", *packages) if packages else ""
        return [line.split()[1] for line in simulation.splitlines() if line.startswith(("Remv ", "Purg "))]

    def candidate(self) -> str:
        """Return the version of snapd that apt would install, or nothing."""
        policy = [line.split() for line in self.run("apt-cache", "policy", "snapd").splitlines()]
        return next((words[1] for words in policy if words[:1] == ["Candidate:"] and words[1] != "(none)"), "")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.run_command_environ_update = {"LC_ALL": "C.UTF-8"}
    host = Host(module)
    state = host.state()
    steps = plan(state)
    if steps.refusal:
        module.fail_json(msg=steps.refusal)

    actions = steps.actions()
    going = [f"{snap.name} (snap)" for snap in state.snaps] + host.purged(steps.packages) + list(steps.remains)
    if not module.check_mode:
        if failure := host.apply(steps):
            module.fail_json(msg=f"{failure} Snap is partly removed; correct this, then run again.")
        if version := host.candidate():
            module.fail_json(
                msg=f"apt would still install snapd {version}: another file in /etc/apt/preferences.d outranks {PIN}. "
                "Remove its entry for snapd."
            )
    module.exit_json(
        changed=bool(actions),
        actions=actions,
        diff={
            "before_header": "snap",
            "before": "".join(f"{thing}\n" for thing in going),
            "after_header": "snap",
            "after": PIN_CONTENT if steps.pin else "",
        },
    )


if __name__ == "__main__":
    main()
