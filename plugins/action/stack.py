# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tells which containers the roles of a play would run. The module of this name documents it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.protostar.platform.plugins.plugin_utils import _stack


class ActionModule(ActionBase):
    """Looks with the variables of the task's host."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the containers."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "roles": {"type": "list", "elements": "str", "required": True},
                "apps": {"type": "dict", "default": {}},
            }
        )
        roles = [role.rpartition(".")[2] for role in arguments["roles"]]
        result["containers"] = _stack.containers(roles, arguments["apps"], task_vars or {}, self._loader)
        return result
