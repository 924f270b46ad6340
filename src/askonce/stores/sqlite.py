"""The SQLite store keeps entries in one file that any number of processes may share.

Write-ahead logging lets readers and one writer work at once; every change is one transaction, so
`kill -9` leaves either all of it or nothing. Entries are envelopes (`stores/envelope.py`) and
verify themselves, because SQLite does not checksum its pages.

A busy database is waited for only briefly: answering from upstream beats waiting for a cache.
Nothing is remembered of a failed call; the next one tries again, on a new connection if the old
one is of no use.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from askonce.errors import EntryDamaged
from askonce.records import Damage, Entry, Key, Selection
from askonce.stores.envelope import seal, unseal
from askonce.stores.sqlite_file import (
    DatabaseFile,
    FileDamaged,
    FileForeign,
    integer,
    meta,
    pragma,
)

_PAGE = 64
"""Rows per turn of a scan: calls of other threads get through in between."""

_SWEEP_EVERY = 64
_SWEEP_ROWS = 256

_READ = "SELECT blob FROM entries WHERE namespace = ? AND format = ? AND digest = ?"
# An upsert and not REPLACE: a row keeps its id, so a scan sees every entry once.
_WRITE = """
    INSERT INTO entries (namespace, format, digest, created, expires, usable_until, size, blob)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (namespace, format, digest) DO UPDATE SET
        created = excluded.created, expires = excluded.expires,
        usable_until = excluded.usable_until, size = excluded.size, blob = excluded.blob"""
_FORGET = "DELETE FROM entries WHERE namespace = ? AND format = ? AND digest = ?"
_SWEEP = """
    DELETE FROM entries WHERE id IN (
        SELECT id FROM entries WHERE usable_until <= ? ORDER BY usable_until LIMIT ?)"""
_PAGE_END = "SELECT max(id) FROM (SELECT id FROM entries WHERE id > ? ORDER BY id LIMIT ?)"
_IDS_IN_PAGE = """
    SELECT id FROM entries
    WHERE id > :after AND id <= :upto
        AND (:only IS NULL OR namespace = :only)
        AND (:expired_before IS NULL OR expires < :expired_before)"""
_ID_OF_KEY = """
    SELECT id FROM entries
    WHERE namespace = :namespace AND format = :format AND digest = :digest
        AND (:only IS NULL OR namespace = :only)
        AND (:expired_before IS NULL OR expires < :expired_before)"""
_BY_ID = "SELECT namespace, format, digest, blob FROM entries WHERE id = ?"


class SqliteStore:
    """A `Store` in one SQLite file, shared by threads and processes.

    `guard` is held around each use of the one connection; `clock` gives seconds since the Unix
    epoch. Above `max_bytes` of live pages the oldest answers go first, and `write` says False to an
    entry larger than that. `damaged` counts entries that failed their own check when read: they are
    left where they are for `check`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        guard: AbstractContextManager[object],
        clock: Callable[[], float],
        max_bytes: int | None = None,
        busy_timeout_ms: int = 50,
    ) -> None:
        self.damaged = 0
        self._file = DatabaseFile(path, guard=guard, busy_timeout_ms=busy_timeout_ms)
        self._clock = clock
        self._max_bytes = max_bytes
        self._busy_timeout_ms = busy_timeout_ms
        self._writes = 0

    async def read(self, key: Key) -> Entry | None:
        with self._file.connected() as db:
            row = db.execute(_READ, key).fetchone()
            if row is None:
                return None
            entry = self._unsealed(row[0], key)
            if entry is None or not self._is_valid(db, entry):
                return None
            return entry

    async def write(self, entry: Entry) -> bool:
        blob = seal(entry)
        with self._file.writing() as db:
            if not self._is_valid(db, entry):
                return False
            if self._max_bytes is not None and len(blob) > self._max_bytes:
                # What was there is not the latest answer any more.
                db.execute(_FORGET, entry.key)
                return False
            usable_until = max(entry.expires, entry.stale_until)
            times = (entry.created, entry.expires, usable_until)
            db.execute(_WRITE, (*entry.key, *times, len(blob), blob))
            if self._writes % _SWEEP_EVERY == 0:
                db.execute(_SWEEP, (self._clock(), _SWEEP_ROWS))
            self._writes += 1
            if self._max_bytes is not None:
                _evict(db, self._max_bytes)
            return True

    async def remove(self, selection: Selection) -> int:
        selection = _distinct(selection)
        removed = 0
        place: int | None = 0
        while place is not None:
            with self._file.writing() as db:
                ids, place = _page(db, selection, place)
                removed += _delete(db, ids)
        return removed

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        if not bump:
            with self._file.connected() as db:
                return {tag: self._epoch(db, tag) for tag in tags}
        with self._file.writing() as db:
            raised = {tag: self._epoch(db, tag) + 1 for tag in tags}
            db.executemany("INSERT OR REPLACE INTO epochs VALUES (?, ?)", raised.items())
            return raised

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        selection = _distinct(selection)
        place: int | None = 0
        while place is not None:
            with self._file.connected() as db:
                ids, place = _page(db, selection, place)
                rows = [db.execute(_BY_ID, (id_,)).fetchone() for id_ in ids]
                whole = [self._unsealed(blob, Key(*key)) for *key, blob in filter(None, rows)]
                entries = [entry for entry in whole if entry and self._is_valid(db, entry)]
            for entry in entries:
                yield entry

    async def tallies(self, add: Mapping[str, int]) -> dict[str, int]:
        with self._file.writing() if add else self._file.connected() as db:
            db.executemany(
                "INSERT INTO tallies VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                add.items(),
            )
            rows = db.execute("SELECT name, value FROM tallies").fetchall()
            return {name: integer(value) for name, value in rows}

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Read the whole file; report what is wrong.

        With `fix` a damaged entry is removed, and a damaged file is moved aside to
        `<name>.damaged-<n>` and begun anew. Another program's file is reported and left alone.
        """
        # On a connection of its own, so that other threads' calls go on meanwhile.
        inspector = SqliteStore(
            self._file.path,
            guard=contextlib.nullcontext(),
            clock=self._clock,
            busy_timeout_ms=self._busy_timeout_ms,
        )
        try:
            return inspector._inspect(fix=fix)
        finally:
            await inspector.close()

    async def pepper(self) -> bytes:
        with self._file.connected() as db:
            return _pepper(db)

    async def close(self) -> None:
        self._file.close()

    # What is read.

    def _unsealed(self, blob: object, key: Key) -> Entry | None:
        try:
            if not isinstance(blob, bytes):
                raise EntryDamaged("the stored value is not bytes")
            return unseal(blob, key)
        except EntryDamaged:
            self.damaged += 1
            return None

    def _is_valid(self, db: sqlite3.Connection, entry: Entry) -> bool:
        """Does every tag still have the epoch that the entry was asked under?

        Needs no snapshot: epochs only grow, so one read after the entry and found equal was
        equal when the entry was read.
        """
        return all(self._epoch(db, tag) == epoch for tag, epoch in entry.tags)

    def _epoch(self, db: sqlite3.Connection, tag: str) -> int:
        row = db.execute("SELECT epoch FROM epochs WHERE tag = ?", (tag,)).fetchone()
        return integer(row[0]) if row else self._file.epoch_floor

    # What is checked.

    def _inspect(self, *, fix: bool) -> list[Damage]:
        where = str(self._file.path)
        try:
            with self._file.connected() as db:
                faults = [fault for (fault,) in db.execute("PRAGMA integrity_check")]
                _pepper(db)
            if faults == ["ok"]:
                return self._inspect_entries(fix=fix)
        except FileForeign as error:
            return [Damage(str(error), where)]
        except FileDamaged as error:
            faults = [str(error)]
        if fix:
            self._file.move_aside()
        return [Damage(fault, where) for fault in faults]

    def _inspect_entries(self, *, fix: bool) -> list[Damage]:
        damages: list[Damage] = []
        place: int | None = 0
        while place is not None:
            with self._file.connected() as db:
                ids, place = _page(db, Selection(), place)
                rows = [(id_, db.execute(_BY_ID, (id_,)).fetchone()) for id_ in ids]
            bad = {id_: fault for id_, row in rows if row and (fault := _fault(row))}
            damages += [Damage(fault, f"entries row {id_}") for id_, fault in bad.items()]
            if fix and bad:
                with self._file.writing() as db:
                    _delete(db, bad)
        return damages


def _page(db: sqlite3.Connection, selection: Selection, place: int) -> tuple[list[int], int | None]:
    """Ids of a stretch of the selection, and where the next stretch begins (None at the end)."""
    only = {"only": selection.namespace, "expired_before": selection.expired_before}
    if selection.keys is not None:
        keys = selection.keys[place : place + _PAGE]
        found = [db.execute(_ID_OF_KEY, {**key._asdict(), **only}).fetchone() for key in keys]
        ids = [id_ for (id_,) in filter(None, found)]
        return ids, place + _PAGE if keys else None
    (upto,) = db.execute(_PAGE_END, (place, _PAGE)).fetchone()
    if upto is None:
        return [], None
    rows = db.execute(_IDS_IN_PAGE, {"after": place, "upto": upto, **only})
    return [id_ for (id_,) in rows], integer(upto)


def _distinct(selection: Selection) -> Selection:
    if selection.keys is None:
        return selection
    return msgspec.structs.replace(selection, keys=tuple(dict.fromkeys(selection.keys)))


def _delete(db: sqlite3.Connection, ids: Iterable[int]) -> int:
    return db.executemany("DELETE FROM entries WHERE id = ?", [(id_,) for id_ in ids]).rowcount


def _evict(db: sqlite3.Connection, max_bytes: int) -> None:
    """Delete the oldest answers until the pages in use fit; free pages are used again."""
    while (excess := _live_bytes(db) - max_bytes) > 0:
        # A little more than must be, so that not every write has to evict.
        excess += max_bytes // 64
        doomed: list[int] = []
        for id_, size in db.execute("SELECT id, size FROM entries ORDER BY created"):
            doomed.append(id_)
            excess -= size
            if excess <= 0:
                break
        if not _delete(db, doomed):
            return


def _live_bytes(db: sqlite3.Connection) -> int:
    pages = pragma(db, "page_count") - pragma(db, "freelist_count")
    return pages * pragma(db, "page_size")


def _fault(row: tuple[object, ...]) -> str | None:
    """What is wrong with a row of `_BY_ID`."""
    *key, blob = row
    if not isinstance(blob, bytes):
        return "the stored value is not bytes"
    try:
        unseal(blob, Key(*key))  # type: ignore[arg-type]  # a damaged row has any type: unequal
    except EntryDamaged as error:
        return str(error)
    return None


def _pepper(db: sqlite3.Connection) -> bytes:
    pepper = meta(db, "pepper")
    if not isinstance(pepper, bytes) or len(pepper) != 32:
        raise FileDamaged("the database has lost its pepper")
    return pepper
