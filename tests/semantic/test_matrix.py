"""The matrix of measuring finds what comparing one by one finds, whatever came when."""

import numpy
import pytest

from askonce.semantic.index.matrix import Matrix


def unit(rows: int, *, seed: int = 1) -> "list[bytes | None]":
    dice = numpy.random.default_rng(seed)
    found = dice.normal(size=(rows, 8)).astype("<f4")
    found /= numpy.linalg.norm(found, axis=1, keepdims=True)
    return [vector.tobytes() for vector in found]


def cosine(a: bytes | None, b: bytes | None) -> float:
    assert a is not None
    assert b is not None
    return float(numpy.frombuffer(a, "<f4") @ numpy.frombuffer(b, "<f4"))


def test_cosines_of_pairs() -> None:
    vectors = [*unit(5), None]
    matrix = Matrix(vectors, 8)
    near, same, unknown = matrix.cosines([(0, 1), (2, 2), (3, 5)])

    assert near == pytest.approx(cosine(vectors[0], vectors[1]), abs=1e-6)
    assert same == pytest.approx(1.0, abs=1e-6)
    assert unknown != unknown
    assert matrix.cosines([]) == []


@pytest.mark.parametrize("limit", [1, 5])
def test_a_search_finds_the_nearest_of_the_entries_so_far(limit: int) -> None:
    vectors = unit(600)
    vectors[7] = vectors[300] = None
    rows = [row % 600 for row in range(900)]  # the last third comes again
    search = Matrix(vectors, 8).search(rows, limit)
    entries: list[int] = []
    for number, row in enumerate(rows):
        found = search(number, entries)
        known = [entry for entry in entries if vectors[rows[entry]] is not None]
        if vectors[row] is None:
            assert found == []
        elif number % 25 == 0:
            cosines = [cosine(vectors[row], vectors[rows[entry]]) for entry in known]
            best = sorted(cosines, reverse=True)[:limit]
            assert [similarity for _, similarity in found] == pytest.approx(best, abs=1e-5)
        if number % 3:
            entries.append(number)


def test_of_equals_the_older_comes_first() -> None:
    (vector,) = unit(1)
    search = Matrix([vector], 8).search([0] * 10, 3)

    assert [entry for entry, _ in search(9, [1, 2, 4, 5, 6])] == [1, 2, 4]


def test_the_scan_of_tutorials_finds_the_same() -> None:
    vectors = unit(50)
    matrix = Matrix(vectors, 8)
    best = max(range(1, 50), key=lambda row: cosine(vectors[0], vectors[row]))

    assert matrix.scan(0, range(1, 50)) == best
