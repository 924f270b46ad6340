"""Tokens are estimated from bytes, by the usage that was reported."""

import random

from hypothesis import given
from hypothesis import strategies as st

from askonce.prompts.provider.tokens import BYTES_PER_TOKEN, DEFAULT_RATE, TokenRates


def test_without_a_report_it_is_the_default() -> None:
    rate = TokenRates().rate("m")
    assert rate == DEFAULT_RATE
    assert rate.tokens(3600) == 1000
    assert (rate.tokens(0), rate.tokens(1)) == (0, 1)


def test_reports_calibrate_their_own_model() -> None:
    rates, draws = TokenRates(), random.Random(1)
    for _ in range(200):
        tokens = draws.randrange(100, 20_000)
        assert rates.observe("m", round(tokens * 4.4 * draws.uniform(0.95, 1.05)), tokens)
    rate = rates.rate("m")
    assert abs(rate.bytes_per_token - 4.4) < 0.05
    assert rates.rate("other").bytes_per_token == BYTES_PER_TOKEN


def test_an_impossible_report_teaches_nothing() -> None:
    rates = TokenRates(most=1)
    assert not rates.observe("m", 100, None)
    assert not rates.observe("m", 100, 0)
    assert not rates.observe("m", 0, 10)
    assert not rates.observe("m", 10, 1000)
    assert not rates.observe("m", 100_000, 10)
    assert rates.observe("m", 100, 25)
    assert not rates.observe("one too many", 100, 25)
    assert rates.observe("m", 100, 25)


@given(st.lists(st.integers(0, 10_000)))
def test_cumulative_tokens_never_fall(sizes: list[int]) -> None:
    ends = DEFAULT_RATE.cumulative(sizes)
    assert ends == sorted(ends)
    assert len(ends) == len(sizes)
