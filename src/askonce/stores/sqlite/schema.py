"""The tables of a SQLite store: how they are created, and how an older file is upgraded.

Format 1 counted the epochs of each tag separately. Format 2 has one sequence for the whole file,
which numbers bumps and leases alike, and a log of bumps and removals. A file of format 1 is
upgraded in place and keeps its entries. Programs of the earlier release must be stopped first:
one that has the file open goes on, but its bumps are not in the log.
"""

import secrets
import sqlite3

from askonce.core.errors import StoreError

APPLICATION_ID = 0x41736B4F  # "AskO", in the file's header, where `file` and others look
FORMAT = 2

_FIRST_FORMAT = (
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY,
        namespace TEXT NOT NULL,
        format TEXT NOT NULL,
        digest BLOB NOT NULL,
        created REAL NOT NULL,
        expires REAL NOT NULL,
        usable_until REAL NOT NULL,
        size INTEGER NOT NULL,
        blob BLOB NOT NULL,
        UNIQUE (namespace, format, digest)
    )""",
    "CREATE INDEX entries_by_age ON entries (created)",
    "CREATE INDEX entries_by_end ON entries (usable_until)",
    "CREATE TABLE epochs (tag TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE tallies (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
)
_SECOND_FORMAT = (
    # `what` is null if a change was too large to be logged.
    "CREATE TABLE changes (id INTEGER PRIMARY KEY, what BLOB)",
    """CREATE TABLE leases (
        namespace TEXT NOT NULL,
        format TEXT NOT NULL,
        digest BLOB NOT NULL,
        fence INTEGER NOT NULL,
        until REAL NOT NULL,
        PRIMARY KEY (namespace, format, digest)
    ) WITHOUT ROWID""",
    "CREATE INDEX leases_by_end ON leases (until)",
    f"PRAGMA user_version = {FORMAT}",
)
_PROBES = (
    "SELECT id, namespace, format, digest, created, expires, usable_until, size, blob FROM entries",
    "SELECT tag, epoch FROM epochs",
    "SELECT name, value FROM tallies",
    "SELECT id, what FROM changes",
    "SELECT namespace, format, digest, fence, until FROM leases",
)
_HIGHEST_BELIEVED = 1 << 62
"""An epoch above it was read from a damaged file; SQLite's integers end soon after."""

_MICROSECONDS = "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


class FileDamaged(StoreError):
    """The file is not a database, or its structure is broken."""


class FileForeign(StoreError):
    """The file belongs to another program, or to a newer AskOnce."""


def create(db: sqlite3.Connection, *, above: int) -> None:
    """Fill an empty file, inside the caller's transaction.

    A tag that was never bumped has the epoch `epoch_floor`. There may have been an earlier file,
    and other processes may still hold its epochs. So the floor is the time, and more than
    `above`: higher than any epoch of a predecessor.
    """
    for statement in (*_FIRST_FORMAT, *_SECOND_FORMAT):
        db.execute(statement)
    floor = max(microseconds(db), min(above, _HIGHEST_BELIEVED) + 1)
    facts = {"pepper": secrets.token_bytes(32), "epoch_floor": floor} | _second_facts(floor)
    db.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())


def microseconds(db: sqlite3.Connection) -> int:
    """Return the microseconds since the Unix epoch, by SQLite's clock."""
    return integer(db.execute(_MICROSECONDS).fetchone()[0])


def upgrade(db: sqlite3.Connection, version: int) -> None:
    """Raise the format of an earlier release's file, inside the caller's transaction."""
    if version != 1:
        raise FileDamaged(f"the database has format {version}, which never existed")
    for statement in _SECOND_FORMAT:
        db.execute(statement)
    (highest,) = db.execute("SELECT max(epoch) FROM epochs").fetchone()
    last = max(integer(meta(db, "epoch_floor")), integer(highest or 0))
    db.executemany("INSERT INTO meta VALUES (?, ?)", _second_facts(last).items())


def _second_facts(last: int) -> dict[str, object]:
    """Return the facts that format 2 added: a name of the file, and its last number."""
    return {"born": secrets.token_hex(8), "sequence": last}


def probe(db: sqlite3.Connection) -> None:
    """Raise `FileDamaged` or `sqlite3.Error` if a table or a fact is missing."""
    for statement in _PROBES:
        db.execute(f"{statement} LIMIT 1").fetchone()
    pepper_of(db)
    for name in ("epoch_floor", "sequence"):
        integer(meta(db, name))
    if not isinstance(meta(db, "born"), str):
        raise FileDamaged("the database has lost its name")


def pepper_of(db: sqlite3.Connection) -> bytes:
    """Return the pepper. Raises `FileDamaged` if it is missing."""
    found = meta(db, "pepper")
    if not isinstance(found, bytes) or len(found) != 32:
        raise FileDamaged("the database has lost its pepper")
    return found


def meta(db: sqlite3.Connection, name: str) -> object:
    """Return the fact of this name; None if it is missing."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return row[0] if row else None


def integer(value: object) -> int:
    """Return the value if it is an integer. Raises `FileDamaged` otherwise."""
    if not isinstance(value, int):
        raise FileDamaged("the database holds another type in place of a number")
    return value


def header(db: sqlite3.Connection) -> tuple[int, int]:
    """Return the application id and the format in the file's header."""
    return pragma(db, "application_id"), pragma(db, "user_version")


def pragma(db: sqlite3.Connection, name: str) -> int:
    """Return the integer value of a pragma."""
    return integer(db.execute(f"PRAGMA {name}").fetchone()[0])
