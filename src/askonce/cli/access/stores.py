"""The stores that a command opens: the configured one, or one at an address."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from askonce.config.settings import Settings
from askonce.core.errors import StoreError
from askonce.core.printers import masked_url
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store, sqlite_path
from askonce.stores.tiered.layers import MEMORY, tiers_of

_DEADLINE = 30.0  # seconds for one call of a store


def open_existing(settings: Settings) -> Store:
    """Open the configured store, which must exist: looking never creates one."""
    url = settings.shared_url
    path = sqlite_path(url)
    if path is not None and not Path(path).is_file():
        raise StoreError(f"there is no store at {masked_url(url)} yet; `askonce serve` makes it")
    return open_shared(settings)


def open_shared(settings: Settings) -> Store:
    """Open the configured store, the last of several layers, and create it if necessary."""
    tiers = tiers_of(settings.layers)[1]
    return open_url(settings.shared_url, size=tiers[-1].size if tiers else None)


def open_url(url: str, *, size: int | None = None) -> Store:
    """Open the store at an address, with long deadlines: no caller waits for an answer here."""
    if url == MEMORY:
        raise StoreError("the store is memory:, which only the running gateway can read")
    return open_store(url, StoreContext.of(SyncRuntime(), _DEADLINE), size=size)


async def closing(work: Coroutine[Any, Any, None], *stores: Store) -> None:
    """Do the work, then close the stores, also after an error."""
    try:
        await work
    finally:
        for store in stores:
            await store.close()
