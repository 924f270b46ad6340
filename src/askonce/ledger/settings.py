"""Bookkeeping: how long the ledger keeps days apart, how many rows one has, and what has a price
that nobody else knows."""

from decimal import Decimal

import msgspec

from askonce.core import values as read
from askonce.ledger.daily import MOST_ROWS


class LedgerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the ledger is kept; docs/guides/savings.md.

    `keep_days` is how many days stay apart before they are folded into their months, `rows` how
    many combinations of tenant, model and route a day tells apart. `storage_price` is US dollars
    for a gigabyte and a month, `embedding_price` for a million tokens of an embeddings endpoint;
    without that one the price tables are asked.
    """

    keep_days: int = 92
    rows: int = MOST_ROWS
    storage_price: Decimal | None = None
    embedding_price: Decimal | None = None


USUAL = LedgerSettings()

READERS: dict[str, read.Reader] = {
    "keep_days": read.above_zero(read.count),
    "rows": read.above_zero(read.count),
    "storage_price": read.price,
    "embedding_price": read.price,
}
