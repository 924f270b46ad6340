"""Sweeps: find the entries that an invalidation names one by one, and remove them.

First the sweep is announced: from then on no process stores an answer whose request was made
before, and every process sweeps its own memory and its private layers. Then the shared store is
scanned, and a little later once more, for entries that were being written during the first scan.
"""

from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import NamedTuple

import msgspec

from askonce.core.fail_open import FailOpen
from askonce.core.models import Entry, Key, Selection
from askonce.core.protocols import Memory, Store
from askonce.core.runtime.interface import Runtime, Work
from askonce.invalidation.recent_sweeps import RecentSweeps
from askonce.invalidation.target import SWEPT, Compile, Invalidation, Matcher

Progress = Callable[[int], None]
"""Receives the number of entries scanned so far."""
Scoped = tuple[bytes, Key]
Unindex = Callable[[list[Scoped]], Awaitable[None]]
"""Removes keys, each with its scope, from the vector index."""

SAMPLES = 5
UNDER_WAY = 1.5
"""Seconds after which every process knows of a sweep, and its earlier writes have arrived."""
_AT_ONCE = 500
_COUNTING = 0.25  # seconds at most; counting delays the announcement
_REMIND = 0.5  # seconds between reminders of a sweep in progress
_STEP = 0.02  # seconds between checks whether the cache is closing


class EntrySample(msgspec.Struct, frozen=True):
    """One of the entries that an invalidation names.

    Parameters:
        key: The key, as text.
        question: The text of the question.
        model: The model that answered.
        age: Seconds since the entry was created.
        tags: Its tags.
    """

    key: str
    question: str
    model: str
    age: float
    tags: tuple[str, ...] = ()


class InvalidationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an invalidation did, or would do with `dry_run`.

    Parameters:
        entries: How many entries it named in the layer with the most of them; None if they were
            not counted, because an invalidation by tags does not look at entries.
        layers: How many entries it named in each layer, `memory` included.
        samples: Some of these entries.
        tags: The tags that were invalidated.
        dry_run: Nothing was changed.
    """

    entries: int | None = None
    layers: dict[str, int] = {}
    samples: tuple[EntrySample, ...] = ()
    tags: tuple[str, ...] = ()
    dry_run: bool = False


class _Scan(NamedTuple):
    """The result of one scan of a store."""

    found: int
    samples: tuple[EntrySample, ...]


class SweepRunner:
    """Carries out invalidations over the stores of one cache; every method blocks.

    Parameters:
        memory: The memory of this process.
        stores: Opens the stores below memory by name, nearest first.
        reach: Makes a cheap request to the shared store, so that one that is down fails at once and
            not after the long timeout of a scan.
        sweeps: The sweeps that this process knows.
        runtime: A blocking runtime of its own: only `end` waits for its background work.
        compile_: Compiles RE2 patterns.
        boundary: Counts faults in the background.
        unindex: Removes entries from the vector index, if there is one.
    """

    def __init__(
        self,
        *,
        memory: Memory,
        stores: Callable[[], Mapping[str, Store]],
        reach: Callable[[], Awaitable[object]],
        sweeps: RecentSweeps,
        runtime: Runtime,
        compile_: Compile,
        boundary: FailOpen,
        unindex: Unindex | None = None,
    ) -> None:
        self._unindex = unindex
        self._memory = memory
        self._stores = stores
        self._reach = reach
        self._sweeps = sweeps
        self._runtime = runtime
        self._compile = compile_
        self._boundary = boundary
        self._lock = runtime.lock()
        self._due: dict[Invalidation, float] = {}
        self._scanning: object = None
        self._ending = False

    async def preview(
        self, invalidation: Invalidation, progress: Progress | None = None
    ) -> InvalidationResult:
        """Return what an invalidation would do. Raises ConfigError, StoreError."""
        names = invalidation.matcher(self._compile)
        await self._reach()
        layers: dict[str, int] = {}
        samples: tuple[EntrySample, ...] = ()
        for name, store in {"memory": self._memory, **self._stores()}.items():
            found = await self._scan(store, invalidation, names, progress)
            layers[name] = found.found
            samples = found.samples or samples
        most = max(layers.values())
        return InvalidationResult(entries=most, layers=layers, samples=samples, dry_run=True)

    async def announce(self, invalidation: Invalidation, *tags: str) -> dict[str, int]:
        """Raise the tags' epochs and announce the sweep in one step. Raises StoreError.

        Returns the new epochs of the tags.
        """
        announcements = [part.announcement for part in invalidation.parts]
        hidden = (SWEPT, *announcements)
        names = invalidation.matcher(self._compile)  # before a bad pattern is announced
        authority = next(reversed([*self._stores().values()]), None)
        try:
            with self._sweeps.announcing(announcements):
                if authority is None:
                    number = dict.fromkeys(hidden, self._sweeps.next_number())
                    raised = {**await self._memory.epochs(tags, bump=True), **number}
                else:
                    raised = await authority.epochs([*tags, *hidden], bump=True)
                self._sweeps.merge(raised)
            epochs = {tag: raised[tag] for tag in tags}
            self._memory.apply_epochs(epochs)
        finally:
            # Also after a failure: the store may have done it, and `merge` does not report it here.
            await self._sweep_memory(names)
        return epochs

    async def _sweep_memory(self, names: Matcher) -> None:
        compared: list[Scoped] = []

        def named(entry: Entry) -> bool:
            if not names(entry):
                return False
            if entry.scope:
                compared.append((entry.scope, entry.key))
            return True

        self._memory.sweep(named)
        await self._remove_from_index(compared)

    async def sweep(
        self, invalidation: Invalidation, progress: Progress | None = None
    ) -> InvalidationResult:
        """Announce an invalidation and remove the entries. Raises ConfigError, StoreError."""
        names = invalidation.matcher(self._compile)  # before a bad pattern is announced
        await self._reach()
        # Count first: once announced, every process removes what it has just written.
        until = self._runtime.monotonic() + _COUNTING
        layers = {
            name: (await self._scan(store, invalidation, names, None, until=until)).found
            for name, store in {"memory": self._memory, **self._stores()}.items()
        }
        await self.announce(invalidation)
        samples: tuple[EntrySample, ...] = ()
        for name, store in self._stores().items():
            found = await self._scan(
                store, invalidation, names, progress, remove=True, remind=(invalidation,)
            )
            layers[name] = max(layers[name], found.found)
            samples = found.samples or samples
        if self._stores():
            self._scan_again_later(invalidation)
        return InvalidationResult(entries=max(layers.values()), layers=layers, samples=samples)

    def run_in_background(self, work: Work) -> None:
        """Do the work in the background; count its faults."""

        async def attempt() -> None:
            with self._boundary.around("sweep"):
                await work()

        self._runtime.run_in_background(attempt)

    async def end(self) -> None:
        """Finish the work in progress; start second scans at once."""
        self._ending = True
        await self._runtime.settle()

    def _scan_again_later(self, invalidation: Invalidation) -> None:
        here = self._runtime.loop_or_process()
        with self._lock:
            self._due[invalidation] = self._runtime.monotonic() + UNDER_WAY
            if self._scanning == here:
                return
            self._scanning = here  # after a fork, the thread exists only in the other process
        self._runtime.run_in_background(self._second_scans)

    async def _second_scans(self) -> None:
        while True:
            with self._lock:
                if not self._due:
                    self._scanning = None
                    return
                due, self._due = self._due, {}
            # Sweeps that begin meanwhile have their own time to wait.
            while self._runtime.monotonic() < max(due.values()) and not self._ending:
                await self._runtime.sleep(_STEP)
            with self._boundary.around("sweep"):
                await self._scan_again([*due])

    async def _remind(self, *invalidations: Invalidation) -> None:
        """Repeat the announcement of sweeps in progress.

        Processes that started later may have read entries that were not removed yet.
        """
        authority = next(reversed([*self._stores().values()]), None)
        if authority is not None:
            parts = [part for one in invalidations for part in one.parts]
            await authority.epochs([part.reminder for part in parts], bump=True)

    async def _scan_again(self, invalidations: list[Invalidation]) -> None:
        """Remove entries that were stored although a sweep names them."""
        matchers = [invalidation.matcher(self._compile) for invalidation in invalidations]

        def names(entry: Entry) -> bool:
            return any(one(entry) for one in matchers) and self._sweeps.late(entry)

        only = invalidations[0] if len(invalidations) == 1 else Invalidation()
        for store in self._stores().values():
            await self._scan(store, only, names, None, remove=True, remind=tuple(invalidations))
        await self._remind(*invalidations)

    async def _scan(
        self,
        store: Store,
        invalidation: Invalidation,
        names: Matcher,
        progress: Progress | None,
        *,
        remove: bool = False,
        remind: tuple[Invalidation, ...] = (),
        until: float = inf,
    ) -> _Scan:
        """Find the named entries of a store, until this monotonic time; `remove` removes them."""
        found = scanned = 0
        samples: list[EntrySample] = []
        chosen: list[Scoped] = []
        now = self._runtime.now()
        reminded = self._runtime.monotonic()
        async for entry in store.scan(invalidation.selection):
            scanned += 1
            if names(entry):
                found += 1
                if len(samples) < SAMPLES:
                    samples.append(_sample(entry, now))
                if remove:
                    chosen.append((entry.scope, entry.key))
            if len(chosen) == _AT_ONCE:
                await self._remove(store, chosen)
            if scanned % _AT_ONCE == 0:
                if self._runtime.monotonic() > until:
                    break
                if progress is not None:
                    progress(scanned)
                if remind and self._runtime.monotonic() - reminded > _REMIND:
                    await self._remind(*remind)
                    reminded = self._runtime.monotonic()
        if chosen:
            await self._remove(store, chosen)
        if progress is not None:
            progress(scanned)
        return _Scan(found, tuple(samples))

    async def _remove(self, store: Store, chosen: list[Scoped]) -> None:
        await remove_quietly(store, [key for _, key in chosen])
        await self._remove_from_index([one for one in chosen if one[0]])
        chosen.clear()

    async def _remove_from_index(self, compared: list[Scoped]) -> None:
        if self._unindex is not None and compared:
            with self._boundary.around("semantic"):
                await self._unindex(compared)


async def remove_quietly(store: Store, keys: list[Key]) -> None:
    """Remove entries without a change event: the announcement of the sweep replaces it."""
    await store.remove(Selection(keys=tuple(keys)), quiet=True)


async def sweep_store(store: Store, names: Matcher) -> None:
    """Remove the named entries from a store that only this process sweeps."""
    chosen: list[Key] = []
    async for entry in store.scan(Selection()):
        if names(entry):
            chosen.append(entry.key)
        if len(chosen) == _AT_ONCE:
            await remove_quietly(store, chosen)
            chosen = []
    if chosen:
        await remove_quietly(store, chosen)


def _sample(entry: Entry, now: float) -> EntrySample:
    tags = tuple(tag for tag, _ in entry.tags)
    return EntrySample(str(entry.key), entry.question, entry.model, round(entry.age(now), 3), tags)
