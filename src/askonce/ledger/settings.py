"""Bookkeeping: how long the ledger keeps days apart, how many rows one has, and what has a price
that nobody else knows."""

from typing import Annotated

import msgspec

from askonce.core.settings_table import PositiveCount, Price
from askonce.ledger.daily import MOST_ROWS


class LedgerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the ledger is kept; docs/guides/savings.md.

    `keep_days` is how many days stay apart before they are folded into their months, `rows` how
    many combinations of tenant, model and route a day tells apart. `storage_price` is US dollars
    for a gigabyte and a month, `embedding_price` for a million tokens of an embeddings endpoint;
    without that one the price tables are asked.
    """

    keep_days: Annotated[
        PositiveCount, "days that stay apart before they are folded into their months"
    ] = 92
    rows: Annotated[
        PositiveCount, "combinations of tenant, model and route that a day keeps apart"
    ] = MOST_ROWS
    storage_price: Annotated[
        Price | None, "US dollars for a gigabyte and a month; without it storage has no price"
    ] = None
    embedding_price: Annotated[
        Price | None, "US dollars for a million tokens of an embeddings endpoint"
    ] = None


USUAL = LedgerSettings()
