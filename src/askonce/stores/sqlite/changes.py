"""The change feed of a SQLite store: bumps and removals, in the order of the file's one sequence.

The number of a bump is the epoch of its tags from then on. A cursor is the file's own name, the
last line seen and a digest of that line, so a file that replaced another knows none of its
cursors, and neither does an older copy that was restored. All functions run inside the caller's
transaction.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping

import msgspec

from askonce.core.models import ChangeBatch, Selection
from askonce.stores.sqlite.schema import FileDamaged, integer, meta, microseconds

KEPT = 10_000
"""Lines that the log holds at least."""

_TRIM_EVERY = 1_000
_NO_LINE = (0, None)
_LARGEST_BYTES = 64 << 10


class SqliteChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the log: the tags that got a new epoch, or a removed selection.

    `epoch` is the change's number in either case, so that no two lines are equal.
    """

    tags: tuple[str, ...] = ()
    epoch: int = 0
    removed: Selection | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SqliteChange)


def next_number(db: sqlite3.Connection, *, above: int = 0) -> int:
    """Return the next number of the sequence, above `above`, in microseconds of the clock.

    Following the clock keeps a restored copy of the file from giving out numbers again that the
    lost file gave out.
    """
    number = max(integer(meta(db, "sequence")), above, microseconds(db)) + 1
    _set(db, "sequence", number)
    return number


def epoch_of(db: sqlite3.Connection, tag: str, floor: int) -> int:
    """Return the epoch of a tag; `floor` for one that was never bumped."""
    row = db.execute("SELECT epoch FROM epochs WHERE tag = ?", (tag,)).fetchone()
    return integer(row[0]) if row else floor


def bump(db: sqlite3.Connection, tags: Iterable[str], floor: int) -> dict[str, int]:
    """Give the tags the next number as their epoch, and log it."""
    wanted = tuple(dict.fromkeys(tags))
    if not wanted:
        return {}
    # A program of format 1 that has the file open still counts each tag separately.
    number = next_number(db, above=max(epoch_of(db, tag, floor) for tag in wanted))
    raised = dict.fromkeys(wanted, number)
    db.executemany("INSERT OR REPLACE INTO epochs VALUES (?, ?)", raised.items())
    _append(db, SqliteChange(tags=wanted, epoch=number))
    return raised


def merge_epochs(db: sqlite3.Connection, epochs: Mapping[str, int]) -> None:
    """Merge the epochs of a more shared store; later bumps here lie above them.

    A tag without a row takes its epoch even below this file's own floor, which says nothing about
    another store's tags. A row is never lowered.
    """
    db.executemany(
        "INSERT INTO epochs VALUES (?, ?)"
        " ON CONFLICT (tag) DO UPDATE SET epoch = max(epoch, excluded.epoch)",
        epochs.items(),
    )
    # An empty line, so that readers who cache epochs see that something changed.
    _append(db, SqliteChange(epoch=next_number(db, above=max(epochs.values()))))


def log_removal(db: sqlite3.Connection, selection: Selection) -> None:
    """Log that a selection was removed."""
    _append(db, SqliteChange(removed=selection, epoch=next_number(db)))


def changes_since(db: sqlite3.Connection, cursor: str | None) -> ChangeBatch:
    """Return all changes after the cursor; without one, only the present cursor."""
    newest = db.execute("SELECT id, what FROM changes ORDER BY id DESC LIMIT 1").fetchone()
    present = _cursor_at(db, *(newest or _NO_LINE))
    if cursor is None:
        return ChangeBatch(present)
    after = _line_of(db, cursor)
    if after is None:
        return ChangeBatch(present, lost=True)
    epochs: dict[str, int] = {}
    removed: list[Selection] = []
    for (what,) in db.execute("SELECT what FROM changes WHERE id > ? ORDER BY id", (after,)):
        if what is None:
            return ChangeBatch(present, lost=True)
        change = _read(what)
        epochs |= dict.fromkeys(change.tags, change.epoch)
        if change.removed is not None:
            removed.append(change.removed)
    return ChangeBatch(present, epochs, tuple(removed))


def _cursor_at(db: sqlite3.Connection, line: int, what: object) -> str:
    text = what if isinstance(what, bytes) else b""
    return f"{meta(db, 'born')}:{line}:{hashlib.blake2b(text, digest_size=8).hexdigest()}"


def _line_of(db: sqlite3.Connection, cursor: str) -> int | None:
    """Return the line of a cursor; None if it is gone, or if a line after it is missing."""
    file, _, place = cursor.partition(":")
    digits = place.partition(":")[0]
    if file != meta(db, "born") or not (digits.isascii() and digits.isdigit()):
        return None
    found = db.execute("SELECT id, what FROM changes WHERE id = ?", (int(digits),)).fetchone()
    if found is None:
        (first,) = db.execute("SELECT min(id) FROM changes").fetchone()
        found = _NO_LINE if first in (None, 1) else None
    return found[0] if found is not None and cursor == _cursor_at(db, *found) else None


def _append(db: sqlite3.Connection, change: SqliteChange) -> None:
    what: bytes | None = _encoder.encode(change)
    if what is not None and len(what) > _LARGEST_BYTES:
        what = None
    line = db.execute("INSERT INTO changes (what) VALUES (?)", (what,)).lastrowid or 0
    if line % _TRIM_EVERY == 0:
        db.execute("DELETE FROM changes WHERE id <= ?", (line - KEPT,))


def _read(what: object) -> SqliteChange:
    try:
        return _decoder.decode(what)  # type: ignore[arg-type]  # a damaged row has any type
    except (msgspec.MsgspecError, TypeError, ValueError):
        # From None: the decoder's message may quote what it read.
        raise FileDamaged("the log of changes cannot be read") from None


def _set(db: sqlite3.Connection, name: str, value: int) -> None:
    db.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))
