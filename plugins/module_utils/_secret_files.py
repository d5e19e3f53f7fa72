# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets that come from files of the host, such as a key that was made there and never leaves it."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError


def with_contents(parameters: Mapping[str, Any], *, check: bool) -> dict[str, Any]:
    """Return the parameters with the text of every secret, wherever it comes from.

    Args:
        parameters: The module's.
        check: Whether a file may be missing, because an earlier task would have made it. Its text cannot be known then;
            a word drawn for this run takes its place, so that it differs from whatever is on the host.

    Raises:
        ServiceError: A file has no secret in it.

    """
    secrets = [{**secret, "content": _content(secret, check=check)} for secret in parameters["secrets"]]
    return {**parameters, "secrets": secrets}


def _content(secret: Mapping[str, Any], *, check: bool) -> str:
    src = secret["src"]
    if src is None:
        return secret["content"] or ""
    if not Path(src).is_absolute():
        raise _fault(secret, "is not an absolute path", "write it from / on")
    try:
        if not stat.S_ISREG(Path(src).stat().st_mode):
            raise _fault(secret, "is not a file", "name the file itself")
        text = Path(src).read_bytes().decode()
    except FileNotFoundError as error:
        if check:
            return token_hex()
        raise _fault(secret, f"cannot be read ({error.strerror})", "make it first, or correct src") from None
    except OSError as error:
        raise _fault(secret, f"cannot be read ({error.strerror})", "let root read it, or correct src") from None
    except UnicodeDecodeError:
        raise _fault(secret, "is not text in UTF-8", "name a file that is") from None
    if not text.strip():
        raise _fault(secret, "is empty", "have it made anew, or correct src")
    return text


def _fault(secret: Mapping[str, Any], what: str, remedy: str) -> ServiceError:
    return ServiceError(
        f"secret '{secret['dest']}' comes from '{secret['src']}', which {what}; "
        f"nothing was changed: {remedy}, and run again"
    )
