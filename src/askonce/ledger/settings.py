"""The settings of the ledger: the table `[ledger]` of a settings file."""

from decimal import Decimal

import msgspec

from askonce.core import values as read
from askonce.ledger.daily import MAX_GROUPS


class LedgerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the ledger keeps its daily counters; see docs/guides/savings.md.

    Parameters:
        keep_days: Days that stay separate before the ledger folds them into their month, at
            least 1.
        rows: Combinations of tenant, model and route that one day or month keeps apart, at least
            1. Later combinations count as `other`.
        storage_price: US dollars for a gigabyte stored for a month; None leaves storage unpriced.
        embedding_price: US dollars for a million tokens of an embeddings endpoint; None looks the
            price up in the price tables.
    """

    keep_days: int = 92
    rows: int = MAX_GROUPS
    storage_price: Decimal | None = None
    embedding_price: Decimal | None = None


DEFAULT_LEDGER = LedgerSettings()

READERS: dict[str, read.Reader] = {
    "keep_days": read.above_zero(read.count),
    "rows": read.above_zero(read.count),
    "storage_price": read.price,
    "embedding_price": read.price,
}
