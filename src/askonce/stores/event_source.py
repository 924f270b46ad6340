"""Where events are read from: a Redis stream, or a table of PostgreSQL.

Opening one by its address imports that one's client, and connects nothing yet.
"""

from askonce.core.protocols import EventReader
from askonce.stores.context import StoreContext, needing


def open_source(
    url: str, context: StoreContext, *, name: str, stream: str, channel: str
) -> EventReader:
    """The source at an address. `name` makes ids out of places in a Redis stream or a table.

    Raises `ConfigError` for an address that is not right, or where its client is not installed.
    """
    if url.startswith("redis"):
        with needing("redis"):
            from askonce.stores.redis.events import open_stream

        return open_stream(url, context, name=name, stream=stream)
    with needing("postgres"):
        from askonce.stores.postgres.events import open_table

    return open_table(url, context, name=name, table=channel)
