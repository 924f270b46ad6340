"""Pricing: what an answer cost, and how much of that the provider's own prompt cache made of it.

What was read out of that cache saves the input's price minus the price of reading; what was written
costs the price of writing minus the input's. Both are differences between what the answer cost and
what it would have cost without, so tiers and time-of-day prices are in them.
"""

from decimal import Decimal
from typing import NamedTuple

import msgspec

from askonce.core.models import Usage
from askonce.core.protocols import Prices


class Charge(NamedTuple):
    """US dollars: what an answer cost, what reading the prompt cache saved of it, and what writing
    into it added. None where the price is not known, which is not zero."""

    total: Decimal | None = None
    read_saved: Decimal | None = None
    write_surcharge: Decimal | None = None


UNPRICED = Charge()


def charge(
    prices: Prices | None, model: str, origin: str, usage: Usage | None, total: Decimal | None
) -> Charge:
    """What an answer with this usage was charged; `total` is what `prices` said of it already."""
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
