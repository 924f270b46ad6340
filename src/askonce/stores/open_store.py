"""Open a store by its address: `sqlite:answers.db`, `redis://localhost`, `memory:` and more.

Importing this module imports no engine; opening a store imports only the engine it names.
"""

from typing import Literal

from askonce.core.engine_names import engine_of
from askonce.core.errors import ConfigError
from askonce.core.protocols import Store
from askonce.stores.context import StoreContext, require_extra

_EXAMPLES = (
    "memory:",
    "sqlite:FILE",
    "redis://HOST",
    "rediss://HOST",
    "redis+sentinel://HOST/SERVICE",
    "redis+cluster://HOST",
    "postgresql://HOST/DATABASE",
)
_MEMORY_BYTES = 256 << 20


def open_store(
    url: str,
    context: StoreContext,
    *,
    size: int | None = None,
    eviction: Literal["s3-fifo", "gdsf"] = "s3-fifo",
) -> Store:
    """Open the store that an address names, without connecting yet.

    Parameters:
        url: the address; its scheme names the engine. A store in this process (see `is_local`)
            blocks in either mode.
        context: the lock, clocks and deadline of the calling process.
        size: the bound of a memory or a SQLite file, in bytes. Default: 256 MiB of memory, and
            no bound for a file. Other engines ignore it.
        eviction: how a memory chooses what to evict. Default: S3-FIFO.

    Raises `ConfigError` for an address that names no store or is malformed, and if the engine's
    library is not installed.
    """
    engine = engine_of(url)
    if engine == "sqlite":
        from askonce.stores.sqlite.store import SqliteStore

        return SqliteStore(
            _path_in(url),
            lock=context.lock(),
            clock=context.clock,
            max_bytes=size,
            # A call may wait more than once for other writers.
            busy_timeout_ms=round(context.deadline * 1000 / 5),
        )
    if url == "memory:":
        from askonce.stores.memory.store import MemoryStore

        return MemoryStore(
            _MEMORY_BYTES if size is None else size,
            lock=context.lock(),
            eviction=eviction,
            clock=context.clock,
        )
    if engine == "redis":
        with require_extra("redis"):
            from askonce.stores.redis.store import open_redis

        return open_redis(url, context)
    if engine == "postgres":
        with require_extra("postgres"):
            from askonce.stores.postgres.store import open_postgres

        return open_postgres(url, context)
    raise _unknown(url)


def is_local(url: str) -> bool:
    """Does the store live in this process, so that it blocks and one instance serves all modes?"""
    return url == "memory:" or sqlite_path(url) is not None


def sqlite_path(url: str) -> str | None:
    """Return the file of a `sqlite:` address; None for any other scheme.

    Raises `ConfigError` for a `sqlite:` address without a file or with a host.
    """
    return _path_in(url) if engine_of(url) == "sqlite" else None


def _path_in(url: str) -> str:
    path = url.partition(":")[2]
    if path.startswith("//"):
        raise ConfigError("a sqlite: address has no host; write sqlite:answers.db or sqlite:/a.db")
    if not path:
        raise ConfigError("a sqlite: address needs a file; write sqlite:answers.db")
    return path


def _unknown(url: str) -> ConfigError:
    """Return the error for an address that is no store's."""
    scheme, colon, _ = url.partition(":")
    if not colon:
        return ConfigError(f"{url!r} is no address; for a SQLite file write 'sqlite:{url}'")
    return ConfigError(f"no store has the scheme {scheme!r}; write one of {', '.join(_EXAMPLES)}")
