# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Judges by rules what would run on a host, and on what. The module of this name documents it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleUndefinedVariable
from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.protostar.platform.plugins.action.check_variables import summarize
from ansible_collections.protostar.platform.plugins.plugin_utils._stack import split

Rule = Mapping[str, str]


def find_unknown(allow: Iterable[str], rules: Iterable[Rule]) -> Iterator[str]:
    """Yield a sentence for every one of `allow` that is the ID of none of `rules`."""
    known = [rule["id"] for rule in rules]
    for name in allow:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            yield f"{name} in preflight_allow is the id of no rule. Did you mean {nearest[0]}?"


def find_broken(rules: Iterable[Rule], templar: Templar) -> Iterator[Rule]:
    """Yield those of `rules` whose condition holds. One about something that is not known does not."""
    for rule in rules:
        try:
            if templar.evaluate_conditional(rule["condition"]):
                yield rule
        except AnsibleUndefinedVariable:
            continue


def describe(rule: Rule) -> str:
    """Return what is wrong, what to do, and who says so."""
    return f"{rule['id']}: {rule['reason'].strip()} {rule['remedy'].strip()} ({rule['source']})"


class ActionModule(ActionBase):
    """Runs the checks with the variables of the task's host."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the rules that are broken, and fail if one is that is not allowed."""
        result = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "containers": {"type": "list", "elements": "dict", "required": True},
                "engine": {"type": "dict", "default": {}},
                "host": {"type": "dict", "default": {}},
                "rules": {"type": "list", "elements": "dict", "required": True},
                "allow": {"type": "list", "elements": "str", "default": []},
            }
        )
        images = {
            container["container"]: {**split(container["image"]), "read_only": container["read_only"]}
            for container in arguments["containers"]
        }
        facts = {"images": images, "engine": arguments["engine"], "host": arguments["host"]}
        templar = Templar(loader=self._loader, variables={**(task_vars or {}), **facts})
        broken = {rule["id"]: describe(rule) for rule in find_broken(arguments["rules"], templar)}
        result["broken"] = sorted(broken)
        problems = list(find_unknown(arguments["allow"], arguments["rules"]))
        refused = [problem for name, problem in broken.items() if name not in arguments["allow"]]
        if problems or refused:
            remedy = "\nWhat is to be so in spite of its rule goes into preflight_allow." if refused else ""
            result.update(failed=True, msg=summarize([*problems, *refused]) + remedy)
        return result
