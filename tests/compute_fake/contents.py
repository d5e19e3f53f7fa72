"""What labels, metadata and tags may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .errors import ApiError
from .world import Json

# https://cloud.google.com/compute/docs/labeling-resources#requirements
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
MOST_LABELS = 64
# https://cloud.google.com/compute/docs/metadata/setting-custom-metadata#limitations
METADATA_KEY = re.compile(r"[a-zA-Z0-9_-]{1,128}")
LARGEST_VALUE = 256 * 1024  # bytes
LARGEST_METADATA = 512 * 1024  # bytes
TAG = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")


def _match(pattern: re.Pattern[str], text: str, place: str) -> None:
    if not pattern.fullmatch(text):
        raise ApiError.invalid(place, text, f"Must be a match of regex '{pattern.pattern}'")


def check_labels(labels: Mapping[str, str] | None, place: str) -> None:
    """Refuse labels that Google does not take.

    Raises:
        ApiError: 400.
    """
    for key, value in (labels or {}).items():
        _match(LABEL_KEY, key, f"{place}.key")
        _match(LABEL_VALUE, value, f"{place}.value")
    if len(labels or ()) > MOST_LABELS:
        raise ApiError.invalid(place, str(len(labels or ())), f"At most {MOST_LABELS} labels are allowed.")


def check_metadata(metadata: Json, place: str) -> None:
    """Refuse metadata that Google does not take.

    Raises:
        ApiError: 400.
    """
    seen: set[str] = set()
    total = 0
    for number, item in enumerate(metadata.get("items") or ()):
        where = f"{place}.items[{number}]"
        key, value = item.get("key"), item.get("value") or ""
        if not key:
            raise ApiError.missing(f"{where}.key")
        _match(METADATA_KEY, key, f"{where}.key")
        if key in seen:
            raise ApiError.invalid(place, key, f"Metadata has duplicate keys: {key}")
        seen.add(key)
        size = len(value.encode())
        total += len(key) + size
        if size > LARGEST_VALUE:
            raise ApiError.invalid(f"{where}.value", value[:20], f"It is too large: at most {LARGEST_VALUE} bytes.")
    if total > LARGEST_METADATA:
        raise ApiError.invalid(place, str(total), f"It is too large: at most {LARGEST_METADATA} bytes.")


def check_tags(tags: Iterable[str] | None, place: str) -> None:
    """Refuse tags that Google does not take.

    Raises:
        ApiError: 400.
    """
    for number, tag in enumerate(tags or ()):
        _match(TAG, tag, f"{place}.items[{number}]")
