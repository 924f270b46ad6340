"""The tiered store: memory, the tiers below it, and what one mode of the cache does with them.

Memory is the first tier and always there. Below it are the `lower` tiers, the nearest first. The
last one is the authority: its epochs are binding for every process, and it gives the leases. A
lower tier answers within its deadline and behind its circuit breaker (`tier.py`).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from os import getpid
from typing import NamedTuple, TypeGuard

from askonce.core import policy
from askonce.core.directives import NONE, Directives
from askonce.core.errors import StoreError
from askonce.core.fail_open import FailOpen
from askonce.core.models import Entry, Key, Lease, Outcome, Reason, Selection, Verdict
from askonce.core.policy import Life, Limits
from askonce.core.protocols import Memory, MemoryHit, Store
from askonce.core.runtime.interface import Runtime
from askonce.invalidation.recent_sweeps import UNKNOWN, RecentSweeps
from askonce.invalidation.target import SWEPT
from askonce.ledger.ledger import Ledger
from askonce.stores.tiered.coherence import Coherence
from askonce.stores.tiered.leases import LeaseAcquirer, LeaseResult
from askonce.stores.tiered.tier import Tier
from askonce.stores.tiered.write_behind import WriteBehindQueue, shortened

_INVALIDATION_DEADLINE = 10.0
"""Seconds; an invalidation is worth more patience than an answer."""


class TierHit(NamedTuple):
    """An entry, and the lower tier that had it; None for memory."""

    entry: Entry
    tier: Tier | None

    @property
    def outcome(self) -> Outcome:
        return Outcome.HIT_MEMORY if self.tier is None else Outcome.HIT_SHARED

    @property
    def layer(self) -> str:
        """The name of the lower tier; empty for memory."""
        return "" if self.tier is None else self.tier.name


class MemoryTier(NamedTuple):
    """The process's memory, and how long an entry lives there at most (seconds)."""

    store: Memory
    ttl: float | None = None


class LowerTiers(NamedTuple):
    """The tiers below memory, nearest first, and what connects them with other processes.

    `settle` waits until everything is written that is to be written in the background.
    """

    settle: Callable[[], Awaitable[None]]
    tiers: tuple[Tier, ...] = ()
    write_queues: tuple[WriteBehindQueue, ...] = ()
    coherence: Coherence | None = None
    leases: LeaseAcquirer | None = None


class Tiers:
    """All tiers of one cache, as one mode (sync or async) uses them.

    Args:
        memory: The first tier.
        lower: The tiers below it.
        limits: The cache's limits.
        sweeps: The sweeps that this process knows.
        runtime: The mode's runtime.
        ledger: Counts faults.
    """

    def __init__(
        self,
        memory: MemoryTier,
        lower: LowerTiers,
        *,
        limits: Limits,
        sweeps: RecentSweeps,
        runtime: Runtime,
        ledger: Ledger,
    ) -> None:
        self.runtime = runtime
        self.ledger = ledger
        self.limits = limits
        self.boundary = FailOpen(ledger)
        self.memory, self._memory_ttl = memory
        self.lower = lower.tiers
        self.authority = lower.tiers[-1] if lower.tiers else None
        self.sweeps = sweeps
        self._write_queues = lower.write_queues
        self._coherence = lower.coherence
        self._leases = lower.leases
        self._settle_lower = lower.settle

    # Reading.

    def find(self, key: Key) -> MemoryHit | None:
        """Return memory's entry if it may be served without a question to the authority."""
        held = self.memory.find(key)
        coherence = self._coherence
        if held is None or coherence is None:
            return held
        if held.entry.tags:
            return held if coherence.trusts(own=True) else None
        if coherence.started_in != getpid():
            coherence.start()  # a forked child follows removals in a thread of its own
        return held

    async def recall(self, key: Key) -> TierHit | None:
        """Return memory's entry, after a question to the authority if its tags require one."""
        held = self.memory.find(key)
        if held is None or (held.entry.tags and not await self._trusts(held.entry, own=True)):
            return None
        return TierHit(held.entry, None)

    async def read(
        self, key: Key, beyond: float = 0.0, tags: tuple[str, ...] = ()
    ) -> TierHit | None:
        """Return the nearest fresh entry of the lower tiers that carries the tags.

        Without one, return the entry that expires last, preferably one that carries the tags.

        Args:
            key: The question.
            beyond: An entry counts as fresh only if it expires after this time (seconds).
            tags: The tags that the caller gave.
        """
        now = self.runtime.now()
        latest: TierHit | None = None
        without_tags: TierHit | None = None
        for tier in self.lower:
            store = tier.store
            entry = await tier.ask("read", lambda store=store: store.read(key))  # type: ignore[misc]
            if entry is None or entry.is_ahead(now) or self._hidden(entry, tier):
                continue
            if entry.tags and tier is not self.authority and not await self._trusts(entry):
                continue
            if tags and not policy.carries(entry, tags):
                without_tags = without_tags or TierHit(entry, tier)
                continue
            if latest is None or entry.expires > latest.entry.expires:
                latest = TierHit(entry, tier)
            if entry.expires > max(now, beyond):
                return TierHit(entry, tier)
        return latest or without_tags

    async def find_fresh(self, key: Key, directives: Directives = NONE) -> TierHit | None:
        """Return the fresh entry of the first tier that has one, and backfill it."""
        now = self.runtime.now()

        def serves(found: TierHit | None) -> TypeGuard[TierHit]:
            if found is None:
                return False
            return policy.life_of(found.entry, directives, self.limits, now) is Life.FRESH

        found = await self.recall(key)
        if serves(found):
            return found
        found = await self.read(key, tags=directives.tags)
        if serves(found):
            self.backfill(found)
            return found
        return None

    def backfill(self, found: TierHit) -> None:
        """Copy an entry into the nearer tiers; its expiry stays."""
        if found.tier is None:
            return
        if found.entry.tags:
            self.memory.apply_epochs(dict(found.entry.tags))
        for tier, queue in zip(self.lower, self._write_queues, strict=True):
            if tier is found.tier:
                break
            queue.put(found.entry)
        self._keep(found.entry)
        if self.sweeps.hides(found.entry):
            self.memory.drop(found.entry.key)  # swept since it was read

    async def has_answer(self, key: Key) -> bool:
        """Return whether any tier has a usable answer, which no refusal may replace."""
        now = self.runtime.now()
        for found in (await self.recall(key), await self.read(key)):
            if found is not None and not found.entry.is_refusal and found.entry.is_usable(now):
                return True
        return False

    async def is_gone(self, key: Key) -> bool:
        """Return whether no tier has an entry under this key; False if one of them cannot say."""
        if self.memory.find(key) is not None:
            return False
        for tier in self.lower:
            store = tier.store

            async def look(store: Store = store) -> tuple[Entry | None]:
                return (await store.read(key),)

            found = await tier.ask("read", look)
            if found is None or found[0] is not None:
                return False
        return True

    def _hidden(self, entry: Entry, tier: Tier) -> bool:
        """Decide whether a recent sweep names an entry that a process kept before it knew."""
        if not self.sweeps.hides(entry):
            return False

        async def remove() -> None:
            gone = Selection(keys=(entry.key,))
            await tier.ask("remove", lambda: tier.store.remove(gone, quiet=True))

        self.runtime.run_in_background(remove)
        return True

    async def _trusts(self, entry: Entry, *, own: bool = False) -> bool:
        """Decide whether an entry of a nearer tier is valid; `own` for memory's."""
        coherence = self._coherence
        if not entry.tags or coherence is None:
            return True
        known = await self.memory.epochs(tag for tag, _ in entry.tags)
        if any(known[tag] > epoch for tag, epoch in entry.tags):
            return False  # its tier has not learned of the invalidation yet
        return coherence.trusts(own=own) or (coherence.strong and await self._is_confirmed(entry))

    async def _is_confirmed(self, entry: Entry) -> bool:
        epochs = await self._authoritative([tag for tag, _ in entry.tags])
        return epochs is not None and all(epochs[tag] == epoch for tag, epoch in entry.tags)

    # Leases.

    async def acquire_lease(
        self, key: Key, look: Callable[[], Awaitable[bool]], *, wait: bool = True
    ) -> LeaseResult:
        """Wait until no other process asks this question; see `LeaseAcquirer.acquire`."""
        if self._leases is None:
            return LeaseResult()
        return await self._leases.acquire(key, look, wait=wait)

    def release_lease(self, lease: Lease) -> None:
        """Release, in the background, a lease whose question got no answer that was stored."""
        self._write_queues[-1].release(lease)

    # Epochs.

    async def capture(self, tags: Iterable[str]) -> dict[str, int] | None:
        """Return the tags' epochs before the provider is asked; None if they are not known."""
        if not tags:
            return {}
        if self.authority is None:
            return await self.memory.epochs(tags)
        return await self._authoritative(tags)

    async def epochs(self, tags: Iterable[str]) -> dict[str, int]:
        """Return the tags' epochs that this process knows, for the key of a flight.

        A blind process asks the authority first.
        """
        if tags and self._coherence is not None and not self._coherence.trusts():
            await self._authoritative(tags)
        return await self.memory.epochs(tags)

    async def last_sweep(self, epochs: dict[str, int] | None) -> int:
        """Return the number of the last sweep, for an answer that the provider will be asked for.

        `epochs` are those of the answer's tags, asked for just before.
        """
        number = self.sweeps.number
        if number is not None:
            return number
        assert self.authority is not None
        assert self._coherence is not None
        if self._coherence.is_failing and not epochs:
            return UNKNOWN  # the store has just failed: do not wait for it once more
        store = self.authority.store
        found = await self.authority.ask("epochs", lambda: store.epochs([SWEPT]))
        return UNKNOWN if found is None else found[SWEPT]

    async def invalidate(self, tags: Iterable[str]) -> None:
        """Bump the tags' epochs.

        Raises:
            StoreError: The store failed or did not confirm it in time; an invalidation never
                fails silently.
        """
        wanted = list(tags)
        # Memory first: whatever the authority says, this process serves nothing old.
        await self.memory.epochs(wanted, bump=True)
        if self.authority is None:
            return
        try:
            bumping = self.authority.store.epochs(wanted, bump=True)
            raised = await self.runtime.with_timeout(_INVALIDATION_DEADLINE, bumping)
        except TimeoutError:
            raise StoreError("the store did not confirm the invalidation in time") from None
        self.memory.apply_epochs(raised)
        for tier in self.lower[:-1]:
            await tier.ask("learn", lambda tier=tier: tier.store.merge_epochs(raised))  # type: ignore[misc]

    async def _authoritative(self, tags: Iterable[str]) -> dict[str, int] | None:
        assert self.authority is not None
        store = self.authority.store
        epochs = await self.authority.ask("epochs", lambda: store.epochs(tags))
        if epochs is not None:
            self.memory.apply_epochs(epochs)
        return epochs

    # Writing.

    async def store(self, entry: Entry, lease: Lease | None = None) -> Verdict:
        """Store an entry in every tier, unless a tag was invalidated meanwhile (step 11).

        Memory has it when this returns; the lower tiers follow in the background. The lease is
        released after the authority has the answer, so a caller that waits for it finds the answer.
        """
        late = self._is_late(entry)
        kept = not late and self._keep(entry)
        if late or self._is_late(entry):
            if kept:
                self.memory.drop(entry.key)
            return self._rejected(lease, Reason.INVALIDATED)
        if not kept:
            now = await self.memory.epochs(tag for tag, _ in entry.tags)
            moved = any(now[tag] != epoch for tag, epoch in entry.tags)
            if moved and self.authority is not None:
                # Memory may be ahead: of an invalidation that failed, or as its table was full.
                moved = not await self._is_confirmed(entry)
            if moved or self.authority is None:
                return self._rejected(lease, Reason.INVALIDATED if moved else Reason.OVER_SIZE)
        if self._write_queues:
            # The tiers between follow once the authority has taken it.
            self._write_queues[-1].put(entry, lease, self._write_queues[:-1])
        return Verdict(True, Reason.OK)

    def _is_late(self, entry: Entry) -> bool:
        """Decide whether a sweep after the entry's question names it; mostly there was none."""
        number = self.sweeps.number
        return number is not None and entry.swept < number and self.sweeps.late(entry)

    def _rejected(self, lease: Lease | None, reason: Reason) -> Verdict:
        if lease is not None:
            self.release_lease(lease)
        return Verdict(False, reason)

    def _keep(self, entry: Entry) -> bool:
        return self.memory.keep(shortened(entry, self.runtime.now(), self._memory_ttl))

    # Upkeep.

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int] | None:
        """Add to the lasting counters of the authority and return those with a prefix.

        Memory stands in where there is no other tier. None if the authority cannot answer now.
        """
        if self.authority is None:
            return await self.memory.counters(add, prefix)
        store = self.authority.store
        return await self.authority.ask("tallies", lambda: store.counters(add, prefix))

    def probe_if_due(self) -> None:
        """Probe the stores whose breakers are open, also when no request does."""
        for tier in self.lower:
            tier.probe_if_due()
        for queue in self._write_queues:
            queue.probe_if_due()

    async def settle(self) -> None:
        """Wait for all work in the background, writing included."""
        await self.runtime.settle()
        await self._settle_lower()
