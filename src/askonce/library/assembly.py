"""The assembly of a cache: the composition root, where all its parts are connected.

Nothing connects to a store, a provider or an event source before the first use.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from askonce.core.models import Selection
from askonce.core.origins import Origins
from askonce.core.protocols import Memory
from askonce.core.rules.re2 import compiled, compiled_rules
from askonce.core.runtime.event_loop import AsyncRuntime
from askonce.core.runtime.threads import SyncRuntime
from askonce.invalidation.recent_sweeps import RecentSweeps
from askonce.ledger.ledger import Ledger, Stats, stats_of
from askonce.ledger.prices import GenaiPrices
from askonce.library.invalidation import InvalidationService
from askonce.library.ledger import LedgerService
from askonce.library.service_pair import ServicePair
from askonce.library.settings import CacheSettings
from askonce.pipeline.context import BackgroundWork, Context
from askonce.pipeline.namespaces import NamespaceResolver
from askonce.pipeline.recognition import Recognition
from askonce.pipeline.response_cache_control import ResponseCacheControl
from askonce.pipeline.restless_members import RestlessMembers
from askonce.pipeline.services import Services
from askonce.prompts.assembly import PromptAssembly
from askonce.stores.memory.store import MemoryStore
from askonce.stores.tiered.tier_stack import Runtimes, StackCallbacks, TierStack
from askonce.stores.tiered.tiers import MemoryTier

if TYPE_CHECKING:
    from askonce.semantic.assembly import SemanticAssembly


class Assembly:
    """The parts of one cache.

    Args:
        settings: The cache's settings.

    Raises:
        ConfigError: A setting is wrong, or a library is missing.
    """

    def __init__(self, settings: CacheSettings) -> None:
        self.settings = settings
        self.runtimes = Runtimes(
            self._new_runtime(), self._new_async_runtime(), self._new_runtime()
        )
        sync = self.runtimes.sync
        self.ledger = Ledger(sync.lock(), settings.ledger.rows)
        self.prices = GenaiPrices() if settings.prices is None else settings.prices
        self.ruleset = compiled_rules(settings.rules) if settings.rules else None
        self.response_cache_control = ResponseCacheControl(settings.response_cache_control)
        self.restless = RestlessMembers(self.ledger.has_hits)
        self.origins = Origins(settings.stateless, settings.ignore_members)
        self.recognition = self._new_recognition()
        self.prompts = PromptAssembly(settings.prompts, sync)
        self.memory: Memory = MemoryStore(
            settings.memory.size or 0, lock=sync.lock(), eviction=settings.eviction, clock=sync.now
        )
        self.namespaces = self._new_namespaces()
        self.semantic: SemanticAssembly | None = None
        self.stack = self._new_stack()
        self.services = ServicePair(self._open_services, self.runtimes)
        self.ledger_service = LedgerService(self.stack, self.services, self.prices, settings.ledger)
        if settings.semantic.is_on:
            self.semantic = self._new_semantic()
        self.invalidation = InvalidationService(
            settings,
            self.stack,
            self.services,
            ruleset=self.ruleset,
            runtime=self._new_runtime(),
            unindex=None if self.semantic is None else self.semantic.unindex,
        )

    def stats(self, counters: Mapping[str, int] | None = None) -> Stats:
        """Return what this cache did since it was opened, in this process.

        With `counters` of several processes, return what all of them did.
        """
        counted = self.ledger.counters() if counters is None else counters
        return stats_of(counted, self.stack.states(), self.restless.found)

    async def close(self, services: Services) -> None:
        """Finish what is under way and close everything, in the mode of these services."""
        tiers = services.tiers
        in_loop = tiers.runtime is self.runtimes.async_
        await tiers.settle()
        await self.invalidation.end_sweeps(in_loop=in_loop)
        await self.ledger_service.flush(tiers, fold=False)
        self.services.close()
        self.stack.stop()
        await self.invalidation.close()
        if self.semantic is not None:
            with tiers.boundary.around("close"):
                await self.semantic.close(in_loop=in_loop)
        await self.stack.close(tiers.boundary, in_loop=in_loop)

    def _open_services(self, runtime: SyncRuntime | AsyncRuntime) -> Services:
        self.stack.start()
        self.invalidation.start()
        tiers = self.stack.open_tiers(runtime, self.settings.limits)
        context = Context(
            tiers,
            prices=self.prices,
            prompts=self.prompts.optimization(runtime, self.ledger, self.prices),
            background=BackgroundWork(
                sweep=self.invalidation.invalidate_in_background,
                is_flush_due=self.ledger_service.store.due,
                flush_ledger=self.ledger_service.flush_in_background,
            ),
            response_cache_control=self.response_cache_control,
        )
        lookup = None
        if self.semantic is not None:
            is_async = runtime is self.runtimes.async_
            lookup = self.semantic.lookup(
                tiers, self.recognition.scope, self.ruleset, suspends=is_async
            )
            self.semantic.reconciler.start()
        return Services(context, self.recognition, self.ruleset, lookup)

    def _new_stack(self) -> TierStack:
        settings, sync = self.settings, self.runtimes.sync
        return TierStack(
            settings.tiers,
            MemoryTier(self.memory, settings.memory.ttl),
            sharing=settings.sharing,
            sweeps=RecentSweeps(compiled, monotonic=sync.monotonic, lock=sync.lock()),
            ledger=self.ledger,
            runtimes=self.runtimes,
            callbacks=StackCallbacks(self.namespaces.forget, self._compare_index),
        )

    def _new_recognition(self) -> Recognition:
        limits, origins = self.settings.limits, self.origins
        return Recognition(
            limits,
            self.ruleset,
            origins=origins,
            restless=self.restless,
            kinds=self.settings.kinds,
        )

    def _new_namespaces(self) -> NamespaceResolver:
        settings = self.settings
        return NamespaceResolver(
            self.memory, settings.namespace, settings.tenants, self.origins, settings.kinds
        )

    def _new_semantic(self) -> "SemanticAssembly":
        # Import lazily: heavy, and only needed for semantic matching.
        from askonce.semantic.assembly import SemanticAssembly

        authority = self.stack.authority
        return SemanticAssembly(
            self.settings.semantic,
            runtime=self.runtimes.sync,
            suspending=self.runtimes.async_,
            ledger=self.ledger,
            entries=(
                None if authority is None else lambda: authority.patient_store().scan(Selection())
            ),
            store=None if authority is None else authority.spec.store,
            clock=self.settings.clock,
            embedding_cost=self.ledger_service.embedding_cost,
        )

    def _compare_index(self) -> None:
        """Compare the semantic index with the entries: some of them were swept."""
        if self.semantic is not None:
            self.semantic.reconciler.schedule_pass()

    def _new_runtime(self) -> SyncRuntime:
        clock = self.settings.clock
        return SyncRuntime() if clock is None else SyncRuntime(clock)

    def _new_async_runtime(self) -> AsyncRuntime:
        clock = self.settings.clock
        return AsyncRuntime() if clock is None else AsyncRuntime(clock)
