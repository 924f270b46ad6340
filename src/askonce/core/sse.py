"""Server-sent events, split from bytes as they arrive.

Lines end at LF, CRLF or CR and nowhere else (never `splitlines`, which would also break at
U+2028, U+0085 and others inside a JSON string). Each event keeps its raw bytes, so a relay passes
on exactly what the provider sent.
"""

import re
from typing import NamedTuple

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_EVENT_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")


class SseEvent(NamedTuple):
    """One event: its `event:` name (empty if none), its joined `data:` lines, its raw bytes."""

    name: bytes
    data: bytes
    raw: bytes


def parse(raw: bytes) -> SseEvent:
    """Parse one event from its raw bytes, including the blank line that ends it."""
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        # The fast path: nearly every event is one line of data.
        return SseEvent(b"", raw[6:-2], raw)
    name = b""
    data = []
    for line in _LINE_END.split(raw):
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return SseEvent(name, b"\n".join(data), raw)


class Splitter:
    """Cuts a byte stream into events, whatever the pieces it arrives in.

    A comment or a keep-alive is an event without data. `rest` holds the bytes of an unfinished
    event; at the end of a stream, they were cut off.

    Parameters:
        limit: bytes of one event after which `overfull` is True. Default: 64 MiB.
    """

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self.limit = limit
        self._rest = bytearray()
        self._looked = 0
        self._started = False

    @property
    def rest(self) -> bytes:
        """The bytes of an event that has not ended."""
        return bytes(self._rest)

    @property
    def overfull(self) -> bool:
        """Whether an event that has not ended is longer than the limit."""
        return len(self._rest) > self.limit

    def feed(self, piece: bytes) -> list[SseEvent]:
        """Add bytes; return the events that they complete."""
        rest = self._rest
        rest += piece
        if not self._started:
            if rest.startswith(_BOM):
                del rest[:3]
                self._started = True
            else:
                # Too few bytes for a byte-order mark: look again with the next piece.
                self._started = not _BOM.startswith(bytes(rest[:3]))
        events = []
        start = 0
        look = self._looked
        while (end := _EVENT_END.search(rest, look)) is not None:
            # A CR at the very end may be the first half of CRLF: wait for the next byte.
            stop = end.end()
            if stop == len(rest) and rest[stop - 1] == 13:
                break
            events.append(parse(bytes(rest[start:stop])))
            start = look = stop
        if start:
            del rest[:start]
        # An event's end has at most four bytes, so only the last three can begin one.
        self._looked = max(0, len(rest) - 3)
        return events
