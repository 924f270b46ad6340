"""What `askonce eval` runs: reads sets of questions, embeds each text once, and measures.

The decisions are those of `matching`, the numbers those of `evaluating`; here are the files, the
embedder and the clock that both of them may not know.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from askonce.semantic.evaluation.pair_reports import report_pairs
from askonce.semantic.evaluation.pairs import Pair
from askonce.semantic.evaluation.plain import plain_pairs, plain_stream
from askonce.semantic.evaluation.search_cost import search_cost
from askonce.semantic.evaluation.stream_reports import Search, report_stream
from askonce.semantic.evaluation.streams import StreamQuestion
from askonce.semantic.evaluation.text_vectors import TextVectors


class PairSet(NamedTuple):
    """A set of pairs under the name that reports and pictures have."""

    name: str
    pairs: list[Pair]

    def texts(self) -> list[str]:
        return [text for pair in self.pairs for text in (pair.a, pair.b)]


class StreamSet(NamedTuple):
    """A stream in the order of time, under its name."""

    name: str
    questions: list[StreamQuestion]

    def texts(self) -> list[str]:
        return [question.text for question in self.questions]


Set = PairSet | StreamSet


def measure(one: Set, meanings: TextVectors, *, threshold: float) -> dict[str, Any]:
    """Everything that is told about a set, as plain values. Its texts were embedded before."""
    if isinstance(one, PairSet):
        return _measured_pairs(one, meanings, threshold)
    return _measured_stream(one, meanings, threshold)


def _measured_pairs(one: PairSet, meanings: TextVectors, threshold: float) -> dict[str, Any]:
    rows = [(meanings.row(pair.a), meanings.row(pair.b)) for pair in one.pairs]
    similarities = meanings.matrix.cosines(rows)
    report = report_pairs(one.name, one.pairs, similarities, meanings.read, threshold=threshold)
    return plain_pairs(report, search_cost(meanings, [a for a, _ in rows], [b for _, b in rows]))


def _measured_stream(one: StreamSet, meanings: TextVectors, threshold: float) -> dict[str, Any]:
    def search(questions: Sequence[StreamQuestion], limit: int) -> Search:
        return meanings.matrix.search([meanings.row(asked.text) for asked in questions], limit)

    rows = [meanings.row(asked.text) for asked in one.questions]
    report = report_stream(
        one.name,
        one.questions,
        search,
        meanings.read,
        threshold=threshold,
        without_vector=sum(not meanings.matrix.known[row] for row in rows),
    )
    return plain_stream(report, search_cost(meanings, rows, rows))
