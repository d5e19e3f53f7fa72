#!/usr/bin/python
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

DOCUMENTATION = r"""
module: vaulted_secrets
short_description: Make the secrets that an inventory lacks, in its vault
version_added: 0.4.0
description:
  - Makes every secret in C(platform_secrets) of the vault that is empty or a placeholder, such as C(change me), and
    every one that is not there and that the variables of a host refer to, as C(platform_secrets.redis_nest). A
    reference with a default does not need its secret.
  - A secret has 32 letters and digits, from the operating system's source of randomness.
  - A value that is there is never changed. A weak one is warned of.
  - The vault is encrypted with the password that Ansible was given, keeping its vault id, and replaced as a whole.
    Comments and order stay. One that was plain text is encrypted.
  - A secret that others issue is never made. That is one whose placeholder is in angle brackets, such as
    C(<from Stripe>), and one that only variables in O(issued_elsewhere) refer to.
options:
  path:
    description: The vault, a YAML file of the inventory with C(platform_secrets). It need not exist.
    type: path
    required: true
  issued_elsewhere:
    description: Shell patterns of variables whose secrets others issue.
    type: list
    elements: str
    default: [alertmanager_*, ddclient_*]
  key_directory:
    description: Directory whose files C(*.key) should be encrypted. They are told, and left as they are.
    type: path
attributes:
  check_mode:
    description: Tells the names of what would be made.
    support: full
  diff_mode:
    description: There is no diff, which would show secrets.
    support: none
notes:
  - Runs on the controller, whatever the host, and looks at the variables of all hosts. Run it for one host.
seealso:
  - plugin: protostar.platform.opened_vault
    plugin_type: lookup
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: Make the secrets that are missing
  protostar.platform.vaulted_secrets:
    path: "{{ inventory_dir }}/group_vars/all/vault.yml"
"""

RETURN = r"""
made:
  description: Names of the secrets that were made, or would be.
  returned: success
  type: list
  elements: str
  sample: [redis_nest]
by_hand:
  description: Names of the secrets that others issue and that are not there yet.
  returned: success
  type: list
  elements: str
weak:
  description: Names of the secrets that are weak.
  returned: success
  type: list
  elements: str
encrypted:
  description: Whether a vault that was plain text was encrypted, or would be.
  returned: success
  type: bool
plain_keys:
  description: Private keys in O(key_directory) that are not encrypted.
  returned: success
  type: list
  elements: path
msg:
  description: All of this in sentences, or why nothing was changed.
  returned: always
  type: str
"""
