"""A stateful FAKE of Google's Compute Engine API, for tests. It is not Google, and says nothing about Google's prices.

What a request and an answer may look like is checked by Google's own discovery document (compute.json, which
scripts/discovery writes). What a request does is written by hand, from Google's documentation and from answers quoted
in public issue trackers: that the fake behaves like Google is proven nowhere; only the live test of the module could.
See README.md.
"""

from .fake import Fake, serve
from .faults import Fault, Request

__all__ = ["Fake", "Fault", "Request", "serve"]
