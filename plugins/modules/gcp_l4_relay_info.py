#!/usr/bin/python
# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell what a relay in Google's cloud is doing."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gcp_l4_relay_info
short_description: Tell what a relay in Google's cloud is doing
version_added: 0.4.0
description:
  - Reads a relay that M(protostar.platform.gcp_l4_relay) made, with the state that its agent reports through guest
    attributes.
author:
  - The protostar.platform authors (@protostar)
extends_documentation_fragment: [protostar.platform.google]
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
    platforms: posix
    support: full
seealso:
  - module: protostar.platform.gcp_l4_relay
"""

EXAMPLES = r"""
- name: Read what the relay is doing
  protostar.platform.gcp_l4_relay_info:
    project: shop-1234
    region: us-west1
  delegate_to: localhost
  register: relay

- name: Refuse to go on while its agent has rejected the newest bundle
  ansible.builtin.assert:
    that: relay.guest.rejected is none
    fail_msg: "{{ relay.guest.rejected }}"
"""

RETURN = r"""
exists:
  description: Whether the instance exists and is marked as this relay's.
  returned: success
  type: bool
address:
  description: The reserved public address; empty if there is none.
  returned: success
  type: str
  sample: 203.0.113.7
status:
  description: The instance's status, as Google calls it; V(ABSENT) if there is none.
  returned: success
  type: str
  sample: RUNNING
instance:
  description: The instance; V(null) if there is none. Of its metadata only the keys.
  returned: success
  type: dict
labels:
  description: The instance's labels.
  returned: success
  type: dict
unused_addresses:
  description: Addresses of the project that are reserved and not used, which cost money.
  returned: success
  type: list
  elements: dict
guest:
  description: What the agent on the instance reported last; V(null) if nothing yet.
  returned: success
  type: dict
  sample: {version: 3f2d0a1b5c6d7e8f, rejected: null, line: open}
requests:
  description: How many requests were sent that change nothing (C(reads)), and that change something (C(writes)).
  returned: always
  type: dict
  sample: {reads: 3, writes: 0}
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.protostar.platform.plugins.module_utils import _gce_http, _gce_read, _gce_show
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import endpoint, place
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import World, labelled
from ansible_collections.protostar.platform.plugins.module_utils._gce_options import PLACE
from ansible_collections.protostar.platform.plugins.module_utils._gce_session import Session


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=PLACE, supports_check_mode=True)
    if _gce_http.MISSING:
        module.fail_json(msg=missing_required_lib(_gce_http.MISSING))
    options, session = module.params, None
    try:
        where, address = place(options), endpoint(options["api_endpoint"])
        http = _gce_http.connect(address, options["service_account_file"])
        session = Session(http, address, project=where.project, zone=where.zone, timeout=options["timeout"])
        instance = session.get(f"{where.zonal}/instances/{where.name}")
        addresses = _gce_read.addresses(session)
        guest = _gce_read.guest_status(session, where, instance) if instance is not None else None
    except ServiceError as error:
        module.fail_json(msg=str(error), requests=_gce_show.requests(session))
    except Exception as error:
        module.fail_json(msg=f"{type(error).__name__}: {error}; run again, and report it if it comes back")
    module.exit_json(
        changed=False,
        exists=instance is not None and labelled(instance, where),
        address=_gce_show.public_address(World(addresses=addresses).address(where)),
        status=(instance or {}).get("status", "ABSENT"),
        instance=_gce_show.instance(instance),
        labels=(instance or {}).get("labels") or {},
        unused_addresses=_gce_show.unused(addresses),
        guest=guest,
        requests=_gce_show.requests(session),
    )


if __name__ == "__main__":
    main()
