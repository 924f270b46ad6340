"""The tiered store: memory, the tiers below it, and what one mode of the cache does with them.

Memory is the first layer and always there. Below it are shelves, the nearest first; the last one
is the authority: its epochs are true for every process, and it gives out the leases. Whatever a
shelf does is done in time and behind its circuit breaker (`tier.py`).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
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
from askonce.stores.tiered.leases import LeaseQueue, Turn
from askonce.stores.tiered.tier import Tier
from askonce.stores.tiered.write_behind import WriteBehind, shortened


async def _nothing() -> None:
    """Wait for nothing: nothing is written in the background."""


class TierHit(NamedTuple):
    """An entry, and the shelf that had it; None for memory."""

    entry: Entry
    tier: Tier | None

    @property
    def outcome(self) -> Outcome:
        return Outcome.HIT_MEMORY if self.tier is None else Outcome.HIT_SHARED


class TierServices(NamedTuple):
    """What the tiers need to agree with other processes and to write in the background.

    `settled` waits until everything that is written in the background is written.
    """

    sweeps: RecentSweeps
    write_behinds: tuple[WriteBehind, ...] = ()
    coherence: Coherence | None = None
    leasing: LeaseQueue | None = None
    settled: Callable[[], Awaitable[None]] = _nothing


class Tiers:
    """The tiers of one cache, as one mode (sync or async) uses them."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        ledger: Ledger,
        limits: Limits,
        memory: Memory,
        memory_ttl: float | None,
        lower: tuple[Tier, ...],
        sharing: TierServices,
    ) -> None:
        self.runtime = runtime
        self.ledger = ledger
        self.limits = limits
        self.boundary = FailOpen(ledger)
        self.memory = memory
        self._memory_ttl = memory_ttl
        self.lower = lower
        self.authority = lower[-1] if lower else None
        self.sweeps = sharing.sweeps
        self._write_behinds = sharing.write_behinds
        self._coherence = sharing.coherence
        self._leasing = sharing.leasing
        self._settled = sharing.settled

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int] | None:
        """Add to the lasting counters of the authority and return those `under` a prefix.

        Memory stands in where there is no other tier. None if the authority cannot answer now.
        """
        if self.authority is None:
            return await self.memory.counters(add, prefix)
        store = self.authority.store
        return await self.authority.ask("tallies", lambda: store.counters(add, prefix))

    # Reading.

    def find(self, key: Key) -> MemoryHit | None:
        """Memory's entry, if it may be served without asking anybody."""
        held = self.memory.find(key)
        if held is None or self._coherence is None:
            return held
        if not held.entry.tags:
            self._coherence.start()  # a forked child has to hear of removals
            return held
        return held if self._coherence.sees(own=True) else None

    async def recall(self, key: Key) -> TierHit | None:
        """Memory's entry; with strong consistency the authority is asked about its tags first."""
        held = self.memory.find(key)
        if held is None or (held.entry.tags and not await self._trusts(held.entry, own=True)):
            return None
        return TierHit(held.entry, None)

    async def read(
        self, key: Key, beyond: float = 0.0, tags: tuple[str, ...] = ()
    ) -> TierHit | None:
        """The first shelf's fresh entry that ends after `beyond` and carries the tags, else the
        one that ends last, of those with the tags if there is one."""
        latest: TierHit | None = None
        lacking: TierHit | None = None
        for tier in self.lower:
            entry = await tier.read(key)
            if entry is None or self._hidden(entry, tier):
                continue
            if entry.tags and tier is not self.authority and not await self._trusts(entry):
                continue
            if tags and not policy.carries(entry, tags):
                lacking = lacking or TierHit(entry, tier)
                continue
            if latest is None or entry.expires > latest.entry.expires:
                latest = TierHit(entry, tier)
            if entry.expires > max(self.runtime.now(), beyond):
                return TierHit(entry, tier)
        return latest or lacking

    async def has_answer(self, key: Key) -> bool:
        """Is there an answer that is still of use, so that no refusal may replace it?"""
        now = self.runtime.now()
        for found in (await self.recall(key), await self.read(key)):
            if found is not None and not found.entry.is_refusal and found.entry.is_usable(now):
                return True
        return False

    def _hidden(self, entry: Entry, tier: Tier) -> bool:
        """Was it swept, and kept all the same by somebody who had not heard of it?"""
        if not self.sweeps.hides(entry):
            return False

        async def remove() -> None:
            gone = Selection(keys=(entry.key,))
            await tier.ask("remove", lambda: tier.store.remove(gone, quiet=True))

        self.runtime.run_in_background(remove)
        return True

    async def _trusts(self, entry: Entry, *, own: bool = False) -> bool:
        """Is an entry out of a layer that is not the authority known to be valid?"""
        coherence = self._coherence
        if not entry.tags or coherence is None:
            return True
        heard = await self.memory.epochs(tag for tag, _ in entry.tags)
        if any(heard[tag] > epoch for tag, epoch in entry.tags):
            return False  # its layer has not heard of it yet
        return coherence.sees(own=own) or (coherence.strong and await self._confirmed(entry))

    async def _confirmed(self, entry: Entry) -> bool:
        epochs = await self._authoritative([tag for tag, _ in entry.tags])
        return epochs is not None and all(epochs[tag] == epoch for tag, epoch in entry.tags)

    def backfill(self, found: TierHit) -> None:
        """What a shelf had, nearer layers may keep; it lives no longer for it."""
        if found.tier is None:
            return
        if found.entry.tags:
            self.memory.apply_epochs(dict(found.entry.tags))
        for tier, writing in zip(self.lower, self._write_behinds, strict=True):
            if tier is found.tier:
                break
            writing.put(found.entry)
        self._keep(found.entry)
        if self.sweeps.hides(found.entry):
            self.memory.drop(found.entry.key)  # swept since it was read

    async def find_fresh(self, key: Key, directives: Directives = NONE) -> TierHit | None:
        """A fresh entry of the first layer that has one; backfilled."""
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

    async def is_gone(self, key: Key) -> bool:
        """Has no layer anything under this key? False where one of them cannot say."""
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

    # Taking turns.

    async def turn(
        self, key: Key, look: Callable[[], Awaitable[bool]], *, wait: bool = True
    ) -> Turn:
        """Wait until no other process asks this question; `look` says whether it was answered."""
        if self._leasing is None:
            return Turn()
        return await self._leasing.turn(key, look, wait=wait)

    def give_back(self, lease: Lease) -> None:
        """Let go of a lease whose question got no answer that was stored."""
        self._write_behinds[-1].give_back(lease)

    # Writing.

    async def last_sweep(self, epochs: dict[str, int] | None) -> int:
        """The number of the last sweep before now, for an answer that is about to be asked for.

        `epochs` are those of its tags, that were just asked for.
        """
        number = self.sweeps.number
        if number is not None:
            return number
        assert self.authority is not None
        assert self._coherence is not None
        if self._coherence.ill and not epochs:
            return UNKNOWN  # the store has just failed: nobody has to wait for it once more
        store = self.authority.store
        found = await self.authority.ask("epochs", lambda: store.epochs([SWEPT]))
        return UNKNOWN if found is None else found[SWEPT]

    async def capture(self, tags: Iterable[str]) -> dict[str, int] | None:
        """The epochs of tags before the provider is asked; None if they cannot be known."""
        if not tags:
            return {}
        if self.authority is None:
            return await self.memory.epochs(tags)
        return await self._authoritative(tags)

    async def epochs(self, tags: Iterable[str]) -> dict[str, int]:
        """The epochs of tags as far as this process knows, for those who may join a flight.

        Where it does not hear of others' invalidations now, the authority is asked first.
        """
        if tags and self._coherence is not None and not self._coherence.sees():
            await self._authoritative(tags)
        return await self.memory.epochs(tags)

    async def _authoritative(self, tags: Iterable[str]) -> dict[str, int] | None:
        assert self.authority is not None
        store = self.authority.store
        epochs = await self.authority.ask("epochs", lambda: store.epochs(tags))
        if epochs is not None:
            self.memory.apply_epochs(epochs)
        return epochs

    async def store(self, entry: Entry, lease: Lease | None = None) -> Verdict:
        """Step 11: into every layer, unless a tag was invalidated meanwhile.

        Memory has it when this returns. The shelves follow behind, and whoever waits for the
        lease hears of it after the authority has the answer.
        """
        late = self.sweeps.late(entry)
        kept = not late and self._keep(entry)
        if late or self.sweeps.late(entry):
            if kept:
                self.memory.drop(entry.key)
            if lease is not None:
                self.give_back(lease)
            return Verdict(False, Reason.INVALIDATED)
        if not kept:
            now = await self.memory.epochs(tag for tag, _ in entry.tags)
            moved = any(now[tag] != epoch for tag, epoch in entry.tags)
            if moved and self.authority is not None:
                # Memory may be ahead: of an invalidation that failed, or as its table was full.
                moved = not await self._confirmed(entry)
            if moved or self.authority is None:
                if lease is not None:
                    self.give_back(lease)
                return Verdict(False, Reason.INVALIDATED if moved else Reason.OVER_SIZE)
        if self._write_behinds:
            # The layers between follow once the authority has taken it.
            self._write_behinds[-1].put(entry, lease, self._write_behinds[:-1])
        return Verdict(True, Reason.OK)

    def _keep(self, entry: Entry) -> bool:
        return self.memory.keep(shortened(entry, self.runtime.now(), self._memory_ttl))

    def look_after(self) -> None:
        """See whether stores that were left alone are well again, also where nobody asks them."""
        for tier in self.lower:
            tier.probe_if_due()
        for writing in self._write_behinds:
            writing.look_after()

    async def settle(self) -> None:
        """Wait for all work behind, writing included."""
        await self.runtime.settle()
        await self._settled()

    async def invalidate(self, tags: Iterable[str]) -> None:
        """Bump the tags' epochs. Raises StoreError: an invalidation never fails in silence."""
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


_INVALIDATION_DEADLINE = 10.0
"""Seconds; an invalidation is worth more patience than an answer."""
