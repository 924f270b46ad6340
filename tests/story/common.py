"""A store that several caches of one test share, and that can be made ill."""

import threading
from collections.abc import AsyncIterator, Iterable, Mapping

from askonce.errors import StoreError
from askonce.records import Entry, Key, Lease, News, Selection
from askonce.stores.memory import MemoryStore
from askonce.stores.plain import PlainStore


class CommonStore(PlainStore):
    """Entries, epochs, news and leases in memory, behind switches.

    `ill` makes every call fail; `mute` only the news; `gate`, where there is one, holds writes.
    """

    def __init__(self) -> None:
        self.inside = MemoryStore(1 << 22, guard=threading.Lock())
        self.ill = False
        self.mute = False
        self.gate: threading.Event | None = None
        self.asked: list[str] = []
        self.leases: dict[Key, Lease] = {}
        self.log: list[dict[str, int] | Selection] = []
        self.sequence = 0
        self._lock = threading.Lock()

    def _well(self, what: str) -> None:
        self.asked.append(what)
        if self.ill:
            raise StoreError("ill")

    async def read(self, key: Key) -> Entry | None:
        self._well("read")
        return await self.inside.read(key)

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        if self.gate is not None:
            assert self.gate.wait(20)
        self._well("write")
        held = self.leases.get(entry.key)
        if fence and held is not None and held.fence > fence:
            return False
        return await self.inside.write(entry)

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        self._well("remove")
        if not quiet:
            with self._lock:
                self.log.append(selection)
        return await self.inside.remove(selection)

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        self._well("epochs")
        wanted = list(tags)
        if bump:
            with self._lock:
                self.sequence += 10
                raised = dict.fromkeys(wanted, self.sequence)
                self.inside.heed(raised)
                self.log.append(raised)
        return await self.inside.epochs(wanted)

    async def learn(self, epochs: Mapping[str, int]) -> None:
        self._well("learn")
        self.inside.heed(epochs)

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        async for entry in self.inside.scan(selection):
            yield entry

    async def news(self, since: str | None, patience: float) -> News:
        if self.ill or self.mute:
            raise StoreError("mute")
        with self._lock:
            fresh = self.log[len(self.log) if since is None else int(since) :]
            mark = str(len(self.log))
        epochs: dict[str, int] = {}
        for change in fresh:
            epochs |= change if isinstance(change, dict) else {}
        return News(mark, epochs, tuple(c for c in fresh if isinstance(c, Selection)))

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        self._well("lease")
        with self._lock:
            if key in self.leases:
                return None
            self.sequence += 1
            self.leases[key] = Lease(key, self.sequence)
            return self.leases[key]

    async def release(self, lease: Lease) -> None:
        self._well("release")
        with self._lock:
            if self.leases.get(lease.key) == lease:
                del self.leases[lease.key]
