"""The file of a SQLite store as AskOnce 0.1 made it, with its own statements."""

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from askonce.core.models import Entry
from askonce.stores.envelope import seal

PEPPER = b"the pepper of a file of format 1"
SCHEMA = """
    CREATE TABLE entries (
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
    );
    CREATE INDEX entries_by_age ON entries (created);
    CREATE INDEX entries_by_end ON entries (usable_until);
    CREATE TABLE epochs (tag TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE tallies (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
    PRAGMA application_id = 0x41736B4F;
    PRAGMA user_version = 1;
    PRAGMA journal_mode = WAL;
"""


def make_format_1(path: Path, entries: Iterable[Entry], epochs: Mapping[str, int]) -> None:
    """Make the file; the epochs of its tags began at 0, and it has counted 3 hits."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.executescript(SCHEMA)
        facts = {"pepper": PEPPER, "epoch_floor": 0}
        db.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
        db.executemany("INSERT INTO epochs VALUES (?, ?)", epochs.items())
        db.execute("INSERT INTO tallies VALUES ('hits', 3)")
        for entry in entries:
            blob = seal(entry)
            times = (entry.created, entry.expires, max(entry.expires, entry.stale_until))
            row = (None, *entry.key, *times, len(blob), blob)
            db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
