"""The write-behind queue: entries on their way to a store, written after their caller is answered.

Entries stand in a bounded queue, and a thread writes them in order. No caller waits for it in
either mode, and a busy event loop does not delay it. When the queue is full, the oldest entry is
dropped and counted: losing an entry is always allowed.
"""

from collections import deque
from typing import NamedTuple

import msgspec

from askonce.core.models import Entry, Key, Lease, Selection
from askonce.core.protocols import Memory
from askonce.core.runtime.interface import Runtime, Work
from askonce.invalidation.recent_sweeps import UNKNOWN, RecentSweeps
from askonce.invalidation.target import GROUP, SWEPT, Matcher
from askonce.ledger.ledger import Ledger
from askonce.stores.tiered.coherence import Coherence
from askonce.stores.tiered.leases import LeaseRenewal
from askonce.stores.tiered.tier import Tier

QUEUE_ENTRIES = 4_096
QUEUE_BYTES = 64 << 20
_REMEMBERED = 2.0
"""Seconds for which a written entry is remembered; every sweep before it has arrived by then."""
_REMEMBERED_BYTES = 4 << 20
"""Bytes of their questions. The second pass of a sweep finds what does not fit."""
_RECHECK = 0.005  # seconds between two looks whether a store between may be written to


class QueuedWrite(NamedTuple):
    """An entry to write, the lease to release then, and the queues that get the entry next."""

    entry: Entry
    lease: Lease | None
    nearer: "tuple[WriteBehindQueue, ...]"


class WriteBehindQueue:
    """The queue of one tier, for both modes.

    The authority's queue has a `renewal`: its store gives leases and knows the epochs. Any other
    queue belongs to a store between. It takes over the authority's epochs, and writes only after
    the store has caught up with the change feed.

    Args:
        tier: The tier to write to, in sync mode.
        runtime: The sync runtime whose threads write.
        ledger: Counts dropped entries.
        memory: Drops an entry that turns out to be invalid.
        ttl: How long an entry lives in this tier at most, in seconds.
        renewal: Renews the leases; None for a store between.
        coherence: Says whether this process learns of sweeps in time.
        sweeps: The sweeps that this process knows.
    """

    def __init__(
        self,
        tier: Tier,
        *,
        runtime: Runtime,
        ledger: Ledger,
        memory: Memory,
        ttl: float | None,
        renewal: LeaseRenewal | None,
        coherence: Coherence,
        sweeps: RecentSweeps,
    ) -> None:
        self._tier = tier
        self._runtime = runtime
        self._ledger = ledger
        self._memory = memory
        self._lock = runtime.lock()
        self._ttl = ttl
        self._renewal = renewal
        self._coherence = coherence
        self._sweeps = sweeps
        self._queue: deque[QueuedWrite] = deque()
        self._bytes = 0
        self._writing_in: object = None
        self._written: deque[tuple[float, Entry]] = deque()
        self._written_bytes = 0

    def put(
        self,
        entry: Entry,
        lease: Lease | None = None,
        nearer: "tuple[WriteBehindQueue, ...]" = (),
    ) -> None:
        """Write the entry soon, and into the `nearer` tiers unless this one refuses it."""
        dropped: list[QueuedWrite] = []
        with self._lock:
            self._queue.append(QueuedWrite(entry, lease, nearer))
            self._bytes += _size(entry)
            while len(self._queue) > QUEUE_ENTRIES or self._bytes > QUEUE_BYTES:
                dropped.append(self._queue.popleft())
                self._bytes -= _size(dropped[-1].entry)
        self._start(self._write_all)
        for write in dropped:
            self._ledger.layer(self._tier.name, "dropped")
            if write.lease is not None:
                self.release(write.lease)

    def probe_if_due(self) -> None:
        """Probe the store if its breaker is open."""
        self._tier.probe_if_due()

    def release(self, lease: Lease) -> None:
        """Release a lease in the background."""

        async def release() -> None:
            await self._release(lease)

        self._runtime.run_in_background(release)

    async def swept(self, names: Matcher) -> None:
        """Remove what was written while this sweep was on its way here."""
        with self._lock:
            written = [entry for _, entry in self._written]
        late = [entry.key for entry in written if names(entry) and self._is_late(entry)]
        if late:
            await self._take_back(late)

    def _start(self, work: Work) -> None:
        here = self._runtime.loop_or_process()
        with self._lock:
            if self._writing_in == here:
                return
            self._writing_in = here  # a forked child starts its own
        self._runtime.run_in_background(work)

    async def _write_all(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._writing_in = None
                    return
                entry, lease, nearer = self._queue.popleft()
                self._bytes -= _size(entry)
            kept = await self._write(entry, lease)
            if kept and self._is_late(entry):
                await self._take_back([entry.key])
                kept = False
            elif kept:
                self._remember(entry)
            if kept or (kept is None and not entry.tags):
                for queue in nearer:
                    queue.put(entry)
            if lease is not None:
                await self._release(lease)

    async def _release(self, lease: Lease) -> None:
        assert self._renewal is not None
        await self._renewal.release(lease, self._tier, self._tier.store)

    def _is_late(self, entry: Entry) -> bool:
        """Decide whether the entry was swept after its question was asked.

        A store between mostly gets old entries that come from the authority. The authority knows
        the sweeps from before this process started.
        """
        return (self._sweeps.hides if self._renewal is None else self._sweeps.late)(entry)

    def _remember(self, entry: Entry) -> None:
        """Remember for a while that this entry was written, without its answer."""
        now = self._runtime.monotonic()
        written = msgspec.structs.replace(entry, body=b"")
        with self._lock:
            self._written.append((now, written))
            self._written_bytes += _size(written)
            while self._written and (
                self._written[0][0] < now - _REMEMBERED or self._written_bytes > _REMEMBERED_BYTES
            ):
                self._written_bytes -= _size(self._written.popleft()[1])

    async def _take_back(self, keys: list[Key]) -> None:
        """Remove what was swept while it was being written.

        The removal enters the change feed: a process that started after the sweep may have read
        the entry meanwhile.
        """
        for key in keys:
            self._memory.drop(key)
        store, gone = self._tier.store, Selection(keys=tuple(keys))
        await self._tier.ask("remove", lambda: store.remove(gone))

    async def _write(self, entry: Entry, lease: Lease | None) -> bool | None:
        """Return whether the store kept the entry; None if the store could not be asked."""
        tier, store = self._tier, self._tier.store
        if self._is_late(entry):
            self._memory.drop(entry.key)
            return False
        missed = await self._missed_a_sweep(entry)
        if missed is not False:
            return False if missed else None  # the change feed cleans memory later
        while self._renewal is None and not self._coherence.may_write_between:
            await self._runtime.sleep(_RECHECK)
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
            # Another process invalidated a tag, and the change feed has not brought it yet.
            self._memory.apply_epochs(await tier.ask("epochs", lambda: store.epochs(tags)) or {})
        return kept

    async def _missed_a_sweep(self, entry: Entry) -> bool | None:
        """Ask the store whether there was a sweep since the question; None if it cannot say.

        This process knows it by itself, unless it is blind. An answer with cache groups is an
        exception: its groups' epochs are from after the question, so only the sweep counts.
        """
        known = self._sweeps.number
        if not self._coherence.is_current:
            known = None
        in_groups = any(tag.startswith(GROUP) for tag, _ in entry.tags)
        if self._renewal is None or (known is not None and not in_groups):
            return False
        store = self._tier.store
        found = await self._tier.ask("epochs", lambda: store.epochs([SWEPT]))
        if found is None:
            self._ledger.layer(self._tier.name, "dropped")
            return None
        return found[SWEPT] > max(entry.swept, UNKNOWN if known is None else known)


def shortened(entry: Entry, now: float, ttl: float | None) -> Entry:
    """Bound an entry's remaining life by a tier's `ttl`; both in seconds."""
    if ttl is None or now + ttl >= entry.expires:
        return entry
    stale = max(0.0, entry.stale_until - entry.expires)
    expires = now + ttl
    return msgspec.structs.replace(entry, expires=expires, stale_until=expires + stale)


def _size(entry: Entry) -> int:
    return len(entry.body) + len(entry.question) + 512
