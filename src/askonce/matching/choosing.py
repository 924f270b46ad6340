"""Which entry may answer, of those that lie near: similarity proposes, the guards dispose."""

import math
from typing import Final

from askonce.matching.guards import verdict
from askonce.matching.text import Text
from askonce.matching.vetoes import Verdict, Veto

THRESHOLD: Final = 0.90
"""The cosine below which nothing is served, unless a user says otherwise."""

CANDIDATES: Final = 5
"""How many of the nearest entries are looked at. Where a guard speaks against the nearest one, the
next may be right: among the first five wrong ones of a search the right answer is often one."""


def judge(question: Text, other: Text, similarity: float, threshold: float) -> Verdict:
    """Whether the answer to another question may be served for this one, and why not."""
    if math.isnan(similarity) or similarity < threshold:
        return Verdict(False, Veto.FAR)
    return verdict(question, other)
