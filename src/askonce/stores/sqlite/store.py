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
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from askonce.core.errors import EntryDamaged
from askonce.core.models import ChangeBatch, Damage, Entry, Key, Lease, Selection
from askonce.stores.base import BaseStore
from askonce.stores.counters import bounds
from askonce.stores.envelope import seal, unseal
from askonce.stores.sqlite import changes, leases
from askonce.stores.sqlite.file import DatabaseFile
from askonce.stores.sqlite.pages import BLOBS, IDS, Sealed, distinct, page, sealed_pages
from askonce.stores.sqlite.schema import FileDamaged, FileForeign, integer, pepper_of, pragma, probe

_LOG_PAGES = 1_000
_BULK_LOG_PAGES = 16_000
"""Pages after which SQLite moves its log into the file, for which it waits for the disk. Entries
in bulk go to pages all over the indexes, most of them more than once in a log of 64 MB."""

_SWEEP_EVERY = 64
_SWEEP_ROWS = 256

# With the number of the latest change, which says whether what is known of epochs still holds.
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


_KNOWN_TAGS = 1_024


class SqliteMirror(NamedTuple):
    """Epochs of some tags, as they were on this connection at the change of this number."""

    db: object
    latest: object
    epochs: dict[str, int]


class SqliteStore(BaseStore):
    """A `Store` in one SQLite file, shared by threads and processes.

    `lock` is held around each use of the one connection; `clock` gives seconds since the Unix
    epoch. Above `max_bytes` of live pages the oldest answers go first, and `write` says False to an
    entry larger than that. `damaged` counts entries that failed their own check when read: they are
    left where they are for `check`.
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
        self.damaged = 0
        self._file = DatabaseFile(path, lock=lock, busy_timeout_ms=busy_timeout_ms)
        self._clock = clock
        self._max_bytes = max_bytes
        self._busy_timeout_ms = busy_timeout_ms
        self._until_sweep = 0
        self._heard: tuple[object, ...] = ()
        self._mirror = SqliteMirror(None, None, {})

    async def read(self, key: Key) -> Entry | None:
        with self._file.connected() as db:
            row = db.execute(_READ, key).fetchone()
            if row is None:
                return None
            entry = self._unsealed(row[0], key)
            if entry is None or (entry.tags and not self._holds(db, entry.tags, row[1])):
                return None
            return entry

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        blob = seal(entry)
        with self._file.writing() as db:
            if not self._is_valid(db, entry) or (fence and leases.is_late(db, entry.key, fence)):
                return False
            if self._is_too_large(blob):
                # What was there is not the latest answer any more.
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
                removed += _delete(db, (id_ for (id_,) in rows))
                if place is None and not quiet:
                    # At the end: whoever hears of it cannot read back what was to go.
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
            # Mostly all is known already, and nobody needs the write lock to see that.
            unknown = {
                tag: epoch for tag, epoch in epochs.items() if changes.epoch_of(db, tag, -1) < epoch
            }
        if unknown:
            with self._file.writing() as db:
                changes.merge_epochs(db, unknown)
                self._file.note(unknown.values())

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        """What happened since; at once, because nobody tells: SQLite is asked again instead."""
        with self._file.connected() as db:
            # The version moves with the commits of all other connections, the total with our own.
            state = (db, pragma(db, "data_version"), db.total_changes)
            if cursor is not None and self._heard == (cursor, state):
                return ChangeBatch(cursor)
            db.execute("BEGIN")  # one snapshot
            news = changes.news_since(db, cursor)
            db.execute("COMMIT")
            self._heard = (news.cursor, state)
            return news

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        with self._file.connected() as db:
            # Those who wait ask often, and need no write lock to hear No.
            if leases.is_held(db, key, self._clock()):
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
                bounds(prefix),
            ).fetchall()
            return {name: integer(value) for name, value in rows}

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Read the whole file; report what is wrong.

        With `fix` a damaged entry is removed, and a damaged file is moved aside to
        `<name>.damaged-<n>` and begun anew. Another program's file is reported and left alone.
        """
        # On a connection of its own, so that other threads' calls go on meanwhile.
        inspector = SqliteStore(
            self._file.path,
            lock=contextlib.nullcontext(),
            clock=self._clock,
            busy_timeout_ms=self._busy_timeout_ms,
        )
        try:
            return inspector._inspect(fix=fix)
        finally:
            await inspector.close()

    async def scrub(self) -> int:
        """Remove invalidated and damaged entries, and write the file anew.

        A removed entry leaves its bytes in the file until they are overwritten by chance, and
        those of an earlier one may be anywhere.
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
                    removed += _delete(db, dead)
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

    # What is read.

    def _unsealed(self, blob: object, key: Key) -> Entry | None:
        try:
            if not isinstance(blob, bytes):
                raise EntryDamaged("the stored value is not bytes")
            return unseal(blob, key)
        except EntryDamaged:
            self.damaged += 1
            return None

    def _valid_of(self, rows: list[Any]) -> Iterator[Entry]:
        """The whole and valid entries of a page of blobs."""
        found = [self._unsealed(blob, Key(*key)) for _, *key, blob in rows]
        whole = [entry for entry in found if entry is not None]
        tags = {tag for entry in whole for tag, _ in entry.tags}
        now: dict[str, int] = {}
        if tags:
            with self._file.connected() as db:
                now = {tag: self._epoch(db, tag) for tag in tags}
        return (entry for entry in whole if all(now[tag] == epoch for tag, epoch in entry.tags))

    def _holds(
        self, db: sqlite3.Connection, tags: tuple[tuple[str, int], ...], latest: object
    ) -> bool:
        """The same for a reader who knows the number of the latest change: most know the epochs."""
        mirror = self._mirror
        if mirror.db is not db or mirror.latest != latest or len(mirror.epochs) > _KNOWN_TAGS:
            self._mirror = mirror = SqliteMirror(db, latest, {})
        epochs = mirror.epochs
        for tag, epoch in tags:
            known = epochs.get(tag)
            if known is None:
                # Read after the number, so it is newer if anything, and never believed for longer.
                known = epochs[tag] = self._epoch(db, tag)
            if known != epoch:
                return False
        return True

    def _is_valid(self, db: sqlite3.Connection, entry: Entry) -> bool:
        """Does every tag still have the epoch that the entry was asked under?

        Needs no snapshot: epochs only grow, so one read after the entry and found equal was
        equal when the entry was read.
        """
        return all(self._epoch(db, tag) == epoch for tag, epoch in entry.tags)

    def _epoch(self, db: sqlite3.Connection, tag: str) -> int:
        return changes.epoch_of(db, tag, self._file.epoch_floor)

    # What is written.

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
        """Now and then delete what is of no more use; always keep within the bound."""
        if self._until_sweep <= 0:
            db.execute(_SWEEP, (self._clock(), _SWEEP_ROWS))
            self._until_sweep = _SWEEP_EVERY
        self._until_sweep -= written
        if self._max_bytes is not None:
            _evict(db, self._max_bytes)

    # What is checked.

    def _inspect(self, *, fix: bool) -> list[Damage]:
        where = str(self._file.path)
        try:
            with self._file.connected() as db:
                faults = [fault for (fault,) in db.execute("PRAGMA integrity_check")]
                probe(db)
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
                rows, place = page(db, Selection(), place, BLOBS)
            bad = {id_: fault for id_, *row in rows if (fault := _fault(row))}
            damages += [Damage(fault, f"entries row {id_}") for id_, fault in bad.items()]
            if fix and bad:
                with self._file.writing() as db:
                    _delete(db, bad)
        return damages


def _row(entry: Entry, blob: bytes) -> tuple[object, ...]:
    usable_until = max(entry.expires, entry.stale_until)
    return (*entry.key, entry.created, entry.expires, usable_until, len(blob), blob)


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


def _fault(row: Sequence[object]) -> str | None:
    """What is wrong with a key and its blob."""
    *key, blob = row
    if not isinstance(blob, bytes):
        return "the stored value is not bytes"
    try:
        unseal(blob, Key(*key))  # type: ignore[arg-type]  # a damaged row has any type: unequal
    except EntryDamaged as error:
        return str(error)
    return None
