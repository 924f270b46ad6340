"""Parse one event out of the texts that a Redis stream or a PostgreSQL table holds."""

from typing import Any

import msgspec

from askonce.core.models import EventMessage

_LARGEST_BYTES = 128 << 10
_data = msgspec.json.Decoder(dict[str, Any])


def parse_message(
    cursor: str | None, id_: str | None, event: bytes | None, data: bytes | None
) -> EventMessage:
    """Return the event; if it cannot be read, one with an `error` that quotes no content.

    Parameters:
        cursor: where the reader continues after this event; None for one that is not kept.
        id_: the event's id; None if it has none.
        event: its name in UTF-8.
        data: its fields, a JSON object of at most 128 KiB; nothing means no fields.
    """
    if not event:
        return EventMessage(cursor, error="it has no field `event`")
    try:
        name = event.decode()
    except UnicodeDecodeError:
        return EventMessage(cursor, error="its name is not UTF-8")
    if data and len(data) > _LARGEST_BYTES:
        return EventMessage(cursor, id_, name, error=f"its data have {len(data)} bytes")
    try:
        return EventMessage(cursor, id_, name, _data.decode(data) if data else {})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return EventMessage(cursor, id_, name, error="its data are not a JSON object")
