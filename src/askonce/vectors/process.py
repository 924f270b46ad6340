"""The index in this process: a field of vectors for each scope, all under one lock.

It blocks in either flavor, for less than a millisecond. It is derived data: where its file is
missing, damaged, of a later version or of another embedder, it starts empty and says so.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from askonce.errors import StoreError
from askonce.records import Key, Near
from askonce.vectors import file
from askonce.vectors.field import Field

_log = logging.getLogger("askonce.vectors")


class ProcessIndex:
    """A `VectorIndex` in this process's memory, for the vectors of one embedder.

    `rebuilt_needed` is true when its file brought nothing, so that it has to be made anew from
    the entries.
    """

    def __init__(
        self,
        embedder: str,
        dimensions: int,
        *,
        libraries: tuple[Any, Any],
        guard: AbstractContextManager[Any],
        clock: Callable[[], float],
        max_entries: int | None = None,
        path: Path | None = None,
    ) -> None:
        self.embedder = embedder
        self.dimensions = dimensions
        self.rebuilt_needed = False
        self._libraries = libraries
        self._guard = guard
        self._clock = clock
        self._max_entries = max_entries
        self._path = path
        self._fields: OrderedDict[bytes, Field] = OrderedDict()  # the last swept last
        self._changes = 0
        self._saved = 0

    async def add(self, scope: bytes, key: Key, vector: bytes, expires: float) -> None:
        now = self._clock()
        with self._guard:
            field = self._fields.get(scope) or Field(self.dimensions, self._libraries)
            field.add(key, vector, expires)
            self._fields[scope] = field
            self._changes += 1
            self._sweep(now)
            while self._max_entries is not None and field.rows.count > self._max_entries:
                oldest = field.rows.oldest
                assert oldest is not None
                field.drop(oldest)

    async def nearest(self, scope: bytes, vector: bytes, limit: int) -> list[Near]:
        now = self._clock()
        with self._guard:
            field = self._fields.get(scope)
            return [] if field is None or limit < 1 else field.nearest(vector, limit, now)

    async def remove(self, scope: bytes, keys: Iterable[Key]) -> None:
        with self._guard:
            field = self._fields.get(scope)
            if field is None:
                return
            field.remove(keys)
            self._changes += 1
            if field.rows.count == 0:
                del self._fields[scope]

    async def size(self, scope: bytes | None = None) -> int:
        now = self._clock()
        with self._guard:
            if scope is None:
                return sum(field.alive(now) for field in self._fields.values())
            field = self._fields.get(scope)
            return 0 if field is None else field.alive(now)

    async def clear(self) -> None:
        with self._guard:
            self._fields = OrderedDict()
            self._changes += 1

    async def close(self) -> None:
        """Save, if there is a file and anything to save."""
        if self._path is not None and self._changes != self._saved:
            await self.save()

    async def save(self) -> None:
        """Write the file, all of it, in place of the old one.

        Raises `StoreError` where that is not possible; the index goes on in memory.
        """
        if self._path is None:
            raise StoreError("this index has no file")
        with self._guard:
            changes = self._changes
            sections = [self._section(scope, field) for scope, field in self._fields.items()]
        header = {**self._header(), "count": sum(about["count"] for about, _ in sections)}
        file.save(self._path, header, sections)
        self._saved = changes

    def load(self) -> None:
        """Take over what the file keeps, or start empty."""
        if self._path is None:
            return
        fields: OrderedDict[bytes, Field] = OrderedDict()
        try:
            for about, parts in file.load(self._path, self._header()):
                field = Field.from_parts(about, parts, self.dimensions, self._libraries)
                fields[about["scope"]] = field
        except file.Missing:
            self.rebuilt_needed = True
        except file.Unusable as why:
            self._start_empty(str(why))
        except (ValueError, TypeError, LookupError, RuntimeError, StopIteration) as error:
            # From a writer whose columns or graphs are not ours; the checksum was right.
            self._start_empty(f"it cannot be read ({type(error).__name__})")
        else:
            with self._guard:
                self._fields = fields
                self.rebuilt_needed = False

    def _sweep(self, now: float) -> None:
        """Free a little of what has expired, in a scope that nobody may ask for any more."""
        scope, field = next(iter(self._fields.items()))
        field.sweep(now)
        if field.rows.count:
            self._fields.move_to_end(scope)
        else:
            del self._fields[scope]

    def _start_empty(self, why: str) -> None:
        _log.warning("the file of the index is not used: %s", why)
        self.rebuilt_needed = True

    def _header(self) -> dict[str, Any]:
        return {"embedder": self.embedder, "dimensions": self.dimensions}

    def _section(self, scope: bytes, field: Field) -> file.Section:
        about, columns = field.parts()
        return {**about, "scope": scope}, columns
