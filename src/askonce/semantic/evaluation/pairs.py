"""Pairs of questions with their similarities: the recall and the errors of a threshold.

A pair is served if its similarity is at least the threshold and no guard vetoes it.

recall      served pairs among the pairs that are the same
wrong_rate  served pairs among the pairs that are different
precision   pairs that are the same among the served pairs
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from askonce.semantic.evaluation.intervals import Share, share
from askonce.semantic.evaluation.json_lines import InvalidObject, LineFault, read_objects, text_of

CURVE_POINTS = 200
"""The most thresholds of a curve."""


class Pair(msgspec.Struct, frozen=True):
    """Two questions; `same` is true if one answer serves both."""

    a: str
    b: str
    same: bool


class Scored(NamedTuple):
    """The score of a pair, and its label.

    `similarity` is a cosine or any other score that grows; NaN is never served. `vetoed` is true
    if a guard vetoes the pair.
    """

    similarity: float
    same: bool
    vetoed: bool = False


class Point(msgspec.Struct, frozen=True):
    """The result at one threshold."""

    threshold: float
    recall: Share
    wrong_rate: Share
    precision: Share


def read_pairs(lines: Iterable[str | bytes]) -> tuple[list[Pair], list[LineFault]]:
    """Read pairs from JSON lines with `a`, `b` and `same` (true, false, 1 or 0)."""
    return read_objects(lines, _pair)


def _pair(found: dict[str, Any]) -> Pair:
    a, b = text_of(found, "a"), text_of(found, "b")
    same = found.get("same")
    if not isinstance(same, int) or same not in (0, 1):
        wrong = "is neither true nor false" if "same" in found else "is missing"
        raise InvalidObject(f"`same` {wrong}")
    return Pair(a, b, bool(same))


def judge_at(scored: Sequence[Scored], threshold: float) -> Point:
    """Return the result at one threshold."""
    served = [one.same for one in scored if one.similarity >= threshold and not one.vetoed]
    right = sum(served)
    same = sum(one.same for one in scored)
    return _point(threshold, right, len(served) - right, same, len(scored) - same)


def curve_of(scored: Sequence[Scored], *, points: int = CURVE_POINTS) -> list[Point]:
    """Return the points at the distinct scores, from the highest threshold to the lowest.

    If there are more scores than `points`, some are left out, evenly by their rank; the first and
    the last one stay. `ValueError` for fewer than two points.
    """
    if points < 2:
        raise ValueError("a curve has two points at least")
    same = sum(one.same for one in scored)
    steps = _steps(scored)
    if len(steps) > points:
        last = len(steps) - 1
        steps = [steps[(number * last) // (points - 1)] for number in range(points)]
    return [_point(*step, same, len(scored) - same) for step in steps]


def recall_at_precision(scored: Sequence[Scored], precision: float = 0.95) -> Share | None:
    """Return the highest recall with at least this precision; None if there is none.

    Every score is tried as a threshold. At 0.95 this is `recall_at_precision_95`. It is the best
    threshold in hindsight: on other pairs the same threshold does worse.
    """
    same = sum(one.same for one in scored)
    # The quotient is rounded as the literal 0.95 is, so 19 of 20 are enough.
    found = [
        right
        for _, right, wrong in _steps(scored)
        if right and right / (right + wrong) >= precision
    ]
    return share(max(found), same) if found else None


def _steps(scored: Sequence[Scored]) -> list[tuple[float, int, int]]:
    """Return each distinct score, falling, with the right and the wrong pairs served at it."""
    # A NaN is not equal to itself; a vetoed pair makes a threshold too, but is not served.
    known = sorted(
        (one for one in scored if one.similarity == one.similarity),
        key=lambda one: one.similarity,
        reverse=True,
    )
    steps: list[tuple[float, int, int]] = []
    right = wrong = 0
    for one in known:
        if not one.vetoed:
            right, wrong = right + one.same, wrong + (not one.same)
        step = (one.similarity, right, wrong)
        if steps and steps[-1][0] == one.similarity:
            steps[-1] = step
        else:
            steps.append(step)
    return steps


def _point(threshold: float, right: int, wrong: int, same: int, different: int) -> Point:
    return Point(
        threshold=threshold,
        recall=share(right, same),
        wrong_rate=share(wrong, different),
        precision=share(right, right + wrong),
    )
