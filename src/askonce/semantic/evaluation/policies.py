"""Two policies: a fixed threshold, and the rule of vCache.

The usual tutorial fetches and compares every entry. It decides by a fixed threshold too; only its
search has another cost.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from askonce.semantic.evaluation.draws import share_of
from askonce.semantic.evaluation.logistic import Curve, Observations, fit, sigma
from askonce.semantic.evaluation.streams import Candidate, Right

FEWEST = 6
"""The observations that an entry needs before it serves, its two seeds included."""

_EPSILONS = [1e-6 + (1 - 2e-6) * number / 49 for number in range(50)]
_BOUNDS = [(1 - epsilon, NormalDist().inv_cdf(1 - epsilon)) for epsilon in _EPSILONS]
"""For each probability of error, the confidence and its quantile in standard deviations."""


def best_of(candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the nearest candidate without a veto whose similarity is a number."""
    fit_to_serve = (one for one in candidates if not one.vetoed and not math.isnan(one.similarity))
    return next(fit_to_serve, None)


class FixedThreshold:
    """Serves the nearest candidate if it is near enough, and keeps every answer of the provider."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def decide(self, question: int, candidates: Sequence[Candidate]) -> Candidate | None:
        best = best_of(candidates)
        return best if best is not None and best.similarity >= self.threshold else None

    def observe(self, question: int, candidates: Sequence[Candidate], right: Right) -> bool:
        return True


class Observed:
    """The observations of one entry: where its answer was right, and where it was wrong.

    Similarities are rounded to 3 digits. The seeds are a wrong answer at 0 and a right one at 1.
    """

    __slots__ = ("_changed", "_counts", "_curve", "_highest_wrong", "_lowest_right", "count")

    def __init__(self) -> None:
        self._counts: dict[float, tuple[int, int]] = {0.0: (0, 1), 1.0: (1, 0)}
        self._curve: Curve | None = None
        self._changed = False
        self._highest_wrong, self._lowest_right = -math.inf, math.inf  # without the two seeds
        self.count = 2

    def add(self, similarity: float, *, right: bool) -> None:
        place = round(similarity, 3)
        were, were_not = self._counts.get(place, (0, 0))
        self._counts[place] = (were + right, were_not + (not right))
        if right:
            self._lowest_right = min(self._lowest_right, place)
        else:
            self._highest_wrong = max(self._highest_wrong, place)
        self._changed = True
        self.count += 1

    def seen(self) -> list[Observations]:
        return [Observations(place, *counts) for place, counts in sorted(self._counts.items())]

    def curve(self) -> Curve:
        if self._curve is None or self._changed:
            self._curve = fit(self.seen(), start=self._curve)
            self._changed = False
        return self._curve

    def only_wrong_at(self, similarity: float) -> bool:
        """Was the answer wrong at this similarity or above, and never right up to it?"""
        place = round(similarity, 3)
        return self._highest_wrong >= place and self._lowest_right > place


class VCache:
    """The rule of vCache (L. G. Schroeder et al., "vCache: verified semantic prompt caching",
    arXiv 2502.03771), written from the paper's mathematics.

    It promises that at most `delta` of all questions (not of the hits) are answered wrongly, if
    they come independently of each other and each entry's chance to be right is a logistic curve
    of the similarity. The provider is asked with at least the chance tau, otherwise the
    nearest entry serves; asking is never wrong. The provider's answer shows whether the entry
    would have been right, and becomes an entry only if it would not.

    Where right and wrong similarities do not overlap, the likelihood has no finite maximum and
    the variance of the delta method does not exist. The paper's experiments then take it from a
    table by the number of observations. A table from some data says nothing about other data, so
    here Jeffreys' prior makes curve and variance finite, and the same formula applies. And an
    entry that was wrong at some similarity or above, and right nowhere up to it, never serves
    there: the rule alone would spend `delta` on it.

    A draw depends on the seed and on the question, so a run can be repeated, and a larger `delta`
    never turns one and the same decision from serving to asking.
    """

    def __init__(self, delta: float, *, seed: int = 0) -> None:
        if not 0 < delta < 1:
            raise ValueError(f"delta is a share between 0 and 1, not {delta}")
        self.delta = delta
        self._seed = seed
        self._observed: dict[int, Observed] = {}

    def decide(self, question: int, candidates: Sequence[Candidate]) -> Candidate | None:
        best = best_of(candidates)
        if best is None or share_of(self._seed, question) <= self.chance_to_ask(best):
            return None
        return best

    def observe(self, question: int, candidates: Sequence[Candidate], right: Right) -> bool:
        best = best_of(candidates)
        if best is None:
            return True
        was_right = right(best)
        self._observed.setdefault(best.entry, Observed()).add(best.similarity, right=was_right)
        return not was_right

    def chance_to_ask(self, candidate: Candidate) -> float:
        """Return tau: 1 always asks, 0 always serves."""
        observed = self._observed.get(candidate.entry)
        if observed is None or observed.count < FEWEST:
            return 1.0
        if observed.only_wrong_at(candidate.similarity):
            return 1.0
        return tau(surely_right(observed.curve(), candidate.similarity), self.delta)


def tau(alpha: float, delta: float) -> float:
    """Return how often to ask, so that an answer is right with probability 1 - `delta`."""
    return max(0.0, 1 - delta / (1 - alpha)) if alpha < 1 else 0.0


def surely_right(curve: Curve, similarity: float) -> float:
    """Return alpha, a lower bound on the probability that the answer is right.

    The curve crosses one half at t. For each confidence level, the variance of t by the delta
    method moves t upward; the best level counts. The slope is taken as fitted. The paper's proof
    moves it too, so the bound is only as exact as the slope.
    """
    slope = max(curve.slope, 1e-6)
    middle = min(max(-curve.intercept / slope, 0.0), 1.0)
    by_intercept, by_slope = -1 / slope, curve.intercept / (slope * slope)
    variance = (
        by_intercept**2 * curve.variance_intercept
        + 2 * by_intercept * by_slope * curve.covariance
        + by_slope**2 * curve.variance_slope
    )
    deviation = math.sqrt(max(variance, 0.0))
    return max(
        sure * sigma(slope * (similarity - min(max(middle + z * deviation, 0.0), 1.0)))
        for sure, z in _BOUNDS
    )
