"""Sets of labeled questions under a name: pairs, or a stream in the order of time."""

from typing import NamedTuple

from askonce.semantic.evaluation.pairs import Pair
from askonce.semantic.evaluation.streams import StreamQuestion


class PairSet(NamedTuple):
    """Pairs of questions, under the name that reports and plots show."""

    name: str
    pairs: list[Pair]

    def texts(self) -> list[str]:
        """Return all questions."""
        return [text for pair in self.pairs for text in (pair.a, pair.b)]


class StreamSet(NamedTuple):
    """Questions in the order of time, under the name that reports and plots show."""

    name: str
    questions: list[StreamQuestion]

    def texts(self) -> list[str]:
        """Return all questions."""
        return [question.text for question in self.questions]


QuestionSet = PairSet | StreamSet
