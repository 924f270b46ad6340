"""The effect of each guard: right hits that it loses, and wrong ones that it prevents.

Every guard is asked alone, and all of them together, about the pairs at or above the threshold,
which a threshold without guards would serve.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from askonce.semantic.evaluation.intervals import Share, share
from askonce.semantic.guards import GUARDS, Text, verdict

ALL = "all"
"""The name of all guards together."""


class Proposed(NamedTuple):
    """Two questions above the threshold; `same` is true if one answer serves both."""

    question: Text
    other: Text
    same: bool


class GuardEffect(msgspec.Struct, frozen=True):
    """The effect of one guard alone.

    recall_lost      vetoed pairs among the proposed pairs that are the same
    wrong_prevented  vetoed pairs among the proposed pairs that are different
    """

    guard: str
    recall_lost: Share
    wrong_prevented: Share


def effects_of(proposed: Iterable[Proposed]) -> list[GuardEffect]:
    """Return the effect of each guard, in their order, and at the end of all together."""
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
