"""The change feed in its Redis stream: how a change is encoded, and how a reader decodes it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from askonce.core.models import ChangeBatch, Selection

LOST, BUMPED, REMOVED = "lost", "bumped", "removed"
PAGE = 1000
_MOST_BYTES = 64 << 10

_encoder = msgspec.msgpack.Encoder()
_tags = msgspec.msgpack.Decoder(list[str])
_selection = msgspec.msgpack.Decoder(Selection)


def encode_change(kind: str, what: Sequence[str] | Selection) -> tuple[str, bytes]:
    """Return the kind and content of a change; one too large for the feed counts as lost."""
    try:
        content: bytes = _encoder.encode(what)
    except UnicodeEncodeError:  # no entry can have such a key or tag, but the change is one
        return LOST, b""
    return (kind, content) if len(content) <= _MOST_BYTES else (LOST, b"")


class StreamDecoder:
    """Decodes the changes after a cursor, page by page."""

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        self._epochs: dict[str, int] = {}
        self._removed: list[Selection] = []
        self._lost = False

    def take(self, lines: Sequence[Any]) -> None:
        """Decode lines of the stream, in order: `[id, [field, value, ...]]` each."""
        for id_, fields in lines:
            line = dict(zip(fields[::2], fields[1::2], strict=True))
            if line.get(b"before") != self.cursor.encode():
                self._lost = True  # a line between the last one and this one is missing
            self.cursor = id_.partition(b"-")[0].decode()
            try:
                self._merge(line.get(b"kind"), line.get(b"what", b""))
            except msgspec.MsgspecError:
                self._lost = True

    def lose(self, cursor: str) -> None:
        """Note that everything up to a cursor may have changed."""
        self.cursor, self._lost = cursor, True

    def changes(self) -> ChangeBatch:
        if self._lost:
            return ChangeBatch(self.cursor, lost=True)
        return ChangeBatch(self.cursor, self._epochs, tuple(self._removed))

    def _merge(self, kind: bytes | None, what: bytes) -> None:
        if kind == b"bumped":
            self._epochs |= dict.fromkeys(_tags.decode(what), int(self.cursor))
        elif kind == b"removed":
            self._removed.append(_selection.decode(what))
        elif kind != b"none":
            self._lost = True
