"""The lasting ledger of one cache: its counts are added to the store, and its savings are read."""

from collections.abc import Awaitable, Callable
from decimal import Decimal

from askonce.core.fail_open import FailOpen
from askonce.core.protocols import Prices
from askonce.core.runtime.event_loop import run_in_thread
from askonce.ledger.persistence import LedgerStore
from askonce.ledger.savings import Savings
from askonce.ledger.settings import LedgerSettings
from askonce.library.service_pair import ServicePair
from askonce.stores.tiered.tier_stack import TierStack
from askonce.stores.tiered.tiers import Tiers


class LedgerService:
    """Keeps the ledger of one cache in its store, for both modes.

    Args:
        stack: The tiers, whose authority has the ledgers of all processes.
        services: The services of both modes.
        prices: Prices of models, for embeddings.
        settings: What the ledger keeps, and for how long.
    """

    def __init__(
        self, stack: TierStack, services: ServicePair, prices: Prices, settings: LedgerSettings
    ) -> None:
        authority, runtimes = stack.authority, stack.runtimes
        self._services = services
        self._background = runtimes.background
        self._boundary = FailOpen(stack.ledger)
        self.store = LedgerStore(
            stack.ledger,
            stack.memory.store,
            None if authority is None else authority.patient_store,
            settings,
            now=runtimes.sync.now,
            monotonic=runtimes.sync.monotonic,
            prices=prices,
        )

    async def flush(self, tiers: Tiers, *, fold: bool = True) -> dict[str, int]:
        """Add new counts to the store's lasting counters; return all of those.

        With `fold`, old days are folded into months in the background.
        """
        found = await self.store.flush(tiers.counters)
        if fold and self.store.fold_due() and not self._services.closed:
            self._in_background(self.store.fold)
        return found

    def flush_in_background(self) -> None:
        """Flush after the caller is answered, unless the cache is closed."""
        if not self._services.closed:
            self._in_background(lambda: self.flush(self._services.sync.tiers))

    async def savings(self, days: int) -> Savings:
        """Return what all processes saved on the last days, blocking the thread.

        Args:
            days: The number of days (UTC), today included.

        Raises:
            StoreError: The store failed.
            CacheClosed: The cache is closed.
        """
        await self.flush(self._services.sync.tiers)
        return await self.store.savings(days)

    async def savings_in_thread(self, days: int) -> Savings:
        """Do the same without blocking the event loop; see `savings`."""
        await self.flush(self._services.async_.tiers)
        return await run_in_thread("askonce-savings", lambda: self.store.savings(days))

    def embedding_cost(self, model: str, origin: str, tokens: int) -> Decimal | None:
        """Return what embedding so many tokens costs, in US dollars; None if it is not known."""
        return self.store.embedding_cost(model, origin, tokens)

    def _in_background(self, work: Callable[[], Awaitable[object]]) -> None:
        async def attempt() -> None:
            with self._boundary.around("tallies"):
                await work()

        self._background.run_in_background(attempt)
