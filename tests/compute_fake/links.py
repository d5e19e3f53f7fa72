"""Names of resources as paths and as URLs.

Google answers with URLs of another host than the one that is asked: whoever follows one leaves the fake.
"""

from __future__ import annotations

import re

ROOT = "https://www.googleapis.com/compute/v1/"
GIVEN = re.compile(r"https?://(?:www|compute)\.googleapis\.com/compute/v1/(?P<path>projects/.+)")


def url(path: str) -> str:
    """Return the URL of a path as in ``projects/p/zones/z/instances/i``."""
    return ROOT + path


def path(link: str) -> str:
    """Return the path of a URL."""
    return link.removeprefix(ROOT)


def last(link: str) -> str:
    """Return the name at the end of a URL."""
    return link.rsplit("/", 1)[-1]


def whole(reference: str, project: str) -> str | None:
    """Return the path that a reference in a request means.

    Args:
        reference: A URL, or ``projects/...``, ``global/...``, ``regions/...`` or ``zones/...``.
        project: For the last three.

    Returns:
        None when it is malformed.
    """
    if found := GIVEN.fullmatch(reference):
        reference = found["path"]
    if reference.startswith(("global/", "regions/", "zones/")):
        reference = f"projects/{project}/{reference}"
    pattern = r"projects/[^/]+/(global|regions/[^/]+|zones/[^/]+)/[A-Za-z]+/([^/]+/)?[^/]+"
    return reference if re.fullmatch(pattern, reference) else None
