"""A blocking store for event loops: every call runs in the store's own thread."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from askonce.core.models import ChangeBatch, Damage, Entry, Key, Lease, Selection
from askonce.core.protocols import Store

T = TypeVar("T")

_BATCH = 256


class RunInThread(Protocol):
    """Runs coroutines to their end in a thread of its own, one after another."""

    async def __call__(self, work: Callable[[], Coroutine[Any, Any, T]], /) -> T: ...

    def close(self) -> None: ...


class ThreadedStore:
    """A `Store` with the guarantees of the store inside, which never blocks the event loop.

    Parameters:
        store: a blocking store.
        run: runs its calls in a thread; closed with the store.
    """

    def __init__(self, store: Store, run: RunInThread) -> None:
        self._store = store
        self._run = run
        self.pushes_changes = store.pushes_changes
        self.leases_travel = store.leases_travel

    async def read(self, key: Key) -> Entry | None:
        return await self._run(lambda: self._store.read(key))

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        return await self._run(lambda: self._store.write(entry, fence=fence))

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        return await self._run(lambda: self._store.remove(selection, quiet=quiet))

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        return await self._run(lambda: self._store.epochs(tags, bump=bump))

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        entries = self._store.scan(selection)

        async def next_batch() -> list[Entry]:
            batch: list[Entry] = []
            async for entry in entries:
                batch.append(entry)
                if len(batch) == _BATCH:
                    break
            return batch

        while batch := await self._run(next_batch):
            for entry in batch:
                yield entry

    async def write_all(self, entries: Sequence[Entry]) -> int:
        return await self._run(lambda: self._store.write_all(entries))

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        await self._run(lambda: self._store.merge_epochs(epochs))

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        return await self._run(lambda: self._store.changes(cursor, timeout))

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        return await self._run(lambda: self._store.lease(key, seconds))

    async def renew(self, leases: Iterable[Lease], seconds: float) -> None:
        await self._run(lambda: self._store.renew(leases, seconds))

    async def release(self, lease: Lease) -> None:
        await self._run(lambda: self._store.release(lease))

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        return await self._run(lambda: self._store.counters(add, prefix))

    async def check(self, *, fix: bool = False) -> list[Damage]:
        return await self._run(lambda: self._store.check(fix=fix))

    async def scrub(self) -> int:
        return await self._run(self._store.scrub)

    async def pepper(self) -> bytes:
        return await self._run(self._store.pepper)

    async def adopt(self, pepper: bytes) -> bool:
        return await self._run(lambda: self._store.adopt(pepper))

    async def migrate(self) -> list[str]:
        return await self._run(self._store.migrate)

    async def close(self) -> None:
        await self._run(self._store.close)
        self._run.close()
