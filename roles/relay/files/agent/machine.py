# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The machine that the agent works on, as a value, so that tests have machines of their own."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import commands
from errors import Failed
from paths import Paths

# Seconds for one answer of nginx on this machine.
_ANSWER = 1.0
_LONGEST_ANSWER = 64


def ask(port: int) -> str:
    """Return what a server at the loopback address says; empty if nothing."""
    said = b""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), _ANSWER) as connection:
        connection.settimeout(_ANSWER)
        while len(said) < _LONGEST_ANSWER and (chunk := connection.recv(_LONGEST_ANSWER)):
            said += chunk
    return said.decode(errors="replace").strip()


@dataclass(frozen=True)
class Machine:
    """Files, programs, nginx's answer and clocks."""

    paths: Paths = field(default_factory=Paths)
    run: commands.Run = commands.run
    ask: Callable[[int], str] = ask
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    log: Callable[[str], None] = lambda sentence: print(sentence, file=sys.stderr, flush=True)

    def must(self, command: Sequence[str], standard_input: Path | None = None) -> str:
        """Run a program that has to succeed, and return its output.

        Raises:
            Failed: It did not, with the last line it said.

        """
        answer = self.run(command, standard_input)
        if answer.code:
            raise Failed(f"{' '.join(command)} failed ({answer.reason})")
        return answer.output

    def running_version(self) -> str:
        """Return the version of the bundle that nginx serves; empty if it does not say."""
        return self.ask(self.paths.confirm_port)
