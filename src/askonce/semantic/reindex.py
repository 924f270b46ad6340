"""The index reconciler: keeps the index of vectors equal to the entries, in the background.

The index is derived data. If it is empty, damaged, or made by another embedder, the reconciler
rebuilds it from the entries. An index in this process does not see what other processes store and
remove, so it is compared with the store when the cache opens, after every sweep, and every hour. A
shared index is filled by the first process that finds it empty.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from askonce.core import scopes
from askonce.core.fail_open import FailOpen
from askonce.core.models import Entry, Key
from askonce.core.protocols import VectorIndex
from askonce.core.runtime.background import PeriodicWorker
from askonce.core.runtime.interface import Runtime
from askonce.ledger.ledger import Ledger
from askonce.semantic.embedding import EmbeddingQueue
from askonce.semantic.lookup import OpenIndex

_PAUSE: Final = 0.5  # seconds between two steps
_RETRY: Final = 5.0  # seconds after a failure
_AFTER_SWEEP: Final = 2.0  # seconds; by then the store has removed the swept entries
_COMPARE_EVERY: Final = 3_600.0  # seconds
_SAVE_EVERY: Final = 300.0  # seconds
_YIELD_EVERY: Final = 100
"""After so many entries the thread sleeps for a moment."""

PROBE_TEXT = "What is this about?"
"""A text that is embedded only to load the model and to see how many numbers a vector has."""


class OwnIndex(VectorIndex, Protocol):
    """An index in this process, with or without a file."""

    def load(self) -> None:
        """Read the file, or start empty."""

    def begin_pass(self) -> None:
        """Start a pass: note every entry that is added or seen from now on."""

    def has(self, scope: bytes, key: Key, expires: float) -> bool:
        """Is the entry in the index, with this expiry? In a pass it counts as seen."""

    def end_pass(self) -> int:
        """Remove the entries neither seen nor added since the pass began; return their number."""

    async def save(self) -> bool:
        """Write the file, if there is one and the index has changed; True if it was written."""


class IndexReconciler:
    """Reconciles the index in a daemon thread of its own.

    Parameters:
        embedding: computes the vectors of entries that are missing in the index.
        open_index: opens the index for vectors of so many dimensions; sync.
        runtime: a sync runtime of its own.
        ledger: counts entries that were added and removed.
        entries: all entries of the most shared store; None with memory only, which starts empty.
        own: opens the index in this process; None for a shared index.
    """

    def __init__(
        self,
        embedding: EmbeddingQueue,
        open_index: Callable[[int], OpenIndex],
        *,
        runtime: Runtime,
        ledger: Ledger,
        entries: Callable[[], AsyncIterator[Entry]] | None,
        own: Callable[[int], OwnIndex] | None,
    ) -> None:
        self._embedding = embedding
        self._open = open_index
        self._runtime = runtime
        self._ledger = ledger
        self._boundary = FailOpen(ledger)
        self._entries = entries
        self._own = own
        self._dimensions = 0
        self._due = 0.0
        """When the next pass is due, on the monotonic clock; 0 means at once."""
        self._save_due = runtime.monotonic() + _SAVE_EVERY
        self._loaded = False
        self.ready = False
        """Has the index been compared with the entries?"""
        self.starting = False
        self._worker = PeriodicWorker("askonce-index", self._step)

    def start(self) -> None:
        """Start the thread, unless it runs or was stopped."""
        if self._worker.start():
            self.starting = not self.ready

    def disable(self) -> None:
        """Never start the thread: this process only removes entries."""
        self._worker.stop()

    async def close(self) -> None:
        """Stop the thread for good and save the index."""
        self._worker.stop()
        if self._dimensions and self._own is not None:
            with self._boundary.around("index"):
                await self._own(self._dimensions).save()

    def schedule_pass(self) -> None:
        """Compare soon: entries were swept, and must leave the index of this process too."""
        self._due = min(self._due, self._runtime.monotonic() + _AFTER_SWEEP) if self._due else 0.0

    async def _step(self) -> float:
        attempt = self._boundary.around("index")
        with attempt:
            if not self._dimensions:
                # This also loads the model before a caller has to wait for it.
                vector = await self._embedding.vector(PROBE_TEXT, self._runtime)
                if vector is None:
                    return _RETRY
                self._dimensions = len(vector) // 4
            now = self._runtime.monotonic()
            if now >= self._due:
                await self._compare()
                self.ready, self.starting = True, False
                self._due = self._runtime.monotonic() + _COMPARE_EVERY
            elif self._own is not None and now >= self._save_due:
                await self._own(self._dimensions).save()
                self._save_due = now + _SAVE_EVERY
        return _RETRY if attempt.failed else _PAUSE

    async def _compare(self) -> None:
        if self._entries is None:
            return
        if self._own is None:
            indexed = self._open(self._dimensions)
            if await indexed.engine.ask("index", indexed.vectors.size) == 0:
                await self._add_all(None)
            return
        own = self._own(self._dimensions)
        if not self._loaded:
            own.load()
            self._loaded = True
        own.begin_pass()
        if await self._add_all(own):
            forgotten = own.end_pass()
            if forgotten:
                self._ledger.semantic("unindexed", forgotten)

    async def _add_all(self, own: OwnIndex | None) -> bool:
        """Add all missing entries; False if the thread was stopped before the end."""
        assert self._entries is not None
        name = self._embedding.name
        looked = 0
        async for entry in self._entries():
            looked += 1
            if looked % _YIELD_EVERY == 0:
                await self._runtime.sleep(0.001)
            if self._worker.stopped:
                return False
            if not entry.scope or entry.is_refusal or not entry.is_fresh(self._runtime.now()):
                continue
            scope = scopes.compared_by(entry.scope, name)
            if own is not None and own.has(scope, entry.key, entry.expires):
                continue
            await self._add(scope, entry)
        return True

    async def _add(self, scope: bytes, entry: Entry) -> None:
        began = self._runtime.monotonic()
        vector = await self._embedding.vector(entry.question, self._runtime)
        # Sleep as long as that took: callers need the embedder and the processor too.
        await self._runtime.sleep(self._runtime.monotonic() - began)
        if vector is None:
            return
        index, engine = self._open(self._dimensions)

        async def add() -> bool:
            await index.add(scope, entry.key, vector, entry.expires)
            return True

        if await engine.ask("index", add):
            self._ledger.semantic("reindexed")
