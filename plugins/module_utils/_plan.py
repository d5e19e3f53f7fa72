# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan: what must happen to get from the current state to the desired release. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ansible_collections.protostar.platform.plugins.module_utils._observe import Container, Current
from ansible_collections.protostar.platform.plugins.module_utils._release import Release, Running, Seal, digest

COMPOSE = "compose.yaml"


@dataclass(frozen=True)
class Reload:
    """How a service takes over changed files without being recreated: one of signal, command and url."""

    service: str
    signal: str = ""
    command: tuple[str, ...] = ()
    method: str = "POST"
    url: str = ""
    files: tuple[str, ...] = ("*",)

    def takes(self, dest: str) -> bool:
        """Whether a change of this file needs a reload only."""
        return any(fnmatchcase(dest, pattern) for pattern in self.files)


@dataclass(frozen=True)
class Plan:
    """What to do, each with the reason that is shown to the operator.

    Attributes:
        release: Whether a new release is made; otherwise the one in force is repaired.
        write: Files to write, and compose.yaml.
        remove: Files to remove.
        recreate: Services whose container is replaced.
        start: Services that have no container, or a stopped one.
        reload: The files that a reload takes over.
        orphans: Services that have a container but are not in the release.
        pull: Images that are not on this host.
        provision: Whether the provision commands run.

    """

    release: bool = False
    write: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    recreate: Mapping[str, str] = field(default_factory=dict)
    start: Mapping[str, str] = field(default_factory=dict)
    reload: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    pull: tuple[str, ...] = ()
    provision: bool = False

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.release or self.write or self.remove or self.recreate or self.start or self.orphans)


def plan(current: Current, desired: Release, reload: Reload | None = None) -> Plan:
    """Compare the current state with the desired release.

    What differs from the record is a new release; what is on the host but differs from the record is drift. Both end
    in the same steps.
    """
    record = current.record
    release = record is None or record.digest != desired.digest
    write = _files_to_write(current, desired)
    recorded = record.files if record else {}
    remove = tuple(sorted((set(recorded) & set(current.files)) - set(desired.seals)))

    recreate: dict[str, str] = {}
    start: dict[str, str] = {}
    for name in desired.services:
        container = current.containers.get(name)
        if container is None or container.state in ("created", "exited", "dead"):
            start[name] = _why_start(current, name, container)
        elif reason := _why_recreate(current, desired, name, container):
            recreate[name] = reason

    touched = [dest for dest, seal in desired.seals.items() if dest in write or recorded.get(dest) != seal]
    reloaded = []
    for dest in [*touched, *(dest for dest in recorded if dest not in desired.seals)]:
        for name in sorted(desired.readers(dest) - set(start) - set(recreate)):
            if reload is not None and name == reload.service and reload.takes(dest):
                reloaded.append(dest)
            else:
                recreate[name] = f"{dest} changed"

    orphans = tuple(sorted(set(current.containers) - set(desired.services)))
    wanted = {str(desired.services[name]["image"]) for name in [*recreate, *start]}
    return Plan(
        release=release,
        write=write,
        remove=remove,
        recreate=recreate,
        start=start,
        reload=() if reload is None or {reload.service} & {*recreate, *start} else tuple(reloaded),
        orphans=orphans,
        pull=tuple(sorted(wanted - set(current.images))),
        provision=release and bool(desired.provision),
    )


def _files_to_write(current: Current, desired: Release) -> dict[str, str]:
    record = current.record
    write = {}
    if current.compose is None:
        write[COMPOSE] = "missing" if record else "new"
    elif record is None or record.compose != digest(desired.compose):
        write[COMPOSE] = "changed"
    elif record.compose_file != current.compose:
        write[COMPOSE] = "edited by hand"
    for dest, seal in desired.seals.items():
        if reason := _why_write(seal, current.files.get(dest), record.files.get(dest) if record else None):
            write[dest] = reason
    return write


def _why_write(seal: Seal, live: Seal | None, recorded: Seal | None) -> str:
    if live == seal:
        return ""
    if live is None:
        return "missing" if recorded else "new"
    if seal != recorded:
        return "changed"
    if live.sha256 != seal.sha256:
        return "edited by hand"
    if live.mode != seal.mode:
        return f"mode {live.mode:04o} instead of {seal.mode:04o}"
    return f"owner {live.owner} instead of {seal.owner}"


def _why_start(current: Current, name: str, container: Container | None) -> str:
    if container is not None:
        return f"stopped (exit code {container.exit_code})" if container.state != "created" else "never started"
    return "missing" if current.record and name in current.record.containers else "new"


def _why_recreate(current: Current, desired: Release, name: str, container: Container) -> str:
    """Tell why a running container cannot stay; empty if it can."""
    if current.record is None or name not in current.record.containers:
        return "not part of a release"
    if current.record.definitions.get(name) != desired.definitions[name] and not _same_image(current, desired, name):
        return "its definition changed"
    if name in current.interrupted:
        return "its repair was interrupted"
    if container.state != "running":
        return container.state
    if container.health == "unhealthy":
        return "unhealthy"
    return _drift(current.record.containers[name], container.running)


def _same_image(current: Current, desired: Release, name: str) -> bool:
    """Whether a definition differs from the recorded one only in how it refers to the same image."""
    record, wanted = current.record, current.images.get(str(desired.services[name]["image"]))
    return record is not None and any(
        image == wanted and record.definitions.get(name) == desired.definition(name, image=reference)
        for reference, image in record.images.items()
    )


def _drift(recorded: Running, running: Running) -> str:
    """Tell what was changed by hand on a running container; empty if nothing was."""
    if running.image != recorded.image:
        return "runs another image than was released"
    if running.config_hash != recorded.config_hash:
        return "was recreated with another definition"
    if running.limits != recorded.limits:
        return "its limits were changed"
    if running.networks != recorded.networks:
        return "its networks were changed"
    if running.name != recorded.name:
        return "was renamed"
    return ""


def actions(plan: Plan, *, done: bool) -> list[str]:
    """Describe a plan in sentences; in the past tense once it was carried out."""

    def say(past: str, future: str, what: str) -> str:
        return f"{past if done else future} {what}"

    said = [say("pulled", "would pull", image) for image in plan.pull]
    said += [say("wrote", "would write", f"{dest} ({reason})") for dest, reason in plan.write.items()]
    said += [say("removed", "would remove", dest) for dest in plan.remove]
    said += [say("started", "would start", f"{service} ({why})") for service, why in plan.start.items()]
    said += [say("recreated", "would recreate", f"{service} ({why})") for service, why in plan.recreate.items()]
    said += [say("removed", "would remove", f"the container of {service}") for service in plan.orphans]
    if plan.reload:
        said.append(say("reloaded", "would reload", f"the service ({', '.join(plan.reload)} changed)"))
    if plan.provision:
        said.append(say("ran", "would run", "the provision commands"))
    return said
