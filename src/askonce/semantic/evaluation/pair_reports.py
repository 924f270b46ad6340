"""The report on a set of pairs: threshold with guards, beside thresholds without guards."""

from collections.abc import Callable, Sequence

import msgspec

from askonce.semantic.evaluation.guard_effects import GuardEffect, Proposed, effects_of
from askonce.semantic.evaluation.intervals import Share
from askonce.semantic.evaluation.pairs import (
    Pair,
    Point,
    Scored,
    curve_of,
    judge_at,
    recall_at_precision,
)
from askonce.semantic.guards import Text, judge

FIXED = (0.80, 0.85, 0.90, 0.95, 0.97, 0.99)
"""The thresholds without guards, for comparison."""

_ANY = -1.0
"""A threshold below every cosine, so that only the guards decide."""


class PairReport(msgspec.Struct, frozen=True, kw_only=True):
    """The report on one set of pairs.

    `point` is the result in service: the threshold and the guards. `curve` moves the threshold and
    keeps the guards; `bare_curve`, `bare_recall_at_precision_95` and `fixed` have no guards. Pairs
    `without_vector` are counted, and never served.
    """

    name: str
    pairs: int
    same: int
    without_vector: int
    threshold: float
    point: Point
    recall_at_precision_95: Share | None
    bare_recall_at_precision_95: Share | None
    curve: list[Point]
    bare_curve: list[Point]
    fixed: list[Point]
    guards: list[GuardEffect]


def report_pairs(
    name: str,
    pairs: Sequence[Pair],
    similarities: Sequence[float],
    read: Callable[[str], Text],
    *,
    threshold: float,
) -> PairReport:
    """Judge every pair as in service. A similarity of NaN means that there is no vector."""
    served: list[Scored] = []
    guarded: list[Scored] = []
    proposed: list[Proposed] = []
    for pair, similarity in zip(pairs, similarities, strict=True):
        a, b = read(pair.a), read(pair.b)
        # The operating point is the decision of `judge`, whatever it will weigh in the future.
        yes = judge(a, b, similarity, threshold).yes
        served.append(Scored(1.0 if yes else 0.0, pair.same))
        vetoed = not judge(a, b, similarity, _ANY).yes
        guarded.append(Scored(similarity, pair.same, vetoed))
        if similarity >= threshold:
            proposed.append(Proposed(a, b, pair.same))
    bare = [one._replace(vetoed=False) for one in guarded]
    return PairReport(
        name=name,
        pairs=len(pairs),
        same=sum(pair.same for pair in pairs),
        without_vector=sum(one != one for one in similarities),
        threshold=threshold,
        point=msgspec.structs.replace(judge_at(served, 1.0), threshold=threshold),
        recall_at_precision_95=recall_at_precision(guarded),
        bare_recall_at_precision_95=recall_at_precision(bare),
        curve=curve_of(guarded),
        bare_curve=curve_of(bare),
        fixed=[judge_at(bare, fixed) for fixed in FIXED],
        guards=effects_of(proposed),
    )
