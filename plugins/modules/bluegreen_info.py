#!/usr/bin/python
# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell which release of each application is live, and what became of the releases."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bluegreen_info
short_description: Tell which releases are live, and what became of the others
version_added: 0.3.0
description:
  - Reads the ledger of M(protostar.platform.bluegreen), the edge's counters and the containers. Nothing is changed.
author:
  - The protostar.platform authors (@protostar)
options:
  history:
    description: How many releases are told, the newest.
    type: int
    default: 20
  edge:
    description: Where the edge is.
    type: dict
    default: {}
    suboptions:
      container:
        description: Container of nginx.
        type: str
        default: nginx
      directory:
        description: Directory of the durable pools.
        type: path
        default: /opt/protostar/edge
  services:
    description: Directory that the services live in.
    type: path
    default: /opt/protostar/services
  root:
    description: Directory of releases, with the ledger.
    type: path
    default: /opt/protostar/releases
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
  platform:
    description: Where it runs.
    platforms: linux
    support: full
seealso:
  - module: protostar.platform.bluegreen
"""

EXAMPLES = r"""
- name: Which release is live?
  protostar.platform.bluegreen_info:
  register: releases
"""

RETURN = r"""
apps:
  description: One entry for each colour of each application, the live one first.
  returned: success
  type: list
  elements: dict
  contains:
    app:
      description: Name of the application.
      type: str
      sample: nest
    colour:
      description: V(green) or V(blue).
      type: str
      sample: green
    role:
      description: V(live), or V(standby), the way back.
      type: str
      sample: live
    release:
      description: The release that it runs.
      type: int
      sample: 12
    image:
      description: What it was released from.
      type: str
      sample: registry.example.com/nest:1.4.2
    version:
      description: The image's label C(org.opencontainers.image.version), else its tag.
      type: str
      sample: 1.4.2
    since:
      description: When it was released, in UTC.
      type: str
      sample: "2026-11-22T08:00:00+00:00"
    health:
      description: V(healthy), or the state of those replicas that are not.
      type: str
      sample: healthy
    in_flight:
      description: Requests under way; V(null) when nginx does not answer.
      type: int
      sample: 3
    websockets:
      description: Open WebSockets.
      type: int
      sample: 1
    streams:
      description: Open event streams.
      type: int
      sample: 0
    owner:
      description: Who released it.
      type: str
      sample: ada@ci
    edge:
      description: Whether the edge leads requests there.
      type: bool
      sample: true
releases:
  description: The newest releases, as they were recorded, the newest first; one that is under way comes before them.
  returned: success
  type: list
  elements: dict
under_way:
  description: The release under way or interrupted, with its C(step); V(null) if there is none.
  returned: success
  type: dict
deployer:
  description: Who holds the lease now; V(null) if nobody does.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._releases import described


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "history": {"type": "int", "default": 20},
            "edge": {
                "type": "dict",
                "default": {},
                "apply_defaults": True,
                "options": {
                    "container": {"type": "str", "default": "nginx"},
                    "directory": {"type": "path", "default": "/opt/protostar/edge"},
                },
            },
            "services": {"type": "path", "default": "/opt/protostar/services"},
            "root": {"type": "path", "default": "/opt/protostar/releases"},
        },
        supports_check_mode=True,
    )
    try:
        result = described(module.params)
    except (ServiceError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
