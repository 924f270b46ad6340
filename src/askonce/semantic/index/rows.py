"""The rows of a scope: which entry has which row among the vectors, and when it expires.

Rows are columns of bytes and numbers, not objects, so a row takes about sixty bytes. Free rows are
used again first. The rows are linked in the order in which they were added.
"""

from array import array
from collections.abc import Iterator, Mapping
from typing import Any, Final

from askonce.core.models import Key

_DIGEST: Final = 32
_NONE: Final = -1
_GONE: Final = -2
_DEAD: Final = float("-inf")


class Rows:
    """The rows of one scope. `expires` is minus infinity for a row that is free."""

    def __init__(self) -> None:
        self.expires = array("d")
        self._digests = bytearray()
        self._kinds = array("i")
        self._older = array("i")
        self._newer = array("i")
        self._free = array("i")
        self._oldest = self._newest = _NONE
        self._names: list[tuple[str, str]] = []
        self._kind_of: dict[tuple[str, str], int] = {}
        self._tables = _HashTables(1)
        self.count = 0

    def __len__(self) -> int:
        """Count the rows, free ones included."""
        return len(self.expires)

    def __iter__(self) -> Iterator[Key]:
        """Iterate over the keys, in no order."""
        return (self.key(row) for row in range(len(self)) if not self.is_free(row))

    def between(self, start: int, stop: int) -> list[Key]:
        """Return the keys of the rows from `start` to before `stop`."""
        rows = range(start, min(stop, len(self)))
        return [self.key(row) for row in rows if not self.is_free(row)]

    def find(self, key: Key) -> int | None:
        """Return the row of a key; None if it has none."""
        kind = self._kind_of.get(key[:2])
        if kind is None:
            return None
        for row in self._tables.candidates(key.digest):
            start = row * _DIGEST
            if self._kinds[row] == kind and (self._digests[start : start + _DIGEST] == key.digest):
                return row
        return None

    def key(self, row: int) -> Key:
        namespace, format_ = self._names[self._kinds[row]]
        return Key(namespace, format_, self._digest(row))

    def is_free(self, row: int) -> bool:
        return self.expires[row] == _DEAD

    @property
    def oldest(self) -> int | None:
        return None if self._oldest == _NONE else self._oldest

    def put(self, key: Key, expires: float) -> int:
        """Give a new key a row, the newest one."""
        kind = self._kind_of.get(key[:2])
        if kind is None:
            kind = self._kind_of[key[:2]] = len(self._names)
            self._names.append((key.namespace, key.format))
        if self._free:
            row = self._free.pop()
            self._digests[row * _DIGEST : (row + 1) * _DIGEST] = key.digest
            self.expires[row], self._kinds[row] = expires, kind
        else:
            row = len(self.expires)
            self._digests += key.digest
            self.expires.append(expires)
            self._kinds.append(kind)
            self._older.append(_NONE)
            self._newer.append(_NONE)
        self._older[row], self._newer[row] = self._newest, _NONE
        if self._newest == _NONE:
            self._oldest = row
        else:
            self._newer[self._newest] = row
        self._newest = row
        self._tables.add(key.digest, row, self._digest)
        self.count += 1
        return row

    def drop(self, row: int) -> None:
        """Free a row."""
        older, newer = self._older[row], self._newer[row]
        if older == _NONE:
            self._oldest = newer
        else:
            self._newer[older] = newer
        if newer == _NONE:
            self._newest = older
        else:
            self._older[newer] = older
        self._tables.remove(self._digest(row), row)
        self._digests[row * _DIGEST : (row + 1) * _DIGEST] = bytes(_DIGEST)
        self.expires[row] = _DEAD
        self._free.append(row)
        self.count -= 1

    def spread(self, tables: int) -> None:
        """Use that many small hash tables: each one grows alone, in a fraction of a millisecond."""
        self._tables = _HashTables(tables)
        for row in range(len(self)):
            if not self.is_free(row):
                self._tables.add(self._digest(row), row, self._digest)

    def columns(self) -> tuple[dict[str, Any], list[bytes]]:
        """Return the rows as plain values and bytes; `from_columns` reads them."""
        about = {
            "names": self._names,
            "ends": [self._oldest, self._newest],
            "count": self.count,
            "tables": self._tables.tables,
        }
        numbers = (self.expires, self._kinds, self._older, self._newer, self._free)
        return about, [bytes(self._digests), *(column.tobytes() for column in numbers)]

    @classmethod
    def from_columns(cls, about: Mapping[str, Any], columns: Iterator[bytes]) -> "Rows":
        """Build rows from `columns`.

        Raises ValueError, TypeError or KeyError if they do not fit together.
        """
        rows = cls()
        rows._digests += next(columns)
        for column in (rows.expires, rows._kinds, rows._older, rows._newer, rows._free):
            column.frombytes(next(columns))
        rows._names = [(str(namespace), str(format_)) for namespace, format_ in about["names"]]
        rows._kind_of = {name: kind for kind, name in enumerate(rows._names)}
        rows._oldest, rows._newest = about["ends"]
        rows.count = about["count"]
        lengths = {len(rows), len(rows._kinds), len(rows._older), len(rows._newer)}
        if lengths != {len(rows._digests) // _DIGEST} or rows.count != len(rows) - len(rows._free):
            raise ValueError("the columns differ in length")
        rows.spread(about["tables"])
        return rows

    def _digest(self, row: int) -> bytes:
        return bytes(self._digests[row * _DIGEST : (row + 1) * _DIGEST])


class _HashTables:
    """Hash tables with open addressing, from a digest to the rows that may have it.

    A dict of digests would take 200 bytes an entry; this takes eight.
    """

    def __init__(self, tables: int) -> None:
        self.tables = tables
        self._slots = [array("i", [_NONE]) * 8 for _ in range(tables)]
        self._used = array("i", [0]) * tables

    def candidates(self, digest: bytes) -> Iterator[int]:
        slots = self._slots[_table(digest, self.tables)]
        mask = len(slots) - 1
        at = _start(digest) & mask
        while (row := slots[at]) != _NONE:
            if row != _GONE:
                yield row
            at = (at + 1) & mask

    def add(self, digest: bytes, row: int, digest_of: Any) -> None:
        which = _table(digest, self.tables)
        slots = self._slots[which]
        if (self._used[which] + 1) * 3 > len(slots) * 2:
            slots = self._grown(which, digest_of)
        _insert(slots, digest, row)
        self._used[which] += 1

    def remove(self, digest: bytes, row: int) -> None:
        slots = self._slots[_table(digest, self.tables)]
        mask = len(slots) - 1
        at = _start(digest) & mask
        while slots[at] != row:
            at = (at + 1) & mask
        slots[at] = _GONE

    def _grown(self, which: int, digest_of: Any) -> Any:
        """Rebuild a table without removed rows, and larger if that is not enough."""
        rows = [row for row in self._slots[which] if row >= 0]
        size = 8
        while size < 2 * (len(rows) + 1):
            size *= 2
        slots = array("i", [_NONE]) * size
        for row in rows:
            _insert(slots, digest_of(row), row)
        self._slots[which], self._used[which] = slots, len(rows)
        return slots


def _insert(slots: Any, digest: bytes, row: int) -> None:
    mask = len(slots) - 1
    at = _start(digest) & mask
    while slots[at] != _NONE:
        at = (at + 1) & mask
    slots[at] = row


def _table(digest: bytes, tables: int) -> int:
    return int.from_bytes(digest[:4], "little") % tables


def _start(digest: bytes) -> int:
    return int.from_bytes(digest[4:8], "little")
