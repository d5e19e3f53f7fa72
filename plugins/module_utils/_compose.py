# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The `docker compose` program: everything that changes containers goes through it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError

# Compose reads these from its environment and would let a login shell change what is deployed.
_FOREIGN = ("COMPOSE_", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_DEFAULT_PLATFORM")
_PROGRESS = re.compile(
    r"^\s*(Container|Network|Volume|Image|\S+)\s+\S*\s*(Creat|Start|Recreat|Runn|Wait|Pull|Error|Heal)"
)


class ComposeError(ServiceError):
    """Compose failed; the text is its own message in one line."""


class Compose:
    """Compose for one project.

    Args:
        project: The project's name.
        directory: What relative paths in the file are relative to.
        file: The Compose file; None to act on whatever containers the project has.

    """

    def __init__(self, project: str, directory: Path, file: Path | None = None) -> None:
        self._directory = directory
        self._base = ["docker", "compose", "--ansi", "never", "--project-name", project]
        if file is not None:
            self._base += ["--project-directory", str(directory), "--file", str(file)]

    def check(self) -> None:
        """Have Compose read the file.

        Raises:
            ComposeError: It rejects the file, or the file names a variable that nothing sets.

        """
        said = self._run(["config", "--quiet"]).stderr
        if unset := re.search(r'The \W*"?(\w+)\W* variable is not set', said):
            raise ComposeError(f"the variable {unset[1]} is not set (write $$ for a dollar sign)")

    def pull(self, services: Iterable[str]) -> None:
        """Pull the images of these services, in parallel."""
        self._run(["pull", "--quiet", *sorted(services)], timeout=1800)

    def up(self, recreate: Iterable[str], everything: Iterable[str], timeout: float) -> None:
        """Replace the containers of some services, start the others that do not run, remove those of unknown ones."""
        replaced, all_services = sorted(recreate), sorted(everything)
        up = ["up", "--detach", "--quiet-pull"]
        if replaced and replaced != all_services:
            self._run([*up, "--no-deps", "--force-recreate", *replaced], timeout=timeout)
        policy = "--force-recreate" if replaced == all_services else "--no-recreate"
        self._run([*up, policy, "--remove-orphans"], timeout=timeout)

    def down(self, *, volumes: bool = False, grace: int | None = None) -> None:
        """Remove the project's containers and its own networks, and its volumes if asked."""
        options = ["--volumes"] if volumes else []
        options += ["--timeout", str(grace)] if grace is not None else []
        self._run(["down", "--remove-orphans", *options])

    def stop(self) -> None:
        """Stop the project's containers."""
        self._run(["stop"])

    def restart(self) -> None:
        """Stop the project's containers and start them again."""
        self._run(["restart"])

    def run(self, service: str, timeout: float) -> None:
        """Run a service once, in a container that is removed afterwards.

        Raises:
            ComposeError: It did not exit with 0; the text is what it wrote last.

        """
        self._run(["run", "--rm", "--no-deps", "-T", service], timeout=timeout)

    def execute(self, service: str, command: Sequence[str], timeout: float) -> None:
        """Run a command in a service's container.

        Raises:
            ComposeError: It did not exit with 0; the text is what it wrote last.

        """
        self._run(["exec", "-T", service, *command], timeout=timeout)

    def _run(self, arguments: Sequence[str], timeout: float = 300) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        try:
            done = subprocess.run(
                [*self._base, *arguments],
                cwd=self._directory if self._directory.is_dir() else "/",
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError:
            raise ComposeError("the docker program is not installed: install Docker with Compose v2") from None
        except subprocess.TimeoutExpired:
            raise ComposeError(f"'docker compose {arguments[0]}' did not end within {timeout:.0f} s") from None
        if done.returncode:
            raise ComposeError(message(done.stdout, done.stderr) or f"exit code {done.returncode}")
        return done


def message(stdout: str, stderr: str, lines: int = 3) -> str:
    """Return what a failed command said, in one line: its last lines, without Compose's progress."""
    if "compose" in stderr and ("unknown command" in stderr or "is not a docker command" in stderr):
        return "Compose v2 is not installed: install docker-compose-plugin (or the distribution's docker-compose-v2)"
    said = [
        line.strip()
        for line in f"{stdout}\n{stderr}".splitlines()
        if line.strip() and not _PROGRESS.match(line) and "level=warning" not in line
    ]
    return "; ".join(said[-lines:])
