"""One tier below memory: a store behind a deadline and a circuit breaker."""

from typing import Any

from askonce.core.guarded import GuardedBackend
from askonce.core.models import Key
from askonce.core.protocols import Store
from askonce.ledger.ledger import Ledger

_UNUSED = Key("~askonce", "probe", bytes(32))
"""No entry has this key; a probe reads it."""


class Tier(GuardedBackend):
    """A store as one mode (sync or async) of the request path uses it.

    Args:
        name: The layer's name in answers and statistics.
        store: The store, of the same mode as the runtime.
        ledger: Counts the failures, by layer.
        backend: The other arguments of `GuardedBackend`.
    """

    def __init__(self, name: str, store: Store, *, ledger: Ledger, **backend: Any) -> None:
        def count() -> None:
            ledger.layer(name, "errors")

        super().__init__(name, lambda: store.read(_UNUSED), ledger=ledger, count=count, **backend)
        self.store = store
