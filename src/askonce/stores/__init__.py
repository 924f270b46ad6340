"""The stores, and their addresses: `sqlite:answers.db`, `sqlite:/var/lib/answers.db`, `memory:`.

Importing this package imports no store; opening one by its address imports that one.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Literal

from askonce.errors import ConfigError
from askonce.protocols import Store

SCHEMES = ("sqlite:FILE", "memory:")
MEMORY_BYTES = 256 << 20


def open_store(
    url: str,
    *,
    guard: AbstractContextManager[Any],
    clock: Callable[[], float],
    memory_bytes: int = MEMORY_BYTES,
    eviction: Literal["s3-fifo", "gdsf"] = "s3-fifo",
) -> Store:
    """Open the store that an address names.

    `guard` is a lock of the flavor's own, `clock` tells seconds since the Unix epoch;
    `memory_bytes` and `eviction` are for `memory:`. Raises `ConfigError` for an address that names
    no store, `StoreError` where the store cannot be opened.
    """
    path = sqlite_path(url)
    if path is not None:
        from askonce.stores.sqlite import SqliteStore

        return SqliteStore(path, guard=guard, clock=clock)
    if url == "memory:":
        from askonce.stores.memory import MemoryStore

        return MemoryStore(memory_bytes, guard=guard, eviction=eviction, clock=clock)
    scheme = url.partition(":")[0] if ":" in url else "none"
    raise ConfigError(f"no store has the scheme {scheme!r}; what works is {' or '.join(SCHEMES)}")


def sqlite_path(url: str) -> str | None:
    """The file of a `sqlite:` address, or None for another scheme's."""
    scheme, _, path = url.partition(":")
    if scheme != "sqlite":
        return None
    if path.startswith("//"):
        raise ConfigError("a sqlite: address has no host; write sqlite:answers.db or sqlite:/a.db")
    if not path:
        raise ConfigError("a sqlite: address needs a file; write sqlite:answers.db")
    return path
