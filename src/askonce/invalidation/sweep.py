"""Sweeping: entries that an invalidation names are looked for one by one, and removed.

First the sweep is announced: from then on no answer whose question was asked before is kept, and
every process sweeps its own memory and its own layers between. Then the shared store is looked
through, and a little later once more, for what was being written the first time.
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
from askonce.invalidation.target import SWEPT, Compile, Invalidation, Names

Tell = Callable[[int], None]
Scoped = tuple[bytes, Key]
Unindex = Callable[[list[Scoped]], Awaitable[None]]

SAMPLES = 5
UNDER_WAY = 1.5
"""Seconds after which whoever had not heard of a sweep has, and what it wrote has arrived."""
_AT_ONCE = 500
_COUNTING = 0.25  # seconds, at most, for counting first; it delays the announcement
_REMIND = 0.5  # seconds between reminders of a sweep that goes on
_STEP = 0.02  # seconds between looks whether the cache is being closed


class EntrySample(msgspec.Struct, frozen=True):
    """One of the entries that were found; `age` is in seconds."""

    key: str
    question: str
    model: str
    age: float
    tags: tuple[str, ...] = ()


class InvalidationResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an invalidation did, or with `dry_run` would do.

    `entries` were found in the layer that has most of them; None where nobody counted, because
    an invalidation by tags does not look at entries. `layers` counts each layer for itself.
    """

    entries: int | None = None
    layers: dict[str, int] = {}
    samples: tuple[EntrySample, ...] = ()
    tags: tuple[str, ...] = ()
    dry_run: bool = False


class Looked(NamedTuple):
    found: int
    samples: tuple[EntrySample, ...]


class SweepRunner:
    """Carries out invalidations, over the blocking stores of one cache, the nearest first.

    `runtime` is blocking and its own: what it does behind is waited for by `end` alone. `reach`
    asks the shared store for next to nothing: one that is down says so at once, and not after the
    patience that a long look needs. `unindex` is told what was removed, with the scope
    within which each was compared.
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
        self._looking: object = None
        self._ending = False

    async def look(
        self, invalidation: Invalidation, tell: Tell | None = None
    ) -> InvalidationResult:
        """What would be invalidated. Raises ConfigError, StoreError."""
        names = invalidation.matcher(self._compile)
        await self._reach()
        layers: dict[str, int] = {}
        samples: tuple[EntrySample, ...] = ()
        for name, store in {"memory": self._memory, **self._stores()}.items():
            found = await self._through(store, invalidation, names, tell)
            layers[name] = found.found
            samples = found.samples or samples
        most = max(layers.values())
        return InvalidationResult(entries=most, layers=layers, samples=samples, dry_run=True)

    async def announce(self, invalidation: Invalidation, *tags: str) -> dict[str, int]:
        """Bump the tags and tell of the sweep, at once; the tags' epochs. Raises StoreError."""
        announcements = [part.announcement for part in invalidation.parts]
        hidden = (SWEPT, *announcements)
        names = invalidation.matcher(self._compile)  # a bad pattern is told to nobody
        authority = next(reversed([*self._stores().values()]), None)
        try:
            with self._sweeps.announcing(announcements):
                if authority is None:
                    number = dict.fromkeys(hidden, self._sweeps.next_number())
                    raised = {**await self._memory.epochs(tags, bump=True), **number}
                else:
                    raised = await authority.epochs([*tags, *hidden], bump=True)
                self._sweeps.hear(raised)
            epochs = {tag: raised[tag] for tag in tags}
            self._memory.apply_epochs(epochs)
        finally:
            # Also where it failed: the store may have done it, and the news of it were none here.
            await self._sweep_memory(names)
        return epochs

    async def _sweep_memory(self, names: Names) -> None:
        compared: list[Scoped] = []

        def named(entry: Entry) -> bool:
            if not names(entry):
                return False
            if entry.scope:
                compared.append((entry.scope, entry.key))
            return True

        self._memory.sweep(named)
        await self._tell_index(compared)

    async def sweep(
        self, invalidation: Invalidation, tell: Tell | None = None
    ) -> InvalidationResult:
        """Announce it and remove what it names. Raises ConfigError, StoreError."""
        names = invalidation.matcher(self._compile)  # a bad pattern announces nothing
        await self._reach()
        # Counted before: whoever hears of it removes by itself what it has just written.
        until = self._runtime.monotonic() + _COUNTING
        layers = {
            name: (await self._through(store, invalidation, names, None, until=until)).found
            for name, store in {"memory": self._memory, **self._stores()}.items()
        }
        await self.announce(invalidation)
        samples: tuple[EntrySample, ...] = ()
        for name, store in self._stores().items():
            found = await self._through(
                store, invalidation, names, tell, remove=True, remind=(invalidation,)
            )
            layers[name] = max(layers[name], found.found)
            samples = found.samples or samples
        if self._stores():
            self._look_later(invalidation)
        return InvalidationResult(entries=max(layers.values()), layers=layers, samples=samples)

    def run_in_background(self, work: Work) -> None:
        """Do the work after the caller was answered; what goes wrong is counted."""

        async def attempt() -> None:
            with self._boundary.around("sweep"):
                await work()

        self._runtime.run_in_background(attempt)

    async def end(self) -> None:
        """Finish what is under way, without waiting for others."""
        self._ending = True
        await self._runtime.settle()

    def _look_later(self, invalidation: Invalidation) -> None:
        here = self._runtime.loop_or_process()
        with self._lock:
            self._due[invalidation] = self._runtime.monotonic() + UNDER_WAY
            if self._looking == here:
                return
            self._looking = here  # in another process than the last one after a fork
        self._runtime.run_in_background(self._second_looks)

    async def _second_looks(self) -> None:
        while True:
            with self._lock:
                if not self._due:
                    self._looking = None
                    return
                due, self._due = self._due, {}
            # What is swept meanwhile has its own time to wait.
            while self._runtime.monotonic() < max(due.values()) and not self._ending:
                await self._runtime.sleep(_STEP)
            with self._boundary.around("sweep"):
                await self._look_again([*due])

    async def _remind(self, *invalidations: Invalidation) -> None:
        """Tell of sweeps that go on: to processes that began after they were announced, and may
        have read what was not removed yet."""
        authority = next(reversed([*self._stores().values()]), None)
        if authority is not None:
            parts = [part for one in invalidations for part in one.parts]
            await authority.epochs([part.reminder for part in parts], bump=True)

    async def _look_again(self, invalidations: list[Invalidation]) -> int:
        """Remove what was kept although it was swept; how many entries that were."""
        matchers = [invalidation.matcher(self._compile) for invalidation in invalidations]

        def names(entry: Entry) -> bool:
            return any(one(entry) for one in matchers) and self._sweeps.late(entry)

        only = invalidations[0] if len(invalidations) == 1 else Invalidation()
        removed = 0
        for store in self._stores().values():
            looked = await self._through(
                store, only, names, None, remove=True, remind=tuple(invalidations)
            )
            removed += looked.found
        await self._remind(*invalidations)
        return removed

    async def _through(
        self,
        store: Store,
        invalidation: Invalidation,
        names: Names,
        tell: Tell | None,
        *,
        remove: bool = False,
        remind: tuple[Invalidation, ...] = (),
        until: float = inf,
    ) -> Looked:
        """Look at every entry of a store that may be named; remove those that are.

        After `until`, in seconds of the runtime's tick, it stops and says what it has found so far.
        """
        found = looked = 0
        samples: list[EntrySample] = []
        chosen: list[Scoped] = []
        now = self._runtime.now()
        reminded = self._runtime.monotonic()
        async for entry in store.scan(invalidation.selection):
            looked += 1
            if names(entry):
                found += 1
                if len(samples) < SAMPLES:
                    samples.append(_sample(entry, now))
                if remove:
                    chosen.append((entry.scope, entry.key))
            if len(chosen) == _AT_ONCE:
                await self._remove(store, chosen)
                chosen = []
            if looked % _AT_ONCE == 0:
                if self._runtime.monotonic() > until:
                    break
                if tell is not None:
                    tell(looked)
                if remind and self._runtime.monotonic() - reminded > _REMIND:
                    await self._remind(*remind)
                    reminded = self._runtime.monotonic()
        if chosen:
            await self._remove(store, chosen)
        if tell is not None:
            tell(looked)
        return Looked(found, tuple(samples))

    async def _remove(self, store: Store, chosen: list[Scoped]) -> None:
        await remove_quietly(store, [key for _, key in chosen])
        await self._tell_index([one for one in chosen if one[0]])

    async def _tell_index(self, compared: list[Scoped]) -> None:
        if self._unindex is not None and compared:
            with self._boundary.around("semantic"):
                await self._unindex(compared)


async def remove_quietly(store: Store, keys: list[Key]) -> None:
    """Remove entries without news of it: who has to hear of the sweep hears its announcement."""
    await store.remove(Selection(keys=tuple(keys)), quiet=True)


async def sweep_store(store: Store, names: Names) -> None:
    """Remove what is named from a store that no other process sweeps for us."""
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
