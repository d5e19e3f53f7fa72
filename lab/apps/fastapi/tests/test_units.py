"""Embedding and jobs, without a server."""

import hashlib
import math
import unittest

from app import jobs, seed
from app.embedding import DIMENSIONS, embed


def similarity(one: str, other: str) -> float:
    return math.sumprod(embed(one) or [], embed(other) or [])


class Embedding(unittest.TestCase):
    def test_is_a_unit_vector_and_the_same_every_time(self) -> None:
        vector = embed("PostgreSQL stores documents")
        assert vector is not None
        self.assertEqual(len(vector), DIMENSIONS)
        self.assertAlmostEqual(math.hypot(*vector), 1)
        self.assertEqual(vector, embed("postgresql, stores: DOCUMENT"))

    def test_shared_words_are_nearer_than_others(self) -> None:
        question = "redis worker crash"
        self.assertGreater(similarity(question, "a crash of the worker"), similarity(question, "a password is a file"))

    def test_no_word_has_no_direction(self) -> None:
        self.assertIsNone(embed("?! the of"))

    def test_every_seed_document_is_found_by_its_title(self) -> None:
        for title in seed.DOCUMENTS:
            nearest = max(seed.DOCUMENTS, key=lambda other: similarity(title, f"{other} {seed.DOCUMENTS[other]}"))
            self.assertEqual(nearest, title)


class Jobs(unittest.IsolatedAsyncioTestCase):
    async def test_does_a_job(self) -> None:
        result = await jobs._perform("1000-0", {"text": "one two", "seconds": "0"})
        self.assertEqual((result["state"], result["words"], result["characters"]), ("done", 2, 7))
        self.assertEqual(result["sha256"], hashlib.sha256(b"one two").hexdigest())

    async def test_a_job_that_cannot_be_done_fails_instead_of_coming_back(self) -> None:
        for fields in ({}, {"text": "x"}, {"text": "x", "seconds": "soon"}):
            self.assertEqual((await jobs._perform("1000-0", fields))["state"], "failed")
