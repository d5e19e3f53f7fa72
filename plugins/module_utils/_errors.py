# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one exception that a module shows to its user as it is."""

from __future__ import annotations


class ServiceError(Exception):
    """A problem told to the operator in one sentence: what, where, and what to do about it."""
