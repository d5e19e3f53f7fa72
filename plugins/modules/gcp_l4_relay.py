#!/usr/bin/python
# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small machine in Google's cloud that leads a public address to a home, within the free tier."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: gcp_l4_relay
short_description: A small machine in Google's cloud that leads a public address to a home, within the free tier
version_added: 0.4.0
description:
  - Creates, repairs or removes a relay, which is a network with a subnetwork, firewall rules, a reserved address and an
    instance, all of the same name.
  - What was changed by hand (a widened rule, another machine type, a lifted protection, Secure Boot turned off, a
    stopped instance, changed labels, tags or metadata) is found, shown in the diff, and repaired. Labels, tags and
    metadata that others added are kept.
  - Refuses what would cost money before anything is changed, and names the rule of the free tier and the price.
  - Refuses to touch what has the same name and is not marked as this relay's. The marks are the labels
    C(managed-by=protostar-platform) and C(protostar-relay=<name>), and a description with the same words on networks,
    subnetworks and firewall rules, which have no labels.
  - A run that was killed, at whatever request, is finished by the next one.
author:
  - The protostar.platform authors (@protostar)
extends_documentation_fragment: [protostar.platform.google]
options:
  state:
    description:
      - With V(present), the relay exists and runs.
      - With V(absent), everything that is marked as this relay's is removed, its deletion protection lifted first. What
        is not marked stays, and is named in a warning.
    type: str
    choices: [present, absent]
    default: present
  network:
    description:
      - Name of an existing network, in which a subnetwork O(name) is made. It is never changed or removed.
      - If empty, the relay gets a network of its own, in which nothing is open by default.
    type: str
    default: ""
  subnetwork_range:
    description: Private addresses of the subnetwork. It cannot be changed while the relay exists.
    type: str
    default: 10.203.0.0/24
  tcp_ports:
    description: TCP ports that are open to the world; V(80) beside V(443) if it is relayed as well.
    type: list
    elements: int
    default: [443]
  udp_ports:
    description: UDP ports that are open to the world; V(51820) with a WireGuard tunnel.
    type: list
    elements: int
    default: []
  ssh:
    description:
      - Whether SSH is V(closed), or open to Google's identity-aware proxy alone (V(iap)).
      - A rule denies the instance everything that is not allowed here, so that rules that come with a named network, or
        that others add to it, open nothing.
    type: str
    choices: [closed, iap]
    default: closed
  network_tier:
    description:
      - Network service tier of the address and the instance.
      - The standard tier is the default since 200 GB a month leave it free of charge, while it is 1 GB on the premium
        tier, and a relay sends every byte that its visitors get. The premium tier reaches far visitors some
        milliseconds sooner.
      - A change releases the address and reserves another one, since Google moves no address between tiers.
    type: str
    choices: [standard, premium]
    default: standard
  machine_type:
    description: Machine type. A change stops the instance and starts it again.
    type: str
    default: e2-micro
  image:
    description: Image, or family of images, of Debian or Ubuntu that a new instance is made from.
    type: str
    default: projects/debian-cloud/global/images/family/debian-13
  disk_type:
    description: Type of a new instance's disk.
    type: str
    default: pd-standard
  disk_size:
    description: Size of the disk, in GB. A disk grows, and never shrinks.
    type: int
    default: 10
  deletion_protection:
    description: Whether Google refuses to delete the instance. O(state=absent) lifts it.
    type: bool
    default: true
  labels:
    description: Labels of address, disk and instance, besides those of ownership. V(null) removes one.
    type: dict
    default: {}
  metadata:
    description:
      - Metadata of the instance that are the relay's. V(null) removes one; all others are kept, and their keys returned
        in RV(foreign_metadata).
      - Everyone who may look at the instance, and every process on it, can read them. A private key is refused.
      - C(enable-guest-attributes=TRUE), C(block-project-ssh-keys=TRUE) and C(serial-port-enable=FALSE) are set besides.
      - A new C(startup-script) runs at the next boot only.
    type: dict
    default: {}
  adopt:
    description:
      - Whether to take over what has the same name and is not marked; with O(state=absent), to remove it.
      - A network and a subnetwork cannot be marked afterwards, so that they need it in every run.
    type: bool
    default: false
  guard_free_tier:
    description:
      - Refuse what the free tier does not cover. The rules are about O(region), O(machine_type), O(disk_type),
        O(disk_size), O(network_tier) and O(image), another reserved address, and another running e2-micro.
      - The last two are judged when an address or an instance would be made. What other projects of the billing account
        use up is not known here.
    type: bool
    default: true
attributes:
  check_mode:
    description: Can run in check mode and tell what it would change.
    support: full
    details: It sends no request that changes anything.
  diff_mode:
    description: Shows what changes.
    support: full
    details: Of metadata that are not the relay's only the key.
  platform:
    description: Where it runs.
    platforms: posix
    support: full
seealso:
  - module: protostar.platform.gcp_l4_relay_info
  - name: Google Cloud's free tier
    description: What it covers.
    link: https://cloud.google.com/free/docs/free-cloud-features
"""

EXAMPLES = r"""
- name: A relay for HTTPS
  protostar.platform.gcp_l4_relay:
    project: shop-1234
    region: us-west1
    service_account_file: ~/.config/protostar/relay.json
  delegate_to: localhost

- name: A relay with a tunnel, whose agent follows the bundle in its metadata
  protostar.platform.gcp_l4_relay:
    project: shop-1234
    region: us-west1
    tcp_ports: [80, 443]
    udp_ports: [51820]
    metadata:
      protostar-relay: "{{ lookup('ansible.builtin.file', 'bundle.json') }}"
  delegate_to: localhost

- name: What it would cost to leave the free tier
  protostar.platform.gcp_l4_relay:
    project: shop-1234
    region: asia-northeast3
  delegate_to: localhost
  check_mode: true

- name: No relay
  protostar.platform.gcp_l4_relay:
    project: shop-1234
    region: us-west1
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
actions:
  description: What was done, or would be, one sentence each.
  returned: always
  type: list
  elements: str
  sample: [set the firewall rule protostar-relay-allow, stop the instance protostar-relay]
address:
  description: The public address; empty if there is none, or none yet in check mode.
  returned: success
  type: str
  sample: 203.0.113.7
instance:
  description: The instance as it is; V(null) if there is none. Of its metadata only the keys.
  returned: success
  type: dict
  sample: {name: protostar-relay, zone: us-west1-b, machine_type: e2-micro, status: RUNNING}
foreign_metadata:
  description: Keys of metadata that are not the relay's.
  returned: success
  type: list
  elements: str
  sample: [startup-script]
unused_addresses:
  description: Other addresses of the project that are reserved and not used, which cost money.
  returned: success
  type: list
  elements: dict
  sample: [{name: old, address: 203.0.113.9, region: us-east1, tier: premium}]
requests:
  description: How many requests were sent that change nothing (C(reads)), and that change something (C(writes)).
  returned: always
  type: dict
  sample: {reads: 8, writes: 0}
diff:
  description: One entry for each resource that changes.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.protostar.platform.plugins.module_utils import _gce_free_tier, _gce_http, _gce_show
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._gce_apply import Failed, converge
from ansible_collections.protostar.platform.plugins.module_utils._gce_desired import endpoint, relay
from ansible_collections.protostar.platform.plugins.module_utils._gce_normalise import World
from ansible_collections.protostar.platform.plugins.module_utils._gce_options import PLACE
from ansible_collections.protostar.platform.plugins.module_utils._gce_plan_instance import foreign_metadata
from ansible_collections.protostar.platform.plugins.module_utils._gce_session import Session

ARGUMENTS = {
    **PLACE,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "network": {"type": "str", "default": ""},
    "subnetwork_range": {"type": "str", "default": "10.203.0.0/24"},
    "tcp_ports": {"type": "list", "elements": "int", "default": [443]},
    "udp_ports": {"type": "list", "elements": "int", "default": []},
    "ssh": {"type": "str", "choices": ["closed", "iap"], "default": "closed"},
    "network_tier": {"type": "str", "choices": ["standard", "premium"], "default": "standard"},
    "machine_type": {"type": "str", "default": "e2-micro"},
    "image": {"type": "str", "default": "projects/debian-cloud/global/images/family/debian-13"},
    "disk_type": {"type": "str", "default": "pd-standard"},
    "disk_size": {"type": "int", "default": 10},
    "deletion_protection": {"type": "bool", "default": True},
    "labels": {"type": "dict", "default": {}},
    "metadata": {"type": "dict", "default": {}},
    "adopt": {"type": "bool", "default": False},
    "guard_free_tier": {"type": "bool", "default": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if _gce_http.MISSING:
        module.fail_json(msg=missing_required_lib(_gce_http.MISSING))
    options, session = module.params, None
    try:
        declared, address = relay(options), endpoint(options["api_endpoint"])
        where = declared.place
        if options["state"] == "present":
            # What the declaration alone shows, before anybody is asked for credentials.
            _gce_free_tier.check(declared, World())
        http = _gce_http.connect(address, options["service_account_file"])
        session = Session(http, address, project=where.project, zone=where.zone, timeout=options["timeout"])
        outcome = converge(declared, session, absent=options["state"] == "absent", check=module.check_mode)
    except Failed as error:
        told = _gce_show.requests(session)
        module.fail_json(msg=str(error), actions=error.actions, changed=bool(error.actions), requests=told, diff=[])
    except ServiceError as error:
        told = _gce_show.requests(session)
        module.fail_json(msg=f"{error} Nothing was changed.", actions=[], changed=False, requests=told, diff=[])
    except Exception as error:
        module.fail_json(msg=f"{type(error).__name__}: {error}; run again, and report it if it comes back")
    world, unused = outcome.world, _gce_show.unused(outcome.world.other_addresses(where))
    for note in filter(None, [*outcome.notes, _gce_show.unused_note(declared.place, unused)]):
        module.warn(note)
    module.exit_json(
        changed=bool(outcome.actions),
        actions=outcome.actions,
        diff=_gce_show.diffs(outcome.changes),
        address=_gce_show.public_address(world.address(where)),
        instance=_gce_show.instance(world.instance),
        foreign_metadata=foreign_metadata(declared, world.instance),
        unused_addresses=unused,
        requests=_gce_show.requests(session),
    )


if __name__ == "__main__":
    main()
