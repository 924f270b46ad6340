"""The measurement of one set of questions, as `askonce eval` runs it.

It decides as `guards` does in service and computes what the reports show; the vectors were computed
before.
"""

from collections.abc import Sequence
from typing import Any

from askonce.semantic.evaluation.json_reports import pairs_as_dict, stream_as_dict
from askonce.semantic.evaluation.pair_reports import report_pairs
from askonce.semantic.evaluation.question_sets import PairSet, QuestionSet, StreamSet
from askonce.semantic.evaluation.search_cost import search_cost
from askonce.semantic.evaluation.stream_reports import Search, report_stream
from askonce.semantic.evaluation.streams import StreamQuestion
from askonce.semantic.evaluation.text_vectors import TextVectors


def measure(one: QuestionSet, vectors: TextVectors, *, threshold: float) -> dict[str, Any]:
    """Return the report of a set as plain values. Its texts must have been embedded before."""
    if isinstance(one, PairSet):
        return _measure_pairs(one, vectors, threshold)
    return _measure_stream(one, vectors, threshold)


def _measure_pairs(one: PairSet, vectors: TextVectors, threshold: float) -> dict[str, Any]:
    rows = [(vectors.row(pair.a), vectors.row(pair.b)) for pair in one.pairs]
    similarities = vectors.matrix.cosines(rows)
    report = report_pairs(one.name, one.pairs, similarities, vectors.read, threshold=threshold)
    return pairs_as_dict(report, search_cost(vectors, [a for a, _ in rows], [b for _, b in rows]))


def _measure_stream(one: StreamSet, vectors: TextVectors, threshold: float) -> dict[str, Any]:
    def search(questions: Sequence[StreamQuestion], limit: int) -> Search:
        return vectors.matrix.search([vectors.row(question.text) for question in questions], limit)

    rows = [vectors.row(question.text) for question in one.questions]
    report = report_stream(
        one.name,
        one.questions,
        search,
        vectors.read,
        threshold=threshold,
        without_vector=sum(not vectors.matrix.known[row] for row in rows),
    )
    return stream_as_dict(report, search_cost(vectors, rows, rows))
