"""The stream of news: how a change is written there, and what a reader makes of it."""

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


def change(kind: str, what: Sequence[str] | Selection) -> tuple[str, bytes]:
    """The kind and content of a change; one too large to tell says that news were lost."""
    try:
        told: bytes = _encoder.encode(what)
    except UnicodeEncodeError:  # no entry can have such a key or tag, but the change is one
        return LOST, b""
    return (kind, told) if len(told) <= _MOST_BYTES else (LOST, b"")


class ChangeReading:
    """News as they are read from the stream, page by page."""

    def __init__(self, since: str) -> None:
        self.mark = since
        self._epochs: dict[str, int] = {}
        self._removed: list[Selection] = []
        self._lost = False

    def take(self, lines: Sequence[Any]) -> None:
        """Read lines of the stream, in order: `[id, [field, value, ...]]` each."""
        for id_, fields in lines:
            line = dict(zip(fields[::2], fields[1::2], strict=True))
            if line.get(b"before") != self.mark.encode():
                self._lost = True  # a line between the last one and this one is missing
            self.mark = id_.partition(b"-")[0].decode()
            try:
                self._learn(line.get(b"kind"), line.get(b"what", b""))
            except msgspec.MsgspecError:
                self._lost = True

    def lose(self, mark: str) -> None:
        """Say that everything up to a mark may have changed."""
        self.mark, self._lost = mark, True

    def changes(self) -> ChangeBatch:
        if self._lost:
            return ChangeBatch(self.mark, lost=True)
        return ChangeBatch(self.mark, self._epochs, tuple(self._removed))

    def _learn(self, kind: bytes | None, what: bytes) -> None:
        if kind == b"bumped":
            self._epochs |= dict.fromkeys(_tags.decode(what), int(self.mark))
        elif kind == b"removed":
            self._removed.append(_selection.decode(what))
        elif kind != b"none":
            self._lost = True
