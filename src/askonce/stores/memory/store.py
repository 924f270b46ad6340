"""Answers in the process's own memory: the fastest store, bounded in real bytes.

Every byte that the store holds on to is charged: bodies and texts, but also the Python objects
around them, the slots of hash tables, the eviction policy's own memory and what the allocator
adds. `weigh` is that formula; tests hold it against `tracemalloc`, the bench against the
process's resident size.

Reading takes no lock. `find` looks into one dict and raises one counter, both of which the
interpreter does without being interrupted halfway. Everything that changes the store happens
under the lock that the caller passed in.
"""

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Literal

from askonce.core.models import Entry, Key, Selection, Shape, Usage
from askonce.stores.base import BaseStore
from askonce.stores.counters import tallied
from askonce.stores.memory.eviction import EvictionPolicy, GreedyDual, Resident, S3Fifo

Eviction = Literal["s3-fifo", "gdsf"]

# Hash tables grow in steps; these are what one slot takes right after a table has grown.
_DICT_SLOT_BYTES = 120
_GHOST_BYTES = 176  # a set's slot, the hash as an int, a slot in the queue
_TOMBSTONE_BYTES = 176  # GreedyDual's node: a list of three, its float and int, a heap slot
_NUMBER_BYTES = 32  # any float or int of its own

_EPOCHS_SHARE = 8  # epochs may take an eighth of the memory
_COMMON_SHARE = 64  # strings that entries share may take a 64th
_LONGEST_COMMON = 256

# What an unpriced answer is worth, so that it still competes where the cheapest leave first:
# the price of tokens at the low end of the market, and four bytes to a token.
_FLOOR_USD_PER_TOKEN = 1e-7
_BYTES_PER_TOKEN = 4

_NOT_SHOWN: Mapping[Shape, bytes] = MappingProxyType({})


class HeldEntry(Resident):
    """An entry in memory, with the presentations of it that were rendered before."""

    __slots__ = ("entry", "rendered")

    def __init__(self, entry: Entry, size: int) -> None:
        super().__init__(entry.key, size, saving_usd(entry))
        self.entry = entry
        self.rendered = _NOT_SHOWN


# The record, its slots for `size`, `cost` and `priority`, its garbage collector's header.
_HELD_BYTES = HeldEntry.__basicsize__ + 16 + 3 * _NUMBER_BYTES + _DICT_SLOT_BYTES


class MemoryStore(BaseStore):
    """A `Store` that keeps entries as objects, and answers without suspending.

    `find`, `keep` and `show` are its synchronous face, for the hot path. `lock` is a lock that
    need not be reentrant. With a `clock` (seconds since the Unix epoch), an entry that is past
    its last use, stale answers included, is forgotten when it is found; without one it stays
    until it is evicted. Reading never makes an entry live longer.
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
        self._policy: EvictionPolicy = (
            S3Fifo(size_bytes, ghost_bytes=_GHOST_BYTES)
            if eviction == "s3-fifo"
            else GreedyDual(size_bytes, tombstone_bytes=_TOMBSTONE_BYTES)
        )
        self._record_bytes = _HELD_BYTES + (_TOMBSTONE_BYTES if eviction == "gdsf" else 0)
        self._touch = self._policy.touch
        self._held: dict[Key, HeldEntry] = {}
        self._common = _Common(size_bytes // _COMMON_SHARE)
        self._epochs = _Epochs(size_bytes // _EPOCHS_SHARE)
        self._tallies: dict[str, int] = {}
        self._pepper: bytes | None = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def used_bytes(self) -> int:
        """Bytes of everything that the store holds on to; never more than `size_bytes`."""
        return self._policy.used + self._epochs.bytes + self._common.bytes

    # The synchronous face

    def find(self, key: Key) -> HeldEntry | None:
        """The entry under this key, unless a tag of it was invalidated since it was asked."""
        held = self._held.get(key)
        if held is None:
            return None
        entry = held.entry
        if (entry.tags and not self._epochs.agree(entry.tags)) or (
            self._clock is not None and not entry.is_usable(self._clock())
        ):
            self._forget(held)
            return None
        self._touch(held)
        return held

    def keep(self, entry: Entry) -> bool:
        """Store the entry under its key, replacing what was there.

        False if one of its tags was invalidated meanwhile (what was there stays), or if it alone
        is larger than the memory (what was there goes: it is not the latest answer any more).
        """
        with self._lock:
            if entry.tags and not self._epochs.agree(entry.tags):
                return False
            entry = self._common.shared(entry)
            self._balance()
            held = HeldEntry(entry, weigh(entry, self._common) + self._record_bytes)
            old = self._held.pop(entry.key, None)
            if held.size > self._policy.capacity:
                if old is not None:
                    self._policy.drop(old)
                return False
            self._let_go(self._policy.add(held, instead_of=old))
            self._held[entry.key] = held
            return True

    def show(self, held: HeldEntry, shape: Shape, frames: bytes) -> None:
        """Remember a rendered presentation, for as long as the entry stays.

        Nothing if the entry has left meanwhile, or if it would no longer fit.
        """
        with self._lock:
            if self._held.get(held.entry.key) is not held:
                return
            shown = {**held.rendered, shape: frames}
            size = (
                held.size
                + _shown_bytes(held.entry, shown)
                - _shown_bytes(held.entry, held.rendered)
            )
            if size > self._policy.capacity:
                return
            # A new dict, so that a reader without the lock never sees one change.
            held.rendered = shown
            self._policy.resize(held, size)
            self._let_go(self._policy.settle())

    def apply_epochs(self, epochs: Mapping[str, int]) -> None:
        """Take over epochs that another store has seen; one that is behind changes nothing."""
        with self._lock:
            for tag, epoch in epochs.items():
                self._epochs.raise_to(tag, epoch)
            self._balance()

    def sweep(self, names: Callable[[Entry], bool]) -> int:
        """Drop the entries that are named; how many. Callers get through in between."""
        with self._lock:
            everything = list(self._held.values())
        chosen = [held for held in everything if names(held.entry)]
        for held in chosen:
            self._forget(held)
        return len(chosen)

    def drop(self, key: Key) -> None:
        held = self._held.get(key)
        if held is not None:
            self._forget(held)

    def forget_all(self) -> None:
        with self._lock:
            for held in list(self._held.values()):
                self._drop(held)

    # The store's face

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
            return {tag: self._epochs.of(tag) for tag in wanted}

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        with self._lock:
            chosen = self._chosen(selection)
        for held in chosen:
            if self._epochs.agree(held.entry.tags):
                yield held.entry

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        with self._lock:
            return tallied(self._tallies, add, prefix)

    async def pepper(self) -> bytes:
        with self._lock:
            if self._pepper is None:
                self._pepper = os.urandom(32)
            return self._pepper

    async def close(self) -> None:
        """Forget every entry, and give its memory back at once."""
        self.forget_all()

    # Under the lock

    def _chosen(self, selection: Selection) -> list[HeldEntry]:
        if selection.keys is None:
            candidates = list(self._held.values())
        else:
            known = map(self._held.get, dict.fromkeys(selection.keys))
            candidates = [held for held in known if held is not None]
        return [held for held in candidates if _names(selection, held.entry)]

    def _drop(self, held: HeldEntry) -> None:
        del self._held[held.entry.key]
        self._policy.drop(held)

    def _let_go(self, victims: list[Resident]) -> None:
        for victim in victims:
            assert isinstance(victim, HeldEntry)
            del self._held[victim.entry.key]
        self.evicted += len(victims)

    def _balance(self) -> None:
        """Leave to the entries what epochs and common strings do not take."""
        self._policy.capacity = self.size_bytes - self._epochs.bytes - self._common.bytes
        self._let_go(self._policy.settle())

    def _forget(self, held: HeldEntry) -> None:
        with self._lock:
            # Another thread may have replaced it since it was found.
            if self._held.get(held.entry.key) is held:
                self._drop(held)


def weigh(entry: Entry, common: "_Common") -> int:
    """Bytes of process memory that an entry's own objects take, without what is held in common."""
    key = entry.key
    size = _FIXED_BYTES + _allocated(entry.body) + _text_bytes(entry.question)
    size += common.charge(key.namespace) + common.charge(key.format)
    size += common.charge(entry.model) + common.charge(entry.origin)
    size += common.charge(entry.route) + common.charge(entry.asked_model)
    if entry.headers:
        size += _allocated(entry.headers)
        for pair in entry.headers:
            size += _allocated(pair) + common.charge(pair[0]) + _text_bytes(pair[1])
    if entry.tags:
        size += _allocated(entry.tags)
        for tag in entry.tags:
            size += _allocated(tag) + common.charge(tag[0]) + _NUMBER_BYTES
    if entry.usage is not None:
        size += _USAGE_BYTES
    if entry.cost_usd is not None:
        size += _allocated(entry.cost_usd)
    if entry.scope:
        size += _allocated(entry.scope)
    return size


def saving_usd(entry: Entry) -> float:
    """What one hit on this entry saves, in US dollars; never nothing, also where unpriced."""
    usage = entry.usage
    tokens = usage.total_tokens if usage is not None else 0
    floor = (tokens or len(entry.body) / _BYTES_PER_TOKEN + 1) * _FLOOR_USD_PER_TOKEN
    return max(float(entry.cost_usd or 0), floor)


def _shown_bytes(entry: Entry, shown: Mapping[Shape, bytes]) -> int:
    if not shown:
        return 0
    size = _allocated(shown)
    for shape, frames in shown.items():
        size += _allocated(shape) + (0 if frames is entry.body else _allocated(frames))
    return size


def _text_bytes(text: str) -> int:
    # A string that is ever encoded keeps its UTF-8 form beside it, unless both are the same.
    return _allocated(text) + (0 if text.isascii() else len(text.encode(errors="replace")) + 16)


def _allocated(thing: object) -> int:
    """What an object takes from the allocator, which hands out steps of 16 bytes.

    Above 512 bytes that is the system's `malloc`, with a header, and with holes between objects
    of different sizes that come and go: a 16th on top covers what they were measured to be.
    """
    size = sys.getsizeof(thing)
    if size > 512:
        size += 16 + (size >> 4)
    return size + 15 & ~15


def _names(selection: Selection, entry: Entry) -> bool:
    if selection.namespace is not None and entry.key.namespace != selection.namespace:
        return False
    return selection.expired_before is None or entry.expires < selection.expired_before


_SAMPLE = Entry(Key("", "", bytes(32)), b"", 200, (), 0.0, 0.0, 0.0)
# The record, its key and digest; created, expires, stale_until, latency, swept, and the status
# unless it is a shared small int.
_FIXED_BYTES = (
    _allocated(_SAMPLE)
    + _allocated(_SAMPLE.key)
    + _allocated(_SAMPLE.key.digest)
    + 6 * _NUMBER_BYTES
)
# Of its seven numbers hardly ever more than five are not 0, which nobody allocates.
_USAGE_BYTES = _allocated(Usage()) + 5 * _NUMBER_BYTES


class _Epochs:
    """The epoch of each tag that was ever bumped, in bounded memory.

    Bumps take the next number of one sequence. A full table is emptied, and from then on a tag
    that is not in it has an epoch higher than any ever given out: every tagged entry from before
    stops being readable, and no invalidation is undone.
    """

    __slots__ = ("_highest", "_known", "_limit", "_others", "bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.bytes = 0
        self._limit = limit_bytes
        self._known: dict[str, int] = {}
        self._others = 0
        self._highest = 0

    def of(self, tag: str) -> int:
        return self._known.get(tag, self._others)

    def agree(self, tags: Iterable[tuple[str, int]]) -> bool:
        """Does every tag still have this epoch?"""
        for tag, epoch in tags:  # noqa: SIM110 - a generator would double the time of a tagged hit
            if self._known.get(tag, self._others) != epoch:
                return False
        return True

    def bump(self, tags: Iterable[str]) -> None:
        epoch = self._highest + 1
        for tag in tags:
            self.raise_to(tag, epoch)

    def raise_to(self, tag: str, epoch: int) -> None:
        """Never lowers an epoch: news of it may arrive out of order."""
        if epoch <= self.of(tag):
            return
        if tag not in self._known:
            self.bytes += _DICT_SLOT_BYTES + _text_bytes(tag) + _NUMBER_BYTES
        self._known[tag] = epoch
        self._highest = max(self._highest, epoch)
        if self.bytes > self._limit:
            # In this order, so that a reader without the lock sees no tag at its old epoch 0.
            self._others = self._highest = self._highest + 1
            self._known = {}
            self.bytes = 0


class _Common:
    """One copy of each string that many entries share: names, models, origins, tags.

    Once its memory is used up, further strings stay with their entries and are charged there.
    """

    __slots__ = ("_known", "_limit", "bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.bytes = 0
        self._limit = limit_bytes
        self._known: dict[str, str] = {}

    def shared(self, entry: Entry) -> Entry:
        """The same entry, made of shared strings where there are any."""
        one = self._one
        key = entry.key
        return Entry(
            Key(one(key.namespace), one(key.format), key.digest),
            entry.body,
            entry.status,
            tuple([(one(name), value) for name, value in entry.headers]),
            entry.created,
            entry.expires,
            entry.stale_until,
            one(entry.model),
            one(entry.origin),
            entry.question,
            entry.usage,
            entry.cost_usd,
            entry.latency_ms,
            tuple([(one(tag), epoch) for tag, epoch in entry.tags]),
            one(entry.route),
            one(entry.asked_model),
            entry.swept,
            entry.scope,
        )

    def charge(self, text: str) -> int:
        """What one entry pays for this string: nothing if it is the shared copy."""
        return 0 if self._known.get(text) is text else _text_bytes(text)

    def _one(self, text: str) -> str:
        known = self._known.get(text)
        if known is None:
            cost = _DICT_SLOT_BYTES + _text_bytes(text)
            if len(text) > _LONGEST_COMMON or self.bytes + cost > self._limit:
                return text
            self._known[text] = known = text
            self.bytes += cost
        return known
