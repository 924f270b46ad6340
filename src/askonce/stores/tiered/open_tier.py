"""A rack: one layer below memory, with what both flavors of it share and what each has alone."""

from askonce.core.breaker import CircuitBreaker
from askonce.core.protocols import Store
from askonce.core.runtime.event_loop import AsyncRuntime, ThreadRunner
from askonce.core.runtime.threads import SyncRuntime
from askonce.ledger.ledger import Ledger
from askonce.stores.context import StoreContext
from askonce.stores.open_store import is_local, open_store
from askonce.stores.threaded import ThreadedStore
from askonce.stores.tiered.layers import TierSpec
from askonce.stores.tiered.tier import Tier

_PATIENCE = 30.0
"""Seconds for one call of a store in a sweep."""


class TierPair:
    """One layer below memory: its blocking store, and what both flavors of it share."""

    def __init__(self, spec: TierSpec, runtime: SyncRuntime, suspending: AsyncRuntime) -> None:
        self.spec = spec
        self.lock = runtime.lock()
        # Where a call cannot be interrupted, the store's own deadline ends it a little earlier.
        slow = spec.deadline * 0.9
        self.breaker = CircuitBreaker(slow=slow, stall=spec.deadline / 2)
        # Of the one thread that writes: how callers fare does not stop it.
        self.writing_breaker = CircuitBreaker(slow=slow)
        self._suspending = suspending
        context = StoreContext(
            runtime.lock,
            runtime.now,
            runtime.loop_or_process,
            False,
            spec.deadline,
            runtime.monotonic,
        )
        self._ground = context._replace(loop_or_process=suspending.loop_or_process, suspending=True)
        self._local = not isinstance(spec.store, str) or is_local(spec.store)
        self.blocking: Store = (
            open_store(spec.store, context, size=spec.size)
            if isinstance(spec.store, str)
            else spec.store
        )
        self._threads: list[ThreadRunner] = []
        self._native: Store | None = None
        self._patient: Store | None = None
        self._patience = context._replace(deadline=_PATIENCE)

    def tier(
        self, runtime: SyncRuntime | AsyncRuntime, ledger: Ledger, *, writes: bool = False
    ) -> Tier:
        suspends = isinstance(runtime, AsyncRuntime)
        return Tier(
            self.spec.name,
            self.suspending() if suspends else self.blocking,
            runtime=runtime,
            ledger=ledger,
            breaker=self.writing_breaker if writes else self.breaker,
            lock=self.lock,
            deadline=self.spec.deadline,
            queues=suspends and self._local,
        )

    @property
    def state(self) -> str:
        """The state of the breakers: of the one that is worse off."""
        reading, writing = self.breaker.state, self.writing_breaker.state
        return (writing if self.breaker.closed else reading).value

    def leasing(self, tier: Tier) -> Store:
        """The store that gives leases to the callers of a shelf."""
        if tier.store is self.blocking or self._local or self.blocking.leases_travel:
            return tier.store
        return self.threaded()  # what one instance gave, only that one prolongs

    def suspending(self) -> Store:
        """The store for event loops."""
        if self._local:
            return self.threaded()
        assert isinstance(self.spec.store, str)
        if self._native is None:
            self._native = open_store(self.spec.store, self._ground, size=self.spec.size)
        return self._native

    def patient(self) -> Store:
        """The blocking store, for work that nobody's answer waits for."""
        if not isinstance(self.spec.store, str):
            return self.blocking
        if self._patient is None:
            self._patient = open_store(self.spec.store, self._patience, size=self.spec.size)
        return self._patient

    def threaded(self) -> Store:
        """The blocking store, for event loops."""
        thread = ThreadRunner(f"askonce-{self.spec.name}")
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
