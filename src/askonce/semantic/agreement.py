"""Do two answers say the same? An estimate, for questions that were matched and not served.

Nobody reads the answers here. Equal texts agree; texts with other numbers, or of which one denies
what the other says, do not; beyond that the cosine of the answers decides, or, where they have no
vectors, the words that they share. What lies between is `unclear`, and counted as such.
"""

import enum

from askonce.semantic.guards import prepare
from askonce.semantic.guards.quantity_guards import other_numbers
from askonce.semantic.guards.sense_guards import other_negation

_ALIKE, _APART = 0.85, 0.6
_SHARED, _FEW = 0.8, 0.3


class Agreement(enum.StrEnum):
    """The words of statistics and metrics."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNCLEAR = "unclear"


def agreement(a: str, b: str, similarity: float | None) -> Agreement:
    """Compare two answers; `similarity` is the cosine of their vectors, if both have one."""
    one, two = prepare(a), prepare(b)
    if one.digest == two.digest:
        return Agreement.AGREES
    if other_numbers(one, two) or other_negation(one, two):
        return Agreement.DISAGREES
    if similarity is None:
        both = one.bag | two.bag
        similarity = len(one.bag & two.bag) / len(both) if both else 0.0
        alike, apart = _SHARED, _FEW
    else:
        alike, apart = _ALIKE, _APART
    if similarity >= alike:
        return Agreement.AGREES
    return Agreement.DISAGREES if similarity < apart else Agreement.UNCLEAR
