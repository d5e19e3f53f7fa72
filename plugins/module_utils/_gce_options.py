# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options that all modules for Compute Engine share; the documentation fragment google describes them."""

from __future__ import annotations

from typing import Any

PLACE: dict[str, dict[str, Any]] = {
    "project": {"type": "str", "required": True},
    "region": {"type": "str", "required": True},
    "zone": {"type": "str"},
    "name": {"type": "str", "default": "protostar-relay"},
    "service_account_file": {"type": "path"},
    "api_endpoint": {"type": "str", "default": "https://compute.googleapis.com/compute/v1"},
    "timeout": {"type": "float", "default": 600},
}
