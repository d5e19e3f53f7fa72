#!/usr/bin/python
# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what the services of a host are doing."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: service_info
short_description: Tell what runs on a host
version_added: 0.1.0
description:
  - Lists the containers of every service that M(protostar.platform.service) released on this host, with their image,
    version, health and addresses.
  - A container that was released and does not exist any more is listed with the state V(missing).
author:
  - The protostar.platform authors (@protostar)
options:
  root:
    description: Directory that the services live in.
    type: path
    default: /opt/protostar/services
attributes:
  check_mode:
    description: Can run in check mode; it changes nothing.
    support: full
  diff_mode:
    description: Shows what changed.
    support: N/A
    details: It changes nothing.
  platform:
    description: Where it runs.
    platforms: linux
    support: full
requirements:
  - Docker Engine 20.10 or newer
seealso:
  - module: protostar.platform.service
"""

EXAMPLES = r"""
- name: Read what runs here
  protostar.platform.service_info:
  register: running

- name: Refuse to go on while anything is unhealthy
  ansible.builtin.assert:
    that: running.services | rejectattr('health', 'in', ['healthy', 'none']) | length == 0
"""

RETURN = r"""
services:
  description: The containers, ordered by service and container.
  returned: success
  type: list
  elements: dict
  contains:
    service:
      description: Name of the service, which is its Compose project.
      type: str
      sample: redis
    container:
      description: Name of the container.
      type: str
      sample: redis
    image:
      description: Image it was made from.
      type: str
      sample: redis:8.2.3
    version:
      description: The image's label C(org.opencontainers.image.version), else its tag.
      type: str
      sample: 8.2.3
    state:
      description: V(running), another state that the engine knows, or V(missing).
      type: str
      sample: running
    health:
      description: V(healthy), V(unhealthy), V(starting), or V(none) without a health check.
      type: str
      sample: healthy
    addresses:
      description: The published ports, else the addresses on its networks.
      type: list
      elements: str
      sample: ["198.19.0.10:443→443/tcp"]
    stand_in:
      description: Whether the image says that it only stands in for the real program.
      type: bool
      sample: false
    since:
      description: When it was started, in UTC.
      type: str
      sample: "2026-11-22T08:00:00.123456789Z"
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.protostar.platform.plugins.module_utils._engine import Engine
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._status import services
from ansible_collections.protostar.platform.plugins.module_utils._store import Store


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"root": {"type": "path", "default": "/opt/protostar/services"}}, supports_check_mode=True
    )
    root = Path(module.params["root"])
    try:
        names = sorted(path.parent.name for path in root.glob("*/release.json"))
        engine = Engine()
        found = [item for name in names for item in services(engine, name, Store(str(root), name).record())]
    except (ServiceError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, services=found)


if __name__ == "__main__":
    main()
