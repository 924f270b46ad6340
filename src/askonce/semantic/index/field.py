"""A field: the vectors of one scope, compared one by one while they are few, by a graph when many.

Vectors are kept as int8, each scaled by its own largest component: a quarter of the memory, and a
cosine that is off by less than 0.001. The graph (HNSW, arXiv:1603.09320, by `usearch`) compares
int8 with int8; the nearest few are compared again with the question's own float32.

A large field adds a few rows to its graph with each new entry, so that no caller waits for the
whole graph. It compares all rows until the graph is complete.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from askonce.core.errors import StoreError
from askonce.core.models import Key, NearestKey
from askonce.semantic.index.rows import Rows

EXACT_ENTRIES: Final = 4096
"""Scopes up to this size are searched exactly."""

_LINKS = 12
_BREADTH_OF_ADD = 128
_BREADTH_OF_SEARCH = 112  # and more where there are more than 100,000 entries
_BREADTH_PER_DOUBLING = 54
_LINKED_PER_ADD = 4
_TABLES = 1024
_BLOCK = 512  # rows that are float32 at one time: they stay in the processor's cache
_SPARE = 3  # how many more than wanted are compared again
_SWEPT_PER_ADD = 2


class Field:
    """The entries of one scope. It is not thread-safe; its index has the lock."""

    def __init__(self, dimensions: int, libraries: tuple[Any, Any]) -> None:
        self.dimensions = dimensions
        self._numpy, self._usearch = libraries
        self.rows = Rows()
        self._matrix: bytearray | None = bytearray()  # None once the graph is complete
        self._lengths = array("f")  # of the matrix's rows
        self._graph: Any = None
        self._linked = 0  # rows below this are in the graph
        self._hand = 0  # the next row that may have expired

    def add(self, key: Key, vector: bytes, expires: float) -> None:
        small = self._scaled(vector)
        old = self.rows.find(key)
        if old is not None:
            self.drop(old)
        row = self.rows.put(key, expires)
        if self._matrix is not None:
            self._matrix[row * self.dimensions : (row + 1) * self.dimensions] = small.tobytes()
            self._lengths[row : row + 1] = array("f", self._lengths_of(small[None]))
        if row < self._linked or self._matrix is None:
            self._graph.add(row, small, threads=1)
            self._linked = max(self._linked, row + 1)
        if self._matrix is not None and self.rows.count > EXACT_ENTRIES:
            self._link()

    def __iter__(self) -> Iterator[tuple[Key, bytes, float]]:
        """Yield the key, the stored vector and the expiry of each entry."""
        for key in list(self.rows):
            row = self.rows.find(key)
            assert row is not None
            if self._matrix is None:
                small = self._graph.get(row)
            else:
                place = slice(row * self.dimensions, (row + 1) * self.dimensions)
                small = self._numpy.frombuffer(bytes(self._matrix[place]), self._numpy.int8)
            yield key, small.astype("<f4").tobytes(), self.rows.expires[row]

    def nearest(self, vector: bytes, limit: int, now: float) -> list[NearestKey]:
        question = self._floats(vector)
        if self.rows.count == 0:
            return []
        if self._matrix is not None:
            rows, scores = self._compared(question, limit, now)
        else:
            rows, scores = self._searched(question, limit, now)
        return [
            NearestKey(self.rows.key(row), max(-1.0, min(1.0, score)))
            for row, score in zip(rows, scores, strict=True)
        ]

    def remove(self, keys: Iterable[Key]) -> None:
        for key in keys:
            row = self.rows.find(key)
            if row is not None:
                self.drop(row)

    def drop_oldest(self) -> None:
        oldest = self.rows.oldest
        assert oldest is not None
        self.drop(oldest)

    def drop(self, row: int) -> None:
        self.rows.drop(row)
        if self._matrix is not None:
            # A vector reveals part of its text, so it is overwritten, not only freed.
            self._matrix[row * self.dimensions : (row + 1) * self.dimensions] = bytes(
                self.dimensions
            )
        if row < self._linked:
            self._graph.remove(row, threads=1)

    def sweep(self, now: float) -> None:
        """Free the expired ones of a few rows."""
        for _ in range(min(_SWEPT_PER_ADD, len(self.rows))):
            self._hand = (self._hand + 1) % len(self.rows)
            if not self.rows.is_free(self._hand) and self.rows.expires[self._hand] <= now:
                self.drop(self._hand)

    def alive(self, now: float) -> int:
        expires = self._numpy.frombuffer(self.rows.expires)
        return int((expires > now).sum())

    # Searching

    def _compared(self, question: Any, limit: int, now: float) -> tuple[list[int], list[float]]:
        numpy = self._numpy
        matrix = numpy.frombuffer(self._matrix, numpy.int8).reshape(-1, self.dimensions)
        scores = numpy.empty(len(matrix), numpy.float32)
        for start in range(0, len(matrix), _BLOCK):
            part = slice(start, start + _BLOCK)
            scores[part] = matrix[part].astype(numpy.float32) @ question
        scores /= numpy.frombuffer(self._lengths, numpy.float32)
        scores[numpy.frombuffer(self.rows.expires) <= now] = -2
        return self._best(numpy.arange(len(matrix)), scores, limit)

    def _searched(self, question: Any, limit: int, now: float) -> tuple[list[int], list[float]]:
        found = self._found(self._small(question), limit, now)
        if not len(found):
            return [], []
        # The search has emptied the processor's caches, and each call of numpy takes twice as long
        # now. So there are few of them.
        numpy = self._numpy
        vectors = numpy.concatenate(self._graph.get(found)).astype(numpy.float32)
        vectors = vectors.reshape(-1, self.dimensions)
        scores = (vectors @ question) / self._lengths_of(vectors)
        return self._best(found, scores, limit)

    def _found(self, small: Any, limit: int, now: float) -> Any:
        """Return the nearest rows of the graph, a few more than `limit`, none of them expired."""
        while wanted := min(limit + _SPARE, self.rows.count):
            # A smaller breadth would find fewer rows than wanted.
            self._graph.expansion_search = max(_breadth(self.rows.count), 2 * wanted)
            found = self._graph.search(small, wanted, threads=1).keys
            expired = [row for row in found.tolist() if self.rows.expires[row] <= now]
            if not expired:
                return found
            for row in expired:
                self.drop(row)
        return ()

    def _lengths_of(self, vectors: Any) -> Any:
        """Return the length of each vector."""
        floats = vectors.astype(self._numpy.float32, copy=False)
        return self._numpy.sqrt(self._numpy.einsum("ij,ij->i", floats, floats))

    def _best(self, rows: Any, scores: Any, limit: int) -> tuple[list[int], list[float]]:
        if limit < len(scores) // 4:
            some = self._numpy.argpartition(-scores, limit)[:limit]
            rows, scores = rows[some], scores[some]
        order = self._numpy.argsort(-scores, kind="stable")[:limit]
        order = order[scores[order] >= -1.5]
        return rows[order].tolist(), scores[order].tolist()

    # Growing

    def _link(self) -> None:
        """Add a few more rows to the graph; once all are there, drop the matrix."""
        if self._graph is None:
            self._graph = self._new_graph()
            self.rows.spread(_TABLES)
        matrix = self._numpy.frombuffer(self._matrix, self._numpy.int8)
        matrix = matrix.reshape(-1, self.dimensions)
        for _ in range(_LINKED_PER_ADD):
            if self._linked == len(self.rows):
                self._matrix, self._lengths = None, array("f")
                return
            if not self.rows.is_free(self._linked):
                self._graph.add(self._linked, matrix[self._linked], threads=1)
            self._linked += 1

    def _new_graph(self) -> Any:
        return self._usearch.Index(
            ndim=self.dimensions,
            metric="cos",
            dtype="i8",
            connectivity=_LINKS,
            expansion_add=_BREADTH_OF_ADD,
            expansion_search=_BREADTH_OF_SEARCH,
        )

    def _floats(self, vector: bytes) -> Any:
        """Read a vector and scale it to unit length. Raises `StoreError` if it is not one."""
        if len(vector) != 4 * self.dimensions:
            raise StoreError(f"the vector does not have {self.dimensions} dimensions")
        floats = self._numpy.frombuffer(vector, "<f4")
        length = float(self._numpy.sqrt(floats @ floats))
        if not 0 < length < float("inf"):
            raise StoreError("the vector has no direction")
        return floats / length

    def _scaled(self, vector: bytes) -> Any:
        return self._small(self._floats(vector))

    def _small(self, floats: Any) -> Any:
        numpy = self._numpy
        return numpy.rint(floats * (127 / numpy.abs(floats).max())).astype(numpy.int8)

    # Saving

    def parts(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the field as plain values and bytes; `from_parts` reads them."""
        about, columns = self.rows.columns()
        about |= {"linked": self._linked, "whole": self._matrix is None}
        graph = b"" if self._graph is None else bytes(self._graph.save())
        return about, [*columns, bytes(self._matrix or b""), graph]

    @classmethod
    def from_parts(
        cls,
        about: Mapping[str, Any],
        parts: Iterator[bytes],
        dimensions: int,
        libraries: tuple[Any, Any],
    ) -> "Field":
        """Build a field from `parts`.

        Raises ValueError, TypeError, KeyError or RuntimeError if they do not fit together.
        """
        field = cls(dimensions, libraries)
        field.rows = Rows.from_columns(about, parts)
        matrix, graph = next(parts), next(parts)
        field._linked = about["linked"]
        field._matrix = None if about["whole"] else bytearray(matrix)
        if graph:
            field._graph = field._new_graph()
            field._graph.load(graph)
        fits = field._matrix is None or len(field._matrix) == len(field.rows) * dimensions
        if not fits or (field._linked > 0) != (field._graph is not None):
            raise ValueError("the vectors do not fit their rows")
        if matrix:
            small = field._numpy.frombuffer(matrix, field._numpy.int8).reshape(-1, dimensions)
            lengths = field._lengths_of(small)
            lengths[lengths == 0] = 1  # free rows
            field._lengths.frombytes(lengths.tobytes())
        return field


def _breadth(count: int) -> int:
    """Return how many candidates a search in the graph keeps; more entries need more."""
    doublings = math.log2(max(1.0, count / 100_000))
    return _BREADTH_OF_SEARCH + round(_BREADTH_PER_DOUBLING * doublings)
