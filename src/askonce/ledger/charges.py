"""Charges: what an answer cost, and what the provider's own prompt cache changed about that.

A read from that cache saves the input price minus the read price. A write costs the write price
minus the input price. Both are the difference between the cost of the answer and its cost without
the prompt cache, so price tiers and time-of-day prices are included.
"""

from decimal import Decimal
from typing import NamedTuple

import msgspec

from askonce.core.models import Usage
from askonce.core.protocols import Prices


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
