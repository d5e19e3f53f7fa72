#!/usr/bin/python
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

DOCUMENTATION = r"""
module: rotated_secret
short_description: Change a secret of a vault, in stages
version_added: 0.5.0
description:
  - Without O(stage), tells what uses the secret and in which stages it is changed. Nothing is written.
  - With it, brings the vault to that stage. C(playbooks/rotate.yml) brings the hosts there after each.
  - Until it is finished, the vault has both values in C(platform_rotation.<secret>), with the stage; what the
    services take besides C(platform_secrets.<secret>) is in its C(passwords). One that was interrupted goes on there.
  - A secret that no variable refers to as C(platform_rotation.<secret>) has a single stage, since its service takes one
    value at a time.
  - Afterwards C(platform_rotated.<secret>) is the day.
options:
  path:
    description: The vault, a YAML file of the inventory with C(platform_secrets).
    type: path
    required: true
  secret:
    description: Name of the secret.
    type: str
    required: true
  stage:
    description:
      - V(accept) makes a new value, which is valid beside the old one. V(use) has the new one used. V(return) has it
        used with the first login again, where another stood in. V(close) has the old one refused.
      - V(finished) forgets the old value.
    type: str
    choices: [accept, use, return, close, finished]
  plays:
    description: Playbooks whose plays name the roles of a group of hosts.
    type: list
    elements: path
    default: []
  issued_elsewhere:
    description: Shell patterns of variables whose secrets others issue. They are refused.
    type: list
    elements: str
    default: [alertmanager_*, ddclient_*]
attributes:
  check_mode:
    description: Writes nothing.
    support: full
  diff_mode:
    description: There is no diff, which would show secrets.
    support: none
notes:
  - Runs on the controller, whatever the host, and looks at the variables of all hosts. Run it for one host.
seealso:
  - module: protostar.platform.vaulted_secrets
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: How would the password be changed?
  protostar.platform.rotated_secret:
    path: "{{ inventory_dir }}/group_vars/all/vault.yml"
    secret: redis_nest
    plays: ["{{ playbook_dir }}/main.yml"]
"""

RETURN = r"""
stages:
  description: The stages that are left, in their order.
  returned: success, without O(stage)
  type: list
  elements: str
  sample: [accept, use, close]
users:
  description: By host, the C(roles) and C(apps) that use it, and the C(variables).
  returned: success, without O(stage)
  type: dict
msg:
  description: The plan in sentences, or why nothing was changed.
  returned: always
  type: str
"""
