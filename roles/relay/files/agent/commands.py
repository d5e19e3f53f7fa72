# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs of this machine, none of which may keep the agent waiting for ever."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Seconds. Stopping nginx takes up to 5 (Debian's unit), a tunnel a few.
TIMEOUT = 60
# "nginx: [emerg] ..." before nginx has read where to log, "2026/10/01 12:00:00 [emerg] 12#12: ..." after.
_EMERGENCY = re.compile(r"^.*?\[emerg\] (\d+#\d+: )?")


@dataclass(frozen=True)
class Answer:
    """What a program did. A code of 127: it is not installed; of 124: it did not end in time."""

    code: int
    output: str = ""
    errors: str = ""

    @property
    def reason(self) -> str:
        """Return what names the error, for a sentence: nginx's first emergency, else the first line."""
        lines = [line.strip() for line in f"{self.errors}\n{self.output}".splitlines() if line.strip()]
        emergencies = [_EMERGENCY.sub("", line) for line in lines if _EMERGENCY.match(line)]
        return next(iter(emergencies or lines), f"exit code {self.code}")[:500]


Run = Callable[[Sequence[str], Path | None], Answer]


def run(command: Sequence[str], standard_input: Path | None = None) -> Answer:
    """Run a program, with a file or nothing as its input, also where PATH is an ordinary user's, in English."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    try:
        with (standard_input or Path("/dev/null")).open("rb") as stream:
            done = subprocess.run(
                list(command),
                stdin=stream,
                capture_output=True,
                timeout=TIMEOUT,
                check=False,
                env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
                encoding="utf-8",
                errors="replace",
            )
    except FileNotFoundError as error:
        return Answer(127, errors=f"{error.filename} does not exist")
    except subprocess.TimeoutExpired:
        return Answer(124, errors=f"it did not end within {TIMEOUT} s")
    except OSError as error:
        return Answer(126, errors=str(error))
    return Answer(done.returncode, done.stdout, done.stderr)
