"""The leases of a SQLite store: which process may ask a question, and which answers come too late.

A fence is a number of the file's one sequence, so a later lease always has a higher one. A row
stays for a minute after its lease ended, for answers that are still on their way. All functions
run inside the caller's transaction; `now` is seconds since the Unix epoch.
"""

import sqlite3
from collections.abc import Iterable

from askonce.core.models import Key, Lease
from askonce.stores.sqlite.changes import next_number
from askonce.stores.sqlite.schema import integer

_REMEMBERED = 60.0

_IS_HELD = """
    SELECT 1 FROM leases
    WHERE namespace = ? AND format = ? AND digest = ? AND until > ? AND until <= ?"""
_RENEW = """
    UPDATE leases SET until = ?
    WHERE namespace = ? AND format = ? AND digest = ? AND fence = ? AND until > ?"""
_RELEASE = """
    UPDATE leases SET until = min(until, ?)
    WHERE namespace = ? AND format = ? AND digest = ? AND fence = ?"""
_FENCE = "SELECT fence FROM leases WHERE namespace = ? AND format = ? AND digest = ?"


def is_held(db: sqlite3.Connection, key: Key, now: float, seconds: float) -> bool:
    """Does any process hold a lease of this key?

    `seconds` is how long leases last. One that ends much later was taken by a clock that was ahead.
    """
    return db.execute(_IS_HELD, (*key, now, now + 2 * seconds)).fetchone() is not None


def take(db: sqlite3.Connection, key: Key, now: float, seconds: float) -> Lease | None:
    """Return a new lease; None while another process holds one."""
    if is_held(db, key, now, seconds):
        return None
    db.execute("DELETE FROM leases WHERE until < ?", (now - _REMEMBERED,))
    lease = Lease(key, next_number(db))
    row = (*key, lease.fence, now + seconds)
    db.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?)", row)
    return lease


def renew(db: sqlite3.Connection, held: Iterable[Lease], now: float, seconds: float) -> None:
    """Extend the leases that did not end meanwhile."""
    until = now + seconds
    db.executemany(_RENEW, [(until, *lease.key, lease.fence, now) for lease in held])


def release(db: sqlite3.Connection, lease: Lease, now: float) -> None:
    """End a lease; its row stays for its fence."""
    db.execute(_RELEASE, (now, *lease.key, lease.fence))


def is_late(db: sqlite3.Connection, key: Key, fence: int) -> bool:
    """Was a later lease given out for the key?"""
    row = db.execute(_FENCE, key).fetchone()
    return row is not None and integer(row[0]) > fence
