"""Which entry may answer, of those that lie near: similarity proposes, the guards dispose."""

import math

from askonce.matching.guards import verdict
from askonce.matching.text import Text
from askonce.matching.vetoes import Verdict, Veto


def judge(question: Text, other: Text, similarity: float, threshold: float) -> Verdict:
    """Whether the answer to another question may be served for this one, and why not."""
    if math.isnan(similarity) or similarity < threshold:
        return Verdict(False, Veto.FAR)
    return verdict(question, other)
