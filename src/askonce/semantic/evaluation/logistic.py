"""A logistic curve through few observations: P(right) = sigma(a + b s) for a similarity s.

Fitted by Newton's method (iteratively reweighted least squares). The maximum of the likelihood is
finite exactly if the classes overlap, that is if some wrong similarity lies above some right one
(A. Albert, J. A. Anderson, Biometrika 71, 1984). Where they do not, Jeffreys' prior makes the
maximum finite (D. Firth, Biometrika 80, 1993; G. Heinze, M. Schemper, Statistics in Medicine 21,
2002): every observation counts a little for the other class too, by its leverage.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

STEPS = 100
"""The most Newton steps; ten are usual."""

LONGEST = 8.0
"""The most that one step may move the curve at s = 0 or s = 1, in logits."""

SHORTEST = 1e-9
"""The smallest part of a step that is tried."""

NUDGE = 1e-6
"""The distance of two scores for the curvature of the likelihood, in logits."""

ENOUGH = 0.25
"""The part of its promised gain that a step must keep (L. Armijo, 1966)."""

FLAT = 1e-10
"""The iteration ends when the log-likelihood can gain less than this."""


class Observations(NamedTuple):
    """How often an answer was right and wrong at one similarity."""

    similarity: float
    right: int
    wrong: int


class Curve(NamedTuple):
    """A fitted curve with the covariance of its two numbers, and how it was fitted."""

    intercept: float
    slope: float
    variance_intercept: float
    covariance: float
    variance_slope: float
    penalized: bool


class _Sums(NamedTuple):
    """The score and the information at one place."""

    score_a: float
    score_b: float
    aa: float
    ab: float
    bb: float

    @property
    def determinant(self) -> float:
        return self.aa * self.bb - self.ab * self.ab


def sigma(x: float) -> float:
    """Return the logistic function, exact up to rounding for any finite number."""
    if x >= 0:
        return 1 / (1 + math.exp(-min(x, 700.0)))
    grown = math.exp(max(x, -700.0))
    return grown / (1 + grown)


def are_apart(seen: Sequence[Observations]) -> bool:
    """Does no wrong similarity lie above a right one?"""
    wrong = max((one.similarity for one in seen if one.wrong), default=-math.inf)
    right = min((one.similarity for one in seen if one.right), default=math.inf)
    return wrong <= right


def fit(seen: Sequence[Observations], *, start: Curve | None = None) -> Curve:
    """Return the curve of maximum likelihood, or with Jeffreys' prior if that is not finite.

    A `start` near it only saves time. The penalized likelihood may have two maxima; its iteration
    always starts at the flat curve, so the same observations give the same curve. `ValueError`
    for observations at fewer than two similarities.
    """
    if len({one.similarity for one in seen if one.right + one.wrong}) < 2:
        raise ValueError("a curve needs observations at two similarities")
    near = start is not None and _sums_at(seen, *start[:2], penalized=False).determinant > 0
    a, b = start[:2] if start and near else (0.0, 0.0)
    curve = None if are_apart(seen) else _maximum(seen, a, b, penalized=False)
    curve = curve or _maximum(seen, 0.0, 0.0, penalized=True)
    assert curve is not None, "the penalized likelihood is finite only where there is a curve"
    return curve


def _maximum(seen: Sequence[Observations], a: float, b: float, *, penalized: bool) -> Curve | None:
    """Run Newton's method with steps that are halved until they gain enough, or doubled.

    Returns None if it diverges, as the plain likelihood may if the classes hardly overlap.
    """
    height = _likelihood(seen, a, b, penalized=penalized)
    for _ in range(STEPS):
        sums = _sums_at(seen, a, b, penalized=penalized)
        if not sums.determinant > 0:
            return None
        step_a, step_b = _step(seen, a, b, sums, penalized=penalized)
        gain = step_a * sums.score_a + step_b * sums.score_b
        if gain < FLAT:
            return _curve(a, b, sums, penalized=penalized)
        longest = LONGEST / max(abs(step_a), abs(step_a + step_b))
        part = min(1.0, longest)
        higher = _likelihood(seen, a + part * step_a, b + part * step_b, penalized=penalized)
        while higher < height + ENOUGH * part * gain:
            part /= 2
            if part < SHORTEST:
                return _curve(a, b, sums, penalized=penalized)  # as high as rounding lets it be
            higher = _likelihood(seen, a + part * step_a, b + part * step_b, penalized=penalized)
        while penalized and 2 * part <= longest:  # on a ridge a whole step is far too short
            further = _likelihood(
                seen, a + 2 * part * step_a, b + 2 * part * step_b, penalized=True
            )
            if further <= higher:
                break
            part, higher = 2 * part, further
        a, b, height = a + part * step_a, b + part * step_b, higher
    sums = _sums_at(seen, a, b, penalized=penalized)
    return _curve(a, b, sums, penalized=penalized) if penalized else None


def _step(
    seen: Sequence[Observations], a: float, b: float, sums: _Sums, *, penalized: bool
) -> tuple[float, float]:
    """Return the next Newton step.

    The information is the curvature of the plain likelihood. With Jeffreys' prior the curvature is
    estimated by two differences of the score; if that is not a maximum, the information is used.
    """
    aa, ab, bb = sums.aa, sums.ab, sums.bb
    if penalized:
        by_a = _sums_at(seen, a + NUDGE, b, penalized=True)
        by_b = _sums_at(seen, a, b + NUDGE, penalized=True)
        bent_aa = (sums.score_a - by_a.score_a) / NUDGE
        bent_bb = (sums.score_b - by_b.score_b) / NUDGE
        bent_ab = (sums.score_b - by_a.score_b + sums.score_a - by_b.score_a) / (2 * NUDGE)
        if bent_aa > 0 and bent_aa * bent_bb > bent_ab * bent_ab:
            aa, ab, bb = bent_aa, bent_ab, bent_bb
    determinant = aa * bb - ab * ab
    step_a = (bb * sums.score_a - ab * sums.score_b) / determinant
    step_b = (aa * sums.score_b - ab * sums.score_a) / determinant
    return step_a, step_b


def _likelihood(seen: Sequence[Observations], a: float, b: float, *, penalized: bool) -> float:
    """Return the log-likelihood, plus half the logarithm of the information if penalized."""
    total = 0.0
    for one in seen:
        logit = a + b * one.similarity
        total -= one.right * _softplus(-logit) + one.wrong * _softplus(logit)
    if penalized:
        determinant = _sums_at(seen, a, b, penalized=False).determinant
        total += 0.5 * math.log(determinant) if determinant > 0 else -math.inf
    return total


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _sums_at(seen: Sequence[Observations], a: float, b: float, *, penalized: bool) -> _Sums:
    chances = [sigma(a + b * one.similarity) for one in seen]
    aa = ab = bb = 0.0
    for one, p in zip(seen, chances, strict=True):
        weight = (one.right + one.wrong) * p * (1 - p)
        aa += weight
        ab += weight * one.similarity
        bb += weight * one.similarity**2
    determinant = aa * bb - ab * ab
    score_a = score_b = 0.0
    for one, p in zip(seen, chances, strict=True):
        count, s = one.right + one.wrong, one.similarity
        miss = one.right - count * p
        if penalized and determinant > 0:
            leverage = count * p * (1 - p) * (bb - 2 * ab * s + aa * s * s) / determinant
            miss += leverage * (0.5 - p)
        score_a += miss
        score_b += miss * s
    return _Sums(score_a, score_b, aa, ab, bb)


def _curve(a: float, b: float, sums: _Sums, *, penalized: bool) -> Curve:
    determinant = sums.determinant
    return Curve(
        a, b, sums.bb / determinant, -sums.ab / determinant, sums.aa / determinant, penalized
    )
