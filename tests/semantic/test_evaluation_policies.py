"""Policies: the fixed threshold, and vCache's rule with the curve below it."""

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.semantic.evaluation.draws import Draws
from askonce.semantic.evaluation.logistic import Curve, Observations, are_apart, fit, sigma
from askonce.semantic.evaluation.policies import FEWEST, FixedThreshold, VCache, surely_right, tau
from askonce.semantic.evaluation.streams import Candidate, ServingPolicy

PLACES = st.integers(0, 1000).map(lambda place: place / 1000)
OBSERVATIONS = st.lists(st.tuples(PLACES, st.booleans()), max_size=40)


def always(right: bool) -> Callable[[Candidate], bool]:
    """A judge of one opinion."""
    return lambda _: right


def taught(observations: Sequence[tuple[float, bool]], delta: float, seed: int = 0) -> VCache:
    """Return the rule after these observations of entry 0."""
    policy = VCache(delta, seed=seed)
    for similarity, right in observations:
        policy.observe(0, [Candidate(0, similarity)], always(right))
    return policy


def seen(observations: Sequence[tuple[float, bool]]) -> list[Observations]:
    """With the two seeds of an entry."""
    seeds = [Observations(0.0, 0, 1), Observations(1.0, 1, 0)]
    return seeds + [
        Observations(place, int(right), int(not right)) for place, right in observations
    ]


# The fixed threshold.


def test_the_nearest_is_served_if_it_is_near_enough() -> None:
    policy: ServingPolicy = FixedThreshold(0.9)
    near, far = Candidate(1, 0.9), Candidate(2, 0.8)
    assert policy.decide(0, [near, far]) == near
    assert policy.decide(0, [far]) is None
    assert policy.decide(0, []) is None
    assert policy.observe(0, [near], lambda _: True)


def test_a_vetoed_candidate_gives_way_to_the_next() -> None:
    vetoed, next_one = Candidate(1, 0.99, True), Candidate(2, 0.95)
    assert FixedThreshold(0.9).decide(0, [vetoed, next_one]) == next_one
    assert FixedThreshold(0.9).decide(0, [vetoed]) is None


def test_a_similarity_that_is_no_number_is_never_served() -> None:
    strange, next_one = Candidate(0, math.nan), Candidate(2, 0.95)
    assert FixedThreshold(-1.0).decide(0, [strange]) is None
    assert FixedThreshold(0.9).decide(0, [strange, next_one]) == next_one
    policy = taught([(0.9, True)] * 50, 0.5)
    assert all(policy.decide(question, [strange]) is None for question in range(50))


# The curve.


def test_jeffreys_prior_adds_half_an_answer_of_each_kind() -> None:
    # With two places the curve can be anything there, and Firth's estimate is (y + 1/2) / (n + 1).
    curve = fit([Observations(0.2, 0, 7), Observations(0.9, 5, 0)])
    assert curve.penalized
    assert sigma(curve.intercept + curve.slope * 0.2) == pytest.approx(0.5 / 8, abs=1e-6)
    assert sigma(curve.intercept + curve.slope * 0.9) == pytest.approx(5.5 / 6, abs=1e-6)


def test_a_plain_curve_goes_through_the_shares_of_two_places() -> None:
    curve = fit([Observations(0.2, 2, 6), Observations(0.9, 9, 1)])
    assert not curve.penalized
    assert sigma(curve.intercept + curve.slope * 0.2) == pytest.approx(0.25, abs=1e-6)
    assert sigma(curve.intercept + curve.slope * 0.9) == pytest.approx(0.9, abs=1e-6)
    # The delta method: a logit's variance is 1 / (n p (1 - p)).
    at = 0.2
    variance = curve.variance_intercept + 2 * at * curve.covariance + at * at * curve.variance_slope
    assert variance == pytest.approx(1 / (8 * 0.25 * 0.75), rel=1e-4)


@given(OBSERVATIONS)
def test_a_curve_is_always_found_and_balances_the_score(
    observations: list[tuple[float, bool]],
) -> None:
    places = seen(observations)
    curve = fit(places)
    assert all(math.isfinite(number) for number in curve)
    assert curve.variance_intercept > 0
    assert curve.variance_slope > 0
    if not curve.penalized:
        # At the maximum of the plain likelihood the expectation equals the observation.
        assert not are_apart(places)
        expected = sum(sigma(curve.intercept + curve.slope * one.similarity) for one in places)
        assert expected == pytest.approx(sum(one.right for one in places), abs=1e-3)


@given(OBSERVATIONS, PLACES, st.booleans())
def test_a_start_changes_nothing(
    observations: list[tuple[float, bool]], place: float, right: bool
) -> None:
    before, after = seen(observations), seen([*observations, (place, right)])
    cold, warm = fit(after), fit(after, start=fit(before))
    assert warm.penalized == cold.penalized
    for at in (0.0, 0.5, 1.0):
        assert sigma(warm.intercept + warm.slope * at) == pytest.approx(
            sigma(cold.intercept + cold.slope * at), abs=1e-3
        )


def test_a_curve_needs_two_places() -> None:
    with pytest.raises(ValueError, match="two similarities"):
        fit([Observations(0.5, 3, 4), Observations(0.7, 0, 0)])


# How often to ask.


def test_tau_is_the_smallest_chance_that_keeps_the_promise() -> None:
    assert tau(0.0, 0.01) == pytest.approx(0.99)
    assert tau(0.95, 0.01) == pytest.approx(0.8)
    assert tau(0.99, 0.01) == pytest.approx(0.0, abs=1e-12)
    assert tau(1.0, 0.01) == 0.0


@given(st.floats(0, 1), st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_asked_or_right_is_as_often_as_promised(alpha: float, delta: float, other: float) -> None:
    ask = tau(alpha, delta)
    assert 0 <= ask <= 1
    assert ask + (1 - ask) * alpha >= 1 - delta - 1e-9
    assert (tau(alpha, other) <= ask) if other >= delta else (tau(alpha, other) >= ask)


@given(OBSERVATIONS, PLACES)
def test_care_never_promises_more_than_the_curve(
    observations: list[tuple[float, bool]], place: float
) -> None:
    curve = fit(seen(observations))
    sure = surely_right(curve, place)
    slope = max(curve.slope, 1e-6)
    middle = min(max(-curve.intercept / slope, 0.0), 1.0)
    # A level of care of at most one half may lie above the curve, but counts for half.
    assert 0 <= sure <= max(sigma(slope * (place - middle)), 0.5)
    assert sure <= surely_right(curve, min(place + 0.05, 1.0)) or place > 0.95


def test_a_known_curve_meets_the_formula() -> None:
    # Known exactly: the crossing at 0.8 does not move, so only the last step of care costs.
    curve = Curve(-40.0, 50.0, 0.0, 0.0, 0.0, False)
    assert surely_right(curve, 0.9) == pytest.approx((1 - 1e-6) * sigma(5.0), rel=1e-9)


# The rule.


def test_it_asks_at_first() -> None:
    for known in range(FEWEST - 2):
        policy = taught([(0.9, True)] * known, 0.5)
        assert policy.chance_to_ask(Candidate(0, 0.99)) == 1.0
        assert all(policy.decide(n, [Candidate(0, 0.99)]) is None for n in range(200))
    assert taught([(0.9, True)] * (FEWEST - 2), 0.5).chance_to_ask(Candidate(0, 0.99)) < 1.0


def test_only_a_wrong_answer_makes_an_entry() -> None:
    policy = VCache(0.01)
    assert policy.observe(0, [], lambda _: False)
    assert policy.observe(1, [Candidate(0, 0.8)], lambda _: False)
    assert not policy.observe(2, [Candidate(0, 0.8)], lambda _: True)


@given(OBSERVATIONS, PLACES, st.floats(0.001, 0.4), st.floats(0.001, 0.4))
def test_a_larger_delta_never_asks_more(
    observations: list[tuple[float, bool]], place: float, one: float, other: float
) -> None:
    small, large = sorted((one, other))
    candidate = Candidate(0, place)
    careful, bold = taught(observations, small), taught(observations, large)
    assert bold.chance_to_ask(candidate) <= careful.chance_to_ask(candidate)
    for question in range(20):
        if careful.decide(question, [candidate]) is not None:
            assert bold.decide(question, [candidate]) is not None


@given(PLACES, st.integers(4, 60), st.floats(0.001, 0.5), st.integers(0, 99))
def test_it_never_serves_where_it_was_only_wrong(
    place: float, times: int, delta: float, seed: int
) -> None:
    policy = taught([(place, False)] * times, delta, seed)
    below = [Candidate(0, place), Candidate(0, place / 2)]
    for question in range(50):
        assert all(policy.decide(question, [candidate]) is None for candidate in below)


def test_more_of_the_same_makes_it_surer() -> None:
    chances = [
        taught([(0.6, False), (0.95, True)] * times, 0.05).chance_to_ask(Candidate(0, 0.97))
        for times in (2, 8, 32, 128)
    ]
    assert chances == sorted(chances, reverse=True)
    assert chances[-1] < 0.5


def test_a_run_can_be_repeated_and_seeds_differ() -> None:
    def decided(seed: int) -> list[bool]:
        policy = taught([(0.5, False), (0.9, True)] * 20, 0.05, seed)
        return [policy.decide(n, [Candidate(0, 0.9)]) is None for n in range(200)]

    assert decided(1) == decided(1)
    assert decided(1) != decided(2)
    assert {True, False} == set(decided(1))


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1])
def test_delta_is_a_share(delta: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        VCache(delta)


@pytest.mark.parametrize("slope", [12.0, 40.0, 200.0])
@pytest.mark.parametrize(("size", "runs"), [(300, 12), (1000, 5), (2000, 2)])
def test_the_bound_holds_where_its_assumptions_do(slope: float, size: int, runs: int) -> None:
    delta, served, wrong = 0.05, 0, 0
    for seed in range(runs):
        draws, policy = Draws(seed), VCache(delta, seed=seed)
        middles = [0.7 + 0.25 * draws.share() for _ in range(8)]
        for question in range(size):
            entry = draws.below(len(middles))
            similarity = 0.5 + 0.5 * draws.share()
            right = draws.share() < sigma(slope * (similarity - middles[entry]))
            candidates = [Candidate(entry, similarity)]
            if policy.decide(question, candidates) is None:
                policy.observe(question, candidates, always(right))
            else:
                served, wrong = served + 1, wrong + (not right)
    assert served > 0.02 * size * runs
    # Three standard deviations of a count are left to chance.
    asked = size * runs
    assert wrong <= delta * asked + 3 * math.sqrt(delta * (1 - delta) * asked)
