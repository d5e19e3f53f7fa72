#!/usr/bin/python
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name, which does the work on the controller."""

DOCUMENTATION = r"""
module: check_versions
short_description: Refuse versions that do not fit each other
version_added: 0.2.0
description:
  - Evaluates rules of compatibility against the images that would run, the engine and the host, before anything changes
    and without a connection to the host. The message tells all that are broken, with reason, remedy and source.
options:
  containers:
    description: The containers that would run, as M(protostar.platform.stack) returns them.
    type: list
    elements: dict
    required: true
  engine:
    description: What is known of the engine, such as C(version), C(compose) and C(containerd_store).
    type: dict
    default: {}
  host:
    description: What is known of the host, such as C(distribution), C(release) and C(kernel).
    type: dict
    default: {}
  rules:
    description: The rules.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Name of the rule.
        type: str
        required: true
      condition:
        description:
          - Expression that is true if the rule is broken. It sees the variables of the host, O(engine), O(host) and
            C(images).
          - C(images) holds for each container its C(repository), C(tag), C(version), C(digest) and C(read_only). What
            the reference does not tell, such as the version in the tag C(latest), is undefined.
          - A condition about something undefined does not hold.
        type: str
        required: true
      reason:
        description: What breaks, in sentences.
        type: str
        required: true
      remedy:
        description: What to do, in sentences.
        type: str
        required: true
      source:
        description: Where that is written.
        type: str
        required: true
  allow:
    description: IDs of rules that may be broken.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [protostar.platform.on_controller]
"""

EXAMPLES = r"""
- name: Versions
  protostar.platform.check_versions:
    containers: "{{ stack.containers }}"
    engine: {version: 29.1.0}
    rules:
      - id: docker-29-api
        condition: engine.version is version('29.0', '>=') and engine.version is version('29.3', '<')
        reason: Docker 29.0 to 29.2 refuse the clients of many tools.
        remedy: Set docker_version to 29.3.0 or newer.
        source: https://docs.docker.com/engine/release-notes/29/
"""

RETURN = r"""
broken:
  description: IDs of the rules that are broken, allowed or not.
  returned: always
  type: list
  elements: str
msg:
  description: What is wrong, all at once.
  returned: failure
  type: str
"""
