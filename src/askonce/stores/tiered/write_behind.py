"""Writing: what is to be kept in a layer below memory, written behind whoever asked.

Entries stand in a bounded queue; a thread takes them out in order. Nobody waits for it, in either
flavor, and a busy event loop does not hold it up. Where the queue is full, the oldest goes first
and is counted: losing an entry is always allowed.
"""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import msgspec

from askonce.core.models import Entry, Key, Lease, Selection
from askonce.core.protocols import Memory
from askonce.core.runtime.interface import Runtime
from askonce.invalidation.recent_sweeps import UNKNOWN, RecentSweeps
from askonce.invalidation.target import GROUP, SWEPT, Matcher
from askonce.ledger.ledger import Ledger
from askonce.stores.tiered.leases import LeaseRenewal
from askonce.stores.tiered.tier import Tier

QUEUE_ENTRIES = 4_096
QUEUE_BYTES = 64 << 20
_NOTED = 2.0
"""Seconds for which what was written is remembered: by then every sweep before it was heard of."""
_NOTED_BYTES = 4 << 20
"""Of their questions; what does not fit is found by the second look of whoever sweeps."""


class Job(NamedTuple):
    """An entry to be written, the lease to be given back and the layers to follow after that."""

    entry: Entry
    lease: Lease | None
    above: "tuple[WriteBehind, ...]"


class WriteBehind:
    """The queue of one layer, for both flavors.

    `tier` and `runtime` are of the blocking flavor. `ttl` bounds how long an entry lives in this
    layer, in seconds. The last layer has a `renewal`: it is the authority on epochs, and leases
    are its; any other one stands in the middle, learns the authority's epochs, and is written to
    once `begun` says that it may be. `hears` says whether this process hears of sweeps in time.
    """

    def __init__(
        self,
        tier: Tier,
        *,
        runtime: Runtime,
        ledger: Ledger,
        memory: Memory,
        lock: AbstractContextManager[Any],
        ttl: float | None,
        renewal: LeaseRenewal | None,
        begun: Callable[[], bool],
        hears: Callable[[], bool],
        sweeps: RecentSweeps,
    ) -> None:
        self._shelf = tier
        self._runtime = runtime
        self._ledger = ledger
        self._memory = memory
        self._lock = lock
        self._ttl = ttl
        self._renewal = renewal
        self._begun = begun
        self._hears = hears
        self._sweeps = sweeps
        self._jobs: deque[Job] = deque()
        self._bytes = 0
        self._draining: object = None
        self._written: deque[tuple[float, Entry]] = deque()
        self._written_bytes = 0

    def put(
        self, entry: Entry, lease: Lease | None = None, above: "tuple[WriteBehind, ...]" = ()
    ) -> None:
        """Have the entry written soon, and into the layers `above` unless this one refuses it."""
        dropped: list[Job] = []
        with self._lock:
            self._jobs.append(Job(entry, lease, above))
            self._bytes += _size(entry)
            while len(self._jobs) > QUEUE_ENTRIES or self._bytes > QUEUE_BYTES:
                dropped.append(self._jobs.popleft())
                self._bytes -= _size(dropped[-1].entry)
        self._start(self._drain)
        for job in dropped:
            self._ledger.layer(self._shelf.name, "dropped")
            if job.lease is not None:
                self.give_back(job.lease)

    def look_after(self) -> None:
        """See whether a store that was left alone is well again."""
        self._shelf.probe_if_due()

    def give_back(self, lease: Lease) -> None:
        """Let go of a lease, behind."""

        async def release() -> None:
            await self._release(lease)

        self._runtime.run_in_background(release)

    def _start(self, work: Any) -> None:
        here = self._runtime.loop_or_process()
        with self._lock:
            if self._draining == here:
                return
            self._draining = here  # in another process than the last one after a fork
        self._runtime.run_in_background(work)

    async def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._draining = None
                    return
                job = self._jobs.popleft()
                self._bytes -= _size(job.entry)
            kept = await self._write(job.entry, job.lease)
            if kept and self._is_late(job.entry):
                await self._take_back([job.entry.key])
                kept = False
            elif kept:
                self._note(job.entry)
            if kept or (kept is None and not job.entry.tags):
                for writing in job.above:
                    writing.put(job.entry)
            if job.lease is not None:
                await self._release(job.lease)

    def _is_late(self, entry: Entry) -> bool:
        """Was it swept after its question was asked?

        What a layer between is given is mostly old and comes out of the last one. Of sweeps that
        this process did not live to hear of, that one knows.
        """
        return (self._sweeps.hides if self._renewal is None else self._sweeps.late)(entry)

    async def swept(self, names: Matcher) -> None:
        """A sweep was heard of: what was written while it was on its way here goes again."""
        with self._lock:
            written = [entry for _, entry in self._written]
        late = [entry.key for entry in written if names(entry) and self._is_late(entry)]
        if late:
            await self._take_back(late)

    def _note(self, entry: Entry) -> None:
        """Remember for a while what was written; without the answer itself."""
        now = self._runtime.monotonic()
        noted = msgspec.structs.replace(entry, body=b"")
        with self._lock:
            self._written.append((now, noted))
            self._written_bytes += _size(noted)
            while self._written and (
                self._written[0][0] < now - _NOTED or self._written_bytes > _NOTED_BYTES
            ):
                self._written_bytes -= _size(self._written.popleft()[1])

    async def _take_back(self, keys: list[Key]) -> None:
        """What was swept while it was being written goes again.

        With news of it: a process that was started after the sweep may have read it meanwhile.
        """
        for key in keys:
            self._memory.drop(key)
        store, gone = self._shelf.store, Selection(keys=tuple(keys))
        await self._shelf.ask("remove", lambda: store.remove(gone))

    async def _write(self, entry: Entry, lease: Lease | None) -> bool | None:
        """Whether the store has taken it; None if it could not be asked."""
        tier, store = self._shelf, self._shelf.store
        if self._is_late(entry):
            self._memory.drop(entry.key)
            return False
        missed = await self._missed_a_sweep(entry)
        if missed is not False:
            return False if missed else None  # memory hears of it later
        while self._renewal is None and not self._begun():
            await self._runtime.sleep(0.005)
        entry = shortened(entry, self._runtime.now(), self._ttl)
        tags = [tag for tag, _ in entry.tags]

        async def write() -> bool:
            if tags and self._renewal is None:
                await store.merge_epochs(dict(entry.tags))
            return await store.write(entry, fence=0 if lease is None else lease.fence)

        kept = await tier.ask("write", write)
        if kept is None:
            self._ledger.layer(tier.name, "dropped")
        elif not kept and tags and self._renewal is not None:
            # Another process invalidated a tag, and its news have not come yet.
            self._memory.apply_epochs(await tier.ask("epochs", lambda: store.epochs(tags)) or {})
        return kept

    async def _missed_a_sweep(self, entry: Entry) -> bool | None:
        """Where this process does not hear of sweeps: has there been one since the question?

        The same where it does, but the answer has groups, whose epochs are of a later time than the
        question: only the sweep of a group tells. None if the store cannot say.
        """
        heard = self._sweeps.number
        if not self._hears():
            heard = None
        in_groups = any(tag.startswith(GROUP) for tag, _ in entry.tags)
        if self._renewal is None or (heard is not None and not in_groups):
            return False
        store = self._shelf.store
        found = await self._shelf.ask("epochs", lambda: store.epochs([SWEPT]))
        if found is None:
            self._ledger.layer(self._shelf.name, "dropped")
            return None
        return found[SWEPT] > max(entry.swept, UNKNOWN if heard is None else heard)

    async def _release(self, lease: Lease) -> None:
        if self._renewal is not None:
            self._renewal.drop(lease)
        store = self._shelf.store

        async def release() -> bool:
            await store.release(lease)
            return True

        if await self._shelf.ask("release", release) is None and self._renewal is not None:
            self._renewal.let_go(lease)


def shortened(entry: Entry, now: float, ttl: float | None) -> Entry:
    """The entry as a layer with this `ttl` keeps it: never longer than it would live anyway."""
    if ttl is None or now + ttl >= entry.expires:
        return entry
    stale = max(0.0, entry.stale_until - entry.expires)
    expires = now + ttl
    return msgspec.structs.replace(entry, expires=expires, stale_until=expires + stale)


def _size(entry: Entry) -> int:
    return len(entry.body) + len(entry.question) + 512
