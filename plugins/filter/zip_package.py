# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter that packs a Python program of several modules into one text."""

from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: zip_package
short_description: Pack a directory of Python modules into one text
version_added: 0.4.0
description:
  - Returns a zip file of all modules (C(*.py)) of a directory, in Base64. Python runs such a file as it runs the
    directory.
  - The same modules always give the same text, whenever and wherever it is made, so that a second run changes nothing.
options:
  _input:
    description: Path of the directory, which has a C(__main__.py).
    type: path
    required: true
author:
  - The protostar.platform authors
"""

EXAMPLES = r"""
- name: Write a program that cloud-init can unpack
  ansible.builtin.copy:
    content: "{{ (role_path ~ '/files/agent') | protostar.platform.zip_package }}"
    dest: agent.zip.base64
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The zip file in Base64, in lines of 76 characters.
  type: str
"""

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can hold


def zip_package(directory: str) -> str:
    """Return the modules below `directory` as a zip file in Base64.

    Raises:
        AnsibleFilterError: There is no such program.

    """
    root = Path(directory)
    if not (root / "__main__.py").is_file():
        raise AnsibleFilterError(f"{directory} has no __main__.py: name the directory of a Python program.")
    buffer = io.BytesIO()
    # Stored, since what a compressor makes of the same bytes differs from one version of zlib to another.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(root.rglob("*.py")):
            entry = zipfile.ZipInfo(path.relative_to(root).as_posix(), EPOCH)
            entry.create_system = 3  # Unix, wherever it is packed
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes())
    return base64.encodebytes(buffer.getvalue()).decode()


class FilterModule:
    """The filter, for Ansible's loader."""

    def filters(self) -> dict[str, Any]:
        """Return the filter by its name."""
        return {"zip_package": zip_package}
