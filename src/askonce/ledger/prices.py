"""Prices of answers and of single tokens, from the offline tables of `genai-prices`; and charges,
the part of a price that the provider's own prompt cache changed.

The library is an extra and is imported on first use. A price is None, which is not zero, if the
library is missing, if it does not know the model, or if a usage contradicts itself (more tokens
read from a cache than were sent).

A read from the prompt cache saves the input price minus the read price. A write costs the write
price minus the input price. Both are the difference between the cost of the answer and its cost
without the prompt cache, so price tiers and time-of-day prices are included.
"""

from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from askonce.core.bounded import BoundedMap
from askonce.core.models import Usage
from askonce.core.protocols import Prices

WRITE, WRITE_1H, WRITE_12H = Decimal("1.25"), Decimal(2), Decimal("2.5")
"""Prices of writing to a prompt cache for 5 or 30 minutes, an hour and 12 hours, as multiples of
the input price. Anthropic and OpenAI, November 2026. The tables of genai-prices 0.2 have no unit
for 12 hours, and one for an hour only for Anthropic."""

_MOST_UNKNOWN = 10_000  # models
SAMPLE_TOKENS: Final = 10_000
"""The prompt that `input_token_price` asks a price for; longer ones can be in a dearer tier."""


class GenaiPrices:
    """The prices of `genai-prices`; asks the library only once about a model it does not know."""

    def __init__(self) -> None:
        self._library: Any = None
        self._missing = False
        self._unknown: BoundedMap[tuple[str, str], None] = BoundedMap(_MOST_UNKNOWN)

    def load(self) -> bool:
        """Import the library, which takes 250 ms; return False if it is not installed."""
        if self._library is None and not self._missing:
            try:
                import genai_prices
            except ImportError:
                self._missing = True
            else:
                self._library = genai_prices
        return self._library is not None

    def cost(self, model: str, origin: str, usage: Usage) -> Decimal | None:
        """Return US dollars for one answer, or None if the price is unknown."""
        if (model, origin) in self._unknown or not self.load():
            return None
        longer = usage.cache_write_1h_tokens + usage.cache_write_12h_tokens
        if not 0 <= longer <= max(0, usage.cache_write_tokens):
            return None
        try:
            price = self._price(model, origin, usage)
            total: Decimal = price.total_price
            if longer:
                total += self._surcharge(model, origin, usage, price.model_price)
        except LookupError:
            self._unknown[model, origin] = None
            return None
        except ValueError:
            return None  # the usage contradicts itself
        return total

    def _price(self, model: str, origin: str, usage: Usage) -> Any:
        """Ask the library. Raises LookupError (unknown model) or ValueError (impossible usage)."""
        counted = self._library.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens or None,
            cache_write_tokens=usage.cache_write_tokens or None,
            cache_write_1h_tokens=usage.cache_write_1h_tokens or None,
        )
        try:
            return self._library.calc_price(counted, model_ref=model, provider_api_url=origin)
        except LookupError:
            return self._library.calc_price(counted, model_ref=model)

    def _surcharge(self, model: str, origin: str, usage: Usage, table: Any) -> Decimal:
        """Price the longer cache lifetimes that the tables leave out of a model's write price."""
        if getattr(table, "cache_write_mtok", None) is None or not usage.input_tokens:
            return Decimal(0)
        plain = self._price(model, origin, Usage(input_tokens=usage.input_tokens))
        each: Decimal = plain.input_price / usage.input_tokens
        more = usage.cache_write_12h_tokens * (WRITE_12H - WRITE)
        if getattr(table, "cache_write_1h_mtok", None) is None:
            more += usage.cache_write_1h_tokens * (WRITE_1H - WRITE)
        return each * more


def input_token_price(prices: Prices, model: str, origin: str) -> Decimal | None:
    """Return US dollars for one input token that no cache is involved in; None if unknown.

    `origin` is a provider's address or its name.
    """
    if not model:
        return None
    cost = prices.cost(model, origin, Usage(input_tokens=SAMPLE_TOKENS))
    return None if cost is None else cost / SAMPLE_TOKENS


class Charge(NamedTuple):
    """What one answer cost, in US dollars; None where the price is unknown, which is not zero.

    Parameters:
        total: The cost of the answer.
        read_saved: What reads from the provider's prompt cache saved.
        write_surcharge: What writes to the provider's prompt cache added.
    """

    total: Decimal | None = None
    read_saved: Decimal | None = None
    write_surcharge: Decimal | None = None


UNPRICED = Charge()


def charge(
    prices: Prices | None, model: str, origin: str, usage: Usage | None, total: Decimal | None
) -> Charge:
    """Return the charge of an answer with this usage; `total` is its cost by `prices`."""
    if prices is None or usage is None or total is None:
        return Charge(total)
    read_saved = surcharge = Decimal(0)
    if usage.cache_read_tokens:
        without = prices.cost(model, origin, msgspec.structs.replace(usage, cache_read_tokens=0))
        if without is None:
            return Charge(total)
        read_saved = without - total
    if usage.cache_write_tokens:
        unwritten = msgspec.structs.replace(
            usage, cache_write_tokens=0, cache_write_1h_tokens=0, cache_write_12h_tokens=0
        )
        without = prices.cost(model, origin, unwritten)
        if without is None:
            return Charge(total, read_saved)
        surcharge = total - without
    return Charge(total, read_saved, surcharge)
