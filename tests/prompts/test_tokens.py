"""Tokens are estimated out of bytes, by what was reported."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from askonce.prompts.provider.tokens import BYTES_PER_TOKEN, DEFAULT_RATE, TokenCounter


def test_without_a_report_it_is_the_default() -> None:
    rate = TokenCounter().rate("m")
    assert rate == DEFAULT_RATE
    assert not rate.is_calibrated
    assert rate.tokens(3600) == 1000
    assert (rate.tokens(0), rate.tokens(1)) == (0, 1)


def test_reports_calibrate_their_own_model() -> None:
    counter, draws = TokenCounter(), random.Random(1)
    calls = []
    for _ in range(200):
        tokens = draws.randrange(100, 20_000)
        calls.append((round(tokens * 4.4 * draws.uniform(0.95, 1.05)), tokens))
        assert counter.learn("m", *calls[-1])
    rate = counter.rate("m")
    assert abs(rate.bytes_per_token - 4.4) < 0.05
    assert rate.samples == 200
    assert counter.rate("other").bytes_per_token == BYTES_PER_TOKEN
    assert counter.error("m", calls) < 0.04 < counter.error("other", calls)


def test_what_cannot_be_teaches_nothing() -> None:
    counter = TokenCounter(most=1)
    assert not counter.learn("m", 100, None)
    assert not counter.learn("m", 100, 0)
    assert not counter.learn("m", 0, 10)
    assert not counter.learn("m", 10, 1000)
    assert not counter.learn("m", 100_000, 10)
    assert counter.learn("m", 100, 25)
    assert not counter.learn("one too many", 100, 25)
    assert counter.learn("m", 100, 25)
    assert counter.error("m", []) == 0


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000)))
def test_cumulative_tokens_never_fall(sizes: list[int]) -> None:
    ends = DEFAULT_RATE.cumulative(sizes)
    assert ends == sorted(ends)
    assert len(ends) == len(sizes)
