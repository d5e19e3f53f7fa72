# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that turns a password into the verifier that PostgreSQL stores."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: scram_sha_256
short_description: Turn a password into PostgreSQL's SCRAM verifier
description:
  - The verifier can be given to C(ALTER ROLE … PASSWORD) in place of the password, so that the password itself never
    reaches the server, its log or its statistics.
  - The same password and user always give the same verifier, so that a second run changes nothing.
options:
  _input:
    description: The password, in printable ASCII.
    type: str
    required: true
  user:
    description: Name of the user. It makes the verifiers of two users with one password differ.
    type: str
    required: true
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: Show a verifier
  ansible.builtin.debug:
    msg: "{{ 'a password' | protostar.platform.scram_sha_256('app') }}"
"""

RETURN = r"""
_value:
  description: The verifier.
  type: str
"""

ITERATIONS = 4096  # PostgreSQL's default, scram_iterations


def scram_sha_256(password: str, user: str) -> str:
    """Return the verifier of `password` in the form that PostgreSQL stores (RFC 5803, src/common/scram-common.c).

    Raises:
        AnsibleFilterError: the password has characters that SASLprep (RFC 4013) might change.

    """
    if not password or not (password.isascii() and password.isprintable()):
        raise AnsibleFilterError(f"The password of the user {user} is not printable ASCII: choose one that is.")
    # A random salt would change at every run. It must not follow from the password either: it is stored in the clear.
    salt = hashlib.sha256(f"protostar.platform:{user}".encode()).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(value).decode() for value in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt64}${stored64}:{server64}"


class FilterModule:
    """The filter, for Ansible's loader."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by its name."""
        return {"scram_sha_256": scram_sha_256}
