"""What reads from and writes to the provider's prompt cache save and cost, by the price tables."""

from decimal import Decimal

import pytest

from askonce.core.models import Usage
from askonce.ledger.prices import Charge, GenaiPrices, charge, input_token_price

OPENAI, ANTHROPIC = "https://api.openai.com", "https://api.anthropic.com"


@pytest.fixture(scope="module")
def prices() -> GenaiPrices:
    return GenaiPrices()


def charged(prices: GenaiPrices, model: str, origin: str, usage: Usage) -> Charge:
    return charge(prices, model, origin, usage, prices.cost(model, origin, usage))


def test_a_read_saves_the_difference_to_the_input(prices: GenaiPrices) -> None:
    usage = Usage(10_000, 10, cache_read_tokens=5_000)  # gpt-4o: 2.50 in, 1.25 read, 10 out
    assert charged(prices, "gpt-4o", OPENAI, usage) == Charge(
        Decimal("0.01885"), Decimal("0.00625"), Decimal(0)
    )


def test_a_write_costs_the_difference_and_a_longer_one_costs_more(prices: GenaiPrices) -> None:
    # claude-sonnet-4-5: 3 in, 0.30 read, 3.75 written for 5 minutes, 6 for an hour.
    usage = Usage(100_000, 0, 20_000, 50_000, cache_write_1h_tokens=10_000)
    found = charged(prices, "claude-sonnet-4-5", ANTHROPIC, usage)
    assert found.read_saved == Decimal("0.054")
    assert found.write_surcharge == Decimal("0.04") * Decimal("0.75") + Decimal("0.03")


def test_twelve_hours_cost_two_and_a_half_times_the_input(prices: GenaiPrices) -> None:
    half_hour = charged(prices, "gpt-5.6-sol", OPENAI, Usage(10_000, 0, 0, 5_000))
    longer = Usage(10_000, 0, 0, 5_000, cache_write_12h_tokens=5_000)
    twelve = charged(prices, "gpt-5.6-sol", OPENAI, longer)
    assert half_hour.write_surcharge == Decimal("0.004") * 5 * Decimal("0.25")
    assert twelve.write_surcharge == Decimal("0.004") * 5 * Decimal("1.5")


def test_an_hour_is_ours_to_price_where_the_tables_have_no_unit(prices: GenaiPrices) -> None:
    usage = Usage(10_000, 0, 0, 5_000, cache_write_1h_tokens=5_000)
    found = charged(prices, "gpt-5.6-sol", OPENAI, usage)
    assert found.write_surcharge == Decimal("0.004") * 5


def test_tiers_are_in_it(prices: GenaiPrices) -> None:
    usage = Usage(300_000, 0, cache_read_tokens=100_000)  # above 272,000: 8 in
    found = charged(prices, "gpt-5.6-sol", OPENAI, usage)
    assert found.read_saved == Decimal("0.72")


@pytest.mark.parametrize(
    "usage",
    [
        Usage(10, 10, cache_read_tokens=50),
        Usage(10, 10, 8, 8),
        Usage(-1, 10),
        Usage(100, 0, 0, 5, cache_write_12h_tokens=9),
        Usage(100, 0, 0, 5, cache_write_1h_tokens=-1),
        Usage(100, 0, 0, -5),
    ],
)
def test_numbers_that_contradict_each_other_have_no_price(
    prices: GenaiPrices, usage: Usage
) -> None:
    assert prices.cost("gpt-5.6-sol", OPENAI, usage) is None
    assert charge(prices, "gpt-5.6-sol", OPENAI, usage, None) == Charge()
    assert prices.cost("gpt-5.6-sol", OPENAI, Usage(100, 1)) is not None  # the model still has one


def test_an_unknown_model_is_unpriced(prices: GenaiPrices) -> None:
    usage = Usage(100, 10, 50, 20)
    assert charged(prices, "no-such-model", "https://example.com", usage) == Charge()
    assert charge(None, "gpt-4o", OPENAI, usage, Decimal(1)) == Charge(Decimal(1))


def test_the_price_of_an_input_token_is_that_of_the_tables(prices: GenaiPrices) -> None:
    assert input_token_price(prices, "gpt-4o", OPENAI) == Decimal("2.50") / 10**6
    assert input_token_price(prices, "no-such-model", OPENAI) is None
    assert input_token_price(prices, "", OPENAI) is None
