#!/usr/bin/python
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

DOCUMENTATION = r"""
module: check_capacity
short_description: Refuse services that together may take more than the host has
version_added: 0.2.0
description:
  - Adds up the memory and CPU limits of all containers of a host. An application counts twice, since two releases of it
    run while the second takes over.
  - If they are more than the host has, the message is a table of who asks for what, the biggest first.
  - A single container with a CPU limit above the cores of the host is refused too, as Docker would.
options:
  containers:
    description: The containers that would run, as M(protostar.platform.stack) returns them.
    type: list
    elements: dict
    required: true
  memory:
    description: Memory of the host in MiB.
    type: float
    required: true
  cores:
    description: Cores of the host.
    type: int
    required: true
  memory_factor:
    description: The part of the memory that all limits together may be.
    type: float
    default: 1.0
  cpu_factor:
    description: The part of the cores that all limits together may be.
    type: float
    default: 1.0
extends_documentation_fragment: [protostar.platform.on_controller]
"""

EXAMPLES = r"""
- name: Capacity
  protostar.platform.check_capacity:
    containers: "{{ stack.containers }}"
    memory: "{{ ansible_facts['memtotal_mb'] }}"
    cores: "{{ ansible_facts['processor_vcpus'] }}"
    cpu_factor: 4
"""

RETURN = r"""
msg:
  description: Why it is refused, with the table.
  returned: failure
  type: str
"""
