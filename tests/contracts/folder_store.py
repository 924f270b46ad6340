"""A store of five methods, as a reader of the guide writes one: a folder, one file an entry."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import msgspec

from askonce.core.models import Entry, Key, Selection
from askonce.stores.base import BaseStore, selects
from askonce.stores.envelope import seal


class FolderStore(BaseStore):
    """Sealed entries in files; epochs in one more. Right for one process at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, key: Key) -> Entry | None:
        path = self._path(key)
        if not path.exists():
            return None
        entry = self.open_envelope(path.read_bytes(), key)
        return entry if entry is not None and self._is_valid(entry) else None

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        if not self._is_valid(entry):
            return False
        self._path(entry.key).write_bytes(seal(entry))
        self._path(entry.key).with_suffix(".key").write_bytes(msgspec.json.encode(entry.key))
        return True

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        doomed = [entry async for entry in self.scan(selection)]
        for entry in doomed:
            self._path(entry.key).unlink()
        return len(doomed)

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        known, wanted = self._known(), list(tags)
        if bump:
            known |= dict.fromkeys(wanted, max(known.values(), default=0) + 1)
            (self._folder / "epochs").write_bytes(msgspec.json.encode(known))
        return {tag: known.get(tag, 0) for tag in wanted}

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        for path in list(self._folder.glob("*.entry")):
            key = msgspec.json.decode(path.with_suffix(".key").read_bytes(), type=Key)
            entry = await self.read(key)
            if entry is not None and selects(selection, entry):
                yield entry

    def _path(self, key: Key) -> Path:
        name = hashlib.sha256(repr(tuple(key)).encode()).hexdigest()
        return self._folder / f"{name}.entry"

    def _is_valid(self, entry: Entry) -> bool:
        known = self._known()
        return all(known.get(tag, 0) == epoch for tag, epoch in entry.tags)

    def _known(self) -> dict[str, int]:
        path = self._folder / "epochs"
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int]) if path.exists() else {}
