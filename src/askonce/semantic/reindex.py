"""Indexing: what keeps an index of vectors true to the entries, behind all callers.

An index is derived data. Where it is empty, damaged, or another embedder's, it is made anew from
the entries. An index in this process also hears nothing of what other processes store and remove:
it is compared with the store when the cache is opened, after every sweep, and now and then. An
index that processes share is filled by whoever finds it empty.
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

_PAUSE: Final = 0.5  # seconds between two looks whether there is anything to do
_AGAIN: Final = 5.0  # after something failed
_AFTER_SWEEP: Final = 2.0  # by then what was swept is gone from the store
_NOW_AND_THEN: Final = 3_600.0
_SAVED_EVERY: Final = 300.0
_BREATH: Final = 100
"""After so many entries others get a turn."""

FIRST_WORDS = "What is this about?"


class OwnIndex(VectorIndex, Protocol):
    """An index in this process, with a file perhaps."""

    def load(self) -> None:
        """Take over what the file keeps, or start empty."""

    def begin_pass(self) -> None:
        """From now on note what is added."""

    def has(self, scope: bytes, key: Key, expires: float) -> bool:
        """Is it there, with this end? In a pass it is noted as seen."""

    def end_pass(self) -> int:
        """Forget what was neither seen nor added since the pass began; how many."""

    async def save(self) -> bool:
        """Write the file if there is one and anything has changed."""


class IndexReconciler:
    """Does that work, in a daemon thread of its own. Its `runtime` is blocking.

    `own` opens the index in this process, None where processes share one; `entries` gives all
    entries of the most shared store, None where there is only memory, which begins empty.
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
        """The tick at which the next pass is due; 0 for at once."""
        self._save_due = runtime.monotonic() + _SAVED_EVERY
        self._loaded = False
        self.ready = False
        """Was the index compared with the entries once?"""
        self.starting = False
        self._worker = PeriodicWorker("askonce-index", self._step)

    def start(self) -> None:
        if self._worker.start():
            self.starting = not self.ready

    def rest(self) -> None:
        """Never start: this process only removes."""
        self._worker.stop()

    async def end(self) -> None:
        """Stop for good, after saving."""
        self._worker.stop()
        if self._dimensions and self._own is not None:
            with self._boundary.around("index"):
                await self._own(self._dimensions).save()

    def look_again(self) -> None:
        """Entries were swept: what is gone from the store goes from this process's index too."""
        self._due = min(self._due, self._runtime.monotonic() + _AFTER_SWEEP) if self._due else 0.0

    async def _step(self) -> float:
        attempt = self._boundary.around("index")
        with attempt:
            if not self._dimensions:
                # It also brings the model into memory, before anybody waits for it.
                vector = await self._embedding.vector(FIRST_WORDS, self._runtime)
                if vector is None:
                    return _AGAIN
                self._dimensions = len(vector) // 4
            now = self._runtime.monotonic()
            if now >= self._due:
                await self._compare()
                self.ready, self.starting = True, False
                self._due = self._runtime.monotonic() + _NOW_AND_THEN
            elif self._own is not None and now >= self._save_due:
                await self._own(self._dimensions).save()
                self._save_due = now + _SAVED_EVERY
        return _AGAIN if attempt.failed else _PAUSE

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
        """Add what is not there yet; False if it was stopped before the end."""
        assert self._entries is not None
        indexed, name = self._open(self._dimensions), self._embedding.name
        looked = 0
        async for entry in self._entries():
            looked += 1
            if looked % _BREATH == 0:
                await self._runtime.sleep(0.001)
            if self._worker.stopped:
                return False
            if not entry.scope or entry.is_refusal or not entry.is_fresh(self._runtime.now()):
                continue
            scope = scopes.compared_by(entry.scope, name)
            if own is not None and own.has(scope, entry.key, entry.expires):
                continue
            began = self._runtime.monotonic()
            vector = await self._embedding.vector(entry.question, self._runtime)
            # Callers have work for the embedder too, and for the processor.
            await self._runtime.sleep(self._runtime.monotonic() - began)
            if vector is None:
                continue

            async def add(scope: bytes = scope, entry: Entry = entry, at: bytes = vector) -> bool:
                await indexed.vectors.add(scope, entry.key, at, entry.expires)
                return True

            if await indexed.engine.ask("index", add):
                self._ledger.semantic("reindexed")
        return True
