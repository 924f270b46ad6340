"""The Redis store shares entries between machines: one server, a sentinel's or a cluster's.

A hit is one round trip. The store compares an entry's tags with the epochs that this process has
cached; `seq`, which comes with the entry in one MGET, shows whether those are still the latest.
Only if they are not, or a tag is new here, does it read the epochs. In a cluster, entries and
the epoch index may live on different servers, so a hit with tags takes two trips there.

Redis may lose anything at any time: by eviction, a flush, a restart from an old snapshot, a
failover to a replica that lagged behind. `scripts` guarantees that an entry invalidated by a tag
stays invalid all the same. `names` lists the keys.

Works with Redis from 6.2 and with Valkey. A Redis user needs the keys `PREFIX:*` and the commands
`+@read +@write +@scripting +@connection +time +info`, in a cluster also `+cluster|slots`. Redis
6.2 counts `+select +wait +asking` apart from those.
"""

import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from askonce.core.errors import StoreError
from askonce.core.models import ChangeBatch, Damage, Entry, Key, Lease, Selection
from askonce.stores.base import BaseStore
from askonce.stores.context import StoreContext
from askonce.stores.counters import is_ledger_name
from askonce.stores.envelope import fault_in, seal
from askonce.stores.redis.address import RedisAddress, ServerAddress, parse_address
from askonce.stores.redis.batched_reads import BatchedReads
from askonce.stores.redis.calls import (
    NAMES_AT_ONCE,
    RedisCall,
    RedisCaller,
    command,
    script,
)
from askonce.stores.redis.connections import Node, pack
from askonce.stores.redis.epoch_index import EpochIndex, encoded
from askonce.stores.redis.names import RedisNames
from askonce.stores.redis.routes import Command, route_to, sure
from askonce.stores.redis.scripts import ADD, LEASE, RELEASE, RENEW, WRITE

_BULK_BYTES = 1 << 20
_LONGEST_SECONDS = 1e12


def open_redis(url: str, context: StoreContext) -> "RedisStore":
    """Open the store at a Redis address. Raises `ConfigError` for a malformed address."""
    return RedisStore(parse_address(url), context)


class RedisStore(BaseStore):
    """A `Store` in Redis, in sync or async mode; it connects at its first call."""

    pushes_changes = True

    def __init__(self, address: RedisAddress, context: StoreContext) -> None:
        self._clock = context.clock
        self._names = names = RedisNames(address.prefix)

        def make(server: ServerAddress, address: RedisAddress) -> Node:
            return Node(server, address, context, lambda: self._epochs.verification())

        self._route = route_to(address, make, names.home)
        self._caller = RedisCaller(self._route)
        self._epochs = EpochIndex(names, self._caller)
        self._batched_reads: BatchedReads | None = None
        if context.suspending and not self._route.spread:
            self._batched_reads = BatchedReads(self._read_all, context.loop_or_process)

    # Entries

    async def read(self, key: Key) -> Entry | None:
        name = self._names.entry(key)
        if self._route.spread:
            packed, label = pack(b"GET", name), None
            blob = await self._route.one(Command(name, packed), repeatable=True)
        elif self._batched_reads is not None:
            blob, label = await self._batched_reads.read(name)
        else:
            (blob,), label = await self._read_all([name])
        if blob is None:
            return None
        entry = self.open_envelope(sure(blob), key)
        if entry is None or (entry.tags and not await self._epochs.are_current(entry.tags, label)):
            return None
        return entry

    async def _read_all(self, names: Sequence[bytes]) -> tuple[list[Any], Any]:
        """Return the values of names on one server, and the number of the latest change."""
        packed = pack(b"MGET", *names, self._names.seq)
        command = Command(names[0], packed)
        *values, label = sure(await self._route.one(command, repeatable=True))
        return values, label

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        return await self._write([entry], fence) == 1

    async def write_all(self, entries: Sequence[Entry]) -> int:
        return sum([await self._write(batch, 0) for batch in _batches(entries)])

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        removed = 0
        async for names in self._pages(selection):
            if selection.expired_before is not None:
                found = await self._entries(names, selection)
                names = [self._names.entry(entry.key) for entry in found]
            removed += await self._unlink(names)
        # Announced last: a reader of the feed must not find the entries here again.
        if not quiet:
            await self._epochs.log_removal(selection)
        return removed

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        async for names in self._pages(selection):
            for entry in await self._epochs.valid(await self._entries(names, selection)):
                yield entry

    # Epochs and the change feed

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        return await (self._epochs.bump(tags) if bump else self._epochs.epochs(tags))

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        await self._epochs.merge_epochs(epochs)

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        return await self._epochs.changes(cursor, timeout)

    # Leases

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        call = script(LEASE, [self._names.lease(key)], round(seconds * 1000))
        fence = await self._caller.one(call)
        return None if fence is None else Lease(key, int(fence))

    async def renew(self, leases: Iterable[Lease], seconds: float) -> None:
        ms = round(seconds * 1000)
        names = [(self._names.lease(lease.key), lease.fence) for lease in leases]
        await self._caller.many([script(RENEW, [name], ms, fence) for name, fence in names])

    async def release(self, lease: Lease) -> None:
        await self._caller.one(script(RELEASE, [self._names.lease(lease.key)], lease.fence))

    # The rest

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        names = [self._names.counters, self._names.ledger]
        wanted = 1 + is_ledger_name(prefix)
        if add:
            words: list[tuple[bytes | str | int, ...]] = [
                (1 + is_ledger_name(word), encoded(word), count) for word, count in add.items()
            ]
            flat = await self._caller.one(script(ADD, names, wanted, *chain.from_iterable(words)))
            found = dict(zip(flat[::2], flat[1::2], strict=True))
        else:
            found = await self._caller.one(command(b"HGETALL", names[wanted - 1]))
        start = encoded(prefix)
        return {word.decode(): int(n) for word, n in found.items() if word.startswith(start)}

    async def check(self, *, fix: bool = False) -> list[Damage]:
        damages: list[Damage] = []
        async for names in self._pages(Selection()):
            values = zip(names, await self._caller.values(names), strict=True)
            faults = {name: fault for name, value in values if (fault := self._fault(name, value))}
            damages += [Damage(fault, f"Redis key {name!r}") for name, fault in faults.items()]
            if fix:
                await self._unlink(list(faults))
        return damages

    async def scrub(self) -> int:
        removed = 0
        async for names in self._pages(Selection()):
            readable = await self._epochs.valid(await self._entries(names, Selection()))
            kept = {self._names.entry(entry.key) for entry in readable}
            removed += await self._unlink([name for name in names if name not in kept])
        return removed

    async def pepper(self) -> bytes:
        name = self._names.pepper
        make = command(b"SET", name, os.urandom(32), b"NX")
        _, pepper = await self._caller.many([make, command(b"GET", name)])
        if not isinstance(pepper, bytes) or len(pepper) != 32:
            raise StoreError("Redis does not keep the pepper")
        return pepper

    async def adopt(self, pepper: bytes) -> bool:
        if len(pepper) != 32:
            return False
        if await self.pepper() != pepper:
            async for names in self._pages(Selection()):
                if names:
                    return False
            await self._caller.one(command(b"SET", self._names.pepper, pepper))
        return True

    async def close(self) -> None:
        await self._route.close()

    # Reading

    def _fault(self, name: bytes, value: object) -> str | None:
        """Return what is wrong with the value of an entry's name; None if it left meanwhile."""
        if value is None:
            return None
        key = self._names.key(name)
        return "the name is no key's" if key is None else fault_in(value, key)

    async def _entries(self, names: Sequence[bytes], selection: Selection) -> list[Entry]:
        """Return the undamaged entries of these names in the selection, whatever their tags."""
        entries = []
        for name, value in zip(names, await self._caller.values(names), strict=True):
            key = self._names.key(name)
            if key is None or not isinstance(value, bytes):
                continue
            entry = self.open_envelope(value, key)
            before = selection.expired_before
            if entry is not None and (before is None or entry.expires < before):
                entries.append(entry)
        return entries

    async def _pages(self, selection: Selection) -> AsyncIterator[list[bytes]]:
        """Yield names of the selection's entries, a few at a time, whatever their expiry."""
        if selection.keys is not None:
            keys = dict.fromkeys(selection.keys)
            only = selection.namespace
            names = [self._names.entry(key) for key in keys if only in (None, key.namespace)]
            for start in range(0, len(names), NAMES_AT_ONCE):
                yield names[start : start + NAMES_AT_ONCE]
            return
        async for names in self._caller.names(self._names.pattern(selection.namespace)):
            yield names

    # Writing

    async def _write(self, entries: Sequence[Entry], fence: int) -> int:
        if not self._route.spread:
            calls = [self._writing(entry, fence, entry.tags) for entry in entries]
            return sum(map(bool, await self._caller.many(calls)))
        # In a cluster, entries and epochs live on different servers, so no step covers both.
        # Readers compare the epochs anyway; the second check removes entries none could use.
        entries = await self._epochs.valid(entries)
        replies = await self._caller.many([self._writing(entry, fence, ()) for entry in entries])
        stored = [entry for entry, reply in zip(entries, replies, strict=True) if reply]
        lasting = await self._epochs.valid(stored)
        if len(lasting) < len(stored):
            late = {entry.key for entry in stored} - {entry.key for entry in lasting}
            await self._unlink([self._names.entry(key) for key in late])
        return len(lasting)

    def _writing(self, entry: Entry, fence: int, tags: tuple[tuple[str, int], ...]) -> RedisCall:
        blob = seal(entry)
        name = self._names.entry(entry.key)
        life = max(entry.expires, entry.stale_until) - self._clock()
        life_ms = max(1, round(min(life, _LONGEST_SECONDS) * 1000))
        if not tags and not fence:
            return command(b"SET", name, blob, b"PX", life_ms)
        keys = [name, self._names.lease(entry.key), *([self._names.epochs] if tags else [])]
        words = [word for tag, epoch in tags for word in (encoded(tag), epoch)]
        return script(WRITE, keys, blob, life_ms, fence, *words)

    async def _unlink(self, names: Sequence[bytes]) -> int:
        calls = [command(b"UNLINK", name) for name in names]
        return sum(await self._caller.many(calls, lasting=True))


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Split the entries into parts for one pipeline each."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.body)
        if len(batch) == NAMES_AT_ONCE or size > _BULK_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
