# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the agent says when something cannot be done."""

from __future__ import annotations


class Refused(Exception):
    """A bundle that cannot be put in force. The message is a sentence with the remedy."""


class Failed(Exception):
    """A command or a file of this machine failed; the bundle may be good. The message says what failed."""


class Stranded(Failed):
    """Neither the new configuration nor the previous one could be put in force. The message says what failed."""
