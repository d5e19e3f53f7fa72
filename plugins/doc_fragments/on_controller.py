# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the documentation of every action plugin says that only looks, on the controller."""


class ModuleDocFragment:
    """Attributes of an action that changes nothing."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Changes nothing, so that it does the same in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so that there is no diff.
    support: none
author:
  - The protostar.platform authors
"""
