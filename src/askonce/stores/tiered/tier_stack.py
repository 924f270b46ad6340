"""The tier stack: all tiers below memory, opened once for both modes of a cache."""

from collections.abc import Callable
from typing import NamedTuple

from askonce.core.fail_open import FailOpen
from askonce.core.policy import Limits
from askonce.core.protocols import Store
from askonce.core.runtime.event_loop import AsyncRuntime, run_in_thread
from askonce.core.runtime.threads import SyncRuntime
from askonce.invalidation.recent_sweeps import RecentSweeps
from askonce.invalidation.target import Matcher
from askonce.ledger.ledger import Ledger
from askonce.stores.tiered.coherence import Coherence, CoherenceCallbacks, Followers
from askonce.stores.tiered.layers import SharingSettings, TierSpec
from askonce.stores.tiered.leases import LeaseAcquirer, LeaseRenewal
from askonce.stores.tiered.open_tier import TierPair
from askonce.stores.tiered.tiers import LowerTiers, MemoryTier, Tiers
from askonce.stores.tiered.write_behind import WriteBehindQueue


class Runtimes(NamedTuple):
    """The runtimes of one cache.

    `background` has threads of its own for work that no caller waits for: in those of `sync`,
    refreshes wait for the provider.
    """

    sync: SyncRuntime
    async_: AsyncRuntime
    background: SyncRuntime


class StackCallbacks(NamedTuple):
    """Hooks for state outside the stack.

    `store_lost` is called when the authority may be another store than before, `swept` after a
    new sweep was applied.
    """

    store_lost: Callable[[], None]
    swept: Callable[[], None]


class TierStack:
    """The tiers of one cache. Without a tier below memory, memory is the authority.

    Args:
        specs: The tiers below memory, the nearest first.
        memory: The first tier.
        sharing: How the processes of the authority work together.
        sweeps: The sweeps that this process knows.
        ledger: Counts failures.
        runtimes: The runtimes of both modes.
        callbacks: Hooks for state outside the stack.

    Raises:
        ConfigError: An address names no store.
    """

    def __init__(
        self,
        specs: tuple[TierSpec, ...],
        memory: MemoryTier,
        *,
        sharing: SharingSettings,
        sweeps: RecentSweeps,
        ledger: Ledger,
        runtimes: Runtimes,
        callbacks: StackCallbacks,
    ) -> None:
        self.memory = memory
        self._sharing = sharing
        self.sweeps = sweeps
        self.ledger = ledger
        self.runtimes = runtimes
        self._callbacks = callbacks
        self._pairs = [TierPair(spec, runtimes.sync, runtimes.async_) for spec in specs]
        self.coherence: Coherence | None = None
        self.renewal: LeaseRenewal | None = None
        self._write_queues: tuple[WriteBehindQueue, ...] = ()
        if self._pairs:
            self._share()
        else:
            sweeps.begin(0)

    @property
    def authority(self) -> TierPair | None:
        """The most shared tier; None if there is only memory."""
        return self._pairs[-1] if self._pairs else None

    @property
    def shared_store(self) -> Store | None:
        """The most shared store, in sync mode; None if there is only memory."""
        return self._pairs[-1].sync_store if self._pairs else None

    @property
    def is_coherent(self) -> bool:
        """Whether this process learns of other processes' invalidations in time."""
        return self.coherence is None or self.coherence.is_current

    def states(self) -> dict[str, str]:
        """Return the states of the circuit breakers by layer, the nearest first."""
        return {pair.spec.name: pair.state for pair in self._pairs}

    def patient_stores(self) -> dict[str, Store]:
        """Return the sync stores with a long deadline, by layer."""
        return {pair.spec.name: pair.patient_store() for pair in self._pairs}

    def start(self) -> None:
        """Start to follow the authority's changes."""
        if self.coherence is not None:
            self.coherence.start()

    def open_tiers(self, runtime: SyncRuntime | AsyncRuntime, limits: Limits) -> Tiers:
        """Make the tiers of one mode."""
        is_async = isinstance(runtime, AsyncRuntime)
        background = runtime if is_async else self.runtimes.background
        tiers = tuple(pair.tier(background, self.ledger) for pair in self._pairs)
        leases = None
        if self.renewal is not None:
            store = self._pairs[-1].leasing_store(tiers[-1])
            wait = self._sharing.lease_wait
            leases = LeaseAcquirer(store, tiers[-1], self.renewal, runtime=background, wait=wait)
        settle = self._settle_in_threads if is_async else self.runtimes.background.settle
        return Tiers(
            self.memory,
            LowerTiers(settle, tiers, self._write_queues, self.coherence, leases),
            limits=limits,
            sweeps=self.sweeps,
            runtime=runtime,
            ledger=self.ledger,
        )

    def stop(self) -> None:
        """Stop the threads."""
        if self.coherence is not None:
            self.coherence.stop()
        if self.renewal is not None:
            self.renewal.stop()

    async def close(self, boundary: FailOpen, *, in_loop: bool) -> None:
        """Close every store, also after another one failed to close."""
        for pair in self._pairs:
            with boundary.around("close"):
                await pair.close(in_loop=in_loop)

    def _share(self) -> None:
        """Connect the tiers with the other processes of the authority."""
        authority = self._pairs[-1].sync_store
        runtime, boundary = self.runtimes.sync, FailOpen(self.ledger)
        self.coherence = Coherence(
            authority,
            Followers(self.memory.store, [pair.sync_store for pair in self._pairs[:-1]]),
            sweeps=self.sweeps,
            runtime=runtime,
            boundary=boundary,
            callbacks=CoherenceCallbacks(self._callbacks.store_lost, self._swept),
            strong=self._sharing.strong,
        )
        lease = self._sharing.lease
        self.renewal = LeaseRenewal(authority, lease, runtime=runtime, boundary=boundary)
        self._write_queues = tuple(
            self._queue(pair, self.coherence, self.renewal if pair is self._pairs[-1] else None)
            for pair in self._pairs
        )

    def _queue(
        self, pair: TierPair, coherence: Coherence, renewal: LeaseRenewal | None
    ) -> WriteBehindQueue:
        runtime = self.runtimes.background
        return WriteBehindQueue(
            pair.tier(runtime, self.ledger, writes=True),
            runtime=runtime,
            ledger=self.ledger,
            memory=self.memory.store,
            ttl=pair.spec.ttl,
            renewal=renewal,
            coherence=coherence,
            sweeps=self.sweeps,
        )

    async def _swept(self, names: Matcher) -> None:
        for queue in self._write_queues:
            await queue.swept(names)
        self._callbacks.swept()

    async def _settle_in_threads(self) -> None:
        for runtime in (self.runtimes.sync, self.runtimes.background):
            await run_in_thread("askonce-settling", runtime.settle)
