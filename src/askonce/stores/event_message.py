"""Parse one message of an event source."""

from typing import Any

import msgspec

from askonce.core.models import EventMessage

_LARGEST_BYTES = 64 << 10
_data = msgspec.json.Decoder(dict[str, Any])


def arrival(
    mark: str | None, id_: str | None, event: bytes | None, data: bytes | None
) -> EventMessage:
    """An event out of its texts; one that cannot be read says so, and quotes nothing."""
    if not event:
        return EventMessage(mark, error="it has no field `event`")
    try:
        name = event.decode()
    except UnicodeDecodeError:
        return EventMessage(mark, error="its name is not UTF-8")
    if data and len(data) > 2 * _LARGEST_BYTES:
        return EventMessage(mark, id_, name, error=f"its data have {len(data)} bytes")
    try:
        return EventMessage(mark, id_, name, _data.decode(data) if data else {})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return EventMessage(mark, id_, name, error="its data are not a JSON object")
