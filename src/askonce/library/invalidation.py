"""Invalidation in one cache: by tags, by sweeps, by events, and by the sources of events."""

from collections.abc import Mapping
from typing import Any

from askonce.core.fail_open import FailOpen
from askonce.core.rules.re2 import compiled
from askonce.core.rules.ruleset import Ruleset
from askonce.core.runtime.event_loop import ThreadRunner, run_in_thread
from askonce.core.runtime.threads import SyncRuntime
from askonce.invalidation.audit import Audit
from askonce.invalidation.consumer import EventConsumer
from askonce.invalidation.events import EventProcessor, EventResult
from askonce.invalidation.sources import EventSource
from askonce.invalidation.sweep import InvalidationResult, Progress, SweepRunner, Unindex
from askonce.invalidation.target import SWEPT, Invalidation
from askonce.library.service_pair import ServicePair
from askonce.library.settings import CacheSettings
from askonce.stores.context import StoreContext
from askonce.stores.open_event_reader import open_event_reader
from askonce.stores.tiered.tier_stack import TierStack
from askonce.stores.tiered.tiers import Tiers

_THREADS = 4
_SOURCE_DEADLINE = 2.0  # seconds for one call of an event source


class InvalidationService:
    """Carries out the invalidations of one cache, for both modes.

    Args:
        settings: The cache's settings.
        stack: The tiers.
        services: The services of both modes.
        ruleset: The user's rules; None if there are none.
        runtime: A sync runtime whose threads sweep in the background.
        unindex: Removes swept entries from the semantic index; None without one.
    """

    def __init__(
        self,
        settings: CacheSettings,
        stack: TierStack,
        services: ServicePair,
        *,
        ruleset: Ruleset | None,
        runtime: SyncRuntime,
        unindex: Unindex | None,
    ) -> None:
        self._stack = stack
        self._services = services
        self._threads = ThreadRunner("askonce-invalidating", threads=_THREADS)  # for event loops
        store = stack.shared_store or stack.memory.store
        self.audit = Audit(FailOpen(stack.ledger), runtime.now, settings.audit)
        self.sweeps = SweepRunner(
            memory=stack.memory.store,
            stores=stack.patient_stores,
            reach=lambda: store.epochs([SWEPT]),
            sweeps=stack.sweeps,
            runtime=runtime,
            compile_=compiled,
            boundary=FailOpen(stack.ledger),
            unindex=unindex,
        )
        self.events = EventProcessor(
            ruleset,
            bump=lambda tags: services.sync.tiers.invalidate(tags),
            sweep=self.sweeps.sweep,
            store=store,
            now=runtime.now,
            audit=self.audit,
        )
        self.consumers = tuple(self._consumer(source) for source in settings.sources)

    async def invalidate(
        self,
        invalidation: Invalidation,
        *,
        who: str,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> InvalidationResult:
        """Carry out an invalidation, blocking the thread.

        Args:
            invalidation: What to invalidate.
            who: The origin of the invalidation, for the audit log.
            dry_run: Count only.
            progress: Gets the progress of a sweep.

        Raises:
            ConfigError: The invalidation cannot be meant.
            StoreError: A store failed.
            CacheClosed: The cache is closed.
        """
        self._services.ensure_open()
        if dry_run:
            return await self.sweeps.preview(invalidation, progress)
        tags = invalidation.tags
        if invalidation.of_groups:
            # An answer gets these tags only when it arrives, so a bump is not enough.
            await self.sweeps.announce(invalidation, *tags)
            self.audit(who, {}, tags=tags)
            return InvalidationResult(tags=tags)
        if invalidation.by_tags_alone:
            return await self._invalidate_tags(self._services.sync.tiers, tags, who)
        swept = await self.sweeps.sweep(invalidation, progress)
        self.audit(who, invalidation.as_dict, swept.entries)
        return swept

    async def invalidate_in_thread(
        self,
        invalidation: Invalidation,
        *,
        who: str,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> InvalidationResult:
        """Do the same without blocking the event loop; see `invalidate`."""
        if invalidation.by_tags_alone and not (dry_run or invalidation.of_groups):
            tiers = self._services.async_.tiers
            return await self._invalidate_tags(tiers, invalidation.tags, who)
        return await self._threads(
            lambda: self.invalidate(invalidation, who=who, dry_run=dry_run, progress=progress)
        )

    def invalidate_in_background(self, invalidation: Invalidation, who: str) -> None:
        """Carry out an invalidation after the caller is answered."""

        async def sweep() -> None:
            await self.invalidate(invalidation, who=who)

        self.sweeps.run_in_background(sweep)

    async def take_event(
        self, event: str, data: Mapping[str, Any], *, event_id: str | None, who: str
    ) -> EventResult:
        """Carry out what an event invalidates, blocking the thread.

        Args:
            event: The event's name.
            data: Its data.
            event_id: An event of an id that was handled before does nothing; None for no id.
            who: The origin of the event, for the audit log.

        Raises:
            ConfigError: No rule knows the event, or a member is missing in its data.
            StoreError: A store failed.
            CacheClosed: The cache is closed.
        """
        self._services.ensure_open()
        return await self.events.process(event, data, id=event_id, who=who)

    async def take_event_in_thread(
        self, event: str, data: Mapping[str, Any], *, event_id: str | None, who: str
    ) -> EventResult:
        """Do the same without blocking the event loop; see `take_event`."""
        return await self._threads(lambda: self.take_event(event, data, event_id=event_id, who=who))

    def sources(self) -> dict[str, str]:
        """Return the state of each source of events: `starting`, `following` or `down`."""
        return {consumer.name: consumer.state for consumer in self.consumers}

    def start(self) -> None:
        """Start to read the sources of events."""
        for consumer in self.consumers:
            consumer.start()

    async def end_sweeps(self, *, in_loop: bool) -> None:
        """Finish the sweeps that are under way."""
        if in_loop:
            await run_in_thread("askonce-sweeping", self.sweeps.end)
        else:
            await self.sweeps.end()

    async def close(self) -> None:
        """Stop reading the sources, and end the threads."""
        for consumer in self.consumers:
            await consumer.close()
        self._threads.close()

    async def _invalidate_tags(
        self, tiers: Tiers, tags: tuple[str, ...], who: str
    ) -> InvalidationResult:
        """Bump tags, in the mode of these tiers; the cost does not depend on their entries."""
        await tiers.invalidate(tags)
        self.audit(who, {}, tags=tags)
        return InvalidationResult(tags=tags)

    def _consumer(self, source: EventSource) -> EventConsumer:
        stack, runtime = self._stack, self._stack.runtimes.sync
        reader = open_event_reader(
            source.url,
            StoreContext.of(runtime, _SOURCE_DEADLINE),
            name=source.key.digest.hex()[:16],
            stream=source.stream,
            channel=source.channel,
        )
        store = stack.shared_store or stack.memory.store
        return EventConsumer(source, reader, events=self.events, store=store, ledger=stack.ledger)
