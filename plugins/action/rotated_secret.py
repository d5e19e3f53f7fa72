# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Brings the change of a secret to its next stage. The module of this name documents it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.protostar.platform.plugins.action.vaulted_secrets import decrypt, refuse_foreign
from ansible_collections.protostar.platform.plugins.plugin_utils import _rotation, _secrets, _vault

Hosts = Mapping[str, Mapping[str, Any]]


class ActionModule(ActionBase):
    """Looks at the variables of every host, and writes one file on the controller."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the plan, or that the vault is at a stage."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "path": {"type": "path", "required": True},
                "secret": {"type": "str", "required": True},
                "stage": {"type": "str", "choices": [*_rotation.STAGES, "finished"]},
                "plays": {"type": "list", "elements": "path", "default": []},
                "issued_elsewhere": {"type": "list", "elements": "str", "default": list(_secrets.ISSUED_ELSEWHERE)},
            }
        )
        variables = task_vars or {}
        hostvars: Any = variables.get("hostvars", {})
        try:
            vault = _vault.open_vault(Path(arguments["path"]), self._loader._vault.secrets)
            try:
                if arguments["stage"]:
                    result["changed"] = self._write(vault, arguments["secret"], arguments["stage"])
                else:
                    hosts = {host: hostvars.raw_get(host) for host in hostvars if host != "localhost"}
                    result.update(self._plan(vault, arguments, hosts, variables.get("groups", {})))
            except _rotation.VaultTextError as error:
                raise _vault.refuse(vault, error) from None
        except AnsibleError as error:
            result.update(failed=True, msg=str(error))
        return result

    def _write(self, vault: _vault.Vault, secret: str, stage: str) -> bool:
        passwords = self._loader._vault.secrets
        if stage == "finished":
            today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
            text = _rotation.finish(vault.text, secret, today)
        else:
            text = _rotation.write(vault.text, secret, stage, decrypt=lambda text: decrypt(text, passwords))
        if text != vault.text and not self._task.check_mode:
            _vault.write_vault(vault, text, *_vault.choose_password(vault, passwords))
        return text != vault.text

    def _plan(
        self, vault: _vault.Vault, arguments: Mapping[str, Any], hosts: Hosts, groups: Mapping[str, list[str]]
    ) -> dict[str, Any]:
        where, secret = _vault.show(vault.path), arguments["secret"].strip()
        if vault.content is None:
            raise AnsibleError(
                f"Nothing was changed: there is no vault {where}. Change the secret where it is kept, and run site.yml."
            )
        refuse_foreign(hosts, _secrets.read_names(vault.text), where)
        users = {
            host: _rotation.find_users(hosts[host], secret, roles)
            for host, roles in self._roles(arguments["plays"], groups)
            if host in hosts
        }
        problem = _rotation.refuse(secret, vault.text, users.values(), arguments["issued_elsewhere"])
        if problem:
            raise AnsibleError(f"Nothing was changed: {where}: {problem}")
        # What keeps it from being written is found here, before anything is.
        stages = _rotation.choose_stages(hosts.values(), secret)
        under_way = _rotation.read(vault.text)
        _rotation.write(vault.text, secret, stages[0], decrypt=lambda text: decrypt(text, self._loader._vault.secrets))
        _vault.choose_password(vault, self._loader._vault.secrets)
        users = {host: used for host, used in users.items() if used.roles or used.apps}
        if under_way:
            stages = stages[stages.index(under_way.stage) :]
        return {
            "changed": True,
            "stages": stages,
            "users": {host: asdict(used) for host, used in users.items()},
            "msg": "\n".join(tell(secret, stages, users, under_way.stage if under_way else "")),
        }

    def _roles(self, plays: list[str], groups: Mapping[str, list[str]]) -> Iterator[tuple[str, list[str]]]:
        for path in plays:
            for play in self._loader.load_from_file(path):
                roles = [entry["role"].rpartition(".")[2] for entry in play["roles"]]
                yield from ((host, roles) for host in groups.get(play["hosts"], []))


def tell(secret: str, stages: list[str], users: Mapping[str, _rotation.Users], reached: str) -> Iterator[str]:
    """Yield the plan in sentences."""
    yield f"{secret}: going on at {reached}." if reached else f"{secret}: {', '.join(stages)}."
    for host, used in users.items():
        yield f"{host}: {', '.join([*used.roles, *(f'{app} (released)' for app in used.apps)])}"
    for stage in stages:
        yield f"{stage}: {_rotation.STAGES[stage]}"
