"""Which entry may answer, of those that lie near: similarity proposes, the guards dispose."""

import math

from askonce.semantic.guards.guards import verdict
from askonce.semantic.guards.text import Text
from askonce.semantic.guards.vetoes import GuardVerdict, Veto


def judge(question: Text, other: Text, similarity: float, threshold: float) -> GuardVerdict:
    """Whether the answer to another question may be served for this one, and why not."""
    if math.isnan(similarity) or similarity < threshold:
        return GuardVerdict(False, Veto.FAR)
    return verdict(question, other)
