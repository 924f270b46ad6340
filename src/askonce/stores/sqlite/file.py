"""The database file of a SQLite store: opened at first use, shared, and checked.

Threads share one connection under a lock; processes share the file; no process inherits a
connection through a fork. Every error of SQLite and of the operating system becomes `StoreError`
here.
"""

import contextlib
import functools
import os
import sqlite3
import weakref
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from askonce.core.errors import StoreError
from askonce.core.runtime.private_files import make_private
from askonce.stores.sqlite.schema import (
    APPLICATION_ID,
    FORMAT,
    FileDamaged,
    FileForeign,
    create,
    header,
    integer,
    meta,
    upgrade,
)

_CREATING_MS = 2_000
"""How long to wait for another process that is creating the file at this moment."""

# SQLite's codes for a file that makes no sense. A missing table is SQLITE_ERROR.
_DAMAGE = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_ERROR,
}
# After these the connection is still good.
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL}


class DatabaseFile:
    """One file and the connection to it, opened at first use and reopened when it breaks.

    `epoch_floor` is the epoch of a tag that the file does not know, `highest_epoch` the highest
    epoch that this process has seen, in this file or in an earlier one at this path. `done` lists
    the changes that opening the file made, one line each.
    """

    def __init__(
        self, path: str | Path, *, lock: AbstractContextManager[object], busy_timeout_ms: int
    ) -> None:
        self.path = path
        self.epoch_floor = 0
        self.highest_epoch = 0
        self.done: list[str] = []
        self._lock = lock
        self._busy_timeout_ms = busy_timeout_ms
        self._db: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._closed = False

    def note(self, epochs: Iterable[int]) -> None:
        """Remember the epochs that were given out, in case the file is lost."""
        self.highest_epoch = max(self.highest_epoch, *epochs, 0)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._disconnect()

    @contextlib.contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """Lend the open database; the one place where foreign errors become `StoreError`."""
        with self._lock:
            try:
                db = self._open()
                try:
                    yield db
                finally:
                    if db.in_transaction:
                        db.rollback()
            except sqlite3.Error as error:
                # Python's own errors about the connection carry no code.
                code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
                name = getattr(error, "sqlite_errorname", type(error).__name__)
                if code not in _PASSING:
                    self._disconnect()
                kind = FileDamaged if code in _DAMAGE else StoreError
                raise kind(f"the database failed: {name}") from error
            except OSError as error:
                self._disconnect()
                raise StoreError(f"the database file failed: {error.strerror}") from error
            except UnicodeDecodeError as error:
                # SQLite quotes a broken schema in its error, and Python cannot read the quote.
                self._disconnect()
                raise FileDamaged("the database failed: its schema is not text") from error
            except (ValueError, OverflowError) as error:
                # Text or a number that SQLite cannot hold. From None: the message quotes it.
                raise StoreError(f"the database refused a value: {type(error).__name__}") from None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run one transaction that holds the write lock from its start, so its reads stay true."""
        with self.connected() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")

    def rewrite(self) -> None:
        """Rewrite the file without a byte of removed entries, and empty its log.

        Needs as much free space again as the file has. Readers continue meanwhile, writers wait.
        """
        with self.connected() as db:
            db.execute("PRAGMA secure_delete = ON")
            db.execute("VACUUM")
            busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreError("another process is reading the database's log; try again")

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError("the store is closed")
        if self._db is not None:
            if self._identity == _identity(self.path):
                return self._db
            # The file was moved or deleted: this connection would use a file that no other
            # process sees, and miss every invalidation.
            self._disconnect()
        # Private files: they hold answers and the pepper. New log files get the database's mode.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for ending in ("", "-wal", "-shm"):
            make_private(f"{self.path}{ending}")
        identity = _identity(self.path)
        db = self._connect()
        try:
            self._prepare(db)
            self.epoch_floor = integer(meta(db, "epoch_floor"))
            self.highest_epoch = max(self.highest_epoch, integer(meta(db, "sequence")))
            if identity != _identity(self.path):
                raise StoreError("the database file was replaced while it was opened")
        except BaseException:
            db.close()
            raise
        self._db, self._identity = db, identity
        files = _connected_files()
        files.add(weakref.ref(self, files.discard))
        return db

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            # Absolute: a name such as ":memory:" must not mean something else to SQLite.
            Path(self.path).absolute(),
            timeout=self._busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
        )
        # A damaged row must not stop a scan with a decoding error: its envelope shows it.
        db.text_factory = functools.partial(str, encoding="utf-8", errors="surrogateescape")
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Check that the file is ours; create or upgrade its tables; use the write-ahead log."""
        db.execute("BEGIN")  # one snapshot: another process may be filling the file
        is_marked = header(db) != (0, 0)
        is_filled = db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,)
        db.execute("COMMIT")
        if not is_marked and not is_filled:
            self._create(db)
        application, version = header(db)
        if application != APPLICATION_ID:
            raise FileForeign("the file is the database of another program")
        if version > FORMAT:
            raise FileForeign(
                f"the database has format {version}; this AskOnce reads up to {FORMAT}: upgrade it"
            )
        if version < FORMAT:
            self._upgrade(db)
        _use_write_ahead_log(db)
        # Without a sync at every commit a power cut may lose the last writes, never half of one.
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA cell_size_check = ON")

    def _create(self, db: sqlite3.Connection) -> None:
        """Fill an empty file; of several processes that try, one does and the others wait."""
        db.execute(f"PRAGMA busy_timeout = {_CREATING_MS}")
        _use_write_ahead_log(db)
        db.execute("BEGIN IMMEDIATE")
        if header(db) == (0, 0):
            create(db, above=self.highest_epoch)
            self.done.append(f"made the file, format {FORMAT}")
        db.execute("COMMIT")
        db.execute(f"PRAGMA busy_timeout = {self._busy_timeout_ms}")

    def _upgrade(self, db: sqlite3.Connection) -> None:
        """Raise an earlier format; of several processes that try, one does and the others wait."""
        db.execute(f"PRAGMA busy_timeout = {_CREATING_MS}")
        db.execute("BEGIN IMMEDIATE")
        _, version = header(db)
        if version < FORMAT:
            upgrade(db, version)
            self.done.append(f"raised the file's format from {version} to {FORMAT}")
        db.execute("COMMIT")
        db.execute(f"PRAGMA busy_timeout = {self._busy_timeout_ms}")

    def _disconnect(self) -> None:
        """Close the connection; the last one to a file also moves its log into it."""
        db, self._db = self._db, None
        if db is not None:
            # A file too damaged to be checkpointed stays as it is.
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def move_aside(self) -> None:
        """Rename the file to the first free `<name>.damaged-<n>` and begin a new one."""
        self._disconnect()
        path = Path(self.path)
        number = 1
        while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
            number += 1
        try:
            # The log first: SQLite would replay it into the new file.
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{path}{suffix}", f"{aside}{suffix}")
        except OSError as error:
            raise StoreError(f"the damaged file cannot be moved: {error.strerror}") from error
        with self.connected():
            pass


def _use_write_ahead_log(db: sqlite3.Connection) -> None:
    try:
        db.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        # Another process is switching just now. Either mode works, and the file keeps it.
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Return the device and inode of the file at this path; None if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


@functools.cache
def _connected_files() -> set[weakref.ref[DatabaseFile]]:
    """Return the files that close their connection while the process forks.

    SQLite's locks survive a fork neither in the connection nor in the library's own tables, so
    no child may inherit one. The locks are held during the fork, and are free in the child.
    """
    files: set[weakref.ref[DatabaseFile]] = set()
    forks: list[list[DatabaseFile]] = []

    def before() -> None:
        ours = [file for ref in list(files) if (file := ref()) is not None]
        for file in ours:
            file._lock.__enter__()
            file._disconnect()
        forks.append(ours)

    def after() -> None:
        for file in forks.pop():
            file._lock.__exit__(None, None, None)

    os.register_at_fork(before=before, after_in_parent=after, after_in_child=after)
    return files
