#!/usr/bin/python
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

DOCUMENTATION = r"""
module: stack
short_description: Tell which containers the roles of a play would run
version_added: 0.2.0
description:
  - Evaluates the service, or the two colours, of every given role of this collection with the variables of the host,
    and tells which containers, images and limits it asks for.
  - It does so on the controller, without a connection to the host.
  - A service whose state is C(absent) is left out.
options:
  roles:
    description: Names of roles, with or without the collection's. One that runs no container is passed over.
    type: list
    elements: str
    required: true
  apps:
    description: Applications by name, as the role C(app) takes them. They are told of if O(roles) has that role.
    type: dict
    default: {}
extends_documentation_fragment: [protostar.platform.on_controller]
"""

EXAMPLES = r"""
- name: Containers
  protostar.platform.stack:
    roles: "{{ ansible_play_role_names }}"
    apps: "{{ platform_apps }}"
  register: stack
"""

RETURN = r"""
containers:
  description: The containers, in the order of the roles.
  returned: success
  type: list
  elements: dict
  contains:
    role:
      description: The role that asks for it.
      type: str
    colour:
      description: V(green) or V(blue) for an application that has both; empty for everything else.
      type: str
    service:
      description: Its name in the Compose file.
      type: str
    container:
      description: Its name on the host.
      type: str
    image:
      description: Its image, before a lock of images.
      type: str
    memory:
      description: Its memory limit in bytes; 0 if it has none.
      type: int
    cpus:
      description: Its CPU limit in cores; 0 if it has none.
      type: float
    read_only:
      description: Whether its root file system is read-only.
      type: bool
"""
