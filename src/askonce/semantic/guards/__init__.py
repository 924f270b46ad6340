"""Whether two questions that look alike may share an answer: the guards of the semantic layer.

Similarity only proposes. A question is read once (`prepare`) and kept with its entry; two read
questions are compared by `verdict` in some microseconds. Every guard can only veto.
"""

from askonce.semantic.guards.features import Features, features_of
from askonce.semantic.guards.guards import GUARDS, verdict
from askonce.semantic.guards.judge import judge
from askonce.semantic.guards.text import Text, prepare
from askonce.semantic.guards.vetoes import GuardVerdict, Veto
from askonce.semantic.operating_point import CANDIDATES, THRESHOLD

__all__ = [
    "CANDIDATES",
    "GUARDS",
    "THRESHOLD",
    "Features",
    "GuardVerdict",
    "Text",
    "Veto",
    "features",
    "judge",
    "may_match",
    "prepare",
    "verdict",
    "verdicts",
]


def may_match(a: str, b: str) -> GuardVerdict:
    """Whether the answer to one question may be served for the other, as far as the guards see."""
    return verdict(prepare(a), prepare(b))


def verdicts(a: str, b: str) -> tuple[GuardVerdict, ...]:
    """What every guard says, in their order, for an explanation."""
    one, two = prepare(a), prepare(b)
    return tuple(
        GuardVerdict(one.digest == two.digest or not vetoes(one, two), reason)
        for reason, vetoes in GUARDS
    )


def features(a: str, b: str) -> Features:
    """What a calibrated model may weigh beside the similarity."""
    return features_of(prepare(a), prepare(b))
