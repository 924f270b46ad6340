"""Open the reader of an event source: a Redis stream, or a PostgreSQL table.

Opening one imports only the engine that the address names, and connects nothing yet.
"""

from askonce.core.engine_names import engine_of
from askonce.core.protocols import EventReader
from askonce.stores.context import StoreContext, require_extra


def open_event_reader(
    url: str, context: StoreContext, *, name: str, stream: str, channel: str
) -> EventReader:
    """Open the reader of the events at an address.

    Parameters:
        url: a Redis or a PostgreSQL address.
        context: the clocks and deadline of the calling process.
        name: the source's name; events without an id of their own get one that begins with it.
        stream: the key of the stream; only Redis uses it.
        channel: the name of the table and of its notifications; only PostgreSQL uses it.

    Raises `ConfigError` for a malformed address, and if the engine's library is not installed.
    """
    if engine_of(url) == "redis":
        with require_extra("redis"):
            from askonce.stores.redis.events import open_stream

        return open_stream(url, context, name=name, stream=stream)
    with require_extra("postgres"):
        from askonce.stores.postgres.events import open_table

    return open_table(url, context, name=name, table=channel)
