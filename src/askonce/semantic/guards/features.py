"""Numbers about two questions, for a model that weighs what the guards only judge."""

from typing import NamedTuple

from askonce.semantic.guards.guards import GUARDS
from askonce.semantic.guards.names import resembles
from askonce.semantic.guards.order import difference, shared
from askonce.semantic.guards.text import Text


class Features(NamedTuple):
    """Symmetric, each from 0 to 1 but the counts; of equal questions the same constants."""

    content_overlap: float  # shared of all meaning words
    word_overlap: float  # shared of all words
    only_in_one: int  # meaning words of the text that has more of its own
    only_in_other: int
    resembling: int  # of these, those that the other has in another form
    names_only_in_one: int
    numbers_only_in_one: int
    length_ratio: float
    in_order: float  # shared words up to the first and from the last change of order
    same_question_word: float
    both_deny: float
    vetoes: tuple[float, ...]  # one for each guard, in their order


def features_of(a: Text, b: Text) -> Features:
    """Compare two prepared questions; some tens of microseconds more than the guards alone."""
    left, right = a.bag - b.bag, b.bag - a.bag
    many, few = sorted((left, right), key=lambda words: (-len(words), sorted(words)))
    near = sum(resembles(word, b.known) for word in sorted(left)[:_MOST])
    near += sum(resembles(word, a.known) for word in sorted(right)[:_MOST])
    return Features(
        content_overlap=_ratio(len(a.bag & b.bag), len(a.bag | b.bag)),
        word_overlap=_ratio(len(a.surfaces & b.surfaces), len(a.surfaces | b.surfaces)),
        only_in_one=len(many),
        only_in_other=len(few),
        resembling=near,
        names_only_in_one=_missing_names(a, b) + _missing_names(b, a),
        numbers_only_in_one=len(a.quantities ^ b.quantities),
        length_ratio=_ratio(*sorted((len(a.flow), len(b.flow)))),
        in_order=_in_order(a, b),
        same_question_word=float(a.asks[:1] == b.asks[:1]),
        both_deny=float(a.denies == b.denies),
        vetoes=tuple(float(a.digest != b.digest and vetoes(a, b)) for _, vetoes in GUARDS),
    )


_MOST = 16


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _missing_names(a: Text, b: Text) -> int:
    return sum(n.stem not in b.known and n.word not in b.known for n in a.names)


def _in_order(a: Text, b: Text) -> float:
    ours, theirs = shared(a.matter, b.matter)
    at, end, _ = difference(ours, theirs)
    return 1.0 if at is None else 1 - _ratio(end - at, len(ours))
