"""The PostgreSQL store keeps entries in a schema that any number of hosts may share.

A hit is one statement: the blob, if no tag was bumped since its question was asked. So is a
write. A write that races with a bump may still store an entry that the bump has just invalidated,
as if it had come before; it is never read, because a read compares the tags again.

Entries are envelopes (`stores/envelope.py`) and verify themselves. `schema` describes the tables,
`change_feed` coherence, `leases` the leases. A call of several statements (a scan, a removal, a
bulk write) has the deadline for each of them.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from askonce.core.errors import EntryDamaged
from askonce.core.models import ChangeBatch, Damage, Entry, Key, Lease, Selection
from askonce.stores.base import BaseStore
from askonce.stores.context import StoreContext
from askonce.stores.counters import name_ranges
from askonce.stores.envelope import seal, unseal
from askonce.stores.postgres.address import PostgresAddress, parse_address
from askonce.stores.postgres.change_feed import (
    KEPT,
    RECORD,
    TRIM,
    PostgresChange,
    PostgresChangeFeed,
    channel,
    encode_change,
)
from askonce.stores.postgres.connections import PostgresConnections
from askonce.stores.postgres.leases import PostgresLeases
from askonce.stores.postgres.migration import migrate_with
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
"""The size of a page of blobs, which holds at least one."""

_SWEEP_EVERY = 64
_SWEEP_ROWS = 256
_TRIM_EVERY = 256


class PostgresStore(BaseStore):
    """A `Store` in PostgreSQL, in sync or async mode; it connects at its first call."""

    pushes_changes = True
    leases_travel = False  # advisory locks belong to a session

    def __init__(self, address: PostgresAddress, context: StoreContext) -> None:
        self._address = address
        self._context = context
        self._channel = channel(address)
        self._connections = PostgresConnections(address, context, self._prepare)
        self._changes = PostgresChangeFeed(address, context)
        self._leases = PostgresLeases(address, context)
        self._statements: dict[str, str] = {}
        self._writes = 0
        self._changed = 0

    async def read(self, key: Key) -> Entry | None:
        rows = await self._ask(READ, *columns(key))
        return self.open_envelope(rows[0][0], key) if rows else None

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
        # In the order of their keys, so that two bulk writes never wait for each other.
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
            keys = _columns_of(row[:3] for row in found)
            removed += (await self._ask(REMOVE, *keys, *_filters(selection)))[0][0]
        # Announced last: a reader of the feed does not find the entries here again.
        if not quiet:
            await self._change(
                RECORD, encode_change(PostgresChange(removed=selection)), self._channel
            )
        return removed

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        names = tuple(dict.fromkeys(tags))
        if not names:
            return {}
        stored = [raw(name) for name in names]
        if not bump:
            rows = await self._ask(EPOCHS, stored)
            return {tag.decode(): epoch for tag, epoch in rows}
        rows = await self._change(
            BUMP, encode_change(PostgresChange(bumped=names)), self._channel, stored
        )
        number: int = rows[0][0]
        return dict.fromkeys(names, number)

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        async for rows in self._blobs(selection, invalid=False):
            for row in rows:
                entry = self.open_envelope(row[3], _key(row))
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
        named = [raw(name) for name in name_ranges(prefix)]
        if add:
            rows = await self._ask(ADD, *named, [raw(name) for name in add], list(add.values()))
        else:
            rows = await self._ask(TALLIES, *named)
            if zeros := [name for name, value in rows if value == 0]:
                await self._ask(FORGET, zeros)
        return {name.decode(): value for name, value in rows if value}

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Open every envelope; with `fix`, remove the damaged ones."""
        damages = []
        async for rows in self._blobs(Selection(), invalid=True):
            for row in rows:
                fault = _fault(row)
                if fault is None:
                    continue
                damages.append(Damage(fault, f"entry {row[2].hex()}"))
                if fix:
                    # Not if it was replaced meanwhile.
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
        found, version = await migrate_with(
            self._address, self._context, lambda session: ensure(session, self._address)
        )
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

    async def _prepare(self, session: PostgresSession) -> None:
        await ensure(session, self._address)

    async def _pages(self, selection: Selection) -> AsyncIterator[Rows]:
        """Yield pages of rows, in order: key and size of entries that may be in the selection."""
        if selection.keys is not None:
            keys = list(dict.fromkeys(selection.keys))
            for start in range(0, len(keys), _PAGE):
                page = [columns(key) for key in keys[start : start + _PAGE]]
                yield await self._ask(SIZES, *_columns_of(page))
            return
        only = None if selection.namespace is None else raw(selection.namespace)
        after: tuple[bytes, bytes, bytes] = (only or b"", b"", b"")
        while rows := await self._ask(NEXT_PAGE, *after, _PAGE):
            after = rows[-1][:3]
            yield rows if only is None else [row for row in rows if row[0] == only]
            if only is not None and after[0] != only:
                return

    async def _blobs(self, selection: Selection, *, invalid: bool) -> AsyncIterator[Rows]:
        """Yield the selection's entries with their envelopes, a few megabytes at a time."""
        async for found in self._pages(selection):
            for batch in _batches(found, lambda row: row[3]):
                keys = _columns_of(row[:3] for row in batch)
                yield await self._ask(BLOBS, *keys, *_filters(selection), invalid)

    def _row(self, entry: Entry, fence: int) -> tuple[Any, ...]:
        """Return the parameters of `WRITE`."""
        blob = seal(entry)
        tags = [raw(tag) for tag, _ in entry.tags]
        epochs = [epoch for _, epoch in entry.tags]
        # A duration, because the server's clock may differ from ours.
        rest = max(entry.expires, entry.stale_until) - self._context.clock()
        times = (entry.created, entry.expires, rest)
        return (*columns(entry.key), *times, tags, epochs, blob, fence)

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


def _filters(selection: Selection) -> tuple[bytes | None, float | None]:
    """Return the parameters for a selection's namespace and expiry."""
    namespace = selection.namespace
    return None if namespace is None else raw(namespace), selection.expired_before


def _columns_of(rows: Iterable[Sequence[bytes]]) -> tuple[list[bytes], ...]:
    """Turn the keys of many rows into three columns."""
    return tuple(map(list, zip(*rows, strict=True))) or ([], [], [])


def _batches(rows: Rows, size: Callable[[tuple[Any, ...]], int]) -> Iterator[Rows]:
    """Split the rows into batches of a bounded number and size; a larger row comes alone."""
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
    # A name that is not UTF-8 becomes a text that no entry's key can hold.
    namespace, format_ = (part.decode(errors="surrogateescape") for part in row[:2])
    return Key(namespace, format_, row[2])


def _fault(row: tuple[Any, ...]) -> str | None:
    """Return what is wrong with a row of `BLOBS`; None if nothing is."""
    *_, blob, tags, epochs = row
    try:
        entry = unseal(blob, _key(row))
    except EntryDamaged as error:
        return str(error)
    named = [(tag.decode(errors="replace"), epoch) for tag, epoch in zip(tags, epochs, strict=True)]
    return None if named == list(entry.tags) else "its row names other tags than the entry"


def open_postgres(url: str, context: StoreContext) -> PostgresStore:
    """Open the store at an address; it connects at its first call.

    Raises `ConfigError` for an address that libpq does not understand.
    """
    return PostgresStore(parse_address(url), context)
