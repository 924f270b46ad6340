"""Pages: the part of the entries that one step of a scan or one bulk transaction takes.

Other calls run between two pages, and only a few large answers are in memory at once.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from askonce.core.models import Entry, Selection
from askonce.stores.envelope import seal
from askonce.stores.sqlite.schema import integer

_ROWS = 256
_BYTES = 4 << 20

_PAGE_END = "SELECT max(id) FROM (SELECT id FROM entries WHERE id > ? ORDER BY id LIMIT ?)"
_WHICH = """
        AND (:only IS NULL OR namespace = :only)
        AND (:expired_before IS NULL OR expires < :expired_before)"""
_IN_PAGE = f"""
    FROM entries
    WHERE id > :after AND id <= :upto {_WHICH}
    ORDER BY id"""
_OF_KEY = f"""
    FROM entries
    WHERE namespace = :namespace AND format = :format AND digest = :digest {_WHICH}"""
IDS = "SELECT id"
BLOBS = "SELECT id, namespace, format, digest, blob"


class Sealed(NamedTuple):
    """An entry and its envelope."""

    entry: Entry
    blob: bytes


def sealed_pages(entries: Iterable[Entry]) -> Iterator[list[Sealed]]:
    """Seal the entries and yield them in pages, to be written one after another."""
    page: list[Sealed] = []
    size = 0
    for entry in entries:
        page.append(Sealed(entry, seal(entry)))
        size += len(page[-1].blob)
        if len(page) >= _ROWS or size >= _BYTES:
            yield page
            page, size = [], 0
    if page:
        yield page


def page(
    db: sqlite3.Connection, selection: Selection, place: int, columns: str
) -> tuple[list[Any], int | None]:
    """Return the next rows of the selection, and the place after them (None at the end)."""
    only = {"only": selection.namespace, "expired_before": selection.expired_before}
    rows: list[Any] = []
    size = 0
    if selection.keys is not None:
        for key in selection.keys[place : place + _ROWS]:
            place += 1
            row = db.execute(columns + _OF_KEY, {**key._asdict(), **only}).fetchone()
            if row is not None:
                rows.append(row)
                size += _blob_bytes(row)
            if size > _BYTES:
                break
        return rows, place if place < len(selection.keys) else None
    (upto,) = db.execute(_PAGE_END, (place, _ROWS)).fetchone()
    if upto is None:
        return [], None
    with contextlib.closing(
        db.execute(columns + _IN_PAGE, {"after": place, "upto": upto, **only})
    ) as found:
        for row in found:
            rows.append(row)
            size += _blob_bytes(row)
            if size > _BYTES:
                return rows, integer(row[0])
    return rows, integer(upto)


def _blob_bytes(row: Sequence[object]) -> int:
    """Return the bytes of a row's blob, by far its largest part."""
    return len(row[-1]) if isinstance(row[-1], bytes | str) else 0


def delete_rows(db: sqlite3.Connection, ids: Iterable[int]) -> int:
    """Delete entries by their row ids; return how many there were."""
    return db.executemany("DELETE FROM entries WHERE id = ?", [(id_,) for id_ in ids]).rowcount


def distinct(selection: Selection) -> Selection:
    """Return the selection with each of its keys once."""
    if selection.keys is None:
        return selection
    return msgspec.structs.replace(selection, keys=tuple(dict.fromkeys(selection.keys)))
