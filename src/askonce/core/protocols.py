"""The protocols between the request path and the outside world, with their guarantees.

A backend implements one of them; nothing here has code. Methods are `async def`; in sync mode they
block instead of suspending.
"""

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

    Guarantees: `read` returns an entry exactly as it was written under that key, or None; never a
    part of one, never another key's, never one with a tag whose epoch was bumped after the entry's
    own epochs were captured. `write` is atomic, replaces, and writes nothing if a tag's epoch has
    moved on. A call that was cancelled or that failed leaves nothing that the next one could read
    as its own. Losing an entry is always allowed; losing an epoch never makes an old one valid.

    Does not guarantee: durability of the last writes, room for an entry, or that expired entries
    are hidden (freshness is decided by the request path).

    Errors: `StoreError` only, within the deadline that the store was opened with.

    A new store subclasses `stores.base.BaseStore` and writes the first five methods; it overrides
    the others where the backend can do better.
    """

    pushes_changes: bool
    """Whether `changes` waits for a change; if not, callers poll it."""

    leases_travel: bool
    """Whether another instance over the same backend may renew and release a lease."""

    async def read(self, key: Key) -> Entry | None:
        """Return an entry, fresh or expired; None if there is none.

        Parameters:
            key: the key that the entry was written under.
        """

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        """Store an entry under its key, replacing any other.

        Parameters:
            entry: the entry, with the epochs of its tags as captured before the upstream call.
            fence: the fence of the lease that the answer was fetched under. Default: 0, no lease.

        Returns False, and stores nothing, if one of its tags was invalidated meanwhile or a later
        lease was given out for the key.
        """

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        """Remove the selected entries; return how many were removed.

        Parameters:
            selection: which entries.
            quiet: True leaves the removal out of the change feed, because other processes learn of
                it in another way. Default: False.
        """

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        """Return the epoch of each tag; 0 for a tag that was never bumped.

        Parameters:
            tags: the tags, in any order.
            bump: True first raises each tag above every epoch ever given out. Default: False.
        """

    def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        """Iterate over every readable entry of the selection, in no order.

        Parameters:
            selection: which entries; an empty selection means all of them.
        """

    # `BaseStore` implements the following methods with the five above.

    async def write_all(self, entries: Sequence[Entry]) -> int:
        """Store many entries at once; return how many were stored.

        Parameters:
            entries: the entries, each with the epochs of its tags; as in `write`, one whose tag was
                invalidated meanwhile is not stored.
        """

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        """Raise tags to the epochs that a more widely shared store reports; never lower one.

        Parameters:
            epochs: an epoch for each tag.
        """

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        """Return the bumped tags and the removed entries since a cursor.

        Parameters:
            cursor: the cursor of the previous batch; None returns only the current cursor.
            timeout: seconds to wait for a change, if the store `pushes_changes`; 0 does not wait.
        """

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        """Take the right to ask this key's question; None while another process holds it.

        Parameters:
            key: the key of the question.
            seconds: after which the lease ends unless it is renewed.
        """

    async def renew(self, leases: Iterable[Lease], seconds: float) -> None:
        """Extend leases; a lost lease stays lost.

        Parameters:
            leases: the leases, as `lease` returned them.
            seconds: from now, after which they end unless they are renewed again.
        """

    async def release(self, lease: Lease) -> None:
        """Give back `lease`, as returned by `lease()`; do nothing if it was lost meanwhile."""

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        """Add to the store's lasting counters; return those whose names begin with a prefix.

        Parameters:
            add: what to add to each counter, which may be negative. A counter that a negative
                number brings to 0 may be forgotten. Empty only reads.
            prefix: which counters to return. Names that begin with `|` are returned only if the
                prefix begins so, because there may be many. Default: all others.
        """

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Read everything and report what fails its own check.

        Parameters:
            fix: True removes the damaged entries. Default: False.
        """

    async def scrub(self) -> int:
        """Remove unreadable entries and all remains of removed ones; return how many entries.

        If the store has a file, none of their bytes stay in it.
        """

    async def pepper(self) -> bytes:
        """Return the secret of the store's namespaces: 32 random bytes made with the store."""

    async def adopt(self, pepper: bytes) -> bool:
        """Take over the pepper of a store whose entries move here, unless entries are stored here.

        Parameters:
            pepper: the other store's pepper, 32 bytes.

        Returns True if it is this store's pepper now. If not, entries whose namespace is made from
        a credential cannot be found here.
        """

    async def migrate(self) -> list[str]:
        """Create or update the store's schema; return one line for each thing done."""

    async def close(self) -> None:
        """Release connections and files; the store is not used afterwards."""


class MemoryHit(Protocol):
    """An entry in memory, with its renderings, whose bytes count as the entry's own."""

    @property
    def entry(self) -> Entry:
        """The entry as it was stored."""

    @property
    def rendered(self) -> Mapping[Shape, bytes]:
        """The bytes of each presentation that `Memory.show` kept; may be empty."""


class Memory(Store, Protocol):
    """A store in this process that also has synchronous methods for the hot path."""

    @property
    def used_bytes(self) -> int:
        """How many bytes the entries and their renderings take."""

    def find(self, key: Key) -> MemoryHit | None:
        """Return an entry with its renderings: `read`, without a coroutine.

        Parameters:
            key: the key that the entry was stored under.
        """

    def keep(self, entry: Entry) -> bool:
        """Store `entry`; False if a tag was invalidated meanwhile or the entry does not fit."""

    def show(self, held: Any, shape: Shape, frames: bytes) -> None:
        """Keep a rendering of an entry in memory.

        Parameters:
            held: what `find` returned.
            shape: the presentation that was rendered.
            frames: the rendered bytes.
        """

    def apply_epochs(self, epochs: Mapping[str, int]) -> None:
        """Raise tags to `epochs`, one for each tag: `merge_epochs`, without a coroutine."""

    def sweep(self, names: Callable[[Entry], bool]) -> int:
        """Remove the entries that a function names; return how many.

        Parameters:
            names: called with each entry; returns True for those to remove.
        """

    def drop(self, key: Key) -> None:
        """Remove the entry under `key`, if there is one."""

    def forget_all(self) -> None:
        """Remove every entry; epochs stay."""


class EventReader(Protocol):
    """A source of events; its methods block.

    Guarantees: every event that the source keeps is returned at least once, whenever its sender's
    transaction ended. One instance returns no event twice. Errors: `StoreError` only.
    """

    async def read(self, cursor: str | None, timeout: float) -> list[EventMessage]:
        """Return the events after a cursor.

        Parameters:
            cursor: the cursor of the last applied event; None reads all that the source keeps.
            timeout: seconds to wait if there is no event yet.
        """

    async def migrate(self) -> list[str]:
        """Create what the source needs; return one line for each thing done."""

    async def close(self) -> None:
        """Release the connection."""


class Response(Protocol):
    """A provider's answer as it arrives: status and headers first, then pieces until None."""

    status: int
    """The HTTP status."""

    headers: list[tuple[str, str]]
    """Response headers in order, without those of the connection itself."""

    async def next(self) -> bytes | None:
        """Return the next piece, free of any content encoding; None at the end."""

    async def close(self) -> None:
        """Give the connection back; may be called at any time and more than once."""


class Upstream(Protocol):
    """Asks the provider. Errors of the HTTP client pass through unchanged."""

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Response:
        """Send a call and return its response once the status and headers have arrived.

        Parameters:
            call: the call; method, origin, path and headers are sent as they are.
            body: the body to send in place of the call's own.
            raw: True returns the connection's own bytes, with any content encoding. Default: False.
        """


class Embedder(Protocol):
    """Turns texts into vectors of unit length.

    Guarantees: the same text gives the same vector, alone and beside others. Vectors of embedders
    with different names are never compared. Errors: `EmbedderError` only, within its deadline.
    """

    name: str
    """The embedder's identity: its vectors are compared only with those of the same name."""

    dimensions: int
    """How many numbers a vector has."""

    async def embed(self, texts: Sequence[str]) -> list[bytes | None]:
        """Return a vector for each text.

        Parameters:
            texts: the texts, in any number.

        Each vector is `dimensions` little-endian float32 numbers; None for a text that one vector
        cannot represent as a whole.
        """

    async def close(self) -> None:
        """Release what the embedder holds."""


@runtime_checkable
class PaidEmbedder(Embedder, Protocol):
    """An embedder whose tokens are paid for."""

    model: str
    """The model's name, for its price."""

    origin: str
    """The provider's address, for its price."""

    def take_usage(self) -> tuple[int, int]:
        """Return and reset the number of answered requests and of their tokens.

        Tokens that the provider did not report count as 0.
        """


class VectorIndex(Protocol):
    """Keeps the vectors of entries' questions, each in its scope.

    It is derived data: losing any of it is always allowed, and it can be rebuilt from the entries.

    Guarantees: `nearest` never returns an entry of another scope, one added by another embedder,
    or one that was removed or has expired. Errors: `StoreError` only.
    """

    async def add(self, scope: bytes, key: Key, vector: bytes, expires: float) -> None:
        """Add or replace the vector of an entry's question.

        Parameters:
            scope: the entry's scope under this embedder, 32 bytes.
            key: the entry's key.
            vector: as `Embedder.embed` returns it.
            expires: seconds since the Unix epoch after which the vector is forgotten.
        """

    async def nearest(self, scope: bytes, vector: bytes, limit: int) -> list[NearestKey]:
        """Return the entries of a scope with the most similar questions, most similar first.

        Parameters:
            scope: the scope to search, 32 bytes; a required argument, never a filter.
            vector: the vector to compare with.
            limit: how many entries to return at most.
        """

    async def remove(self, scope: bytes, keys: Iterable[Key]) -> None:
        """Remove the vectors of some keys from a scope.

        Parameters:
            scope: the scope, 32 bytes.
            keys: the keys of the entries; keys that are not there are ignored.
        """

    async def size(self, scope: bytes | None = None) -> int:
        """Return how many vectors `scope` (32 bytes) has; None counts those of all scopes."""

    async def clear(self) -> None:
        """Remove every vector of every scope."""

    async def close(self) -> None:
        """Release connections and files."""


class Prices(Protocol):
    """The prices of answers."""

    def cost(self, model: str, origin: str, usage: Usage) -> Decimal | None:
        """Return what an answer costs in US dollars; None if unknown, which is not zero.

        Parameters:
            model: the model that answered.
            origin: the provider's address, such as `https://api.openai.com`.
            usage: the tokens of the answer.
        """


class FaultCounter(Protocol):
    """Counts the faults of the cache itself; the ledger is one."""

    def count_fault(self, what: str) -> bool:
        """Count a fault; True if it is worth a line in the log (the 1st, 2nd, 4th, 8th …).

        Parameters:
            what: the kind of fault, such as `read`.
        """
