# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compares a host's variables with the roles' argument specifications. The module of this name documents it."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.protostar.platform.plugins.filter.addresses import addresses
from ansible_collections.protostar.platform.plugins.plugin_utils._secrets import (
    ISSUED_ELSEWHERE,
    PASSWORD,
    find_weakness,
    is_placeholder,
)

ROLES = Path(__file__).parents[2] / "roles"
PORT = re.compile(r"_publish(_|$)|_listen_address$")
APP_NETWORK = "protostar-edge"  # the default of app_definition.networks
EVERY_ADDRESS = ("", "0.0.0.0", "[::]", "*")

Options = Mapping[str, Any]


def read_specs(roles: Path) -> dict[str, Options]:
    """Return the options of every role under `roles`, by role."""
    specs = {}
    for path in sorted(roles.glob("*/meta/argument_specs.yml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        specs[path.parents[1].name] = content["argument_specs"]["main"].get("options", {})
    return specs


def read_service_names(roles: Path) -> dict[str, str]:
    """Return the names of the containers that the roles under `roles` always run, each with its role."""
    names = {}
    for path in sorted(roles.glob("*/templates/compose.yaml.j2")):
        for name in re.findall(r"container_name: ([a-z0-9-]+)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            names[name] = path.parents[1].name
    return names


def find_unknown(names: Iterable[str], specs: Mapping[str, Options], allow: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield every one of `names` that looks like a role's variable but is none, and what is wrong with it."""
    known = {option: role for role, options in specs.items() for option in options}
    allow = list(allow)
    for name in sorted(set(names) - set(known)):
        if name.startswith(("_", "ansible_")) or any(fnmatch(name, pattern) for pattern in allow):
            continue
        role = max((role for role in specs if name.startswith(f"{role}_")), key=len, default="")
        candidates, cutoff = (specs[role], 0.6) if role else (known, 0.92)
        nearest = difflib.get_close_matches(name, candidates, n=1, cutoff=cutoff)
        hint = f" Did you mean {nearest[0]}?" if nearest else ""
        if role:
            yield name, f"is not a variable of the role {role}.{hint}"
        elif nearest:
            yield name, f"is nearly a variable of the role {known[nearest[0]]}.{hint}"


def read_secrets(options: Options, values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield where, option and value of every secret of `options` that `values` set."""
    for name, option in options.items():
        where, value = path + name, values.get(name)
        if option.get("no_log"):
            if value not in (None, option.get("default")):
                yield where, name, value
        elif "options" in option and value:
            for index, element in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(element, Mapping):
                    prefix = f"{where}[{element.get('name', index)}]." if isinstance(value, list) else f"{where}."
                    yield from read_secrets(option["options"], element, prefix)


def find_unset(options: Options, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for every secret of `options` that is empty or a placeholder in `values`."""
    for where, _, value in read_secrets(options, values):
        yield from (f"{leaf} {problem}." for leaf, problem in check_secret(where, value))


def find_weak(options: Options, values: Mapping[str, Any], allow: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for every password in `values` that is weak and that nobody but the user chose."""
    allow = [*allow, *ISSUED_ELSEWHERE]
    for where, name, value in read_secrets(options, values):
        if not PASSWORD.search(name) or not isinstance(value, str) or is_placeholder(value):
            continue
        if any(where == pattern or fnmatch(where, pattern) for pattern in allow):
            continue
        problem = find_weakness(value, [name, *re.findall(r"\[(.+?)\]", where)])
        if problem:
            yield (
                f"{where} is a secret and {problem}. Make a new one (docs/secrets.md), or allow this one knowingly: "
                f'preflight_allow_weak: ["{where}"].'
            )


def check_secret(where: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield every part of the secret `value` that is empty or a placeholder, and which of the two it is."""
    if isinstance(value, Mapping):
        for key, element in value.items():
            yield from check_secret(f"{where}.{key}", element)
    elif value is None or not str(value).strip():
        yield where, "is a secret and is empty"
    elif is_placeholder(str(value)):
        yield where, "is a secret and still holds the placeholder"


def find_shared_ports(ports: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for every two of `ports` (variable → `[address:]port`) that cannot both be bound."""
    taken: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name, binding in ports.items():
        address, _, port = str(binding).rpartition(":")
        for other, other_address in taken[port]:
            if address == other_address or address in EVERY_ADDRESS or other_address in EVERY_ADDRESS:
                yield f"{name} and {other} both take port {port} of the host ({binding})."
        taken[port].append((name, address))


def find_shared_addresses(addresses: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    """Yield a sentence for every two of `addresses` (owner, network, address) that are the same."""
    taken: dict[tuple[str, str], str] = {}
    for owner, network, address in addresses:
        other = taken.setdefault((network, address), owner)
        if other != owner:
            yield f"{other} and {owner} both have the address {address} in the network {network}."


def find_invalid(options: Options, values: Mapping[str, Any]) -> list[str]:
    """Return what Ansible's own validation says of `values`, and which secrets among them are not set."""
    errors = ArgumentSpecValidator(dict(options)).validate(dict(values)).error_messages
    # What follows is the name of a Python class.
    sentences = [error.partition(": <class")[0] + "." for error in errors]
    return sentences + list(find_unset(options, values))


def find_taken_names(apps: Iterable[str], services: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for every one of `apps` that is called like one of `services` (name → role)."""
    for name in apps:
        if name in services:
            yield f"The app {name} has the name of a service of the role {services[name]}. Give it another."


def fixed_addresses(values: Mapping[str, Mapping[str, Any]], apps: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield owner, network and address of every container that has a fixed address."""
    for role, options in values.items():
        if options.get(f"{role}_address"):
            yield f"The role {role}", options.get(f"{role}_network", ""), options[f"{role}_address"]
    for name, definition in apps.items():
        network = (definition.get("networks") or [APP_NETWORK])[0]
        for colour, own in read_addresses(definition).items():
            yield from ((f"The {colour} of the app {name}", network, address) for address in own)


def read_addresses(definition: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the addresses of an app by colour; none where they cannot be told, which `find_unusable` says."""
    try:
        return {
            colour: addresses(first, int(definition.get("replicas") or 1))
            for colour, first in (definition.get("addresses") or {}).items()
        }
    except (AnsibleFilterError, AttributeError, TypeError, ValueError):
        return {}


def find_unusable(definition: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for everything that keeps an app from being behind the edge."""
    if "address" in definition:
        yield (
            "address has become addresses, the first one of each colour. docs/deploy.md says under 'From 0.2.0' what "
            "to do once."
        )
    if not definition.get("addresses"):
        return
    if not definition.get("port"):
        yield "it has addresses, so that the edge sends requests to it, but no port. Add the one it listens on."
    if not read_addresses(definition):
        yield f"its addresses ({definition['addresses']}) are not the first IP addresses of green and of blue."


class ActionModule(ActionBase):
    """Runs the checks with the variables of the task's host."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the problems, and fail if there is one."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "roles": {"type": "list", "elements": "str", "required": True},
                "apps": {"type": "dict", "default": {}},
                "allow": {"type": "list", "elements": "str", "default": []},
                "allow_weak": {"type": "list", "elements": "str", "default": []},
            }
        )
        roles = [role.rpartition(".")[2] for role in arguments["roles"]]
        apps = arguments["apps"] if "app" in roles else {}
        problems = list(self._problems(task_vars or {}, roles, apps, arguments["allow"], arguments["allow_weak"]))
        if problems:
            result.update(failed=True, msg=summarize(problems))
        return result

    def _problems(
        self,
        variables: Mapping[str, Any],
        roles: list[str],
        apps: Mapping[str, Any],
        allow: list[str],
        allow_weak: list[str],
    ) -> Iterator[str]:
        specs = read_specs(ROLES)
        for name, problem in find_unknown(variables, specs, allow):
            yield f"{name}{locate(variables[name])} {problem}"

        values: dict[str, dict[str, Any]] = {}
        for role in sorted(set(roles) & set(specs) - {"app"}):
            values[role], options = {}, dict(specs[role])
            for name in sorted(set(options) & set(variables)):
                try:
                    values[role][name] = self._templar.template(variables[name])
                except AnsibleError as error:
                    yield f"{name}{locate(variables[name])} cannot be evaluated: {error}"
                    del options[name]
            yield from find_invalid(options, values[role])
            yield from find_weak(options, values[role], allow_weak)

        for name, definition in apps.items():
            app = {"app_name": name, "app_definition": definition}
            problems = [*find_invalid(specs["app"], app), *find_unusable(definition)]
            yield from (f"platform_apps.{name}: {problem}" for problem in problems)
        services = {name: role for name, role in read_service_names(ROLES).items() if role in roles}
        yield from find_taken_names(apps, services)

        merged = {name: value for role in values.values() for name, value in role.items()}
        yield from find_shared_ports({name: value for name, value in merged.items() if PORT.search(name) and value})
        yield from find_shared_addresses(fixed_addresses(values, apps))


def locate(value: object) -> str:
    """Return where `value` was written, as ` (file:line)`, or nothing where Ansible does not tell."""
    try:
        from ansible._internal._datatag._tags import Origin  # noqa: PLC0415 - private, and so allowed to be missing
    except ImportError:
        return ""
    origin = Origin.get_tag(value)
    if origin is None or not origin.path:
        return ""
    path = origin.path.removeprefix(f"{Path.cwd()}/")
    return f" ({path}:{origin.line_num})" if origin.line_num else f" ({path})"


def summarize(problems: list[str]) -> str:
    """Return one message for `problems`."""
    if len(problems) == 1:
        return f"Nothing was changed: {problems[0]}"
    return "\n".join([f"Nothing was changed, {len(problems)} problems:", *(f"- {problem}" for problem in problems)])
