# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes the secrets that an inventory lacks. The module of this name documents it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret, is_encrypted
from ansible.plugins.action import ActionBase
from ansible_collections.protostar.platform.plugins.action.check_variables import locate
from ansible_collections.protostar.platform.plugins.plugin_utils import _secrets, _vault


class ActionModule(ActionBase):
    """Looks at the variables of every host, and writes one file on the controller."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the names of what was made, is weak, or is to be given by hand."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "path": {"type": "path", "required": True},
                "issued_elsewhere": {"type": "list", "elements": "str", "default": list(_secrets.ISSUED_ELSEWHERE)},
                "key_directory": {"type": "path"},
            }
        )
        variables: Any = (task_vars or {}).get("hostvars", {})
        try:
            # As they are written, so that what refers to a secret can be seen.
            result.update(self._make(arguments, {host: variables.raw_get(host) for host in variables}))
        except AnsibleError as error:
            result.update(failed=True, msg=str(error))
        return result

    def _make(self, arguments: Mapping[str, Any], hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        if not hosts:
            raise AnsibleError(
                "Nothing was changed: the inventory has no hosts. Name one that has: -i inventories/production."
            )
        passwords = self._loader._vault.secrets
        vault = _vault.open_vault(Path(arguments["path"]), passwords)
        where = _vault.show(vault.path)
        refuse_hidden(vault.path)
        try:
            refuse_foreign(hosts, _secrets.read_names(vault.text), where)
            plan = _secrets.plan(
                vault.text or _secrets.HEADER,
                collect_references(hosts),
                issued_elsewhere=arguments["issued_elsewhere"],
                decrypt=lambda text: decrypt(text, passwords),
            )
        except _secrets.VaultTextError as error:
            raise _vault.refuse(vault, error) from None

        was_plain = vault.content is not None and not vault.encrypted
        changed = bool(plan.made) or was_plain
        vault_id, password = _vault.choose_password(vault, passwords)
        if changed and not self._task.check_mode:
            _vault.write_vault(vault, plan.text, vault_id, password)
        keys = find_plain_keys(arguments["key_directory"])
        message = tell(plan, where, was_plain=was_plain, check=self._task.check_mode, keys=keys)
        return {
            "changed": changed,
            "made": plan.made,
            "by_hand": sorted(plan.by_hand),
            "weak": sorted(plan.weak),
            "encrypted": was_plain,
            "plain_keys": keys,
            "msg": "\n".join(message),
            "warnings": list(warn(plan, vault, password)),
        }


def warn(plan: _secrets.Plan, vault: _vault.Vault, password: VaultSecret) -> Iterator[str]:
    """Yield a sentence for every secret that is weak, the password of a new vault included."""
    where = _vault.show(vault.path)
    for name, problem in plan.weak.items():
        yield (
            f"platform_secrets.{name} {problem}, and was left as it is. If nothing uses it yet, write 'change me' in "
            f"its place (ansible-vault edit {where}) and run this again."
        )
    problem = "" if vault.encrypted else _secrets.find_weakness(password.bytes.decode(errors="replace"))
    if problem:
        yield f"The vault password {problem}, and all in the vault is as safe as that: ansible-vault rekey {where}."


def decrypt(text: str, passwords: _vault.PasswordsById | None) -> str:
    """Open a value that is encrypted by itself."""
    try:
        return bytes(VaultLib(passwords).decrypt(text.strip())).decode()
    except AnsibleError as error:
        raise ValueError("it cannot be opened") from error


def collect_references(hosts: Mapping[str, Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the secrets that the variables of any of `hosts` need, each with the variables that refer to it."""
    needed: dict[str, set[str]] = defaultdict(set)
    for variables in hosts.values():
        for secret, names in _secrets.find_references(variables).items():
            needed[secret] |= names
    return dict(needed)


def refuse_hidden(path: Path) -> None:
    """Refuse to make a directory beside a file of the same name, which Ansible would no longer read."""
    for end in (".yml", ".yaml", ".json"):
        beside = path.parent.with_name(path.parent.name + end)
        if beside.exists() and not path.parent.exists():
            raise AnsibleError(
                f"Nothing was changed: with {_vault.show(path)} Ansible would no longer read {_vault.show(beside)}. "
                f"Make {_vault.show(path.parent)} and move it there."
            )


def refuse_foreign(hosts: Mapping[str, Mapping[str, Any]], names: set[str], where: str) -> None:
    """Refuse to add to a vault from which Ansible does not take the secrets of every host."""
    for host, variables in hosts.items():
        value = variables.get(_secrets.VARIABLE)
        if (set(value) if isinstance(value, Mapping) else {""} if value else set()) != names:
            raise AnsibleError(
                f"Nothing was changed: platform_secrets of {host} "
                + (f"is set elsewhere{locate(value)}" if value else "is not set")
                + f", and not as in {where}. Keep it in one file, which Ansible reads for every host."
            )


def find_plain_keys(directory: str | None) -> list[str]:
    """Return the private keys under `directory` that are not encrypted."""
    if not directory:
        return []
    return [_vault.show(path) for path in sorted(Path(directory).glob("*.key")) if not is_encrypted(path.read_bytes())]


def tell(plan: _secrets.Plan, where: str, *, was_plain: bool, check: bool, keys: list[str]) -> Iterator[str]:
    """Yield one sentence for everything there is to know, without a secret in any."""
    if plan.made:
        yield f"{'Would make' if check else 'Made'} {len(plan.made)} in {where}: {', '.join(plan.made)}."
    else:
        yield f"Nothing to make in {where}."
    if was_plain:
        yield f"{where} was plain text, and {'would be' if check else 'is'} encrypted now."
    if was_plain and plan.kept:
        yield f"It held in plain text, and keeps: {', '.join(plan.kept)}. Change those that were ever committed."
    for name, variables in sorted(plan.by_hand.items()):
        needs = f" ({', '.join(variables)})" if variables else ""
        yield f"{name}{needs} is for you to write, since somebody else issues it: ansible-vault edit {where}."
    if keys:
        yield f"Private keys in plain text, encrypt them too: ansible-vault encrypt {' '.join(keys)}"
