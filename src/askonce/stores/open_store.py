"""Open a store by its address: `sqlite:answers.db`, `redis://localhost`, `memory:` and more.

Importing this module imports no store; opening one imports that one.
"""

from typing import Literal

from askonce.core.errors import ConfigError
from askonce.core.protocols import Store
from askonce.stores.context import StoreContext, needing

SCHEMES = (
    "memory:",
    "sqlite:FILE",
    "redis://HOST",
    "rediss://HOST",
    "redis+sentinel://HOST/SERVICE",
    "redis+cluster://HOST",
    "postgresql://HOST/DATABASE",
)
MEMORY_BYTES = 256 << 20
_REDIS = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_POSTGRES = ("postgresql", "postgres")


def open_store(
    url: str,
    context: StoreContext,
    *,
    size: int | None = None,
    eviction: Literal["s3-fifo", "gdsf"] = "s3-fifo",
) -> Store:
    """Open the store that an address names; nothing is connected yet.

    `size` bounds a memory or a SQLite file, in bytes. A store that lives in this process blocks
    in either flavor (see `is_local`). Raises `ConfigError` for an address that names no store.
    """
    scheme = url.partition(":")[0] if ":" in url else "none"
    if (path := sqlite_path(url)) is not None:
        from askonce.stores.sqlite.store import SqliteStore

        return SqliteStore(
            path,
            lock=context.lock(),
            clock=context.clock,
            max_bytes=size,
            # A call may wait more than once for other writers.
            busy_timeout_ms=round(context.deadline * 1000 / 5),
        )
    if url == "memory:":
        from askonce.stores.memory.store import MemoryStore

        return MemoryStore(
            MEMORY_BYTES if size is None else size,
            lock=context.lock(),
            eviction=eviction,
            clock=context.clock,
        )
    if scheme in _REDIS:
        with needing("redis"):
            from askonce.stores.redis.store import open_redis

        return open_redis(url, context)
    if scheme in _POSTGRES:
        with needing("postgres"):
            from askonce.stores.postgres.store import open_postgres

        return open_postgres(url, context)
    raise ConfigError(f"no store has the scheme {scheme!r}; what works is {', '.join(SCHEMES)}")


def is_local(url: str) -> bool:
    """Does the store live in this process, so that it blocks and one instance serves everybody?"""
    return url == "memory:" or sqlite_path(url) is not None


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
