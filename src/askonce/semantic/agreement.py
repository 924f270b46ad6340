"""An estimate whether two answers say the same, for shadow mode, where no person reads them.

Equal texts agree. Texts with different numbers disagree, and so does a text that denies what the
other says. Otherwise the cosine of the answers decides or, where they have no vectors, the words
that they share. Between the two limits the answers are counted as `unclear`.
"""

import enum

from askonce.semantic.guards import prepare
from askonce.semantic.guards.quantity_guards import other_numbers
from askonce.semantic.guards.sense_guards import other_negation

_COSINE_AGREES, _COSINE_DISAGREES = 0.85, 0.6
_SHARE_AGREES, _SHARE_DISAGREES = 0.8, 0.3


class Agreement(enum.StrEnum):
    """The outcome, with the words of statistics and metrics."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNCLEAR = "unclear"


def agreement(a: str, b: str, similarity: float | None) -> Agreement:
    """Compare two answers; `similarity` is the cosine of their vectors, None without vectors."""
    one, two = prepare(a), prepare(b)
    if one.digest == two.digest:
        return Agreement.AGREES
    if other_numbers(one, two) or other_negation(one, two):
        return Agreement.DISAGREES
    agrees, disagrees = _COSINE_AGREES, _COSINE_DISAGREES
    if similarity is None:
        both = one.bag | two.bag
        similarity = len(one.bag & two.bag) / len(both) if both else 0.0
        agrees, disagrees = _SHARE_AGREES, _SHARE_DISAGREES
    if similarity >= agrees:
        return Agreement.AGREES
    return Agreement.DISAGREES if similarity < disagrees else Agreement.UNCLEAR
