"""The SQLite store keeps entries in one file that any number of processes may share.

Write-ahead logging lets readers and one writer work at once; every change is one transaction, so
`kill -9` leaves either all of it or nothing. Entries are envelopes (`stores/envelope.py`) and
verify themselves, because SQLite does not checksum its pages.

A call waits only briefly for a busy database: answering from upstream beats waiting for a cache.
A failed call leaves no state behind; the next one tries again, on a new connection if the old one
is broken.
"""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from askonce.core.bounded import BoundedMap
from askonce.core.models import CLOCK_SKEW_S, ChangeBatch, Damage, Entry, Key, Lease, Selection
from askonce.stores.base import BaseStore
from askonce.stores.counters import name_ranges
from askonce.stores.envelope import seal
from askonce.stores.sqlite import changes, leases
from askonce.stores.sqlite.file import DatabaseFile
from askonce.stores.sqlite.inspection import inspect
from askonce.stores.sqlite.pages import (
    BLOBS,
    IDS,
    Sealed,
    delete_rows,
    distinct,
    page,
    sealed_pages,
)
from askonce.stores.sqlite.schema import integer, pepper_of, pragma

_LOG_PAGES = 1_000
_BULK_LOG_PAGES = 16_000
"""Pages after which SQLite moves its log into the file and waits for the disk. Bulk writes touch
pages all over the indexes, most of them more than once in a log of 64 MB."""

_SWEEP_EVERY = 64
_SWEEP_ROWS = 256

# The number of the latest change shows whether the cached epochs still hold.
_READ = """
    SELECT blob, (SELECT max(id) FROM changes) FROM entries
    WHERE namespace = ? AND format = ? AND digest = ?"""
# An upsert and not REPLACE: a row keeps its id, so a scan sees every entry once.
_WRITE = """
    INSERT INTO entries (namespace, format, digest, created, expires, usable_until, size, blob)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (namespace, format, digest) DO UPDATE SET
        created = excluded.created, expires = excluded.expires,
        usable_until = excluded.usable_until, size = excluded.size, blob = excluded.blob"""
_FORGET = "DELETE FROM entries WHERE namespace = ? AND format = ? AND digest = ?"
_ADOPT = """
    UPDATE meta SET value = ? WHERE name = 'pepper' AND NOT EXISTS (SELECT 1 FROM entries)"""
_SWEEP = """
    DELETE FROM entries WHERE id IN (
        SELECT id FROM entries WHERE usable_until <= ? ORDER BY usable_until LIMIT ?)"""
_SWEEP_AHEAD = """DELETE FROM entries WHERE id IN
    (SELECT id FROM entries WHERE created > ? AND created < expires LIMIT ?)"""


_CACHED_TAGS = 1_024


class SqliteEpochCache(NamedTuple):
    """Epochs of some tags, as this connection saw them at the latest change of this number."""

    db: object
    latest: object
    epochs: BoundedMap[str, int]


class SqliteStore(BaseStore):
    """A `Store` in one SQLite file, shared by threads and processes.

    Parameters:
        path: the file; it is created at the first call.
        lock: held around each use of the one connection.
        clock: seconds since the Unix epoch.
        max_bytes: the bound of live pages. Above it the oldest answers go first, and `write`
            refuses an entry larger than that. Default: no bound.
        busy_timeout_ms: how long one statement waits for other writers, in milliseconds.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        lock: AbstractContextManager[object],
        clock: Callable[[], float],
        max_bytes: int | None = None,
        busy_timeout_ms: int = 50,
    ) -> None:
        self._file = DatabaseFile(path, lock=lock, busy_timeout_ms=busy_timeout_ms)
        self._clock = clock
        self._max_bytes = max_bytes
        self._busy_timeout_ms = busy_timeout_ms
        self._until_sweep = 0
        self._last_poll: tuple[object, ...] = ()
        self._epoch_cache = _new_cache(None, None)

    async def read(self, key: Key) -> Entry | None:
        with self._file.connected() as db:
            row = db.execute(_READ, key).fetchone()
            if row is None:
                return None
            entry = self.open_envelope(row[0], key)
            if entry is None or (entry.tags and not self._are_current(db, entry.tags, row[1])):
                return None
            return entry

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        blob = seal(entry)
        with self._file.writing() as db:
            if not self._is_valid(db, entry) or (fence and leases.is_late(db, entry.key, fence)):
                return False
            if self._is_too_large(blob):
                # The earlier entry is no longer the latest answer.
                db.execute(_FORGET, entry.key)
                return False
            db.execute(_WRITE, _row(entry, blob))
            self._tidy(db, 1)
            return True

    async def write_all(self, entries: Sequence[Entry]) -> int:
        self._let_log_grow(_BULK_LOG_PAGES)
        try:
            return sum(map(self._write_page, sealed_pages(entries)))
        finally:
            self._let_log_grow(_LOG_PAGES)

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        selection = distinct(selection)
        removed = 0
        place: int | None = None if selection.keys == () else 0
        while place is not None:
            with self._file.writing() as db:
                rows, place = page(db, selection, place, IDS)
                removed += delete_rows(db, (id_ for (id_,) in rows))
                if place is None and not quiet:
                    # Logged last: a reader of the log must not find these entries here again.
                    changes.log_removal(db, selection)
        return removed

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        if not bump:
            with self._file.connected() as db:
                return {tag: self._epoch(db, tag) for tag in tags}
        with self._file.writing() as db:
            raised = changes.bump(db, tags, self._file.epoch_floor)
            self._file.note(raised.values())
            return raised

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        with self._file.connected() as db:
            # Most calls bring nothing new, and seeing that needs no write lock.
            unknown = {
                tag: epoch for tag, epoch in epochs.items() if changes.epoch_of(db, tag, -1) < epoch
            }
        if unknown:
            with self._file.writing() as db:
                changes.merge_epochs(db, unknown)
                self._file.note(unknown.values())

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        """Return the changes since the cursor, without waiting: SQLite announces nothing."""
        with self._file.connected() as db:
            # `data_version` changes with commits of other connections, the total with our own.
            state = (db, pragma(db, "data_version"), db.total_changes)
            if cursor is not None and self._last_poll == (cursor, state):
                return ChangeBatch(cursor)
            db.execute("BEGIN")  # one snapshot
            batch = changes.changes_since(db, cursor)
            db.execute("COMMIT")
            self._last_poll = (batch.cursor, state)
            return batch

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        with self._file.connected() as db:
            # Callers who wait ask often; a refusal needs no write lock.
            if leases.is_held(db, key, self._clock(), seconds):
                return None
        with self._file.writing() as db:
            return leases.take(db, key, self._clock(), seconds)

    async def renew(self, leases_: Iterable[Lease], seconds: float) -> None:
        with self._file.writing() as db:
            leases.renew(db, leases_, self._clock(), seconds)

    async def release(self, lease: Lease) -> None:
        with self._file.writing() as db:
            leases.release(db, lease, self._clock())

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        selection = distinct(selection)
        place: int | None = None if selection.keys == () else 0
        while place is not None:
            with self._file.connected() as db:
                rows, place = page(db, selection, place, BLOBS)
            for entry in self._valid_of(rows):
                yield entry

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        lowered = [(name,) for name, count in add.items() if count < 0]
        with self._file.writing() if add else self._file.connected() as db:
            db.executemany(
                "INSERT INTO tallies VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                add.items(),
            )
            db.executemany("DELETE FROM tallies WHERE name = ? AND value = 0", lowered)
            rows = db.execute(
                "SELECT name, value FROM tallies"
                " WHERE name >= ? AND name < ? OR name >= ? AND name < ?",
                name_ranges(prefix),
            ).fetchall()
            return {name: integer(value) for name, value in rows}

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Read the whole file; report every damage.

        With `fix`, remove damaged entries, or move a damaged file aside to `<name>.damaged-<n>`
        and start a new one. Another program's file is reported and left alone.
        """
        # A separate connection, so that other threads' calls continue meanwhile.
        file = DatabaseFile(
            self._file.path,
            lock=contextlib.nullcontext(),
            busy_timeout_ms=self._busy_timeout_ms,
        )
        try:
            return inspect(file, fix=fix)
        finally:
            file.close()

    async def scrub(self) -> int:
        """Remove invalidated and damaged entries, and rewrite the file.

        Without the rewrite, bytes of removed entries stay in the file until other data happens to
        overwrite them.
        """
        removed = 0
        place: int | None = 0
        while place is not None:
            with self._file.connected() as db:
                rows, place = page(db, Selection(), place, BLOBS)
            valid = {entry.key for entry in self._valid_of(rows)}
            dead = [id_ for id_, *key, _ in rows if Key(*key) not in valid]
            if dead:
                with self._file.writing() as db:
                    removed += delete_rows(db, dead)
        self._file.rewrite()
        return removed

    async def pepper(self) -> bytes:
        with self._file.connected() as db:
            return pepper_of(db)

    async def adopt(self, pepper: bytes) -> bool:
        with self._file.writing() as db:
            if len(pepper) == 32:
                db.execute(_ADOPT, (pepper,))
            return pepper_of(db) == pepper

    async def migrate(self) -> list[str]:
        self._file.done.clear()
        with self._file.connected():
            return list(self._file.done)

    async def close(self) -> None:
        self._file.close()

    # Reading

    def _valid_of(self, rows: list[Any]) -> Iterator[Entry]:
        """Return the undamaged and valid entries of a page of blobs."""
        found = [self.open_envelope(blob, Key(*key)) for _, *key, blob in rows]
        whole = [entry for entry in found if entry is not None]
        tags = {tag for entry in whole for tag, _ in entry.tags}
        now: dict[str, int] = {}
        if tags:
            with self._file.connected() as db:
                now = {tag: self._epoch(db, tag) for tag in tags}
        return (entry for entry in whole if all(now[tag] == epoch for tag, epoch in entry.tags))

    def _are_current(
        self, db: sqlite3.Connection, tags: tuple[tuple[str, int], ...], latest: object
    ) -> bool:
        """Like `_is_valid`, for a reader that knows the number of the latest change.

        While that number stays, cached epochs hold.
        """
        cache = self._epoch_cache
        if cache.db is not db or cache.latest != latest:
            self._epoch_cache = cache = _new_cache(db, latest)
        epochs = cache.epochs
        for tag, epoch in tags:
            known = epochs.get(tag)
            if known is None:
                # Read after the number, so it can only be newer; a new number discards it.
                known = epochs[tag] = self._epoch(db, tag)
            if known != epoch:
                return False
        return True

    def _is_valid(self, db: sqlite3.Connection, entry: Entry) -> bool:
        """Does every tag still have the epoch under which the entry was asked for?

        Needs no snapshot: epochs only grow, so one read after the entry and found equal was
        equal when the entry was read.
        """
        return all(self._epoch(db, tag) == epoch for tag, epoch in entry.tags)

    def _epoch(self, db: sqlite3.Connection, tag: str) -> int:
        return changes.epoch_of(db, tag, self._file.epoch_floor)

    # Writing

    def _write_page(self, sealed: list[Sealed]) -> int:
        tags = {tag for one in sealed for tag, _ in one.entry.tags}
        with self._file.writing() as db:
            now = {tag: self._epoch(db, tag) for tag in tags}
            valid = [one for one in sealed if all(now[tag] == at for tag, at in one.entry.tags)]
            rows = [_row(*one) for one in valid if not self._is_too_large(one.blob)]
            if len(rows) < len(valid):
                gone = [one.entry.key for one in valid if self._is_too_large(one.blob)]
                db.executemany(_FORGET, gone)
            db.executemany(_WRITE, rows)
            self._tidy(db, len(rows))
            return len(rows)

    def _let_log_grow(self, pages: int) -> None:
        with self._file.connected() as db:
            db.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def _is_too_large(self, blob: bytes) -> bool:
        return self._max_bytes is not None and len(blob) > self._max_bytes

    def _tidy(self, db: sqlite3.Connection, written: int) -> None:
        """Delete unusable entries now and then, and evict entries above the bound."""
        if self._until_sweep <= 0:
            now = self._clock()
            db.execute(_SWEEP, (now, _SWEEP_ROWS))
            db.execute(_SWEEP_AHEAD, (now + CLOCK_SKEW_S, _SWEEP_ROWS))
            self._until_sweep = _SWEEP_EVERY
        self._until_sweep -= written
        if self._max_bytes is not None:
            _evict(db, self._max_bytes)


def _new_cache(db: object, latest: object) -> SqliteEpochCache:
    return SqliteEpochCache(db, latest, BoundedMap(_CACHED_TAGS))


def _row(entry: Entry, blob: bytes) -> tuple[object, ...]:
    usable_until = max(entry.expires, entry.stale_until)
    return (*entry.key, entry.created, entry.expires, usable_until, len(blob), blob)


def _evict(db: sqlite3.Connection, max_bytes: int) -> None:
    """Delete the oldest answers until the pages in use fit; SQLite reuses free pages."""
    while (excess := _live_bytes(db) - max_bytes) > 0:
        # A little more than necessary, so that not every write has to evict.
        excess += max_bytes // 64
        doomed: list[int] = []
        for id_, size in db.execute("SELECT id, size FROM entries ORDER BY created"):
            doomed.append(id_)
            excess -= size
            if excess <= 0:
                break
        if not delete_rows(db, doomed):
            return


def _live_bytes(db: sqlite3.Connection) -> int:
    pages = pragma(db, "page_count") - pragma(db, "freelist_count")
    return pages * pragma(db, "page_size")
