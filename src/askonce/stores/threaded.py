"""A blocking store for event loops: every call runs in the store's own thread."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeVar

from askonce.protocols import Store
from askonce.records import Damage, Entry, Key, Selection

T = TypeVar("T")

_BATCH = 256


class RunInThread(Protocol):
    async def __call__(self, story: Callable[[], Coroutine[Any, Any, T]]) -> T: ...

    def close(self) -> None: ...


class ThreadedStore:
    """The same guarantees as the store inside, without ever blocking the loop."""

    def __init__(self, store: Store, run: RunInThread) -> None:
        self._store = store
        self._run = run

    async def read(self, key: Key) -> Entry | None:
        return await self._run(lambda: self._store.read(key))

    async def write(self, entry: Entry) -> bool:
        return await self._run(lambda: self._store.write(entry))

    async def remove(self, selection: Selection) -> int:
        return await self._run(lambda: self._store.remove(selection))

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        return await self._run(lambda: self._store.epochs(tags, bump=bump))

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        entries = self._store.scan(selection)

        async def some() -> list[Entry]:
            batch: list[Entry] = []
            async for entry in entries:
                batch.append(entry)
                if len(batch) == _BATCH:
                    break
            return batch

        while batch := await self._run(some):
            for entry in batch:
                yield entry

    async def tallies(self, add: Mapping[str, int]) -> dict[str, int]:
        return await self._run(lambda: self._store.tallies(add))

    async def check(self, *, fix: bool = False) -> list[Damage]:
        return await self._run(lambda: self._store.check(fix=fix))

    async def pepper(self) -> bytes:
        return await self._run(self._store.pepper)

    async def close(self) -> None:
        await self._run(self._store.close)
        self._run.close()
