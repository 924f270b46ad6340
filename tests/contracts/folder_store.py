"""A store of five methods, as a newcomer would add one: a file for each entry in a folder."""

import hashlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import msgspec

from askonce.core.models import Entry, Key, Selection
from askonce.stores.base import BaseStore
from askonce.stores.envelope import seal, unseal


class FolderStore(BaseStore):
    """Sealed entries in files; epochs in one more. Right for one process at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, key: Key) -> Entry | None:
        path = self._path(key)
        if not path.exists():
            return None
        entry = unseal(path.read_bytes(), key)
        known = self._known()
        return entry if all(known.get(tag, 0) == epoch for tag, epoch in entry.tags) else None

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        known = self._known()
        if any(known.get(tag, 0) != epoch for tag, epoch in entry.tags):
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
            if entry is not None and _names(selection, entry):
                yield entry

    def _path(self, key: Key) -> Path:
        name = hashlib.sha256(repr(tuple(key)).encode()).hexdigest()
        return self._folder / f"{name}.entry"

    def _known(self) -> dict[str, int]:
        path = self._folder / "epochs"
        return msgspec.json.decode(path.read_bytes(), type=dict[str, int]) if path.exists() else {}


def _names(selection: Selection, entry: Entry) -> bool:
    return (
        (selection.keys is None or entry.key in selection.keys)
        and (selection.namespace is None or entry.key.namespace == selection.namespace)
        and (selection.expired_before is None or entry.expires < selection.expired_before)
    )
