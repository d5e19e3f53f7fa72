# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Callback that gives a run an exit code of its own when another deployer was at work."""

from __future__ import annotations

from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: exit_code
type: notification
short_description: Tell by the exit code that another deployer was at work
version_added: 0.3.0
description:
  - When all that failed in a run is that another deployer held the lease of the releases, C(ansible-playbook) ends with
    the exit code 75 (C(EX_TEMPFAIL) of C(sysexits.h)), so that a pipeline knows that trying again later helps.
  - Every other run ends as Ansible ends it, with 0, 2 after a failure, and 4 for an unreachable host.
  - Enable it as the last one of C(callbacks_enabled), since the callbacks behind it do not get to see the end.
author:
  - The protostar.platform authors
"""

BUSY = 75
MODULE = "bluegreen"


class CallbackModule(CallbackBase):
    """Remembers whose only failure was a busy lease."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "protostar.platform.exit_code"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  handed on to Ansible as they come
        super().__init__(*arguments, **options)
        self._busy: set[str] = set()
        self._otherwise: set[str] = set()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ANN401  private to Ansible
        """Remember the host of a failure by its reason."""
        if ignore_errors:
            return
        busy = result.task.action.rpartition(".")[2] == MODULE and result.result.get("rc") == BUSY
        (self._busy if busy else self._otherwise).add(result.host.get_name())

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ANN401  private to Ansible
        """End the run with the exit code of a busy lease, if nothing else is wrong.

        Raises:
            SystemExit: That is so.

        """
        failed = {host for host, count in stats.failures.items() if count}
        if failed and failed <= self._busy - self._otherwise and not any(stats.dark.values()):
            raise SystemExit(BUSY)
