"""A rack: one layer below memory, with what both flavors of it share and what each has alone."""

from askonce.core.breaker import Breaker
from askonce.core.protocols import Store
from askonce.core.runtime.event_loop import InThread, Suspending
from askonce.core.runtime.threads import Blocking
from askonce.ledger.ledger import Ledger
from askonce.stores.context import Ground
from askonce.stores.open_store import is_local, open_store
from askonce.stores.threaded import ThreadedStore
from askonce.stores.tiered.layers import Tier
from askonce.stores.tiered.tier import Shelf

_PATIENCE = 30.0
"""Seconds for one call of a store in a sweep."""


class Rack:
    """One layer below memory: its blocking store, and what both flavors of it share."""

    def __init__(self, tier: Tier, runtime: Blocking, suspending: Suspending) -> None:
        self.tier = tier
        self.guard = runtime.guard()
        # Where a call cannot be interrupted, the store's own deadline ends it a little earlier.
        slow = tier.deadline * 0.9
        self.breaker = Breaker(slow=slow, stall=tier.deadline / 2)
        # Of the one thread that writes: how callers fare does not stop it.
        self.writing_breaker = Breaker(slow=slow)
        self._suspending = suspending
        ground = Ground(
            runtime.guard, runtime.now, runtime.place, False, tier.deadline, runtime.tick
        )
        self._ground = ground._replace(place=suspending.place, suspending=True)
        self._local = not isinstance(tier.store, str) or is_local(tier.store)
        self.blocking: Store = (
            open_store(tier.store, ground, size=tier.size)
            if isinstance(tier.store, str)
            else tier.store
        )
        self._threads: list[InThread] = []
        self._native: Store | None = None
        self._patient: Store | None = None
        self._patience = ground._replace(deadline=_PATIENCE)

    def shelf(
        self, runtime: Blocking | Suspending, ledger: Ledger, *, writes: bool = False
    ) -> Shelf:
        suspends = isinstance(runtime, Suspending)
        return Shelf(
            self.tier.name,
            self.suspending() if suspends else self.blocking,
            runtime=runtime,
            ledger=ledger,
            breaker=self.writing_breaker if writes else self.breaker,
            guard=self.guard,
            deadline=self.tier.deadline,
            queues=suspends and self._local,
        )

    @property
    def state(self) -> str:
        """The state of the breakers: of the one that is worse off."""
        reading, writing = self.breaker.state, self.writing_breaker.state
        return (writing if self.breaker.closed else reading).value

    def leasing(self, shelf: Shelf) -> Store:
        """The store that gives leases to the callers of a shelf."""
        if shelf.store is self.blocking or self._local or self.blocking.leases_travel:
            return shelf.store
        return self.threaded()  # what one instance gave, only that one prolongs

    def suspending(self) -> Store:
        """The store for event loops."""
        if self._local:
            return self.threaded()
        assert isinstance(self.tier.store, str)
        if self._native is None:
            self._native = open_store(self.tier.store, self._ground, size=self.tier.size)
        return self._native

    def patient(self) -> Store:
        """The blocking store, for work that nobody's answer waits for."""
        if not isinstance(self.tier.store, str):
            return self.blocking
        if self._patient is None:
            self._patient = open_store(self.tier.store, self._patience, size=self.tier.size)
        return self._patient

    def threaded(self) -> Store:
        """The blocking store, for event loops."""
        thread = InThread(f"askonce-{self.tier.name}")
        self._threads.append(thread)
        return ThreadedStore(self.blocking, thread)

    async def close(self, *, in_loop: bool) -> None:
        try:
            if self._native is not None and in_loop:
                await self._native.close()
            if self._patient is not None:
                await self._patient.close()
            await self.blocking.close()
        finally:
            for thread in self._threads:
                thread.close()
