"""A tier opened for both modes: its stores, and the breakers that both modes share."""

from askonce.core.guarded import CircuitBreaker
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
    """One tier below memory, in sync and in async mode. Nothing connects before the first use.

    Args:
        spec: The layer's configuration.
        sync_runtime: The runtime of sync callers.
        async_runtime: The runtime of async callers.

    Raises:
        ConfigError: The address names no store.
    """

    def __init__(
        self, spec: TierSpec, sync_runtime: SyncRuntime, async_runtime: AsyncRuntime
    ) -> None:
        self.spec = spec
        self._lock = sync_runtime.lock()
        # Where a call cannot be interrupted, the store's own deadline ends it a little earlier.
        slow = spec.deadline * 0.9
        self._breaker = CircuitBreaker(slow=slow, stall=spec.deadline / 2)
        # For the one thread that writes: failures of callers do not stop it.
        self._writing_breaker = CircuitBreaker(slow=slow)
        self._context = StoreContext(
            sync_runtime.lock,
            sync_runtime.now,
            sync_runtime.loop_or_process,
            False,
            spec.deadline,
            sync_runtime.monotonic,
        )
        self._async_place = async_runtime.loop_or_process
        self._local = not isinstance(spec.store, str) or is_local(spec.store)
        self.sync_store = self._open(self._context)
        self._threads: list[ThreadRunner] = []
        self._native: Store | None = None
        self._patient: Store | None = None

    def tier(
        self, runtime: SyncRuntime | AsyncRuntime, ledger: Ledger, *, writes: bool = False
    ) -> Tier:
        """Make the tier of one mode; `writes` for the thread that empties the write queue."""
        is_async = isinstance(runtime, AsyncRuntime)
        return Tier(
            self.spec.name,
            self._async_store() if is_async else self.sync_store,
            runtime=runtime,
            ledger=ledger,
            breaker=self._writing_breaker if writes else self._breaker,
            lock=self._lock,
            deadline=self.spec.deadline,
            queues=is_async and self._local,
        )

    @property
    def state(self) -> str:
        """The state of the two breakers: the worse one."""
        reading, writing = self._breaker.state, self._writing_breaker.state
        return (writing if self._breaker.closed else reading).value

    def leasing_store(self, tier: Tier) -> Store:
        """Return the store that gives leases to the callers of a tier."""
        if tier.store is self.sync_store or self._local or self.sync_store.leases_travel:
            return tier.store
        return self._threaded()  # only the instance that gave a lease can renew it

    def patient_store(self) -> Store:
        """Return a sync store with a long deadline, for work that no caller waits for."""
        if not isinstance(self.spec.store, str):
            return self.sync_store
        if self._patient is None:
            self._patient = self._open(self._context._replace(deadline=_PATIENCE))
        return self._patient

    async def close(self, *, in_loop: bool) -> None:
        """Close all stores; the native async one only if the caller runs `in_loop`."""
        try:
            if self._native is not None and in_loop:
                await self._native.close()
            if self._patient is not None:
                await self._patient.close()
            await self.sync_store.close()
        finally:
            for thread in self._threads:
                thread.close()

    def _async_store(self) -> Store:
        if self._local:
            return self._threaded()
        if self._native is None:
            context = self._context._replace(loop_or_process=self._async_place, suspending=True)
            self._native = self._open(context)
        return self._native

    def _threaded(self) -> Store:
        """Return the sync store for event loops, called in a thread of its own."""
        thread = ThreadRunner(f"askonce-{self.spec.name}")
        self._threads.append(thread)
        return ThreadedStore(self.sync_store, thread)

    def _open(self, context: StoreContext) -> Store:
        if not isinstance(self.spec.store, str):
            return self.spec.store
        return open_store(self.spec.store, context, size=self.spec.size)
