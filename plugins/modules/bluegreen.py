#!/usr/bin/python
# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Release applications in green and blue, without losing a request."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: bluegreen
short_description: Release applications in green and blue, without losing a request
version_added: 0.3.0
description:
  - Runs a release beside the one that serves, proves that it works, leads all requests to it in one write, watches it,
    and keeps the one before it as the way back.
  - Several applications in one call change together or not at all.
  - The steps are preflight (image, memory, disk, edge), migrate, start, smoke (tests of the new colour through the
    edge), canary, flip, verify (the same tests as any visitor), bake (error rate and latency, from the edge's own
    counters), drain (until nobody uses the old colour), standby, prune and record. Each is on disk before it begins.
  - What fails before the end of bake is taken back. The live colour serves meanwhile and afterwards.
  - A run that was killed, at whatever step, is finished by the same call, and finished or taken back by another one.
  - One deployer at a time. Another one is refused with RV(rc) 75 and RV(busy), and changes nothing; a lease ends with
    its process, or with its time if that hangs.
author:
  - The protostar.platform authors (@protostar)
options:
  state:
    description:
      - V(released) releases what is described, unless it is live already.
      - V(converged) repairs what is live and its standby, releases applications that never were, and tells in
        RV(pending) what is described otherwise than it was released. It changes no live colour.
      - V(rolled_back) leads the requests back to the standby, or to O(release). Without O(apps) all applications of the
        last release go back. What was rolled back from is the standby then, so that a second call goes forward again.
      - V(promoted) gives a release that waits in its canary all requests, or with O(final) gives up the standby.
      - V(aborted) takes back a release that waits or was interrupted.
      - V(resumed) finishes a release that was interrupted.
    type: str
    choices: [released, converged, rolled_back, promoted, aborted, resumed]
    default: released
  apps:
    description: The applications. For V(rolled_back) and V(promoted) only their names matter.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the application, as in C(nginx_apps).
        type: str
        required: true
      image:
        description: What it is released from, for the record.
        type: str
      colours:
        description:
          - What runs in C(green) and in C(blue), each with C(compose), a mapping as in M(protostar.platform.service).
          - Each replica is a service of its own, with a fixed address.
        type: dict
      secrets:
        description: Files that only their owner may read, as in M(protostar.platform.service).
        type: list
        elements: dict
        default: []
        suboptions:
          dest:
            description: Path in a sub-directory of the service directory.
            type: str
            required: true
          content:
            description: Text of the file.
            type: str
            required: true
          mode:
            description: Octal mode.
            type: str
            default: "0400"
          owner:
            description: Numeric user ID that the container's process runs as.
            type: int
            default: 0
      addresses:
        description: Addresses of the replicas, a list each for C(green) and C(blue).
        type: dict
      port:
        description: Port on which the replicas listen.
        type: int
      migrate:
        description:
          - A command that is run once in the new image before it starts, with its environment and secrets.
          - As in Compose it takes the place of the image's command, and the image's entrypoint stays.
        type: dict
        suboptions:
          command:
            description: The command and its arguments. It must be safe to run twice.
            type: list
            elements: str
            required: true
          kind:
            description:
              - V(expand) leaves the releases before it working.
              - V(contract) takes away what they may need. It is refused while a standby is kept, and nothing older
                comes back afterwards.
            type: str
            choices: [expand, contract]
            required: true
          timeout:
            description: How long it may take, in seconds.
            type: float
            default: 300
      smoke:
        description:
          - Requests that the new colour must answer before it gets any other, once for each replica.
          - They go through the edge under the public name, with O(preview_secret).
        type: list
        elements: dict
        default: []
        suboptions: &check
          url:
            description: A public URL.
            type: str
            required: true
          method:
            description: HTTP method.
            type: str
            default: GET
          status:
            description: Status of the answer.
            type: int
            default: 200
          body:
            description: Regular expression that the body matches.
            type: str
            default: ""
          headers:
            description: Regular expressions that headers of the answer match, by name.
            type: dict
            default: {}
          timeout:
            description: How long the answer may take, in seconds.
            type: float
            default: 5
      verify:
        description: Requests that any visitor's colour must answer after the flip. Default is O(apps[].smoke).
        type: list
        elements: dict
        suboptions: *check
      ready:
        description: When a replica counts as ready.
        type: dict
        suboptions:
          timeout:
            description: How long it may take, in seconds.
            type: float
            default: 60
          interval:
            description: Time between two looks, in seconds.
            type: float
            default: 0.5
          successes:
            description: How many looks, and runs of the health check, in a row must find it ready.
            type: int
            default: 3
      canary:
        description: A part of the visitors who get the new colour first.
        type: dict
        suboptions:
          steps:
            description: One after the other.
            type: list
            elements: dict
            default: []
            suboptions:
              weight:
                description: Percent of new visitors, who keep their colour by a cookie.
                type: int
                required: true
              seconds:
                description: How long.
                type: float
                required: true
          cohort:
            description: Visitors whose header C(X-Protostar-Cohort) or cookie C(protostar_cohort) says this.
            type: str
            default: ""
          wait:
            description: Leave the rest to O(state=promoted).
            type: bool
            default: false
      bake:
        description: How the new colour is watched after the flip, and during a canary.
        type: dict
        suboptions:
          seconds:
            description: How long.
            type: float
            default: 5
          errors:
            description: Largest share of answers with 5xx.
            type: float
            default: 0.01
          latency:
            description: Largest 95th percentile, in seconds; V(0) for no limit.
            type: float
            default: 0
          minimum:
            description: Answers below which nothing is judged.
            type: int
            default: 20
      drain:
        description: How long the old colour may still be used. What lasts longer is ended, and named in RV(drained).
        type: dict
        suboptions:
          timeout:
            description: For requests, in seconds.
            type: float
            default: 30
          streams:
            description: For WebSockets and event streams, in seconds.
            type: float
            default: 30
      standby:
        description: Whether the old colour runs on, so that the way back is one write, or is stopped to save memory.
        type: str
        choices: [warm, stopped]
        default: warm
      keep:
        description: How many releases before the live one can come back.
        type: int
        default: 3
      hooks:
        description: What is run before a step, or after the end. It is given the release as JSON.
        type: list
        elements: dict
        default: []
        suboptions:
          at:
            description: The step before which it runs; V(released) and V(failed) are the end.
            type: str
            choices: [preflight, migrate, start, smoke, canary, flip, verify, bake, drain, standby, prune, record,
              released, failed]
            required: true
          command:
            description: Command on the host; the JSON is its input.
            type: list
            elements: str
          url:
            description: Or where the JSON is posted.
            type: str
          timeout:
            description: How long it may take, in seconds.
            type: float
            default: 30
  release:
    description: With O(state=rolled_back), the release to go back to. Default is the standby.
    type: int
  final:
    description:
      - With O(state=promoted), and nothing that waits, give up the standby, so that a contract migration may follow.
    type: bool
    default: false
  owner:
    description: Who this is, for the ledger and for other deployers.
    type: str
    default: ""
  reason:
    description: Why, for the ledger.
    type: str
    default: ""
  auto_release:
    description: With O(state=converged), also release what is pending.
    type: bool
    default: false
  preview_secret:
    description: What the edge takes for a preview; C(nginx_preview_secret).
    type: str
    default: ""
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
      keepalive:
        description: How long nginx keeps an idle connection to an application, in seconds.
        type: float
        default: 60
  lock:
    description: Digests of images by reference, as in M(protostar.platform.service).
    type: dict
    default: {}
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
    description: Can run in check mode and tell what it would do.
    support: full
    details: Nothing is pulled, started or asked of the new image.
  diff_mode:
    description: Shows what changes.
    support: full
  platform:
    description: Where it runs.
    platforms: linux
    support: full
requirements:
  - The role M(protostar.platform.nginx) on the same host
  - Docker Engine 20.10 or newer (29.0 to 29.2 excepted)
  - Docker Compose v2.20 or newer
  - PyYAML
seealso:
  - module: protostar.platform.bluegreen_info
  - module: protostar.platform.service
notes:
  - Needs root on the host.
"""

EXAMPLES = r"""
- name: Release an application
  protostar.platform.bluegreen:
    owner: ada@ci
    preview_secret: "{{ platform_secrets.preview }}"
    apps:
      - name: shop
        image: registry.example.com/shop@sha256:3f2d0a1b...
        port: 3000
        addresses: {green: [10.201.1.11], blue: [10.201.1.15]}
        colours:
          green: {compose: "{{ lookup('ansible.builtin.template', 'green.yaml.j2') | from_yaml }}"}
          blue: {compose: "{{ lookup('ansible.builtin.template', 'blue.yaml.j2') | from_yaml }}"}
        smoke:
          - url: https://shop.example.com/ready

- name: Go back to the release before
  protostar.platform.bluegreen:
    state: rolled_back
"""

RETURN = r"""
state:
  description:
    - What came of it. V(released), V(rolled_back), V(promoted), V(waiting) in a canary, V(failed) or V(aborted) and
      taken back, V(unchanged), or V(pending) where something is declared that is not released.
  returned: always
  type: str
  sample: released
release:
  description: Number of the release, counted up from 1.
  returned: always
  type: int
  sample: 12
apps:
  description: By application, its live colour, the colour before, image and version.
  returned: always
  type: dict
steps:
  description: The steps that were taken, each with its duration in seconds.
  returned: when a release was made
  type: list
  elements: dict
flip_seconds:
  description: How long the write took that changed the colours, in seconds.
  returned: when a release was made
  type: float
  sample: 0.0011
drained:
  description: By application, how long its old colour was still used, and what was cut.
  returned: when a release was made
  type: dict
actions:
  description: What was done, or would be done in check mode, in sentences.
  returned: always
  type: list
  elements: str
pending:
  description: By application, what is declared and not released, with the command that releases it.
  returned: success
  type: dict
busy:
  description: Who holds the lease (C(owner)), for how many seconds (C(age)), with which C(release).
  returned: when another deployer is at work
  type: dict
rc:
  description: 75 when another deployer is at work, which is worth another try later.
  returned: when another deployer is at work
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.protostar.platform.plugins.module_utils._bluegreen import run
from ansible_collections.protostar.platform.plugins.module_utils._course import RELEASE, STEPS
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._lease import Busy
from ansible_collections.protostar.platform.plugins.module_utils._outcome import outcome
from ansible_collections.protostar.platform.plugins.module_utils._rollout import RolloutError
from ansible_collections.protostar.platform.plugins.module_utils._run import hidden_words

# EX_TEMPFAIL of sysexits.h: try again later.
TRY_LATER = 75

_CHECKS = {
    "type": "list",
    "elements": "dict",
    "options": {
        "url": {"type": "str", "required": True},
        "method": {"type": "str", "default": "GET"},
        "status": {"type": "int", "default": 200},
        "body": {"type": "str", "default": ""},
        "headers": {"type": "dict", "default": {}},
        "timeout": {"type": "float", "default": 5},
    },
}
_APP = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str"},
    "colours": {"type": "dict"},
    "secrets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "no_log": False,  # the content is what must not be logged, not the paths
        "options": {
            "dest": {"type": "str", "required": True},
            "content": {"type": "str", "required": True, "no_log": True},
            "mode": {"type": "str", "default": "0400"},
            "owner": {"type": "int", "default": 0},
        },
    },
    "addresses": {"type": "dict"},
    "port": {"type": "int"},
    "migrate": {
        "type": "dict",
        "options": {
            "command": {"type": "list", "elements": "str", "required": True},
            "kind": {"type": "str", "choices": ["expand", "contract"], "required": True},
            "timeout": {"type": "float", "default": 300},
        },
    },
    "smoke": {**_CHECKS, "default": []},
    "verify": _CHECKS,
    "ready": {
        "type": "dict",
        "options": {
            "timeout": {"type": "float", "default": 60},
            "interval": {"type": "float", "default": 0.5},
            "successes": {"type": "int", "default": 3},
        },
    },
    "canary": {
        "type": "dict",
        "options": {
            "steps": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "weight": {"type": "int", "required": True},
                    "seconds": {"type": "float", "required": True},
                },
            },
            "cohort": {"type": "str", "default": ""},
            "wait": {"type": "bool", "default": False},
        },
    },
    "bake": {
        "type": "dict",
        "options": {
            "seconds": {"type": "float", "default": 5},
            "errors": {"type": "float", "default": 0.01},
            "latency": {"type": "float", "default": 0},
            "minimum": {"type": "int", "default": 20},
        },
    },
    "drain": {
        "type": "dict",
        "options": {"timeout": {"type": "float", "default": 30}, "streams": {"type": "float", "default": 30}},
    },
    "standby": {"type": "str", "choices": ["warm", "stopped"], "default": "warm"},
    "keep": {"type": "int", "default": 3},
    "hooks": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "at": {
                "type": "str",
                "choices": [*STEPS[RELEASE], "released", "failed"],
                "required": True,
            },
            "command": {"type": "list", "elements": "str"},
            "url": {"type": "str"},
            "timeout": {"type": "float", "default": 30},
        },
    },
}
ARGUMENTS = {
    "state": {
        "type": "str",
        "choices": ["released", "converged", "rolled_back", "promoted", "aborted", "resumed"],
        "default": "released",
    },
    "apps": {"type": "list", "elements": "dict", "default": [], "options": _APP},
    "release": {"type": "int"},
    "final": {"type": "bool", "default": False},
    "owner": {"type": "str", "default": ""},
    "reason": {"type": "str", "default": ""},
    "auto_release": {"type": "bool", "default": False},
    "preview_secret": {"type": "str", "default": "", "no_log": True},
    "edge": {
        "type": "dict",
        "default": {},
        "apply_defaults": True,
        "options": {
            "container": {"type": "str", "default": "nginx"},
            "directory": {"type": "path", "default": "/opt/protostar/edge"},
            "keepalive": {"type": "float", "default": 60},
        },
    },
    "lock": {"type": "dict", "default": {}},
    "services": {"type": "path", "default": "/opt/protostar/services"},
    "root": {"type": "path", "default": "/opt/protostar/releases"},
}


class Module(AnsibleModule):
    """A module whose arguments are kept out of the host's log, where Ansible masks no secret of several lines."""

    def _log_invocation(self) -> None:
        self.log(f"{self.params['state']}: {', '.join(entry['name'] for entry in self.params['apps'])}")


def main() -> None:
    """Run the module."""
    module = Module(argument_spec=ARGUMENTS, supports_check_mode=True)
    for entry in module.params["apps"]:
        module.no_log_values.update(hidden_words(entry["secrets"]))
    try:
        result = run(module.params, check=module.check_mode, say=module.log)
    except Busy as busy:
        told = {"owner": busy.owner, "age": round(busy.age), "release": busy.release}
        module.fail_json(msg=str(busy), rc=TRY_LATER, busy=told, state="busy", release=None, apps={}, actions=[])
    except RolloutError as error:
        module.fail_json(msg=str(error), **outcome(error.entry))
    except ServiceError as error:
        module.fail_json(msg=str(error), state="refused", release=None, apps={}, actions=[])
    except Exception as error:
        module.fail_json(msg=f"{type(error).__name__}: {error}; run again, and report it if it comes back")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
