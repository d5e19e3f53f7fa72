"""A small deterministic embedding: hashed bag of words.

It stands where a model would: it needs no download, and gives texts that share words a high cosine similarity. It
knows nothing of meaning.
"""

import hashlib
import math
import re

DIMENSIONS = 64
NAME = f"hashed bag of words, {DIMENSIONS} dimensions (no model)"
# Words too frequent to tell texts apart; those of one or two letters are left out as well.
FREQUENT = (
    "and are but can does for from has have how into its not one that the their then there they this was what when "
    "where which who why will with without you your"
)
STOP_WORDS = frozenset(FREQUENT.split())


def words(text: str) -> list[str]:
    """List the lower-case words that carry something, reduced to a crude stem so that singular and plural meet."""
    found = re.findall(r"\w{3,}", text.lower())
    return [word.removesuffix("s") if len(word) > 3 else word for word in found if word not in STOP_WORDS]


def embed(text: str) -> list[float] | None:
    """Return the unit vector of a text; None without a word, since a zero vector has no direction."""
    vector = [0.0] * DIMENSIONS
    for word in words(text):
        digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
        # A hashed sign lets collisions cancel out instead of adding up.
        vector[digest[0] % DIMENSIONS] += 1.0 if digest[1] & 1 else -1.0
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else None
