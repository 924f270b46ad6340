"""Coherence: what this process knows of the changes that others make in the most shared store.

One daemon thread follows the store's news: tags that were bumped and selections that were removed.
Stores that tell wake it at once; the others are asked every few milliseconds. What it hears, it
tells memory and the layers between. Where it has heard nothing for `BLIND_AFTER` seconds (the
network is cut, the engine is down), this process is blind: it then serves no tagged answer out of
its nearer layers, so nobody is served what was invalidated more than a second ago, whatever
message was lost.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence

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
"""Seconds since the start of the last exchange that was answered."""

_PATIENCE = 0.25
_POLL = 0.02
_FIRST_NEWS = 1.0  # seconds to wait for the first ones, where the source may be down
_AGAIN = 0.1
_MARK = Key("~askonce", "mark", hashlib.sha256(b"mark").digest())
"""Under this key a store between keeps how far it has heard the news."""

_FOR_GOOD = 1e11  # seconds since the Unix epoch: the last to leave where the oldest go first
_FEW = 256
"""As many entries as a process may have kept while the first exchange was under way."""


class Coherence:
    """Follows one store for memory and the stores between, which are all blocking here.

    `lost` is called where the store does not know any more what happened: it may be another one;
    `swept` with what was swept, for what was written to the store meanwhile.
    """

    def __init__(
        self,
        source: Store,
        *,
        memory: Memory,
        between: Sequence[Store],
        sweeps: RecentSweeps,
        runtime: Runtime,
        boundary: FailOpen,
        lost: Callable[[], None],
        swept: Callable[[Matcher], Awaitable[None]],
        strong: bool = False,
    ) -> None:
        self.strong = strong
        self.ill = False  # did the last exchange fail?
        self._source = source
        self._memory = memory
        self._between = between
        self._sweeps = sweeps
        self._tick = runtime.monotonic
        self._boundary = boundary
        self._lost = lost
        self._swept = swept
        self._mark: str | None = None
        self._synced = self._started = self._first = float("-inf")
        self._worker = PeriodicWorker("askonce-news", self._step)

    @property
    def current(self) -> bool:
        """Does this process hear of others' changes in time? A start is given the same time."""
        return self._tick() - max(self._synced, self._started) < BLIND_AFTER

    @property
    def begun(self) -> bool:
        """May the stores between be written to? What they missed, they should hear first."""
        return self._mark is not None or self._tick() - self._started > _FIRST_NEWS

    def sees(self, *, own: bool = False) -> bool:
        """May a tagged answer be served out of a nearer layer without asking the store?

        Of this process's `own` memory: yes from the first moment. It began empty, so whatever it
        holds was valid at a time when this process ran.
        """
        now = self._tick()
        if not self.strong and (
            now - self._synced < BLIND_AFTER
            or (own and self._synced < 0 and now - self._first < BLIND_AFTER)
        ):
            return True
        self.start()  # a forked child has no thread yet
        return False

    def start(self) -> None:
        if self._worker.start():
            self._started = self._tick()
            if self._first < 0:
                self._first = self._started  # a forked child's memory did not begin empty

    def stop(self) -> None:
        self._worker.stop()

    async def _step(self) -> float:
        """One exchange; how many seconds until the next."""
        began = self._tick()
        attempt = self._boundary.around("news")
        with attempt:
            try:
                await self._exchange()
            except StoreError:
                if not self._worker.stopped:
                    raise
        self.ill = attempt.failed
        if attempt.failed:
            return _AGAIN
        self._synced = began
        return 0.0 if self._source.pushes_changes else _POLL

    async def _exchange(self) -> None:
        if self._mark is None:
            self._mark = await self._begin()
            return
        news = await self._source.changes(self._mark, _PATIENCE)
        if news.lost:
            self._lost()
            self._memory.forget_all()
            await self._count_sweeps()
        if missed := self._sweeps.apply_reminders(news.epochs):
            # Of sweeps that began before this process heard of any, and still go on.
            news = structs.replace(news, epochs=news.epochs | await self._source.epochs(missed))
        fresh = self._sweeps.merge(news.epochs)
        self._memory.apply_epochs(plain(news.epochs))
        for selection in news.removed:
            await self._memory.remove(selection)
        if fresh:
            self._memory.sweep(any_of(fresh))
            await self._swept(any_of(fresh))
        if not news.empty:
            for store in self._between:
                await self._tell(store, news)
        # Last: a store between that failed hears it all again.
        self._mark = news.cursor

    async def _begin(self) -> str:
        """Where the news begin; what happened before, in which this process had no part."""
        mark = (await self._source.changes(None, 0)).cursor
        await self._count_sweeps()
        for store in self._between:
            # It outlives processes: what it missed while none was there, it hears now.
            known = await store.read(_MARK)
            since = None if known is None else known.body.decode()
            missed = (
                ChangeBatch(mark, lost=True)
                if since is None
                else await self._source.changes(since, 0)
            )
            await self._tell(store, missed)
        await self._doubt()
        return mark

    async def _count_sweeps(self) -> None:
        """Learn the number of the last sweep; what was swept up to it, nobody tells any more.

        So whatever was asked before it and kept since goes again.
        """
        self._sweeps.begin((await self._source.epochs([SWEPT]))[SWEPT])
        self._memory.sweep(self._sweeps.late)
        await self._swept(self._sweeps.late)

    async def _doubt(self) -> None:
        """Doubt what memory kept while the news began."""
        kept = [entry async for entry in self._memory.scan(Selection())]
        if len(kept) > _FEW:
            self._memory.forget_all()
            return
        tags = {tag for entry in kept for tag, _ in entry.tags}
        if tags:
            self._memory.apply_epochs(await self._source.epochs(sorted(tags)))

    async def _tell(self, store: Store, news: ChangeBatch) -> None:
        """Tell a store between what happened in the authority, and up to where."""
        if news.lost:
            await store.remove(Selection())
        if epochs := plain(news.epochs):
            await store.merge_epochs(epochs)
        for selection in news.removed:
            await store.remove(selection)
        if named := self._sweeps.matchers_of(news.epochs):
            await sweep_store(store, any_of(named))
        told = news.cursor.encode()
        await store.write(Entry(_MARK, told, 200, (), _FOR_GOOD, _FOR_GOOD, _FOR_GOOD))
