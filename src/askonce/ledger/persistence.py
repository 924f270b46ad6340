"""The ledger in the store: adds a process's counters to the store's, and reads them again.

The most shared store holds the counters of all processes; without one, memory does. Counters that
could not be added count as new again. Days are folded into months after a while: each number moves
from its day to its month, so the sums are right even if two processes fold at the same time.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from askonce.core.models import Usage
from askonce.core.protocols import Memory, Prices, Store
from askonce.ledger.daily import DAILY, DAY, utc_day
from askonce.ledger.ledger import Ledger
from askonce.ledger.savings import Savings, folded, prefixes, savings_of_counters
from askonce.ledger.settings import LedgerSettings

EVERY_S: Final = 60.0
"""How often a process without a timer of its own adds its counters to the store's, in seconds."""

_MILLION = 1_000_000
_FOLDS = 3

_log = logging.getLogger("askonce.books")


CountInStore = Callable[[Mapping[str, int], str], Awaitable[dict[str, int] | None]]
"""Adds to the store's counters and returns those under a prefix; None if the store is down."""


class LedgerStore:
    """The lasting counters of one cache.

    Parameters:
        ledger: The counters of this process.
        memory: Holds the lasting counters if there is no store.
        patient: Opens the blocking store with long timeouts, for work in the background.
        settings: How daily counters are kept.
        now: The wall clock, in seconds since the Unix epoch.
        monotonic: A clock that never goes back, in seconds.
        prices: The price tables.
    """

    def __init__(
        self,
        ledger: Ledger,
        memory: Memory,
        patient: Callable[[], Store] | None,
        settings: LedgerSettings,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        prices: Prices,
    ) -> None:
        self._ledger = ledger
        self._memory = memory
        self._patient = patient
        self._settings = settings
        self._now = now
        self._monotonic = monotonic
        self._prices = prices
        self._flushed = monotonic()
        self._folded: date | None = None

    def due(self) -> bool:
        """Return True, and only once, if `EVERY_S` passed since the last flush."""
        due = self._monotonic() - self._flushed > EVERY_S
        if due:
            self._flushed = self._monotonic()
        return due

    async def flush(self, count: CountInStore) -> dict[str, int]:
        """Add the ledger's new counters to the store's; return all of those but the daily ones."""
        self._flushed = self._monotonic()
        for prefix in self._ledger.unmerged_days():
            found = await count({}, prefix)
            if found is None:
                return self._ledger.counters()
            self._ledger.merge_groups(prefix, found)
        fresh = self._ledger.take()
        total = await count(fresh, "")
        if total is None:
            self._ledger.give_back(fresh)
            return self._ledger.counters()
        return total

    # Blocking, with long timeouts.

    async def savings(self, days: int) -> Savings:
        """Return the savings of the last `days` days, including today. Raises StoreError."""
        await self.fold()
        return await stored_savings(self._store(), self.today(), days, self._settings.storage_price)

    def fold_due(self) -> bool:
        """Is today later than the day of the last fold?"""
        return self._folded != self.today()

    async def fold(self) -> None:
        """Fold days older than `keep_days` into their months. Raises StoreError."""
        if not self.fold_due():
            return
        self._folded = today = self.today()
        before = today - timedelta(days=min(self._settings.keep_days, (today - date.min).days))
        store = self._store()
        for _ in range(_FOLDS):  # another process may have folded the same days
            moves = folded(await store.counters({}, DAILY), before, self._settings.rows)
            if not moves:
                return
            await store.counters(moves)
            days = {name.split("|")[2] for name in moves if name.startswith(DAY)}
            _log.info("%s days before %s were folded into their months", len(days), before)

    def today(self) -> date:
        """Return the UTC day of the clock."""
        return utc_day(self._now())

    def _store(self) -> Store:
        return self._memory if self._patient is None else self._patient()

    def embedding_cost(self, model: str, origin: str, tokens: int) -> Decimal | None:
        """Return the cost of embedding `tokens` tokens, in US dollars; None if it is unknown.

        The price of the settings is used before that of the price tables.
        """
        if self._settings.embedding_price is not None:
            return self._settings.embedding_price * tokens / _MILLION
        return self._prices.cost(model, origin, Usage(input_tokens=tokens))


async def stored_savings(
    store: Store, today: date, days: int, storage_price: Decimal | None
) -> Savings:
    """Return the savings of the last `days` days in a store. Raises StoreError."""
    counters: dict[str, int] = {}
    for prefix in prefixes(today, days):
        counters |= await store.counters({}, prefix)
    return savings_of_counters(counters, today, days, storage_price)
