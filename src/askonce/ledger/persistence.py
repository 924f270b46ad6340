"""The books of a cache: what its ledger counted, added up in the store, and read again.

The most shared store has the books of all processes; where there is only memory, memory has them.
What could not be added counts as new again. Days become months in time: as much as is taken from a
day is added to its month, so the sums are right also while two processes do it at once.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from askonce.core.models import Usage
from askonce.core.protocols import Memory, Prices, Store
from askonce.ledger.daily import BOOK, DAY
from askonce.ledger.ledger import Ledger
from askonce.ledger.savings import Savings, folded, places, read_savings
from askonce.ledger.settings import LedgerSettings

EVERY_S: Final = 60.0
"""How often a process that nobody else makes do it adds its counts to the books."""

_MILLION = 1_000_000
_FOLDS = 3

_log = logging.getLogger("askonce.books")


CountInStore = Callable[[Mapping[str, int], str], Awaitable[dict[str, int] | None]]
"""Adds to the store's lasting counters and returns those under a prefix; None if it cannot now."""


class LedgerStore:
    """The books of one cache. `patient` is the blocking store, for work that nobody waits for."""

    def __init__(
        self,
        ledger: Ledger,
        memory: Memory,
        patient: Callable[[], Store] | None,
        terms: LedgerSettings,
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        prices: Prices,
    ) -> None:
        self._ledger = ledger
        self._memory = memory
        self._patient = patient
        self._terms = terms
        self._now = now
        self._monotonic = monotonic
        self._prices = prices
        self._flushed = monotonic()
        self._folded: date | None = None

    def due(self) -> bool:
        """Is it time to add to the books again? Says so once."""
        due = self._monotonic() - self._flushed > EVERY_S
        if due:
            self._flushed = self._monotonic()
        return due

    async def flush(self, count: CountInStore) -> dict[str, int]:
        """Add what the ledger took in to the store's lasting tallies; all of them but the rows."""
        self._flushed = self._monotonic()
        for start in self._ledger.unlearned():
            found = await count({}, start)
            if found is None:
                return self._ledger.counters()
            self._ledger.learn(start, found)
        fresh = self._ledger.take()
        total = await count(fresh, "")
        if total is None:
            self._ledger.give_back(fresh)
            return self._ledger.counters()
        return total

    # Blocking, with patience.

    async def savings(self, days: int) -> Savings:
        """What was saved on the last `days` days, today among them. Raises StoreError."""
        await self.fold()
        return await told(self._store(), self.today(), days, self._terms.storage_price)

    def fold_due(self) -> bool:
        """Did the day change since old days were folded?"""
        return self._folded != self.today()

    async def fold(self) -> None:
        """Fold the days that are too old to be kept apart into their months. Raises StoreError."""
        if not self.fold_due():
            return
        self._folded = today = self.today()
        before = today - timedelta(days=min(self._terms.keep_days, (today - date.min).days))
        store = self._store()
        for _ in range(_FOLDS):  # another process may have folded the same
            moves = folded(await store.counters({}, BOOK), before, self._terms.rows)
            if not moves:
                return
            await store.counters(moves)
            days = {name.split("|")[2] for name in moves if name.startswith(DAY)}
            _log.info("%s days before %s are kept by month from now on", len(days), before)

    def today(self) -> date:
        """The UTC day of the clock."""
        return read_day(self._now())

    def _store(self) -> Store:
        return self._memory if self._patient is None else self._patient()

    # Prices

    def embedding_cost(self, model: str, origin: str, tokens: int) -> Decimal | None:
        """What embedding so many tokens costs, by the settings or else by the price tables."""
        if self._terms.embedding_price is not None:
            return self._terms.embedding_price * tokens / _MILLION
        return self._prices.cost(model, origin, Usage(input_tokens=tokens))


async def told(store: Store, today: date, days: int, storage_price: Decimal | None) -> Savings:
    """What the books of a store say of the last days. Raises StoreError."""
    counts: dict[str, int] = {}
    for place in places(today, days):
        counts |= await store.counters({}, place)
    return read_savings(counts, today, days, storage_price)


_ZERO = date(1970, 1, 1)


def read_day(now: float) -> date:
    """The UTC day of a time in seconds since the Unix epoch, or the nearest one there is."""
    return _ZERO + timedelta(days=int(min(max(now // 86_400, 0), (date.max - _ZERO).days)))
