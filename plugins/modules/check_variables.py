#!/usr/bin/python
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

DOCUMENTATION = r"""
module: check_variables
short_description: Refuse misspelt variables, wrong types, unset and weak secrets, and clashing names
description:
  - Compares the variables of a host with the argument specifications of this collection's roles, before anything
    changes and without a connection to the host.
  - A variable that begins with a role's name but is not one of its variables is refused, with the nearest that is.
    So is a variable that is spelt almost like one.
  - A secret, that is an option marked C(no_log), must not be empty or a placeholder such as C(change me).
  - A password that this platform sets must not be weak, that is shorter than 16 characters, a default that everybody
    knows, its own name or its user's, or of few different characters. How long a secret is that others issue, such as a
    token, is their affair.
  - No two services may have the same name, no two containers the same fixed address in a network, and no two services
    may publish the same port of the host. Ports are read from the variables named C(*_publish*) and
    C(*_listen_address), fixed addresses from C(<role>_address) in C(<role>_network).
  - Types, choices and required options of all roles of the play are validated too. Ansible does the same when it comes
    to a role, which is after the roles before it have run.
options:
  roles:
    description: Roles of the play, whose arguments are checked.
    type: list
    elements: str
    required: true
  apps:
    description: Applications by name, as the role C(app) takes them.
    type: dict
    default: {}
  allow:
    description: Variables that are the user's own although they look like a role's. Shell patterns.
    type: list
    elements: str
    default: []
  allow_weak:
    description: Passwords that may be weak, as the refusal names them, or shell patterns.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [protostar.platform.on_controller]
"""

EXAMPLES = r"""
- name: Refuse what cannot work
  protostar.platform.check_variables:
    roles: "{{ ansible_play_role_names }}"
    apps: "{{ platform_apps }}"
    allow: [redis_exporter_dashboard_*]
"""

RETURN = r"""
msg:
  description: What is wrong, all at once, one sentence each.
  returned: failure
  type: str
  sample: >-
    Nothing was changed: redis_maxmemroy (group_vars/main.yml:4) is not a variable of the role redis.
    Did you mean redis_maxmemory?
"""
