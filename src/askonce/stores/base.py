"""The abstract store: write five methods, and the rest of a `Store` follows from them.

To add a store, subclass `BaseStore` and write `read`, `write`, `remove`, `epochs` and `scan`; keep
entries as envelopes (`stores/envelope.py`), which verify themselves, and raise `StoreError` for
every failure. The defaults here are correct for one process and modest for several: no change
feed, no leases between processes, counters that end with the process. Override any of them to do
better. `tests/contracts/folder_store.py` is a whole example, and `tests/contracts/test_store.py`
the test that every store passes.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from askonce.core.errors import EntryDamaged, StoreError
from askonce.core.models import ChangeBatch, Damage, Entry, Key, Lease, Selection
from askonce.stores.counters import add_counts
from askonce.stores.envelope import unseal

_PEPPER = Key("~askonce", "pepper", hashlib.sha256(b"pepper").digest())
_FOREVER = 1e11  # seconds since the Unix epoch: some three thousand years ahead


class BaseStore(ABC):
    """A `Store` of five methods. The protocol in `core/protocols.py` states all guarantees.

    Methods are `async def`; in sync mode they block instead of suspending. Every method may raise
    `StoreError`, and nothing else. `damaged` counts envelopes that failed their check when read.
    """

    pushes_changes = False
    leases_travel = True
    damaged = 0

    @abstractmethod
    async def read(self, key: Key) -> Entry | None:
        """Return the entry exactly as it was written under this key; None if there is none.

        Parameters:
            key: the entry's key.

        Never return an entry of another key, part of an entry, or an entry with a tag that was
        bumped since (compare `entry.tags` with the tags' epochs now). An expired entry may be
        returned or not. A damaged one counts as none: `open_envelope` does that.
        """

    @abstractmethod
    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        """Store an entry in place of an earlier one under its key; return whether it was stored.

        Parameters:
            entry: the whole entry. `entry.tags` has the epoch of each tag when its question was
                asked; if one has changed, store nothing.
            fence: the number of the caller's lease, 0 for none (default). If the key has a later
                lease, store nothing. A store without leases ignores it.
        """

    @abstractmethod
    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        """Remove the entries that a selection names; return how many there were.

        Parameters:
            selection: keys, a namespace and an expiry; `selects` compares an entry with it.
            quiet: leave the removal out of the change feed, because other processes hear of it in
                another way. Default: False. A store without a change feed ignores it.
        """

    @abstractmethod
    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        """Return the epoch of each tag.

        Parameters:
            tags: the tags; one that was never bumped has an epoch too, such as 0.
            bump: first raise all of them above every epoch that the store ever gave out, also
                above those of a file or server that was lost. Default: False.
        """

    @abstractmethod
    def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        """Yield the readable entries that a selection names, in any order.

        Parameters:
            selection: as in `remove`. Entries written or removed meanwhile may appear or not.
        """

    def open_envelope(self, blob: object, key: Key) -> Entry | None:
        """Return the entry in stored bytes; None if they are damaged, which counts in `damaged`."""
        try:
            return unseal(blob, key)
        except EntryDamaged:
            self.damaged += 1
            return None

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
        counts: dict[str, int] = self.__dict__.setdefault("_counts", {})
        return add_counts(counts, add, prefix)

    async def check(self, *, fix: bool = False) -> list[Damage]:
        return []

    async def scrub(self) -> int:
        return 0

    async def pepper(self) -> bytes:
        """Return the pepper, kept as an entry; all processes that create it read the same one."""
        found = await self.read(_PEPPER)
        if found is None:
            made = Entry(_PEPPER, os.urandom(32), 200, (), 0.0, _FOREVER, _FOREVER)
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


def selects(selection: Selection, entry: Entry) -> bool:
    """Does the selection name this entry?"""
    if selection.keys is not None and entry.key not in selection.keys:
        return False
    if selection.namespace is not None and entry.key.namespace != selection.namespace:
        return False
    return selection.expired_before is None or entry.expires < selection.expired_before
