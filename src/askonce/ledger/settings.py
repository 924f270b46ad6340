"""The settings of the ledger: the table `[ledger]` of a settings file."""

from typing import Annotated

import msgspec

from askonce.core.settings_table import PositiveCount, Price
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

    keep_days: Annotated[
        PositiveCount, "days that stay apart before they are folded into their months"
    ] = 92
    rows: Annotated[
        PositiveCount, "combinations of tenant, model and route that a day keeps apart"
    ] = MAX_GROUPS
    storage_price: Annotated[
        Price | None, "US dollars for a gigabyte and a month; without it storage has no price"
    ] = None
    embedding_price: Annotated[
        Price | None, "US dollars for a million tokens of an embeddings endpoint"
    ] = None


DEFAULT_LEDGER = LedgerSettings()
