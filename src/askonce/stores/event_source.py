"""Where events are read from: a Redis stream, or a table of PostgreSQL.

Opening one by its address imports that one's client, and connects nothing yet.
"""

from typing import Any

import msgspec

from askonce.errors import ConfigError
from askonce.protocols import EventSource
from askonce.records import Arrival
from askonce.stores import Ground

_LARGEST_BYTES = 64 << 10
_data = msgspec.json.Decoder(dict[str, Any])


def open_source(url: str, ground: Ground, *, name: str, stream: str, channel: str) -> EventSource:
    """The source at an address. `name` makes ids out of places in a Redis stream or a table.

    Raises `ConfigError` for an address that is not right, or where its client is not installed.
    """
    if url.startswith("redis"):
        try:
            from askonce.stores.redis_events import open_stream
        except ImportError:
            raise ConfigError(
                "a redis: source needs its client: pip install 'askonce[redis]'"
            ) from None
        return open_stream(url, ground, name=name, stream=stream)
    try:
        from askonce.stores.postgres_events import open_table
    except ImportError:
        raise ConfigError(
            "a postgresql: source needs its client: pip install 'askonce[postgres]'"
        ) from None
    return open_table(url, ground, name=name, table=channel)


def arrival(mark: str | None, id_: str | None, event: bytes | None, data: bytes | None) -> Arrival:
    """An event out of its texts; one that cannot be read says so, and quotes nothing."""
    if not event:
        return Arrival(mark, error="it has no field `event`")
    try:
        name = event.decode()
    except UnicodeDecodeError:
        return Arrival(mark, error="its name is not UTF-8")
    if data and len(data) > 2 * _LARGEST_BYTES:
        return Arrival(mark, id_, name, error=f"its data have {len(data)} bytes")
    try:
        return Arrival(mark, id_, name, _data.decode(data) if data else {})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Arrival(mark, id_, name, error="its data are not a JSON object")
