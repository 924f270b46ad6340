"""What each guard does to what similarity proposes: the right hits lost, the wrong ones prevented.

Every guard is asked alone, and all of them together, about the same pairs: those that lie at or
above the threshold, which a threshold without guards would serve.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from askonce.semantic.evaluation.intervals import Share, share
from askonce.semantic.guards import GUARDS, Text, verdict

ALL = "all"
"""The name of all guards together."""


class Proposed(NamedTuple):
    """Two questions that lie near each other; `same` says that one answer serves both."""

    question: Text
    other: Text
    same: bool


class GuardEffect(msgspec.Struct, frozen=True):
    """What one guard alone does.

    recall_lost      vetoed pairs of those proposed that are the same
    wrong_prevented  vetoed pairs of those proposed that are different
    """

    guard: str
    recall_lost: Share
    wrong_prevented: Share


def effects_of(proposed: Iterable[Proposed]) -> list[GuardEffect]:
    """The effect of each guard, in their order, and last that of all together."""
    pairs = list(proposed)
    # The same words are the same question: no guard is asked about them.
    asked = [one for one in pairs if one.question.digest != one.other.digest]
    found = [
        _effect(reason, pairs, [one.same for one in asked if vetoes(one.question, one.other)])
        for reason, vetoes in GUARDS
    ]
    vetoed = [one.same for one in asked if not verdict(one.question, one.other).yes]
    return [*found, _effect(ALL, pairs, vetoed)]


def _effect(guard: str, pairs: list[Proposed], vetoed: list[bool]) -> GuardEffect:
    same = sum(one.same for one in pairs)
    return GuardEffect(
        guard=str(guard),
        recall_lost=share(sum(vetoed), same),
        wrong_prevented=share(len(vetoed) - sum(vetoed), len(pairs) - same),
    )
