"""A matrix of vectors, compared exactly, for measurements that know every question beforehand.

An index answers one question. Here all questions are known, so the cosines of many questions are
one product of matrices, and a whole stream is replayed in seconds.
"""

import importlib
from collections.abc import Sequence
from typing import Any

from askonce.core.errors import missing_library

_BLOCK = 256  # questions whose cosines are computed at once


class Matrix:
    """Vectors of unit length by row. A row without a vector is near nothing.

    Raises `ConfigError` if numpy is not installed.
    """

    def __init__(self, vectors: Sequence[bytes | None], dimensions: int) -> None:
        self._numpy = numpy = _numpy()
        self.known = numpy.array([vector is not None for vector in vectors], bool)
        self._rows = numpy.zeros((len(vectors), dimensions), numpy.float32)
        for row, vector in enumerate(vectors):
            if vector is not None:
                self._rows[row] = numpy.frombuffer(vector, "<f4")

    def cosines(self, pairs: Sequence[tuple[int, int]]) -> list[float]:
        """Return the cosine of each pair of rows; NaN if one of them has no vector."""
        numpy = self._numpy
        found: list[float] = []
        for start in range(0, len(pairs), 4_096):
            left, right = numpy.array(pairs[start : start + 4_096]).T
            cosines = numpy.einsum("ij,ij->i", self._rows[left], self._rows[right])
            cosines = numpy.clip(cosines.astype(float), -1, 1)
            cosines[~(self.known[left] & self.known[right])] = numpy.nan
            found += cosines.tolist()
        return found

    def search(self, rows: Sequence[int], limit: int) -> "MatrixSearch":
        """Return the search for one replay of the questions in these rows, in this order."""
        chosen = self._numpy.array(rows, self._numpy.int64)
        return MatrixSearch(self._rows[chosen], self.known[chosen], limit, self._numpy)

    def scan(self, question: int, rows: Sequence[int]) -> int:
        """Return the row nearest to a question, by comparing one row after another."""
        numpy = self._numpy
        asked = self._rows[question]
        best, nearest = -2.0, question
        for row in rows:
            other = self._rows[row]
            cosine = numpy.dot(asked, other) / (numpy.linalg.norm(asked) * numpy.linalg.norm(other))
            if cosine > best:
                best, nearest = cosine, row
        return nearest


class MatrixSearch:
    """Finds the nearest entries of a list that only grows at its end; of equal ones the oldest."""

    def __init__(self, vectors: Any, known: Any, limit: int, numpy: Any) -> None:
        self._vectors, self._known, self._numpy = vectors, known, numpy
        self._limit = limit
        self._entries = numpy.zeros(len(vectors), numpy.int64)
        self._seen = self._count = 0  # entries seen, and those with a vector
        self._start = 0
        self._cosines: Any = None

    def __call__(self, number: int, entries: Sequence[int]) -> list[tuple[int, float]]:
        numpy = self._numpy
        for entry in entries[self._seen :]:
            if self._known[entry]:
                self._entries[self._count] = entry
                self._count += 1
        self._seen = len(entries)
        if not self._known[number] or self._count == 0:
            return []
        there = self._entries[: self._count]
        cosines = self._of(number)[there]
        if self._limit < self._count:
            least = numpy.partition(cosines, -self._limit)[-self._limit]
            near = numpy.flatnonzero(cosines >= least)
        else:
            near = numpy.arange(self._count)
        near = near[numpy.argsort(-cosines[near], kind="stable")][: self._limit]
        return list(zip(there[near].tolist(), cosines[near].tolist(), strict=True))

    def _of(self, number: int) -> Any:
        """Return the cosines of a question with all questions up to the end of its block."""
        if self._cosines is None or not self._start <= number < self._start + _BLOCK:
            self._start = number - number % _BLOCK
            end = self._start + _BLOCK
            product = self._vectors[self._start : end] @ self._vectors[:end].T
            self._cosines = self._numpy.clip(product, -1, 1)
        return self._cosines[number - self._start]


def _numpy() -> Any:
    try:
        return importlib.import_module("numpy")
    except ImportError:
        raise missing_library("measuring", "numpy", "semantic") from None
