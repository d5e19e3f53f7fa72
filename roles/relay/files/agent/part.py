# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the three configuration files of a relay have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from bundle import Bundle


class Part(Protocol):
    """A configuration file: where it goes, how it is checked and how it is put in force.

    Every method raises Failed when a command of this machine fails, `check` and `text` also Refused.
    """

    name: str
    path: Path
    staged: Path  # where a new one is checked: its program looks at the name, or for other files beside it
    mode: int

    def text(self, bundle: Bundle) -> str | None:
        """Return the file of a bundle; None if it has none."""

    def check(self, staged: Path) -> None:
        """Let the program that will read the file check it."""

    def enforce(self) -> None:
        """Make the live file the running configuration."""

    def withdraw(self) -> None:
        """Stop what the file configures. It is there still, and removed afterwards."""

    def in_force(self, bundle: Bundle, patient: bool) -> bool:
        """Tell whether what runs is what the live file says, as far as it can be seen.

        Args:
            bundle: What the file is of.
            patient: Whether what does not answer, and may be busy, is left alone for a while.

        """
