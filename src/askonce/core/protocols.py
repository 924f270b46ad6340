"""The seams between the story and the outside world, described by what each side guarantees."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol, runtime_checkable

from askonce.core.models import (
    Call,
    ChangeBatch,
    Damage,
    Entry,
    EventMessage,
    Key,
    Lease,
    NearestKey,
    Selection,
    Shape,
    Usage,
)


class Store(Protocol):
    """Keeps whole entries under their keys.

    Guarantees: `read` returns an entry exactly as it was written under that very key, or nothing;
    never part of one, never another key's, never one of whose tags has been bumped since the
    entry's own epochs were captured. `write` is atomic, replaces, and writes nothing when a tag's
    epoch has moved on. Expired entries may be returned (freshness is the story's question) or
    forgotten. Losing an entry is always allowed; losing an epoch never makes an old one valid.

    Does not guarantee: durability of the last writes, or that `size` entries fit.

    A new store subclasses `stores.plain.PlainStore` and writes the first five methods; the others
    are there to be done better. Methods are `async def`. In the blocking flavor they block instead
    of suspending. Errors: `StoreError`, nothing else, within the deadline that the store was
    opened with. A call that was cancelled or that failed leaves nothing behind that the next one
    could read as its own.
    """

    pushes_changes: bool
    """Whether `news` waits for changes; where it does not, it is asked again and again."""

    leases_travel: bool
    """Whether another instance on the same place may prolong and give back a lease."""

    async def read(self, key: Key) -> Entry | None: ...

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        """Store the entry; False if one of its tags was invalidated meanwhile.

        With a `fence`, also False if a later lease was given out for the key.
        """

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        """Remove what the selection names; return how many entries went.

        With `quiet` it makes no news: others hear of it in another way.
        """

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        """The epoch of each tag, raised first with `bump`, above every epoch ever given out."""

    def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        """Every readable entry that the selection names, in no order."""

    # What `PlainStore` makes of these five.

    async def write_all(self, entries: Sequence[Entry]) -> int:
        """Store many entries at once; how many were stored."""

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        """Raise the tags' epochs to what a more shared store says they are; never lower one."""

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        """What was bumped and removed since a mark; without one, only where news begin.

        Where the store `pushes_changes`, it waits up to `patience` seconds for something to happen.
        """

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        """The right to ask this question, for so long; None while somebody else has it."""

    async def renew(self, leases: Iterable[Lease], seconds: float) -> None:
        """Hold the leases for so long from now; one that was lost stays lost."""

    async def release(self, lease: Lease) -> None:
        """Give a lease back; nothing happens if it was lost meanwhile."""

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        """Add to the store's lasting counters; return those whose names begin with `under`.

        A book of many counters has names that begin with `|`, which are only returned where
        `under` begins so. What a negative number brings to 0 may be forgotten.
        """

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Read everything; report (and with `fix` remove) what fails its own check."""

    async def scrub(self) -> int:
        """Remove entries that nobody can read any more, and what is left of removed ones.

        How many entries went. Where the store has a file, no byte of them stays in it.
        """

    async def pepper(self) -> bytes:
        """32 random bytes made with the store and kept with it: the secret of its namespaces."""

    async def adopt(self, pepper: bytes) -> bool:
        """Take over the pepper of a store whose entries move here, if nothing is kept here yet.

        Is it this store's pepper now? Where not, entries of callers that are known only by their
        credentials cannot be found here.
        """

    async def migrate(self) -> list[str]:
        """Make or renew what the store needs; what was done, one line each."""

    async def close(self) -> None: ...


class MemoryHit(Protocol):
    """An entry in memory with what was rendered of it already; the bytes are accounted for."""

    @property
    def entry(self) -> Entry: ...

    @property
    def rendered(self) -> Mapping[Shape, bytes]: ...


class Memory(Store, Protocol):
    """A store in this process with a synchronous face for the hot path."""

    @property
    def used_bytes(self) -> int: ...

    def find(self, key: Key) -> MemoryHit | None: ...

    def keep(self, entry: Entry) -> bool:
        """Store the entry; False if a tag was invalidated meanwhile or it does not fit."""

    def show(self, held: Any, shape: Shape, frames: bytes) -> None:
        """Remember how a held entry looks in this shape; `held` is what `find` returned."""

    def apply_epochs(self, epochs: Mapping[str, int]) -> None:
        """`learn`, without a coroutine."""

    def sweep(self, names: Callable[[Entry], bool]) -> int:
        """Drop the entries that are named; how many."""

    def drop(self, key: Key) -> None:
        """Drop the entry under this key, if there is one."""

    def forget_all(self) -> None:
        """Drop every entry; epochs stay."""


class EventReader(Protocol):
    """A place that events are read from; its methods block. Errors: `StoreError`, nothing else.

    Guarantees: every event that the place keeps is given out at least once, whenever its sender's
    transaction ended. What this instance has given out it does not give out again.
    """

    async def read(self, since: str | None, patience: float) -> list[EventMessage]:
        """Events after a mark, or all that are kept; waits up to `patience` seconds for one.

        `since` is the mark of what was taken last.
        """

    async def migrate(self) -> list[str]:
        """Make what the source needs; what was done, one line each."""

    async def close(self) -> None: ...


class Response(Protocol):
    """A provider's answer as it arrives: head first, then pieces until None."""

    status: int
    headers: list[tuple[str, str]]

    async def next(self) -> bytes | None:
        """The next piece, already free of any content encoding, or None at the end."""

    async def close(self) -> None:
        """Give the connection back; may be called at any time and more than once."""


class Upstream(Protocol):
    """Asks the provider. Errors of the HTTP client pass through unchanged.

    With `raw`, the pieces are the connection's own bytes, any content encoding included.
    """

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Response: ...


class Embedder(Protocol):
    """Turns texts into vectors of unit length: little-endian float32, `dimensions` of them.

    Vectors of embedders with different names are never compared. The same text gives the same
    vector, alone and beside others. Methods are `async def` and block instead of suspending in
    the blocking flavor. Errors: `EmbedderError`, nothing else, within its deadline.
    """

    name: str
    dimensions: int

    async def embed(self, texts: Sequence[str]) -> list[bytes | None]:
        """A vector for each text; None for one that it cannot stand for as a whole."""

    async def close(self) -> None: ...


@runtime_checkable
class PaidEmbedder(Embedder, Protocol):
    """An embedder whose every token is paid for; `model` and `origin` say at what price."""

    model: str
    origin: str

    def take_usage(self) -> tuple[int, int]:
        """The requests that were answered since this was asked last, and their tokens (0 where
        nobody said)."""


class VectorIndex(Protocol):
    """Where the questions of entries lie, each in its scope. Derived data: losing any of it is
    always allowed, and it can be made anew from the entries.

    Guarantees: `nearest` never names an entry of another scope, nor one that was put there by
    another embedder. What was removed or has expired is not named. Errors: `StoreError`.
    """

    async def add(self, scope: bytes, key: Key, vector: bytes, expires: float) -> None:
        """Remember where an entry's question lies, until `expires` (seconds since the epoch)."""

    async def nearest(self, scope: bytes, vector: bytes, limit: int) -> list[NearestKey]:
        """The entries of a scope that lie nearest to a vector, the nearest first."""

    async def remove(self, scope: bytes, keys: Iterable[Key]) -> None:
        """Forget entries of a scope."""

    async def size(self, scope: bytes | None = None) -> int:
        """How many entries there are, of a scope or in all."""

    async def clear(self) -> None:
        """Forget everything."""

    async def close(self) -> None: ...


class Prices(Protocol):
    """What an answer cost; None where the price is not known, which is not zero."""

    def cost(self, model: str, origin: str, usage: Usage) -> Decimal | None: ...


class FaultCounter(Protocol):
    """Counts the faults of the cache itself; the ledger is one."""

    def count_fault(self, what: str) -> bool:
        """Count a fault of `what`; True if it is worth a line in the log (the 1st, 2nd, 4th …)."""
