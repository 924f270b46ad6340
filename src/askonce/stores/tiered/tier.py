"""A shelf is a layer below memory: a store behind a deadline and a circuit breaker."""

from typing import Any

from askonce.core.guarded import GuardedBackend
from askonce.core.models import Entry, Key
from askonce.core.protocols import Store
from askonce.ledger.ledger import Ledger

_NOBODY = Key("~askonce", "probe", bytes(32))


class Tier(GuardedBackend):
    """One store of one flavor, as the story uses it."""

    def __init__(self, name: str, store: Store, *, ledger: Ledger, **context: Any) -> None:
        """`context` is what an `GuardedBackend` needs beside its probe."""

        def count() -> None:
            ledger.layer(name, "errors")

        super().__init__(name, lambda: store.read(_NOBODY), ledger=ledger, count=count, **context)
        self.store = store

    async def read(self, key: Key) -> Entry | None:
        """The store's entry; None also where the store cannot say."""
        return await self.ask("read", lambda: self.store.read(key))
