"""Vectors that lie as those of real questions do, the same each time, a chunk at a time.

A few topics, many needs in each, some asked often and most once or twice, and questions that are
near to their need or far from it. On 100,000 texts of public English question sets, in the vectors
of the local embedder, the cosine of the nearest is 0.54, 0.70, 0.84, 0.94 and 0.99 at the 5th,
25th, 50th, 75th and 95th percentile; here it is 0.50, 0.69, 0.84, 0.94 and 0.98. Vectors in heaps
of one size and in few directions are far easier to search.
"""

from collections.abc import Iterator
from typing import Any

import numpy

DIMENSIONS = 384
CHUNK = 4_000
QUESTIONS = 500
_TOPICS, _NEEDS = 300, 60_000
_TABLES = 4_099, 4_093
"""A need is the sum of a row of each, so that a million needs take no memory."""


class Vectors:
    """All float32 and of unit length."""

    def __init__(self) -> None:
        chance = numpy.random.default_rng(1)
        spread = (numpy.arange(DIMENSIONS) + 8.0) ** -0.5  # real ones prefer some directions
        self._spread = (spread / numpy.linalg.norm(spread)).astype("f4")
        self._topics = self._some(chance, _TOPICS) * 0.5
        self._needs = [self._some(chance, size) * 0.467 for size in _TABLES]
        middle = self._some(chance, 1)[0]
        self._middle = middle * (0.19 / numpy.linalg.norm(middle))

    def chunks(self, count: int) -> Iterator[Any]:
        for start in range(0, count, CHUNK):
            yield self._chunk(start // CHUNK)[: count - start]

    def questions(self) -> Any:
        """Half are stored questions in other words; half are new."""
        chance = numpy.random.default_rng(2)
        asked = self._chunk(0)[: QUESTIONS // 2]
        other = chance.uniform(0.1, 0.6, (len(asked), 1)).astype("f4")
        again = asked + other * self._some(chance, len(asked))
        new = self._chunk(10**6)[: QUESTIONS - len(again)]
        return unit(numpy.concatenate([again, new]))

    def _chunk(self, number: int) -> Any:
        chance = numpy.random.default_rng((3, number))
        need = (_NEEDS * chance.random(CHUNK) ** 2).astype(int)
        own = numpy.exp(chance.uniform(-2.2, -0.1, (CHUNK, 1))).astype("f4")
        first, second = (table[need % len(table)] for table in self._needs)
        shared = self._middle + self._topics[need % _TOPICS] + first + second
        return unit(shared + own * self._some(chance, CHUNK))

    def _some(self, chance: Any, count: int) -> Any:
        return chance.standard_normal((count, DIMENSIONS), dtype="f4") * self._spread


def unit(vectors: Any) -> Any:
    return (vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f4")
