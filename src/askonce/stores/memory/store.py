"""The memory store keeps entries as objects of this process: the fastest store.

It is bounded in real bytes (see `weight`): entries, epochs, shared strings and the eviction
policy's own memory all count.

Reading takes no lock. `find` looks into one dict and raises one counter, and the interpreter
interrupts neither halfway. Everything that changes the store happens under its lock.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Literal

from askonce.core.models import CLOCK_SKEW_S, Entry, Key, Selection, Shape
from askonce.stores.base import BaseStore, selects
from askonce.stores.counters import add_counts
from askonce.stores.memory.epoch_table import EpochTable
from askonce.stores.memory.eviction import EvictionPolicy, GreedyDual, Resident, S3Fifo
from askonce.stores.memory.weight import (
    DICT_SLOT_BYTES,
    NUMBER_BYTES,
    SharedStrings,
    entry_bytes,
    rendered_bytes,
    saving_usd,
)

Eviction = Literal["s3-fifo", "gdsf"]

_GHOST_BYTES = 176  # a set's slot, the hash as an int, a slot in the queue
_TOMBSTONE_BYTES = 176  # GreedyDual's node: a list of three, its float and int, a heap slot

_EPOCHS_SHARE = 8  # epochs may take an eighth of the memory
_STRINGS_SHARE = 64  # strings that entries share may take a 64th

_NOT_RENDERED: Mapping[Shape, bytes] = MappingProxyType({})


class HeldEntry(Resident):
    """An entry in memory, with its presentations that were rendered before."""

    __slots__ = ("entry", "rendered")

    def __init__(self, entry: Entry, size: int) -> None:
        super().__init__(entry.key, size, saving_usd(entry))
        self.entry = entry
        self.rendered = _NOT_RENDERED


# The record, its slots for `size`, `cost` and `priority`, its garbage collector's header.
_HELD_BYTES = HeldEntry.__basicsize__ + 16 + 3 * NUMBER_BYTES + DICT_SLOT_BYTES


class MemoryStore(BaseStore):
    """A `Store` that keeps entries as objects, and answers without suspending.

    `find`, `keep` and `show` are synchronous, for the hot path. Reading never makes an entry live
    longer.

    Parameters:
        size_bytes: the bound of everything that the store holds, in bytes.
        lock: held around each change; need not be reentrant.
        eviction: how entries are chosen to leave, `"s3-fifo"` (default) or `"gdsf"`.
        clock: seconds since the Unix epoch. With it, `find` forgets an entry that is past its
            last use, stale answers included. By default such an entry stays until it is evicted.
    """

    def __init__(
        self,
        size_bytes: int,
        *,
        lock: AbstractContextManager[object],
        eviction: Eviction = "s3-fifo",
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.size_bytes = size_bytes
        self.evicted = 0
        self._lock = lock
        self._clock = clock
        self._latest = 0.0  # the clock's time when an entry was last kept
        self._policy: EvictionPolicy = (
            S3Fifo(size_bytes, ghost_bytes=_GHOST_BYTES)
            if eviction == "s3-fifo"
            else GreedyDual(size_bytes, tombstone_bytes=_TOMBSTONE_BYTES)
        )
        self._record_bytes = _HELD_BYTES + (_TOMBSTONE_BYTES if eviction == "gdsf" else 0)
        self._touch = self._policy.touch
        self._held: dict[Key, HeldEntry] = {}
        self._strings = SharedStrings(size_bytes // _STRINGS_SHARE)
        self._epochs = EpochTable(size_bytes // _EPOCHS_SHARE)
        self._counts: dict[str, int] = {}
        self._pepper: bytes | None = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def used_bytes(self) -> int:
        """Bytes of everything that the store holds; never more than `size_bytes`."""
        return self._policy.used + self._epochs.bytes + self._strings.bytes

    # Synchronous methods, for the hot path

    def find(self, key: Key) -> HeldEntry | None:
        """Return the entry under this key; None if a tag was invalidated since it was asked."""
        held = self._held.get(key)
        if held is None:
            return None
        entry = held.entry
        if entry.tags and not self._epochs.are_current(entry.tags):
            self._forget(held)
            return None
        if self._clock is not None:
            # As `Entry.is_usable` says, without a call on the hot path.
            now = self._clock()
            if now >= max(entry.stale_until, entry.expires) or entry.created - now > CLOCK_SKEW_S:
                self._forget(held)
                return None
        self._touch(held)
        return held

    def keep(self, entry: Entry) -> bool:
        """Store the entry under its key, in place of an earlier one.

        False if one of its tags was invalidated meanwhile (the earlier entry stays), or if it
        alone is larger than the memory (the earlier entry goes: it is no longer the latest answer).
        """
        if self._clock is not None:
            self._follow_clock(self._clock())
        with self._lock:
            if entry.tags and not self._epochs.are_current(entry.tags):
                return False
            entry = self._strings.intern(entry)
            self._balance()
            size = entry_bytes(entry, self._strings.charge) + self._record_bytes
            held = HeldEntry(entry, size)
            old = self._held.pop(entry.key, None)
            if held.size > self._policy.capacity:
                if old is not None:
                    self._policy.drop(old)
                return False
            self._let_go(self._policy.add(held, instead_of=old))
            self._held[entry.key] = held
            return True

    def _follow_clock(self, now: float) -> None:
        """Drop what a clock that was ahead has stored, once it is set back."""
        before, self._latest = self._latest, now
        if before - now > CLOCK_SKEW_S:
            self.sweep(lambda entry: entry.is_ahead(now))

    def show(self, held: HeldEntry, shape: Shape, frames: bytes) -> None:
        """Keep a rendered presentation for as long as the entry stays.

        Does nothing if the entry has left meanwhile, or if it would no longer fit.
        """
        with self._lock:
            if self._held.get(held.entry.key) is not held:
                return
            rendered = {**held.rendered, shape: frames}
            size = held.size + rendered_bytes(held.entry, rendered)
            size -= rendered_bytes(held.entry, held.rendered)
            if size > self._policy.capacity:
                return
            # A new dict, so that a reader without the lock never sees one change.
            held.rendered = rendered
            self._policy.resize(held, size)
            self._let_go(self._policy.settle())

    def apply_epochs(self, epochs: Mapping[str, int]) -> None:
        """Merge epochs that another store has seen; a lower one changes nothing."""
        with self._lock:
            for tag, epoch in epochs.items():
                self._epochs.raise_to(tag, epoch)
            self._balance()

    def sweep(self, names: Callable[[Entry], bool]) -> int:
        """Drop the entries that `names` selects; return how many. Other callers run in between."""
        with self._lock:
            everything = list(self._held.values())
        chosen = [held for held in everything if names(held.entry)]
        for held in chosen:
            self._forget(held)
        return len(chosen)

    def drop(self, key: Key) -> None:
        """Drop the entry under this key, if there is one."""
        held = self._held.get(key)
        if held is not None:
            self._forget(held)

    def forget_all(self) -> None:
        """Drop every entry; epochs stay."""
        with self._lock:
            for held in list(self._held.values()):
                self._drop(held)

    # The protocol's methods

    async def read(self, key: Key) -> Entry | None:
        held = self.find(key)
        return None if held is None else held.entry

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        return self.keep(entry)

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        self.apply_epochs(epochs)

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        with self._lock:
            chosen = self._chosen(selection)
            for held in chosen:
                self._drop(held)
            return len(chosen)

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        with self._lock:
            wanted = dict.fromkeys(tags)
            if bump:
                self._epochs.bump(wanted)
                self._balance()
            return {tag: self._epochs.epoch(tag) for tag in wanted}

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        with self._lock:
            chosen = self._chosen(selection)
        for held in chosen:
            if self._epochs.are_current(held.entry.tags):
                yield held.entry

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        with self._lock:
            return add_counts(self._counts, add, prefix)

    async def pepper(self) -> bytes:
        with self._lock:
            if self._pepper is None:
                self._pepper = os.urandom(32)
            return self._pepper

    async def close(self) -> None:
        """Forget every entry, and free its memory at once."""
        self.forget_all()

    # Under the lock

    def _chosen(self, selection: Selection) -> list[HeldEntry]:
        if selection.keys is None:
            candidates = list(self._held.values())
        else:
            known = map(self._held.get, dict.fromkeys(selection.keys))
            candidates = [held for held in known if held is not None]
        return [held for held in candidates if selects(selection, held.entry)]

    def _drop(self, held: HeldEntry) -> None:
        del self._held[held.entry.key]
        self._policy.drop(held)

    def _let_go(self, victims: list[Resident]) -> None:
        for victim in victims:
            assert isinstance(victim, HeldEntry)
            del self._held[victim.entry.key]
        self.evicted += len(victims)

    def _balance(self) -> None:
        """Give the entries the bytes that epochs and shared strings leave."""
        self._policy.capacity = self.size_bytes - self._epochs.bytes - self._strings.bytes
        self._let_go(self._policy.settle())

    def _forget(self, held: HeldEntry) -> None:
        with self._lock:
            # Another thread may have replaced it since it was found.
            if self._held.get(held.entry.key) is held:
                self._drop(held)
