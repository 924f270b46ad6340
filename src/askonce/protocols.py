"""The seams between the story and the outside world, described by what each side guarantees."""

from collections.abc import AsyncIterator, Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from askonce.records import Call, Damage, Entry, Key, Selection, Shape, Usage


class Store(Protocol):
    """Keeps whole entries under their keys.

    Guarantees: `read` returns an entry exactly as it was written under that very key, or nothing;
    never part of one, never another key's, never one of whose tags has been bumped since the
    entry's own epochs were captured. `write` is atomic, replaces, and writes nothing when a tag's
    epoch has moved on. Expired entries may be returned (freshness is the story's question) or
    forgotten. Losing an entry is always allowed.

    Does not guarantee: durability of the last writes, or that `size` entries fit.

    Methods are `async def`. In the blocking flavor they block instead of suspending.
    Errors: `StoreError`, nothing else.
    """

    async def read(self, key: Key) -> Entry | None: ...

    async def write(self, entry: Entry) -> bool:
        """Store the entry; False if one of its tags was invalidated meanwhile."""

    async def remove(self, selection: Selection) -> int:
        """Remove what the selection names; return how many entries went."""

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        """The epoch of each tag (0 if never bumped), raised by one first with `bump`."""

    def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        """Every readable entry that the selection names, in no order."""

    async def tallies(self, add: Mapping[str, int]) -> dict[str, int]:
        """Add to the store's lasting counters and return them all."""

    async def check(self, *, fix: bool = False) -> list[Damage]:
        """Read everything; report (and with `fix` remove) what fails its own check."""

    async def pepper(self) -> bytes:
        """32 random bytes made with the store and kept with it: the secret of its namespaces."""

    async def close(self) -> None: ...


class Held(Protocol):
    """An entry in memory with what was rendered of it already; the bytes are accounted for."""

    @property
    def entry(self) -> Entry: ...

    @property
    def shown(self) -> Mapping[Shape, bytes]: ...


class Memory(Store, Protocol):
    """A store in this process with a synchronous face for the hot path."""

    @property
    def used_bytes(self) -> int: ...

    def find(self, key: Key) -> Held | None: ...

    def keep(self, entry: Entry) -> bool:
        """Store the entry; False if a tag was invalidated meanwhile or it does not fit."""

    def show(self, held: Any, shape: Shape, frames: bytes) -> None:
        """Remember how a held entry looks in this shape; `held` is what `find` returned."""

    def learn(self, epochs: Mapping[str, int]) -> None:
        """Raise the tags' epochs to what a shared store says they are."""


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


class Prices(Protocol):
    """What an answer cost; None where the price is not known, which is not zero."""

    def cost(self, model: str, origin: str, usage: Usage) -> Decimal | None: ...
