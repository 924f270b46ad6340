"""The index in this process: a field of vectors for each scope, all under one lock.

It blocks sync and async callers alike, for less than a millisecond. It is derived data: if its file
is missing, damaged, of a later version or of another embedder, it starts empty and logs a warning.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from askonce.core.models import Key, NearestKey
from askonce.semantic.index import file
from askonce.semantic.index.field import Field

_log = logging.getLogger("askonce.vectors")


class ProcessIndex:
    """A `VectorIndex` in this process's memory, for the vectors of one embedder.

    `rebuilt_needed` is true if its file could not be read, so that the index must be rebuilt from
    the entries. `open_process_index` documents the parameters; `libraries` are numpy and
    `usearch.index`.
    """

    def __init__(
        self,
        embedder: str,
        dimensions: int,
        *,
        libraries: tuple[Any, Any],
        lock: AbstractContextManager[Any],
        clock: Callable[[], float],
        max_entries: int | None = None,
        max_bytes: int | None = None,
        path: Path | None = None,
    ) -> None:
        self.embedder = embedder
        self.dimensions = dimensions
        self.rebuilt_needed = False
        self._libraries = libraries
        self._lock = lock
        self._clock = clock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._path = path
        self._fields: OrderedDict[bytes, Field] = OrderedDict()  # the last swept one comes last
        self._changes = 0
        self._saved = 0
        self._rows = 0  # of all scopes
        self._seen: set[bytes] | None = None  # in a pass
        self._young: list[bytes] = []  # entries added lately, in two generations
        self._old: list[bytes] = []
        self._turned = 0.0
        self._gone: set[bytes] | None = None if path is None else set()
        """Entries removed before the file was read: the file must not bring them back."""

    async def add(self, scope: bytes, key: Key, vector: bytes, expires: float) -> None:
        now = self._clock()
        with self._lock:
            field = self._fields.get(scope) or Field(self.dimensions, self._libraries)
            before = field.rows.count
            field.add(key, vector, expires)
            self._fields[scope] = field
            self._changes += 1
            self._note(_fingerprint(scope, key), now)
            while self._max_entries is not None and field.rows.count > self._max_entries:
                field.drop_oldest()
            self._rows += field.rows.count - before
            self._sweep(now)
            while self._max_bytes is not None and self.used_bytes > self._max_bytes:
                self._make_room()

    async def nearest(self, scope: bytes, vector: bytes, limit: int) -> list[NearestKey]:
        now = self._clock()
        with self._lock:
            field = self._fields.get(scope)
            if field is None or limit < 1:
                return []
            before = field.rows.count
            near = field.nearest(vector, limit, now)
            self._rows += field.rows.count - before
            return near

    async def remove(self, scope: bytes, keys: Iterable[Key]) -> None:
        with self._lock:
            if self._gone is not None:
                keys = list(keys)
                self._gone |= {_fingerprint(scope, key) for key in keys}
            field = self._fields.get(scope)
            if field is None:
                return
            self._remove(scope, field, keys)

    async def size(self, scope: bytes | None = None) -> int:
        now = self._clock()
        with self._lock:
            if scope is None:
                return sum(field.alive(now) for field in self._fields.values())
            field = self._fields.get(scope)
            return 0 if field is None else field.alive(now)

    async def clear(self) -> None:
        with self._lock:
            self._fields = OrderedDict()
            self._rows = 0
            self._changes += 1

    async def close(self) -> None:
        """Save, if there is a file and the index has changed."""
        await self.save()

    def has(self, scope: bytes, key: Key, expires: float) -> bool:
        """Is an entry in the index, with this expiry? In a pass it counts as seen."""
        with self._lock:
            field = self._fields.get(scope)
            row = None if field is None else field.rows.find(key)
            if (
                field is None
                or row is None
                or abs(field.rows.expires[row] - expires) > _SAME_EXPIRY
            ):
                return False
            if self._seen is not None:
                self._seen.add(_fingerprint(scope, key))
            return True

    def begin_pass(self) -> None:
        """Start a pass: note every entry that is added or seen from now on."""
        with self._lock:
            # An entry added a moment ago may not have reached the store yet.
            self._seen = {*self._young, *self._old}

    def _note(self, fingerprint: bytes, now: float) -> None:
        if now > self._turned + _STORE_DELAY or len(self._young) >= _MOST_YOUNG:
            self._old, self._young, self._turned = self._young, [], now
        self._young.append(fingerprint)
        if self._seen is not None:
            self._seen.add(fingerprint)

    def end_pass(self) -> int:
        """Remove the entries neither added nor seen since the pass began; return their number."""
        forgotten = 0
        with self._lock:
            seen, scopes = self._seen or set(), list(self._fields)
        for scope in scopes:
            start = 0
            while True:
                with self._lock:  # for a short time only: callers search
                    field = self._fields.get(scope)
                    if field is None or start >= len(field.rows):
                        break
                    some = field.rows.between(start, start + _ROWS_PER_LOCK)
                    gone = [key for key in some if _fingerprint(scope, key) not in seen]
                    forgotten += len(gone)
                    if gone:
                        self._remove(scope, field, gone)
                start += _ROWS_PER_LOCK
        with self._lock:
            self._seen = None
        return forgotten

    @property
    def used_bytes(self) -> int:
        """The approximate size of the index; an entry includes its links in a graph."""
        entry = _ENTRY_BYTES + self.dimensions
        return len(self._fields) * _SCOPE_BYTES + self._rows * entry

    async def save(self) -> bool:
        """Replace the file, if there is one and the index has changed; True if it was written.

        Raises `StoreError` if the file cannot be written; the index goes on in memory.
        """
        if self._path is None or self._changes == self._saved:
            return False
        with self._lock:
            changes, scopes = self._changes, list(self._fields)
        sections = []
        for scope in scopes:
            with self._lock:  # one scope at a time: callers search
                field = self._fields.get(scope)
                if field is not None:
                    sections.append(self._section(scope, field))
        header = {**self._header(), "count": sum(about["count"] for about, _ in sections)}
        file.save(self._path, header, sections)
        self._saved = changes
        return True

    def load(self) -> None:
        """Read the file, or start empty; a second call does nothing."""
        if self._path is None or self._gone is None:
            return
        fields: OrderedDict[bytes, Field] = OrderedDict()
        try:
            for about, parts in file.load(self._path, self._header()):
                field = Field.from_parts(about, parts, self.dimensions, self._libraries)
                fields[about["scope"]] = field
        except file.MissingIndexFile:
            self.rebuilt_needed = True
        except file.UnusableIndexFile as why:
            self._start_empty(str(why))
        except (ValueError, TypeError, LookupError, RuntimeError, StopIteration) as error:
            # The checksum is right, but another program wrote columns or graphs that do not fit.
            self._start_empty(f"it cannot be read ({type(error).__name__})")
        else:
            self._merge(fields)
            self.rebuilt_needed = False
        with self._lock:
            self._gone = None

    def _merge(self, kept: OrderedDict[bytes, Field]) -> None:
        """Merge the entries of the file below those added since the start, which are newer."""
        with self._lock:
            gone = self._gone or set()
            for scope, field in list(kept.items()) if gone else []:
                field.remove([key for key in field.rows if _fingerprint(scope, key) in gone])
            for scope, newer in self._fields.items():
                field = kept.setdefault(scope, newer)
                if field is not newer:
                    for key, vector, expires in newer:
                        field.add(key, vector, expires)
            self._fields = OrderedDict((s, f) for s, f in kept.items() if f.rows.count)
            self._rows = sum(field.rows.count for field in self._fields.values())
            self._changes += bool(gone)

    def _sweep(self, now: float) -> None:
        """Free some expired rows of one scope, even if no caller asks for that scope any more."""
        scope, field = next(iter(self._fields.items()))
        before = field.rows.count
        field.sweep(now)
        self._rows += field.rows.count - before
        if field.rows.count:
            self._fields.move_to_end(scope)
        else:
            del self._fields[scope]

    def _make_room(self) -> None:
        """Drop the oldest entry of the scope that was swept longest ago."""
        scope, field = next(iter(self._fields.items()))
        field.drop_oldest()
        self._rows -= 1
        self._changes += 1
        if field.rows.count:
            self._fields.move_to_end(scope)
        else:
            del self._fields[scope]

    def _remove(self, scope: bytes, field: Field, keys: Iterable[Key]) -> None:
        before = field.rows.count
        field.remove(keys)
        self._rows += field.rows.count - before
        self._changes += 1
        if field.rows.count == 0:
            del self._fields[scope]

    def _start_empty(self, why: str) -> None:
        _log.warning("the file of the index is not used: %s", why)
        self.rebuilt_needed = True

    def _header(self) -> dict[str, Any]:
        return {"embedder": self.embedder, "dimensions": self.dimensions}

    def _section(self, scope: bytes, field: Field) -> file.Section:
        about, columns = field.parts()
        return {**about, "scope": scope}, columns


_ROWS_PER_LOCK = 512
_STORE_DELAY = 30.0  # seconds that a new entry may take to reach the store
_MOST_YOUNG = 4_096
_SAME_EXPIRY = 0.001  # seconds: another engine may round
_SCOPE_BYTES = 1_800
_ENTRY_BYTES = 312  # beside its vector


def _fingerprint(scope: bytes, key: Key) -> bytes:
    return scope[:8] + key.digest[:16]
