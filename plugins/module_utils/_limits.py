# Copyright: Protostar contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a colour's answers are within the limits of a release: pure functions over the edge's counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.protostar.platform.plugins.module_utils._app import Bake

_NOTHING: Mapping[str, Any] = {"statuses": {}, "buckets": [], "bounds": []}


def since(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was counted between two looks. A counter that fell began anew, with nginx."""
    anew = any(now["statuses"].get(kind, 0) < count for kind, count in before["statuses"].items())
    earlier = _NOTHING if anew else before
    statuses = {kind: count - earlier["statuses"].get(kind, 0) for kind, count in now["statuses"].items()}
    old = list(earlier["buckets"]) or [0] * len(now["buckets"])
    return {
        "statuses": statuses,
        "buckets": [count - was for count, was in zip(now["buckets"], old)],  # noqa: B905  Python 3.9 reads it too
        "bounds": now["bounds"],
    }


def verdict(limits: Bake, counted: Mapping[str, Any]) -> str:
    """Return in what the answers are worse than the limits; empty if in nothing, or if there are too few to tell."""
    total = sum(counted["statuses"].values())
    if total < limits.minimum or not total:
        return ""
    wrong = counted["statuses"].get("5xx", 0)
    if wrong / total > limits.errors:
        return f"{wrong} of {total} answers were errors (5xx), and {limits.errors:.1%} is the limit"
    slow = quantile(0.95, counted["bounds"], counted["buckets"])
    if limits.latency and slow > limits.latency:
        return f"95 of 100 answers took up to {slow:.2f} s, and {limits.latency:g} s is the limit"
    return ""


def quantile(share: float, bounds: Sequence[float], buckets: Sequence[int]) -> float:
    """Return the duration in seconds below which a share of the answers lies, as histogram_quantile of Prometheus."""
    rank, seen, low = share * sum(buckets), 0, 0.0
    for count, bound in zip(buckets, bounds, strict=False):  # the last bucket has no bound
        if count and seen + count >= rank:
            return low + (bound - low) * (rank - seen) / count
        seen, low = seen + count, bound
    return low
