"""The desk: what one flavor of the story works with, and its small verbs on the layers.

Memory is the first layer and always there; the shared store is the second and may be missing.
Each verb that touches the shared store runs inside the fail-open boundary with a deadline.
"""

from collections.abc import Iterable

import msgspec

from askonce import policy
from askonce.accounting import Ledger
from askonce.boundary import Boundary
from askonce.directives import Directives
from askonce.flights import Flights
from askonce.formats.contract import Format, Question
from askonce.policy import Life, Rules
from askonce.protocols import Memory, Prices, Store
from askonce.records import Because, Call, Entry, Key, Outcome, Verdict
from askonce.runtimes import Runtime

SHARED_DEADLINE = 1.0
"""Seconds that a call waits for the shared store at most, where waiting can be interrupted."""


class Asked(msgspec.Struct, frozen=True):
    """A call after steps 1 to 4: recognized, with its wishes, its key and the first verdict."""

    call: Call
    format: Format
    question: Question
    key: Key
    wishes: Directives
    verdict: Verdict
    refreshing: bool = False


class Desk:
    """The parts of one cache in one flavor."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        memory: Memory,
        shared: Store | None,
        ledger: Ledger,
        rules: Rules,
        prices: Prices | None,
    ) -> None:
        self.runtime = runtime
        self.memory = memory
        self.shared = shared
        self.ledger = ledger
        self.rules = rules
        self.prices = prices
        self.boundary = Boundary(ledger)
        self.flights = Flights(runtime.guard())

    def life(self, entry: Entry, asked: Asked) -> Life:
        return policy.life_of(entry, asked.wishes, self.rules, self.runtime.now())

    async def read_shared(self, key: Key) -> Entry | None:
        if self.shared is None:
            return None
        with self.boundary.around("read"):
            return await self.runtime.within(SHARED_DEADLINE, self.shared.read(key))
        return None

    def backfill(self, entry: Entry) -> None:
        """What the shared store has, memory may keep; it lives no longer for it."""
        if entry.tags:
            self.memory.learn(dict(entry.tags))
        self.memory.keep(entry)

    async def find_fresh(self, key: Key) -> tuple[Entry | None, Outcome]:
        """A fresh entry of the first layer that has one; backfilled."""
        held = self.memory.find(key)
        if held is not None and held.entry.is_fresh(self.runtime.now()):
            return held.entry, Outcome.HIT_MEMORY
        entry = await self.read_shared(key)
        if entry is not None and entry.is_fresh(self.runtime.now()):
            self.backfill(entry)
            return entry, Outcome.HIT_SHARED
        return None, Outcome.MISS

    async def capture(self, tags: Iterable[str]) -> dict[str, int] | None:
        """The epochs of tags before the provider is asked; None if they cannot be known."""
        if not tags:
            return {}
        if self.shared is None:
            return await self.memory.epochs(tags)
        with self.boundary.around("epochs"):
            epochs = await self.runtime.within(SHARED_DEADLINE, self.shared.epochs(tags))
            self.memory.learn(epochs)
            return epochs
        return None

    async def store(self, entry: Entry) -> Verdict:
        """Step 11: into the shared store and memory, unless a tag was invalidated meanwhile."""
        if entry.tags and self.shared is not None:
            # The shared store knows of invalidations in every process, so it decides first.
            kept = False
            attempt = self.boundary.around("write")
            with attempt:
                kept = await self.runtime.within(SHARED_DEADLINE, self.shared.write(entry))
            if attempt.failed:
                return Verdict(False, Because.STORE_FAILED)
            if not kept:
                return Verdict(False, Because.INVALIDATED)
            self.memory.keep(entry)
            return Verdict(True, Because.OK)
        if not self.memory.keep(entry) and self.shared is None:
            now = await self.memory.epochs(tag for tag, _ in entry.tags)
            moved = any(now[tag] != epoch for tag, epoch in entry.tags)
            return Verdict(False, Because.INVALIDATED if moved else Because.OVER_SIZE)
        if self.shared is not None:
            shared = self.shared

            async def write() -> None:
                with self.boundary.around("write"):
                    await shared.write(entry)

            await self.runtime.aside(write)
        return Verdict(True, Because.OK)

    async def invalidate(self, tags: Iterable[str]) -> None:
        """Bump the tags' epochs. Raises StoreError: an invalidation never fails in silence."""
        wanted = list(tags)
        if self.shared is None:
            await self.memory.epochs(wanted, bump=True)
        else:
            # Memory first: whatever the shared store says, this process serves nothing old.
            await self.memory.epochs(wanted, bump=True)
            self.memory.learn(await self.shared.epochs(wanted, bump=True))
