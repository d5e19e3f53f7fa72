# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hooks: what a user has run before a step of a release, on the host or at a URL."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress

from ansible_collections.protostar.platform.plugins.module_utils._app import Hook
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError


def call(hook: Hook, document: str) -> None:
    """Run a hook, and give it the release as JSON.

    Raises:
        ServiceError: It failed, or did not end in its time; then nothing of it runs on.

    """
    try:
        if hook.command:
            _run(hook, document)
        else:
            _post(hook, document)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ServiceError(f"the hook at {hook.at} ({_name(hook)}) failed: {error}") from error


def _run(hook: Hook, document: str) -> None:
    # A session of its own, so that a hook that hangs ends with all that it started.
    process = subprocess.Popen(
        hook.command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(document, timeout=hook.timeout)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise ServiceError(f"the hook at {hook.at} ({_name(hook)}) did not end within {hook.timeout:g} s") from None
    if process.returncode:
        said = "; ".join(line.strip() for line in output.splitlines()[-3:] if line.strip())
        raise ServiceError(f"the hook at {hook.at} ({_name(hook)}) ended with {process.returncode}: {said or 'silent'}")


def _post(hook: Hook, document: str) -> None:
    request = urllib.request.Request(
        hook.url, document.encode(), {"Content-Type": "application/json", "User-Agent": "protostar"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=hook.timeout):
            pass
    except urllib.error.HTTPError as error:
        raise ServiceError(f"the hook at {hook.at} ({_name(hook)}) answered {error.code}") from error


def _name(hook: Hook) -> str:
    return hook.command[0] if hook.command else hook.url.partition("?")[0]
