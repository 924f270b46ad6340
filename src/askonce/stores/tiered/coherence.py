"""Coherence: how a process follows the invalidations of others in the store that they share.

One daemon thread reads the store's change feed: tags that were bumped and entries that were
removed. A store that pushes its changes wakes the thread at once; any other one is polled every
few milliseconds. The thread applies each change to memory and to the stores between memory and
the authority.

A process that has read no change feed for `BLIND_AFTER` seconds (the network is cut, the engine is
down) is blind. It then serves no tagged answer from its nearer tiers. So an invalidated answer is
served for one second at most, whatever message was lost.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from os import getpid
from typing import NamedTuple

from msgspec import structs

from askonce.core.errors import StoreError
from askonce.core.fail_open import FailOpen
from askonce.core.models import ChangeBatch, Entry, Key, Selection
from askonce.core.protocols import Memory, Store
from askonce.core.runtime.background import PeriodicWorker
from askonce.core.runtime.interface import Runtime
from askonce.invalidation.recent_sweeps import RecentSweeps
from askonce.invalidation.sweep import sweep_store
from askonce.invalidation.target import SWEPT, Matcher, any_of, plain

BLIND_AFTER = 0.8
"""Seconds since the start of the last successful exchange."""

_EXCHANGE_WAIT = 0.25  # seconds that the store may wait for a change
_POLL = 0.02  # seconds between two exchanges with a store that does not push
_RETRY = 0.1  # seconds until the next exchange after one that failed
_FIRST_EXCHANGE = 1.0  # seconds to wait for the first one, in case the store is down
_CURSOR_KEY = Key("~askonce", "mark", hashlib.sha256(b"mark").digest())
"""A store between keeps under this key how far it has followed the change feed."""

_FOREVER = 1e11  # seconds since the Unix epoch: the last to leave where the oldest leave first
_FEW_ENTRIES = 256
"""At most so many entries that memory kept during the first exchange are checked one by one."""


class Followers(NamedTuple):
    """The nearer tiers that follow the authority: memory, and the sync stores between."""

    memory: Memory
    between: Sequence[Store] = ()


class CoherenceCallbacks(NamedTuple):
    """Hooks for state outside the tiers.

    `store_lost` is called when the store does not know its past any more: it may be another one.
    `swept` gets the condition of each new sweep, for entries that were written meanwhile.
    """

    store_lost: Callable[[], None]
    swept: Callable[[Matcher], Awaitable[None]]


class Coherence:
    """Follows one sync store on behalf of memory and the stores between.

    Args:
        source: The authority, whose change feed is read.
        followers: The tiers that the changes are applied to.
        sweeps: The sweeps that this process knows.
        runtime: The sync runtime.
        boundary: Counts failed exchanges.
        callbacks: Hooks for state outside the tiers.
        strong: Ask the authority about tags before each tagged answer from a nearer tier.
    """

    def __init__(
        self,
        source: Store,
        followers: Followers,
        *,
        sweeps: RecentSweeps,
        runtime: Runtime,
        boundary: FailOpen,
        callbacks: CoherenceCallbacks,
        strong: bool = False,
    ) -> None:
        self.strong = strong
        self.is_failing = False
        """The last exchange failed."""
        self.started_in = 0
        """The process in which the thread was started; a forked child starts its own."""
        self._source = source
        self._memory, self._between = followers
        self._sweeps = sweeps
        self._tick = runtime.monotonic
        self._boundary = boundary
        self._callbacks = callbacks
        self._cursor: str | None = None
        self._synced = self._started = self._first_started = float("-inf")
        self._worker = PeriodicWorker("askonce-news", self._step)

    @property
    def is_current(self) -> bool:
        """Whether this process learns of invalidations in time; a start gets the same time."""
        return self._tick() - max(self._synced, self._started) < BLIND_AFTER

    @property
    def may_write_between(self) -> bool:
        """Whether the stores between may be written to: after they caught up, or a grace time."""
        return self._cursor is not None or self._tick() - self._started > _FIRST_EXCHANGE

    def trusts(self, *, own: bool = False) -> bool:
        """Decide whether a nearer tier's tagged answer may be served without asking the authority.

        For this process's `own` memory the answer is yes from the first moment. Memory began
        empty, so its entries were valid at a time when this process ran.
        """
        now = self._tick()
        if not self.strong and (
            now - self._synced < BLIND_AFTER
            or (own and self._synced < 0 and now - self._first_started < BLIND_AFTER)
        ):
            return True
        self.start()
        return False

    def start(self) -> None:
        """Start the thread, unless it runs in this process or was stopped."""
        self.started_in = getpid()
        if self._worker.start():
            self._started = self._tick()
            if self._first_started < 0:
                # Later starts are those of forked children, whose memory did not begin empty.
                self._first_started = self._started

    def stop(self) -> None:
        """Stop the thread for good."""
        self._worker.stop()

    async def _step(self) -> float:
        """Make one exchange; return the seconds until the next."""
        began = self._tick()
        attempt = self._boundary.around("news")
        with attempt:
            try:
                await self._exchange()
            except StoreError:
                if not self._worker.stopped:
                    raise
        self.is_failing = attempt.failed
        if attempt.failed:
            return _RETRY
        self._synced = began
        return 0.0 if self._source.pushes_changes else _POLL

    async def _exchange(self) -> None:
        if self._cursor is None:
            self._cursor = await self._begin()
            return
        changes = await self._source.changes(self._cursor, _EXCHANGE_WAIT)
        if changes.lost:
            self._callbacks.store_lost()
            self._memory.forget_all()
            await self._count_sweeps()
        if missed := self._sweeps.apply_reminders(changes.epochs):
            # Sweeps that began before this process followed the feed, and still go on.
            epochs = changes.epochs | await self._source.epochs(missed)
            changes = structs.replace(changes, epochs=epochs)
        fresh = self._sweeps.merge(changes.epochs)
        self._memory.apply_epochs(plain(changes.epochs))
        for selection in changes.removed:
            await self._memory.remove(selection)
        if fresh:
            self._memory.sweep(any_of(fresh))
            await self._callbacks.swept(any_of(fresh))
        if not changes.empty:
            for store in self._between:
                await self._apply(store, changes)
        # Last: after a failure, the stores between get the same changes once more.
        self._cursor = changes.cursor

    async def _begin(self) -> str:
        """Find the end of the feed, and bring the stores between and memory up to it."""
        cursor = (await self._source.changes(None, 0)).cursor
        await self._count_sweeps()
        for store in self._between:
            # It outlives processes: it may have missed changes while none was running.
            known = await store.read(_CURSOR_KEY)
            since = None if known is None else known.body.decode()
            missed = (
                ChangeBatch(cursor, lost=True)
                if since is None
                else await self._source.changes(since, 0)
            )
            await self._apply(store, missed)
        await self._check_memory()
        return cursor

    async def _count_sweeps(self) -> None:
        """Read the number of the last sweep, and drop what an earlier sweep may name.

        No feed repeats the sweeps up to that number, so every entry from before it goes.
        """
        self._sweeps.begin((await self._source.epochs([SWEPT]))[SWEPT])
        self._memory.sweep(self._sweeps.late)
        await self._callbacks.swept(self._sweeps.late)

    async def _check_memory(self) -> None:
        """Check the epochs of what memory kept during the first exchange."""
        kept = [entry async for entry in self._memory.scan(Selection())]
        if len(kept) > _FEW_ENTRIES:
            self._memory.forget_all()
            return
        tags = {tag for entry in kept for tag, _ in entry.tags}
        if tags:
            self._memory.apply_epochs(await self._source.epochs(sorted(tags)))

    async def _apply(self, store: Store, changes: ChangeBatch) -> None:
        """Apply the authority's changes to a store between, and note the cursor there."""
        if changes.lost:
            await store.remove(Selection())
        if epochs := plain(changes.epochs):
            await store.merge_epochs(epochs)
        for selection in changes.removed:
            await store.remove(selection)
        if named := self._sweeps.matchers_of(changes.epochs):
            await sweep_store(store, any_of(named))
        cursor = changes.cursor.encode()
        entry = Entry(_CURSOR_KEY, cursor, 200, (), _FOREVER, _FOREVER, _FOREVER)
        await store.write(entry)
