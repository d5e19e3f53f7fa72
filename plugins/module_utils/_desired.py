# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a task's arguments to the desired release; what cannot work is refused here, before anything is touched."""

from __future__ import annotations

import posixpath
import re
import signal
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._composefile import merge, mounted_files, published
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._plan import Reload
from ansible_collections.protostar.platform.plugins.module_utils._ready import Ready
from ansible_collections.protostar.platform.plugins.module_utils._release import Command, File, Release

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_OWN = ("releases", "staging")


@dataclass(frozen=True)
class Options:
    """How to get to the release; a change here is not a new release."""

    validate: tuple[Command, ...] = ()
    rehearse: bool = True
    reload: Reload | None = None
    ready: Ready = field(default_factory=Ready)
    keep: int = 3


def check_name(name: str) -> None:
    """Refuse a name that cannot be a Compose project or a directory."""
    if not _NAME.fullmatch(name):
        raise ServiceError(
            f"name '{name}' cannot be used: it takes 1 to 41 lower-case letters, digits and hyphens, "
            "and starts with a letter or digit"
        )


def release(parameters: Mapping[str, Any]) -> Release:
    """Build the desired release.

    Raises:
        ServiceError: The arguments contradict themselves or each other.

    """
    name = parameters["name"]
    check_name(name)
    if not parameters["compose"]:
        raise ServiceError("compose is missing: give the service's Compose mapping")
    files = [_file(entry, secret=False) for entry in parameters["files"]]
    files += [_file(entry, secret=True) for entry in parameters["secrets"]]
    _check_paths([file.dest for file in files])
    desired = Release(
        name=name,
        directory=posixpath.join(parameters["root"], name),
        compose={"name": name, **merge(parameters["compose"], parameters["overrides"] or {})},
        files=tuple(files),
        provision=_commands(parameters["provision"]),
    )
    _check_compose(desired)
    _check_services(desired, "provision", (command.service for command in desired.provision))
    return replace(desired, compose=_locked(desired.compose, parameters["lock"])) if parameters["lock"] else desired


def options(parameters: Mapping[str, Any], desired: Release) -> Options:
    """Build the options, and check them against the release.

    Raises:
        ServiceError: They name a service that is not there, or a reload that would not see the change.

    """
    chosen = Options(
        validate=_commands(parameters["validate"]),
        rehearse=parameters["rehearse"],
        reload=_reload(parameters["reload"]) if parameters["reload"] else None,
        ready=Ready(**parameters["ready"]) if parameters["ready"] else Ready(),
        keep=parameters["keep"],
    )
    ready = chosen.ready
    if ready.timeout <= 0 or ready.interval <= 0 or ready.successes < 1 or chosen.keep < 1:
        raise ServiceError("ready.timeout and ready.interval must be more than 0, ready.successes and keep at least 1")
    _check_services(desired, "validate", (command.service for command in chosen.validate))
    if chosen.reload:
        _check_services(desired, "reload", [chosen.reload.service])
        service = desired.services[chosen.reload.service]
        mounted = set(mounted_files(desired.compose, service, desired.directory))
        for dest in (dest for dest in desired.seals if dest in mounted and chosen.reload.takes(dest)):
            raise ServiceError(
                f"{chosen.reload.service} mounts the single file {dest}, which it would not see replaced "
                "on a reload: mount the directory, or leave the file out of reload.files"
            )
    return chosen


def _commands(entries: Iterable[Mapping[str, Any]] | None) -> tuple[Command, ...]:
    return tuple(Command(entry["service"], tuple(entry["command"])) for entry in entries or ())


def signal_number(name: str) -> int:
    """Return the number of a signal, named with or without SIG.

    Raises:
        ServiceError: There is no such signal.

    """
    try:
        return signal.Signals[f"SIG{name.removeprefix('SIG')}"].value
    except KeyError:
        raise ServiceError(f"there is no signal {name}; reload.signal is a name such as HUP or USR1") from None


def _reload(entry: Mapping[str, Any]) -> Reload:
    ways = [way for way in ("signal", "command", "http") if entry[way]]
    if len(ways) != 1:
        raise ServiceError(f"reload takes exactly one of signal, command and http, not {len(ways)}")
    if entry["signal"]:
        signal_number(entry["signal"])
    http = entry["http"] or {}
    if http and not http["url"].startswith(("http://", "https://")):
        raise ServiceError("reload.http.url must start with http:// or https://")
    return Reload(
        service=entry["service"],
        signal=entry["signal"] or "",
        command=tuple(entry["command"] or ()),
        method=http.get("method") or "POST",
        url=http.get("url") or "",
        files=tuple(entry["files"] or ("*",)),
    )


def _file(entry: Mapping[str, Any], *, secret: bool) -> File:
    dest, content = entry["dest"], entry["content"]
    kind = "secret" if secret else "file"
    if posixpath.normpath(dest) != dest or dest.startswith(("/", "..")):
        raise ServiceError(f"{kind} '{dest}' must be a plain path inside the service directory")
    top, _, rest = dest.partition("/")
    if not rest or top in _OWN:
        raise ServiceError(
            f"{kind} '{dest}' must lie in a sub-directory such as 'config/', other than {' and '.join(_OWN)}"
        )
    try:
        mode = int(entry["mode"], 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise ServiceError(f"{kind} '{dest}': mode '{entry['mode']}' is not an octal mode such as '0444'")
    if secret and mode & 0o077:
        raise ServiceError(
            f"secret '{dest}': mode {mode:04o} would let others read it: use 0400 and its reader's uid as owner"
        )
    if secret and not content.strip():
        raise ServiceError(f"secret '{dest}' is empty: set the variable it comes from")
    return File(dest, content, mode, entry["owner"], secret)


def _check_paths(dests: list[str]) -> None:
    for dest, count in Counter(dests).items():
        if count > 1:
            raise ServiceError(f"'{dest}' is given {count} times: every file and secret needs its own dest")
    for dest in dests:
        if within := next((other for other in dests if other.startswith(dest + "/")), None):
            raise ServiceError(f"'{dest}' cannot be both a file and the directory of '{within}'")


def _check_compose(desired: Release) -> None:
    compose, name = desired.compose, desired.name
    if compose["name"] != name:
        raise ServiceError(f"compose.name is '{compose['name']}': leave it out, the project is named {name}")
    entries = compose.get("services")
    if not isinstance(entries, Mapping) or not entries:
        raise ServiceError("compose.services must be a mapping with at least one service")
    for service, entry in entries.items():
        if not isinstance(entry, Mapping) or not entry.get("image") or "build" in entry:
            raise ServiceError(f"service {service} needs an image, and cannot be built on the host")
    names = Counter(str(entry["container_name"]) for entry in entries.values() if entry.get("container_name"))
    if twice := [container for container, count in names.items() if count > 1]:
        raise ServiceError(f"two services have the container_name {twice[0]}: give each its own")
    try:
        ports = [port for entry in desired.services.values() for port in published(entry)]
    except ValueError as error:
        raise ServiceError(f"a published port is not a number ({error}): write 'address:host:container'") from None
    for number, port in enumerate(ports):
        if any(port.overlaps(other) for other in ports[:number]):
            raise ServiceError(f"port {port} is published twice: publish it once")


def _locked(compose: Mapping[str, Any], lock: Mapping[str, str]) -> dict[str, Any]:
    """Return the mapping with every image as the lock has it."""
    services = {}
    for name, service in compose["services"].items():
        image = str(service["image"])
        locked = str(lock.get(image, image))
        if "@" not in locked:
            raise ServiceError(
                f"the image {image} of {name} has no digest in the lock of images: "
                "run playbooks/lock.yml with this inventory, and then this again"
            )
        services[name] = {**service, "image": locked}
    return {**compose, "services": services}


def _check_services(desired: Release, option: str, names: Iterable[str]) -> None:
    for service in names:
        if service not in desired.services:
            raise ServiceError(
                f"{option} names the service {service}, which compose does not have "
                f"(it has {', '.join(desired.services)})"
            )
