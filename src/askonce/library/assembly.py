"""The works of a cache: its layers, its background threads, and the two flavors of its story.

A composition root: here the story meets its edges. Nothing is opened before the first use.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from askonce.core.errors import CacheClosed
from askonce.core.fail_open import FailOpen
from askonce.core.identity import Identity
from askonce.core.models import Selection
from askonce.core.policy import Limits
from askonce.core.protocols import Memory, Prices, Store
from askonce.core.rules.re2 import compiled, compiled_rules
from askonce.core.rules.rules import Rules
from askonce.core.runtime.event_loop import AsyncRuntime, ThreadRunner, run_in_thread
from askonce.core.runtime.threads import SyncRuntime
from askonce.invalidation.audit import Audit
from askonce.invalidation.consumer import EventConsumer
from askonce.invalidation.events import EventProcessor, EventResult
from askonce.invalidation.recent_sweeps import RecentSweeps
from askonce.invalidation.sources import EventSource
from askonce.invalidation.sweep import InvalidationResult, Progress, SweepRunner
from askonce.invalidation.target import SWEPT, Invalidation, Matcher
from askonce.ledger.ledger import Ledger, Stats, stats_of
from askonce.ledger.persistence import LedgerStore
from askonce.ledger.prices import GenaiPrices
from askonce.ledger.savings import Savings
from askonce.ledger.settings import DEFAULT_LEDGER, LedgerSettings
from askonce.pipeline.context import BackgroundWork, Context
from askonce.pipeline.namespaces import NamespaceResolver
from askonce.pipeline.recognition import Recognition
from askonce.pipeline.services import Services
from askonce.prompts.assembly import PromptAssembly
from askonce.prompts.settings import OBSERVE, Prompts
from askonce.semantic.settings import OFF, Semantic
from askonce.stores.context import StoreContext
from askonce.stores.memory.store import MemoryStore
from askonce.stores.open_event_reader import open_event_reader
from askonce.stores.tiered.coherence import Coherence
from askonce.stores.tiered.layers import TierSpec
from askonce.stores.tiered.leases import LeaseQueue, LeaseRenewal
from askonce.stores.tiered.open_tier import TierPair
from askonce.stores.tiered.sharing import SharingSettings
from askonce.stores.tiered.tiers import Tiers, TierServices
from askonce.stores.tiered.write_behind import WriteBehind

if TYPE_CHECKING:
    from askonce.semantic.assembly import SemanticAssembly


class Assembly:
    """The layers of one cache and its two flavors; everything is built on first use."""

    def __init__(
        self,
        memory: TierSpec,
        tiers: tuple[TierSpec, ...],
        *,
        limits: Limits,
        rules: Rules | None = None,
        semantic: Semantic = OFF,
        prompts: Prompts = OBSERVE,
        sharing: SharingSettings,
        eviction: Literal["s3-fifo", "gdsf"],
        namespace: str | None,
        tenants: Mapping[str, str] | None,
        clock: Callable[[], float] | None,
        prices: Prices | None,
        sources: tuple[EventSource, ...] = (),
        audit: str | None = None,
        bookkeeping: LedgerSettings = DEFAULT_LEDGER,
    ) -> None:
        times = {} if clock is None else {"clock": clock}
        self.blocking_runtime = SyncRuntime(**times)
        self.suspending_runtime = AsyncRuntime(**times)
        # With threads of its own: refreshes wait for the provider in those of the other one.
        self._keeping = SyncRuntime(**times)
        self.limits = limits
        self.namespace = namespace
        self.prices = GenaiPrices() if prices is None else prices
        lock, now = self.blocking_runtime.lock, self.blocking_runtime.now
        self.lock = lock()
        self.ledger = Ledger(lock(), bookkeeping.rows)
        self.ruleset = compiled_rules(rules) if rules else None
        self.recognition = Recognition(limits, self.ruleset)
        self._prompts = PromptAssembly(prompts, self.blocking_runtime)
        self.memory: Memory = MemoryStore(
            memory.size or 0, lock=lock(), eviction=eviction, clock=now
        )
        self._memory_ttl = memory.ttl
        self._identifying = NamespaceResolver(self.memory, namespace, tenants)
        self.sweeps = RecentSweeps(compiled, monotonic=self.blocking_runtime.monotonic, lock=lock())
        self._sharing = sharing
        self._pairs = [
            TierPair(spec, self.blocking_runtime, self.suspending_runtime) for spec in tiers
        ]
        self.ledger_store = self._new_books(bookkeeping)
        self._coherence: Coherence | None = None
        self._renewal: LeaseRenewal | None = None
        if self._pairs:
            self._share(self._pairs)
        else:
            self.sweeps.begin(0)
        self._semantic = self._new_semantic(semantic, clock) if semantic.is_on else None
        self._sweeping = self._new_sweeping(SyncRuntime(**times))
        self._beside = ThreadRunner("askonce-invalidating", threads=4)  # for event loops
        self.audit = Audit(FailOpen(self.ledger), now, audit)
        self.events = self._new_events()
        self._followings = tuple(self._following(source) for source in sources)
        self._write_behinds = tuple(self._writing(pair) for pair in self._pairs)
        self.closed = False
        self._blocking: Services | None = None
        self._suspending: Services | None = None

    def _new_books(self, terms: LedgerSettings) -> LedgerStore:
        return LedgerStore(
            self.ledger,
            self.memory,
            self._pairs[-1].patient if self._pairs else None,
            terms,
            now=self.blocking_runtime.now,
            monotonic=self.blocking_runtime.monotonic,
            prices=self.prices,
        )

    def _share(self, pairs: list[TierPair]) -> None:
        """What other processes do, and what they may not do meanwhile: the last layer knows."""
        authority = pairs[-1].blocking
        boundary = FailOpen(self.ledger)
        self._coherence = Coherence(
            authority,
            memory=self.memory,
            between=[pair.blocking for pair in pairs[:-1]],
            sweeps=self.sweeps,
            runtime=self.blocking_runtime,
            boundary=boundary,
            lost=self._identifying.forget,
            swept=self._take_back,
            strong=self._sharing.strong,
        )
        self._renewal = LeaseRenewal(
            authority, self._sharing.lease, runtime=self.blocking_runtime, boundary=boundary
        )

    def _writing(self, pair: TierPair) -> WriteBehind:
        coherence = self._coherence
        assert coherence is not None
        return WriteBehind(
            pair.tier(self._keeping, self.ledger, writes=True),
            runtime=self._keeping,
            ledger=self.ledger,
            memory=self.memory,
            lock=self.blocking_runtime.lock(),
            ttl=pair.spec.ttl,
            renewal=self._renewal if pair is self._pairs[-1] else None,
            begun=lambda: coherence.begun,
            hears=lambda: coherence.current,
            sweeps=self.sweeps,
        )

    def _new_sweeping(self, runtime: SyncRuntime) -> SweepRunner:
        return SweepRunner(
            memory=self.memory,
            stores=self._patient_stores,
            reach=lambda: (self.shared or self.memory).epochs([SWEPT]),
            sweeps=self.sweeps,
            runtime=runtime,
            compile_=compiled,
            boundary=FailOpen(self.ledger),
            unindex=None if self._semantic is None else self._semantic.unindex,
        )

    def _new_events(self) -> EventProcessor:
        return EventProcessor(
            self.ruleset,
            bump=lambda tags: self.blocking.tiers.invalidate(tags),
            sweep=self._sweeping.sweep,
            store=self.shared or self.memory,
            now=self.blocking_runtime.now,
            audit=self.audit,
        )

    def _new_semantic(
        self, semantic: Semantic, clock: Callable[[], float] | None
    ) -> "SemanticAssembly":
        # What it takes to import is of no use where nothing is matched by meaning.
        from askonce.semantic.assembly import SemanticAssembly

        return SemanticAssembly(
            semantic,
            runtime=self.blocking_runtime,
            suspending=self.suspending_runtime,
            ledger=self.ledger,
            entries=(lambda: self._pairs[-1].patient().scan(Selection())) if self._pairs else None,
            store=self._pairs[-1].spec.store if self._pairs else None,
            clock=clock,
            embedding_cost=self.ledger_store.embedding_cost,
        )

    def _following(self, source: EventSource) -> EventConsumer:
        runtime = self.blocking_runtime
        reader = open_event_reader(
            source.url,
            StoreContext(
                runtime.lock,
                runtime.now,
                runtime.loop_or_process,
                deadline=2.0,
                monotonic=runtime.monotonic,
            ),
            name=source.key.digest.hex()[:16],
            stream=source.stream,
            channel=source.channel,
        )
        store = self.shared or self.memory
        return EventConsumer(source, reader, events=self.events, store=store, ledger=self.ledger)

    def _patient_stores(self) -> dict[str, Store]:
        return {pair.spec.name: pair.patient() for pair in self._pairs}

    @property
    def shared(self) -> Store | None:
        """The most shared store, blocking; None if there is only memory."""
        return self._pairs[-1].blocking if self._pairs else None

    @property
    def blocking(self) -> Services:
        self._still_open()
        if self._blocking is None:
            with self.lock:  # two of them would be two sets of flights
                self._blocking = self._blocking or self._flavor(self.blocking_runtime)
        return self._blocking

    @property
    def suspending(self) -> Services:
        self._still_open()
        if self._suspending is None:
            with self.lock:
                self._suspending = self._suspending or self._flavor(self.suspending_runtime)
        return self._suspending

    def _still_open(self) -> None:
        if self.closed:
            raise CacheClosed("this cache is closed; open another one")

    def _flavor(self, runtime: SyncRuntime | AsyncRuntime) -> Services:
        suspends = runtime is self.suspending_runtime
        keeping = self.suspending_runtime if suspends else self._keeping
        lower = tuple(pair.tier(keeping, self.ledger) for pair in self._pairs)
        leasing = None
        if self._renewal is not None:
            pair = self._pairs[-1]
            store = pair.leasing(lower[-1])
            leasing = LeaseQueue(
                store, lower[-1], self._renewal, runtime=keeping, wait=self._sharing.wait
            )
        if self._coherence is not None:
            self._coherence.start()
        for following in self._followings:
            following.start()
        tiers = Tiers(
            runtime=runtime,
            ledger=self.ledger,
            limits=self.limits,
            memory=self.memory,
            memory_ttl=self._memory_ttl,
            lower=lower,
            sharing=TierServices(
                sweeps=self.sweeps,
                write_behinds=self._write_behinds,
                coherence=self._coherence,
                leasing=leasing,
                settled=self._settled if suspends else self._keeping.settle,
            ),
        )
        context = Context(
            tiers,
            prices=self.prices,
            prompting=self._prompts.prompting(runtime, self.ledger, self.prices),
            background=BackgroundWork(sweep=self.sweep_behind, flush_ledger=self._keep_books),
        )
        lookup = None
        if self._semantic is not None:
            lookup = self._semantic.lookup(
                tiers, self.recognition.scope, self.ruleset, suspends=suspends
            )
            self._semantic.indexing.start()
        return Services(context, self.recognition, self.ruleset, lookup)

    # Invalidating.

    async def invalidate(
        self,
        invalidation: Invalidation,
        *,
        who: str,
        dry_run: bool = False,
        tell: Progress | None = None,
    ) -> InvalidationResult:
        """Carry out an invalidation, blocking. Raises ConfigError, StoreError."""
        self._still_open()
        if dry_run:
            return await self._sweeping.preview(invalidation, tell)
        if invalidation.of_groups:
            return await self._announce(invalidation, who=who)
        if invalidation.by_tags_alone:
            return await self.invalidate_tags(self.blocking.tiers, invalidation.tags, who=who)
        swept = await self._sweeping.sweep(invalidation, tell)
        self.audit(who, invalidation.as_dict, swept.entries)
        return swept

    async def invalidate_tags(
        self, tiers: Tiers, tags: tuple[str, ...], *, who: str
    ) -> InvalidationResult:
        """The same by tags alone, for any number of entries at once, in the mode of these tiers."""
        await tiers.invalidate(tags)
        self.audit(who, {}, tags=tags)
        return InvalidationResult(tags=tags)

    async def _announce(self, invalidation: Invalidation, *, who: str) -> InvalidationResult:
        """The same for tags that an answer only gets when it arrives: a bump is not enough."""
        await self._sweeping.announce(invalidation, *invalidation.tags)
        self.audit(who, {}, tags=invalidation.tags)
        return InvalidationResult(tags=invalidation.tags)

    async def invalidate_in_thread(
        self,
        invalidation: Invalidation,
        *,
        who: str,
        dry_run: bool = False,
        tell: Progress | None = None,
    ) -> InvalidationResult:
        """The same for event loops: what takes long does not hold them up."""
        if invalidation.by_tags_alone and not (dry_run or invalidation.of_groups):
            return await self.invalidate_tags(self.suspending.tiers, invalidation.tags, who=who)
        return await self._beside(
            lambda: self.invalidate(invalidation, who=who, dry_run=dry_run, tell=tell)
        )

    async def take_event(
        self, event: str, data: Mapping[str, Any], *, event_id: str | None, who: str
    ) -> EventResult:
        """Carry out what an event invalidates, blocking. Raises ConfigError, StoreError."""
        self._still_open()
        return await self.events.process(event, data, id=event_id, who=who)

    async def take_event_in_thread(
        self, event: str, data: Mapping[str, Any], *, event_id: str | None, who: str
    ) -> EventResult:
        """The same for event loops."""
        return await self._beside(lambda: self.take_event(event, data, event_id=event_id, who=who))

    def sweep_behind(self, invalidation: Invalidation, who: str) -> None:
        """Carry out an invalidation behind the caller."""

        async def sweep() -> None:
            await self.invalidate(invalidation, who=who)

        self._sweeping.run_in_background(sweep)

    async def identify(self, tiers: Tiers, headers: Mapping[str, str]) -> str | None:
        """The caller's namespace; None if it has no credential."""
        return await self._identifying.identify(tiers, headers)

    @property
    def identity(self) -> Identity | None:
        """What the namespaces of credentials are made with; None until it was read."""
        return self._identifying.identity

    async def _take_back(self, names: Matcher) -> None:
        for writing in self._write_behinds:
            await writing.swept(names)
        if self._semantic is not None:
            self._semantic.indexing.look_again()

    def stats(self) -> Stats:
        """What this cache did since it was opened, in this process."""
        return stats_of(self.ledger.counters(), self.states())

    def states(self) -> dict[str, str]:
        """The layers below memory, nearest first, with the states of their circuit breakers."""
        return {pair.spec.name: pair.state for pair in self._pairs}

    @property
    def semantic(self) -> "SemanticAssembly | None":
        """The layer that matches by meaning; None where nothing is matched."""
        return self._semantic

    def sources(self) -> dict[str, str]:
        """The sources of events, each `starting`, `following` or `down`."""
        return {following.name: following.state for following in self._followings}

    @property
    def is_coherent(self) -> bool:
        """Does this process hear of other processes' invalidations in time?"""
        return self._coherence is None or self._coherence.current

    async def flush(self, tiers: Tiers) -> dict[str, int]:
        """Add what the ledger took in to the store's lasting tallies; all of them."""
        found = await self.ledger_store.flush(tiers.counters)
        if self.ledger_store.fold_due() and not self.closed:
            self._beside_callers(self.ledger_store.fold)
        return found

    def _keep_books(self) -> None:
        """Add to the books behind the callers, where nobody has done it for a while."""
        if self.ledger_store.due() and not self.closed:
            self._beside_callers(lambda: self.flush(self.blocking.tiers))

    def _beside_callers(self, work: Callable[[], Awaitable[object]]) -> None:
        async def attempt() -> None:
            with FailOpen(self.ledger).around("tallies"):
                await work()

        self._keeping.run_in_background(attempt)

    async def savings(self, days: int) -> Savings:
        """What was saved on the last days, in all processes; blocking. Raises StoreError."""
        self._still_open()
        await self.flush(self.blocking.tiers)
        return await self.ledger_store.savings(days)

    async def savings_in_thread(self, days: int) -> Savings:
        """The same for event loops."""
        self._still_open()
        await self.flush(self.suspending.tiers)
        return await self._beside(lambda: self.ledger_store.savings(days))

    async def _settled(self) -> None:
        """Wait in a thread: what is written behind is written by threads."""
        for runtime in (self.blocking_runtime, self._keeping):
            await run_in_thread("askonce-settling", runtime.settle)

    async def _end_sweeps(self, mode: Services) -> None:
        if mode.tiers.runtime is self.blocking_runtime:
            await self._sweeping.end()
            return
        await run_in_thread("askonce-sweeping", self._sweeping.end)

    async def close(self, mode: Services) -> None:
        await mode.tiers.settle()
        await self._end_sweeps(mode)
        await self.ledger_store.flush(mode.tiers.counters)
        self.closed = True
        if self._coherence is not None:
            self._coherence.stop()
        if self._renewal is not None:
            self._renewal.stop()
        for following in self._followings:
            await following.close()
        self._beside.close()
        in_loop = mode.tiers.runtime is self.suspending_runtime
        if self._semantic is not None:
            with mode.tiers.boundary.around("close"):
                await self._semantic.close(in_loop=in_loop)
        for pair in self._pairs:
            with mode.tiers.boundary.around("close"):
                await pair.close(in_loop=in_loop)
