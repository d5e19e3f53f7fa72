# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup that refuses a vault which cannot be opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.parsing.vault import PromptVaultSecret
from ansible.plugins.lookup import LookupBase
from ansible_collections.protostar.platform.plugins.plugin_utils import _secrets, _vault

DOCUMENTATION = r"""
name: opened_vault
short_description: Refuse a vault that cannot be opened, with the remedy
version_added: 0.4.0
description:
  - Returns the path of a vault that Ansible can open, that is plain text, or that does not exist yet. Its contents are
    not returned.
  - In C(hosts) of a play it is evaluated before Ansible reads the variables of a host, so that a wrong password, a
    damaged file and one that is not YAML are refused with the remedy, and without a line of the file.
options:
  _terms:
    description: Path of the vault.
    required: true
  confirm:
    description: Ask again for a password that was typed and would encrypt the vault for the first time.
    type: bool
    default: true
    version_added: 0.5.0
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: Secrets
  hosts: "{{ 'localhost' if lookup('protostar.platform.opened_vault', vault) }}"
  vars:
    vault: inventories/production/group_vars/all/vault.yml
"""

RETURN = r"""
_raw:
  description: The path.
  type: list
  elements: path
"""


class LookupModule(LookupBase):
    """The lookup, for Ansible's loader."""

    def run(self, terms: list[str], variables: Mapping[str, Any] | None = None, **options: Any) -> list[str]:  # noqa: ANN401
        """Return the paths, or refuse."""
        self.set_options(var_options=variables, direct=options)
        passwords = self._loader._vault.secrets
        for term in terms:
            vault = _vault.open_vault(Path(term), passwords)
            try:
                _secrets.read_names(vault.text)
            except _secrets.VaultTextError as error:
                raise _vault.refuse(vault, error) from None
            new = self.get_option("confirm") and not (variables or {}).get("ansible_check_mode")
            if not vault.encrypted and passwords and new:
                confirm(_vault.choose_password(vault, passwords)[1])
        return [str(term) for term in terms]


def confirm(password: object) -> None:
    """Ask again for a password that was typed: after a slip nobody could open what it encrypts."""
    if not isinstance(password, PromptVaultSecret):
        return
    again = PromptVaultSecret(prompt_formats=["The same vault password again, for the new vault: "])
    again.load()
    if again.bytes != password.bytes:
        raise AnsibleError("Nothing was changed: the two vault passwords are not the same. Run this again.")
