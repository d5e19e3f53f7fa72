#!/usr/bin/python
# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Release a containerised service as one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: service
short_description: Release a containerised service as one transaction
version_added: 0.1.0
description:
  - Brings a service, described by a Compose file and its configuration files, to the desired state, or leaves it as it
    was.
  - Before anything that runs is touched, the files are staged, Compose and the new image's own checker judge them,
    missing images are pulled, and throw-away copies of what would be replaced are started and must become ready.
  - Then the files are switched, the containers reloaded or recreated, and the release is committed once they are ready.
    On any failure the previous release is put back, and the error says why in one sentence.
  - What was changed by hand on the host (a stopped or removed container, an edited file, a widened mode, other limits,
    another image under the same tag) is found, shown in the diff, and repaired.
  - A run that was killed, at whatever step, is undone or finished by the next one.
  - A release is bound to the IDs of its images. A tag that moves later does not change it; name another tag or a digest
    to release another image. A reference that is new, but names the image that runs, recreates nothing.
author:
  - The protostar.platform authors (@protostar)
options:
  name:
    description:
      - Name of the service, and of its Compose project.
      - One to 41 lower-case letters, digits and hyphens, starting with a letter or a digit.
    type: str
    required: true
  state:
    description:
      - With V(present), the service is released and runs.
      - With V(absent), its containers and files are removed. Volumes, and files that were not written by this module,
        stay unless O(purge) is set.
    type: str
    choices: [present, absent]
    default: present
  purge:
    description: With O(state=absent), remove its volumes and its whole directory as well.
    type: bool
    default: false
  compose:
    description:
      - The Compose file as a mapping. Required with O(state=present).
      - Every service needs an image; C(name) is set to O(name).
      - Relative paths are relative to the service directory. Mount directories, not single files.
    type: dict
  overrides:
    description: Merged into O(compose) last, mappings recursively; anything else, lists included, is replaced.
    type: dict
    default: {}
  lock:
    description:
      - Digests of images, by the reference that O(compose) or O(overrides) names. Every image is replaced by what it is
        here, so that a tag that moves changes nothing.
      - With a lock that is not empty, an image that is neither in it nor named with its digest is refused.
      - Set it for all services at once in C(module_defaults). C(playbooks/lock.yml) of this collection writes it.
    type: dict
    default: {}
    version_added: 0.2.0
  files:
    description: Files of the service.
    type: list
    elements: dict
    default: []
    suboptions:
      dest:
        description: Path in a sub-directory of the service directory, such as V(config/redis.conf).
        type: str
        required: true
      content:
        description: Text of the file.
        type: str
        required: true
      mode:
        description: Octal mode.
        type: str
        default: "0444"
      owner:
        description: Numeric user ID of the owner.
        type: int
        default: 0
  secrets:
    description:
      - Files that only their owner may read. Their content is in no diff, log or return value.
      - Each has exactly one of O(secrets[].content) and O(secrets[].src).
    type: list
    elements: dict
    default: []
    suboptions:
      dest:
        description: Path in a sub-directory of the service directory, such as V(secrets/password).
        type: str
        required: true
      content:
        description: Text of the file. An empty one is refused.
        type: str
      src:
        description:
          - Absolute path of a file on the host that has the text, such as a key that never leaves the host.
          - It is read whenever the module runs, so that what changed there is taken over by the next run.
          - An empty one is refused, and so is a missing one. In check mode a missing one counts as changed, since an
            earlier task may be about to make it.
        type: path
        version_added: 0.6.0
      mode:
        description: Octal mode; one that grants anything to the group or to others is refused.
        type: str
        default: "0400"
      owner:
        description: Numeric user ID that the container's process runs as.
        type: int
        default: 0
  validate:
    description:
      - Commands that judge the new files, each in a throw-away container of the service's new image, with the staged
        files mounted as the service mounts them, without network, ports or data. The image's entrypoint is not used.
      - They run for services that the change touches. One that fails ends the run before anything is touched.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description: Service of O(compose) whose image and mounts are used.
        type: str
        required: true
      command:
        description: The command and its arguments.
        type: list
        elements: str
        required: true
  rehearse:
    description:
      - Before running containers are replaced, start throw-away copies of the new ones, and go on only once they are
        ready.
      - A copy has the same image, files and limits. It publishes no port, has no name, alias or fixed address that
        others could find, no host network, and empty volumes in place of data and of writable host directories.
      - Turn it off for a program that must not run twice, even for seconds.
    type: bool
    default: true
  reload:
    description:
      - How a service takes over changed files without being recreated. Used if nothing else about the service changed.
      - Exactly one of O(reload.signal), O(reload.command) and O(reload.http).
      - The container's health check is run right afterwards. If it fails, the previous files are put back and reloaded.
    type: dict
    suboptions:
      service:
        description: The service that is reloaded.
        type: str
        required: true
      signal:
        description: Signal for its main process, such as V(HUP).
        type: str
      command:
        description: Command run in its container.
        type: list
        elements: str
      http:
        description: Request sent from the host.
        type: dict
        suboptions:
          method:
            description: HTTP method.
            type: str
            default: POST
          url:
            description: Where it is sent. An answer other than 2xx is a failure.
            type: str
            required: true
      files:
        description:
          - Shell patterns of the files and secrets that a reload takes over. Default is all.
        type: list
        elements: str
  provision:
    description:
      - Commands run in the live containers once they are ready, when a new release is made.
      - They are part of the transaction, so that one that fails puts the previous release back; what it did to data
        stays.
      - Each has O(ready.timeout) to end.
    type: list
    elements: dict
    default: []
    suboptions:
      service:
        description: Service of O(compose) that the command runs in.
        type: str
        required: true
      command:
        description: The command and its arguments.
        type: list
        elements: str
        required: true
  ready:
    description: When a service counts as ready. Its health check must pass; without one, it must be running.
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
        description: How many looks in a row must find it ready.
        type: int
        default: 2
  keep:
    description: How many releases before the one in force are kept on the host.
    type: int
    default: 3
  root:
    description: Directory that the services live in.
    type: path
    default: /opt/protostar/services
attributes:
  check_mode:
    description: Can run in check mode and tell what it would change.
    support: full
    details:
      - Validation and rehearsal do not run, and images are not pulled.
      - Works on a host that has no Docker yet.
  diff_mode:
    description: Shows what changes.
    support: full
    details: For a secret only that it changed.
  platform:
    description: Where it runs.
    platforms: linux
    support: full
requirements:
  - Docker Engine 20.10 or newer (29.0 to 29.2 excepted)
  - Docker Compose v2.20 or newer
  - PyYAML
seealso:
  - module: protostar.platform.service_info
  - name: Compose file reference
    description: The language that a service is described in.
    link: https://docs.docker.com/reference/compose-file/
notes:
  - Needs root on the host.
  - In the service directory, C(compose.yaml) and the files are live, C(release.json) is the release in force,
    C(releases/<id>/) holds releases that can be put back. C(docker compose -f compose.yaml up -d) works there by hand.
  - Two runs for one service exclude each other; the second waits for 10 seconds and fails.
"""

EXAMPLES = r"""
- name: Redis
  protostar.platform.service:
    name: redis
    compose:
      services:
        redis:
          image: redis:8.2.3
          container_name: redis
          command: [redis-server, /etc/redis/redis.conf]
          restart: unless-stopped
          mem_limit: 256m
          volumes:
            - ./config:/etc/redis:ro
            - ./secrets:/run/secrets:ro
            - data:/data
          healthcheck:
            test: [CMD, redis-cli, ping]
            interval: 10s
      volumes:
        data:
          name: protostar-redis-data
    overrides: "{{ redis_compose_overrides }}"
    files:
      - dest: config/redis.conf
        content: "{{ lookup('ansible.builtin.template', 'redis.conf.j2') }}"
    secrets:
      - dest: secrets/users.acl
        content: "{{ lookup('ansible.builtin.template', 'users.acl.j2') }}"
        owner: 999

- name: A service with a key that never leaves the host
  protostar.platform.service:
    name: door
    compose: "{{ lookup('ansible.builtin.template', 'compose.yaml.j2') | from_yaml }}"
    secrets:
      - dest: secrets/peer.key
        src: /etc/protostar/certificates/peer/privkey.pem
    reload:
      service: door
      signal: HUP

- name: Nginx, which takes over a changed configuration on a signal
  protostar.platform.service:
    name: nginx
    compose: "{{ lookup('ansible.builtin.template', 'compose.yaml.j2') | from_yaml }}"
    files:
      - dest: config/nginx.conf
        content: "{{ lookup('ansible.builtin.template', 'nginx.conf.j2') }}"
    validate:
      - service: nginx
        command: [nginx, -t]
    reload:
      service: nginx
      signal: HUP

- name: A service whose image does not move
  protostar.platform.service:
    name: redis
    compose: "{{ lookup('ansible.builtin.template', 'compose.yaml.j2') | from_yaml }}"
    lock:
      redis:8.2.3: redis:8.2.3@sha256:3f2d0a1b...

- name: Remove a service, but not its data
  protostar.platform.service:
    name: redis
    state: absent
"""

RETURN = r"""
release:
  description: Number of the release in force, counted up from 1; V(null) if there is none.
  returned: always
  type: int
  sample: 5
actions:
  description: What was done, or would be done in check mode, in sentences.
  returned: always
  type: list
  elements: str
  sample: ["wrote config/redis.conf (changed)", "recreated redis (config/redis.conf changed)"]
services:
  description: The service's containers, each as M(protostar.platform.service_info) describes it.
  returned: success
  type: list
  elements: dict
diff:
  description: One entry for each file that changes, and one for the containers.
  returned: in diff mode
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._run import absent, hidden_words, present
from ansible_collections.protostar.platform.plugins.module_utils._secret_files import with_contents

_COMMANDS = {
    "type": "list",
    "elements": "dict",
    "default": [],
    "options": {
        "service": {"type": "str", "required": True},
        "command": {"type": "list", "elements": "str", "required": True},
    },
}


def _files(content: dict[str, object], mode: str, **more: object) -> dict[str, object]:
    return {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "dest": {"type": "str", "required": True},
            "mode": {"type": "str", "default": mode},
            "owner": {"type": "int", "default": 0},
            **content,
        },
        **more,
    }


ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "purge": {"type": "bool", "default": False},
    "compose": {"type": "dict"},
    "overrides": {"type": "dict", "default": {}},
    "lock": {"type": "dict", "default": {}},
    "files": _files({"content": {"type": "str", "required": True}}, "0444"),
    "secrets": _files(
        {"content": {"type": "str", "no_log": True}, "src": {"type": "path"}},
        "0400",
        no_log=False,  # the content is what must not be logged, not the paths
        mutually_exclusive=[("content", "src")],
        required_one_of=[("content", "src")],
    ),
    "validate": _COMMANDS,
    "rehearse": {"type": "bool", "default": True},
    "reload": {
        "type": "dict",
        "options": {
            "service": {"type": "str", "required": True},
            "signal": {"type": "str"},
            "command": {"type": "list", "elements": "str"},
            "http": {
                "type": "dict",
                "options": {"method": {"type": "str", "default": "POST"}, "url": {"type": "str", "required": True}},
            },
            "files": {"type": "list", "elements": "str"},
        },
    },
    "provision": _COMMANDS,
    "ready": {
        "type": "dict",
        "options": {
            "timeout": {"type": "float", "default": 60},
            "interval": {"type": "float", "default": 0.5},
            "successes": {"type": "int", "default": 2},
        },
    },
    "keep": {"type": "int", "default": 3},
    "root": {"type": "path", "default": "/opt/protostar/services"},
}


class Module(AnsibleModule):
    """A module whose arguments are kept out of the host's log.

    Ansible would write them there as Python does, and in that it does not find a secret of several lines to mask it.
    """

    def _log_invocation(self) -> None:
        self.log(f"{self.params['name']}: {self.params['state']}")


def main() -> None:
    """Run the module."""
    module = Module(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_if=[("state", "present", ("compose",))],
    )
    parameters = module.params
    try:
        if parameters["state"] == "present":
            parameters = with_contents(parameters, check=module.check_mode)
        module.no_log_values.update(hidden_words(parameters["secrets"]))
        act = present if parameters["state"] == "present" else absent
        result = act(parameters, check=module.check_mode, diff=module._diff)
    except ServiceError as error:
        module.fail_json(msg=f"{module.params['name']}: {error}")
    except Exception as error:
        module.fail_json(
            msg=f"{module.params['name']}: {type(error).__name__}: {error}; run again, and report it if it comes back"
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
