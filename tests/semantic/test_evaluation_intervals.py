"""Shares with their intervals: the tables of the literature, and the laws; and seeded draws."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.semantic.evaluation.draws import Draws, share_of
from askonce.semantic.evaluation.intervals import Share, share, wilson


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_that_of_the_table(count: int, total: int, low: float, high: float) -> None:
    assert wilson(count, total) == pytest.approx((low, high), abs=5e-5)


def test_of_nothing_there_is_no_rate() -> None:
    assert share(0, 0) == Share(0, 0, None, 0.0, 1.0)


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3), (1, 0)])
def test_more_than_all_is_no_share(count: int, total: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        share(count, total)


@given(
    st.integers(1, 10**7).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
)
def test_an_interval_contains_its_rate_and_shrinks(of: tuple[int, int]) -> None:
    count, total = of
    found, more = share(count, total), share(count * 4, total * 4)
    assert found.rate is not None
    assert 0 <= found.low <= found.rate <= found.high <= 1
    assert more.high - more.low < found.high - found.low


@given(
    st.integers(1, 10**6).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
)
def test_what_is_left_has_the_mirrored_interval(of: tuple[int, int]) -> None:
    count, total = of
    low, high = wilson(count, total)
    assert wilson(total - count, total) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_the_interval_covers_what_it_says() -> None:
    draws, rate, rounds = Draws(3), 0.07, 2000
    covered = 0
    for _ in range(rounds):
        low, high = wilson(sum(draws.share() < rate for _ in range(120)), 120)
        covered += low <= rate <= high
    assert 0.93 <= covered / rounds <= 0.98


def test_the_draws_are_those_of_splitmix64() -> None:
    draws = Draws(1234567)
    assert [draws.bits() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_draws_are_even() -> None:
    draws, counts = Draws(1), [0] * 10
    for _ in range(20_000):
        counts[draws.below(10)] += 1
    assert all(1800 < count < 2200 for count in counts)
    shares = [share_of(9, index) for index in range(20_000)]
    assert all(0 <= one < 1 for one in shares)
    assert sum(shares) / len(shares) == pytest.approx(0.5, abs=0.01)


def test_one_draw_depends_on_its_seed_and_index_alone() -> None:
    assert share_of(1, 5) == share_of(1, 5)
    assert len({share_of(seed, index) for seed in range(20) for index in range(20)}) == 400


@given(st.integers(), st.lists(st.integers()))
def test_shuffling_loses_nothing(seed: int, things: list[int]) -> None:
    assert sorted(Draws(seed).shuffled(things)) == sorted(things)
    assert Draws(seed).shuffled(things) == Draws(seed).shuffled(things)
