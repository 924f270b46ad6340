"""The PostgreSQL store keeps entries in a schema that any number of hosts may share.

A hit is one statement: the blob, if no tag was bumped since its question was asked. So is a
write. One that races with a bump may still store what the bump has just made invalid, as if it
had come before; it is never read, because a read compares the tags again.

Entries are envelopes (`stores/envelope.py`) and verify themselves. The tables are described in
`postgres_schema`, coherence in `postgres_changes`, leases in `postgres_leases`. What takes more
than one statement (a scan, a removal, a bulk write) has the deadline for each of them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from askonce.core.errors import EntryDamaged
from askonce.core.models import ChangeBatch, Damage, Entry, Key, Lease, Selection
from askonce.stores.base import BaseStore
from askonce.stores.context import StoreContext
from askonce.stores.counters import bounds
from askonce.stores.envelope import seal, unseal
from askonce.stores.postgres.address import PostgresAddress, parse_address
from askonce.stores.postgres.change_feed import (
    KEPT,
    RECORD,
    TRIM,
    ChangeLog,
    PostgresChange,
    channel,
    logged,
)
from askonce.stores.postgres.connections import PostgresConnections
from askonce.stores.postgres.leases import PostgresLeases
from askonce.stores.postgres.schema import columns, ensure, raw
from askonce.stores.postgres.session import PostgresSession, Rows
from askonce.stores.postgres.statements import (
    ADD,
    ADOPT,
    BLOBS,
    BUMP,
    EPOCHS,
    FORGET,
    LEARN,
    NEXT_PAGE,
    PEPPER,
    READ,
    REMOVE,
    REMOVE_DAMAGED,
    SCRUB,
    SIZES,
    SWEEP,
    TALLIES,
    WRITE,
)

_PAGE = 500
_PAGE_BYTES = 4 << 20
"""A page of blobs: at least one, and no more than these together."""

_SWEEP_EVERY = 64
_SWEEP_ROWS = 256
_TRIM_EVERY = 256
_MIGRATION_SECONDS = 60.0


class PostgresStore(BaseStore):
    """A `Store` in PostgreSQL, in either flavor. Nothing is connected before the first call.

    `damaged` counts entries that failed their own check when read: they are left where they are
    for `check`.
    """

    pushes_changes = True
    leases_travel = False  # advisory locks belong to a session

    def __init__(self, address: PostgresAddress, context: StoreContext) -> None:
        self.damaged = 0
        self._address = address
        self._ground = context
        self._channel = channel(address)
        self._connections = PostgresConnections(address, context, self._greet)
        self._changes = ChangeLog(address, context)
        self._leases = PostgresLeases(address, context)
        self._statements: dict[str, str] = {}
        self._writes = 0
        self._changed = 0

    async def read(self, key: Key) -> Entry | None:
        rows = await self._ask(READ, *columns(key))
        return self._unsealed(rows[0][0], key) if rows else None

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        parameters = self._row(entry, fence)
        async with self._connections.borrowed() as session:
            written = await session.rows(self._statement(WRITE), *parameters)
            if self._writes % _SWEEP_EVERY == 0:
                await session.rows(self._statement(SWEEP), _SWEEP_ROWS)
            self._writes += 1
        return bool(written)

    async def write_all(self, entries: Sequence[Entry]) -> int:
        stored = 0
        # In the order of their keys, so that no two bulk writes wait for each other.
        rows = sorted((self._row(entry, 0) for entry in entries), key=lambda row: row[:3])
        for batch in _batches(rows, lambda row: len(row[8])):
            async with self._connections.borrowed() as session:
                stored += await session.repeat(self._statement(WRITE), batch)
        return stored

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        if selection.keys == ():
            return 0
        removed = 0
        async for found in self._pages(selection):
            keys = _turned(row[:3] for row in found)
            removed += (await self._ask(REMOVE, *keys, *_limits(selection)))[0][0]
        # Told at the end: whoever forgets an entry now does not find it here again.
        if not quiet:
            await self._change(RECORD, logged(PostgresChange(removed=selection)), self._channel)
        return removed

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        names = tuple(dict.fromkeys(tags))
        if not names:
            return {}
        stored = [raw(name) for name in names]
        if not bump:
            rows = await self._ask(EPOCHS, stored)
            return {tag.decode(): epoch for tag, epoch in rows}
        rows = await self._change(BUMP, logged(PostgresChange(bumped=names)), self._channel, stored)
        number: int = rows[0][0]
        return dict.fromkeys(names, number)

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        async for rows in self._blobs(selection, invalid=False):
            for row in rows:
                entry = self._unsealed(row[3], _key(row))
                if entry is not None:
                    yield entry

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        if epochs:
            tags = [raw(tag) for tag in epochs]
            await self._ask(LEARN, tags, list(epochs.values()), max(epochs.values()))

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        return await self._changes.changes(cursor, timeout)

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        return await self._leases.lease(key, seconds)

    async def renew(self, leases: Iterable[Lease], seconds: float) -> None:
        await self._leases.renew(leases, seconds)

    async def release(self, lease: Lease) -> None:
        await self._leases.release(lease)

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        named = [raw(name) for name in bounds(prefix)]
        if add:
            rows = await self._ask(ADD, *named, [raw(name) for name in add], list(add.values()))
        else:
            rows = await self._ask(TALLIES, *named)
            if zeros := [name for name, value in rows if value == 0]:
                await self._ask(FORGET, zeros)
        return {name.decode(): value for name, value in rows if value}

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Open every envelope; with `fix` remove those that are not what they should be."""
        damages = []
        async for rows in self._blobs(Selection(), invalid=True):
            for row in rows:
                fault = _fault(row)
                if fault is None:
                    continue
                damages.append(Damage(fault, f"entry {row[2].hex()}"))
                if fix:
                    # Unless it was replaced meanwhile.
                    await self._ask(REMOVE_DAMAGED, *row[:4])
        return damages

    async def scrub(self) -> int:
        return int((await self._ask(SCRUB))[0][0])

    async def pepper(self) -> bytes:
        pepper: bytes = (await self._ask(PEPPER))[0][0]
        return pepper

    async def adopt(self, pepper: bytes) -> bool:
        return len(pepper) == 32 and bool(await self._ask(ADOPT, pepper))

    async def migrate(self) -> list[str]:
        # On a connection that was not greeted: greeting would do it unseen.
        connections = PostgresConnections(self._address, self._ground, _unprepared, most=1)
        try:
            async with connections.borrowed(_MIGRATION_SECONDS) as session:
                found, version = await ensure(session, self._address)
        finally:
            connections.close()
        if found == version:
            return []
        schema = self._address.schema
        if not found:
            return [f"made the tables in schema {schema}, format {version}"]
        return [f"renewed the tables in schema {schema} from format {found} to {version}"]

    async def close(self) -> None:
        self._connections.close()
        self._changes.close()
        self._leases.close()

    async def _greet(self, session: PostgresSession) -> None:
        await ensure(session, self._address)

    async def _pages(self, selection: Selection) -> AsyncIterator[Rows]:
        """Key and size of what the selection may name: pages of rows, in order."""
        if selection.keys is not None:
            keys = list(dict.fromkeys(selection.keys))
            for start in range(0, len(keys), _PAGE):
                page = [columns(key) for key in keys[start : start + _PAGE]]
                yield await self._ask(SIZES, *_turned(page))
            return
        only = None if selection.namespace is None else raw(selection.namespace)
        after: tuple[bytes, bytes, bytes] = (only or b"", b"", b"")
        while rows := await self._ask(NEXT_PAGE, *after, _PAGE):
            after = rows[-1][:3]
            yield rows if only is None else [row for row in rows if row[0] == only]
            if only is not None and after[0] != only:
                return

    async def _blobs(self, selection: Selection, *, invalid: bool) -> AsyncIterator[Rows]:
        """What the selection names, envelopes and all, a few megabytes at a time."""
        async for found in self._pages(selection):
            for batch in _batches(found, lambda row: row[3]):
                keys = _turned(row[:3] for row in batch)
                yield await self._ask(BLOBS, *keys, *_limits(selection), invalid)

    def _row(self, entry: Entry, fence: int) -> tuple[Any, ...]:
        """The parameters of `WRITE`."""
        blob = seal(entry)
        tags = [raw(tag) for tag, _ in entry.tags]
        epochs = [epoch for _, epoch in entry.tags]
        # How long it is of use, for a server whose clock may be another one.
        rest = max(entry.expires, entry.stale_until) - self._ground.clock()
        times = (entry.created, entry.expires, rest)
        return (*columns(entry.key), *times, tags, epochs, blob, fence)

    def _unsealed(self, blob: bytes, key: Key) -> Entry | None:
        try:
            return unseal(blob, key)
        except EntryDamaged:
            self.damaged += 1
            return None

    async def _ask(self, statement: str, *parameters: object) -> Rows:
        async with self._connections.borrowed() as session:
            return await session.rows(self._statement(statement), *parameters)

    async def _change(self, statement: str, *parameters: object) -> Rows:
        """Change something and log it; now and then trim the log."""
        async with self._connections.borrowed() as session:
            rows = await session.rows(self._statement(statement), *parameters)
            if self._changed % _TRIM_EVERY == 0:
                await session.rows(self._statement(TRIM), KEPT)
            self._changed += 1
            return rows

    def _statement(self, text: str) -> str:
        filled = self._statements.get(text)
        if filled is None:
            filled = self._statements[text] = self._address.statement(text)
        return filled


async def _unprepared(_session: PostgresSession) -> None:
    return


def _limits(selection: Selection) -> tuple[bytes | None, float | None]:
    """The parameters of what a selection says beside its keys."""
    namespace = selection.namespace
    return None if namespace is None else raw(namespace), selection.expired_before


def _turned(rows: Iterable[Sequence[bytes]]) -> tuple[list[bytes], ...]:
    """Three columns of many keys."""
    return tuple(map(list, zip(*rows, strict=True))) or ([], [], [])


def _batches(rows: Rows, size: Callable[[tuple[Any, ...]], int]) -> Iterator[Rows]:
    """The rows in batches of a bounded number and size; one that is larger comes alone."""
    batch: Rows = []
    total = 0
    for row in rows:
        if batch and (total + size(row) > _PAGE_BYTES or len(batch) == _PAGE):
            yield batch
            batch, total = [], 0
        batch.append(row)
        total += size(row)
    if batch:
        yield batch


def _key(row: tuple[Any, ...]) -> Key:
    # What is no UTF-8 becomes what no entry's key can hold.
    namespace, format_ = (part.decode(errors="surrogateescape") for part in row[:2])
    return Key(namespace, format_, row[2])


def _fault(row: tuple[Any, ...]) -> str | None:
    """What is wrong with a row of `BLOBS`."""
    *_, blob, tags, epochs = row
    try:
        entry = unseal(blob, _key(row))
    except EntryDamaged as error:
        return str(error)
    told = [(tag.decode(errors="replace"), epoch) for tag, epoch in zip(tags, epochs, strict=True)]
    return None if told == list(entry.tags) else "its row names other tags than the entry"


def open_postgres(url: str, context: StoreContext) -> PostgresStore:
    """Open the store of an address; it connects at its first call.

    Raises ConfigError for an address that libpq does not understand.
    """
    return PostgresStore(parse_address(url), context)
