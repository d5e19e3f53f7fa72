# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lookup that tells who runs Ansible."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from typing import Any

from ansible.plugins.lookup import LookupBase

DOCUMENTATION = r"""
name: deployer
short_description: Tell who runs Ansible
version_added: 0.3.0
description:
  - Returns the address of the CI job that runs Ansible, as GitLab, Jenkins, GitHub, Gitea and Forgejo tell it in the
    environment, and outside of a CI job the user and the controller, such as C(ada@laptop).
options:
  _terms:
    description: None.
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: Release, and remember who did
  protostar.platform.bluegreen:
    owner: "{{ lookup('protostar.platform.deployer') }}"
    apps: "{{ apps }}"
"""

RETURN = r"""
_raw:
  description: Who it is, in one string.
  type: list
  elements: str
"""


def find_job(environment: Mapping[str, str]) -> str:
    """Return the address of the CI job with this environment; empty outside of one."""
    # GitLab; Jenkins; GitHub, Gitea and Forgejo.
    job = environment.get("CI_JOB_URL") or environment.get("BUILD_URL") or ""
    if not job and environment.get("GITHUB_RUN_ID"):
        server, repository = environment.get("GITHUB_SERVER_URL", ""), environment.get("GITHUB_REPOSITORY", "")
        job = f"{server}/{repository}/actions/runs/{environment['GITHUB_RUN_ID']}"
    return job


def find_person() -> str:
    """Return the user and the name of this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container with a user that it does not know
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


class LookupModule(LookupBase):
    """The lookup, for Ansible's loader."""

    def run(self, terms: list[str], variables: Any = None, **options: Any) -> list[str]:  # noqa: ANN401
        """Return who runs Ansible."""
        return [find_job(os.environ) or find_person()]
