"""A plain store is five methods; the rest of a store's duties follow from them.

Whoever adds a store subclasses `BaseStore` and writes `read`, `write`, `remove`, `epochs` and
`scan`. What is here then is correct for one process and modest for several: no news of others, no
leases between processes, counters that end with the process. Each may be done better.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from askonce.core.errors import StoreError
from askonce.core.models import ChangeBatch, Damage, Entry, Key, Lease, Selection
from askonce.stores.counters import tallied

_PEPPER = Key("~askonce", "pepper", hashlib.sha256(b"pepper").digest())
_FOR_GOOD = 1e11  # seconds since the Unix epoch: some three thousand years ahead


class BaseStore(ABC):
    """A `Store` of five methods; see the protocol for `pushes_changes` and `leases_travel`."""

    pushes_changes = False
    leases_travel = True

    @abstractmethod
    async def read(self, key: Key) -> Entry | None: ...

    @abstractmethod
    async def write(self, entry: Entry, *, fence: int = 0) -> bool: ...

    @abstractmethod
    async def remove(self, selection: Selection, *, quiet: bool = False) -> int: ...

    @abstractmethod
    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]: ...

    @abstractmethod
    def scan(self, selection: Selection) -> AsyncIterator[Entry]: ...

    async def write_all(self, entries: Sequence[Entry]) -> int:
        return sum([await self.write(entry) for entry in entries])

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        raise StoreError("this store cannot stand in front of another one")

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        return ChangeBatch(cursor or "0")

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        return Lease(key, 0)

    async def renew(self, leases: Iterable[Lease], seconds: float) -> None:
        return

    async def release(self, lease: Lease) -> None:
        return

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        ours: dict[str, int] = self.__dict__.setdefault("_tallies", {})
        return tallied(ours, add, prefix)

    async def check(self, *, fix: bool = False) -> list[Damage]:
        return []

    async def scrub(self) -> int:
        return 0

    async def pepper(self) -> bytes:
        """Kept as an entry; of two processes that make it at once, both read the same one back."""
        found = await self.read(_PEPPER)
        if found is None:
            made = Entry(_PEPPER, os.urandom(32), 200, (), 0.0, _FOR_GOOD, _FOR_GOOD)
            await self.write(made)
            found = await self.read(_PEPPER)
        if found is None or len(found.body) != 32:
            raise StoreError("the store cannot keep its pepper")
        return found.body

    async def adopt(self, pepper: bytes) -> bool:
        return await self.pepper() == pepper

    async def migrate(self) -> list[str]:
        return []

    async def close(self) -> None:
        return
