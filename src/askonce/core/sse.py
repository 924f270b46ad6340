"""Server-sent events, split from bytes as they arrive.

Lines end at LF, CRLF or CR and nowhere else (never `splitlines`, which would also break at
U+2028, U+0085 and others inside a JSON string). The raw bytes of each event are kept, so that a
relay can pass on exactly what the provider sent.
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
    """Read one event's raw bytes, from the first byte to the blank line that ends it."""
    if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
        # Nearly every event is a single line of data.
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

    A comment or a keep-alive is an event without data; a caller relays its bytes and feeds it to
    nothing. `rest` is what has not ended yet: not an event, and at the end of a stream, cut off.
    """

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self.limit = limit
        self._rest = bytearray()
        self._looked = 0
        self._started = False

    @property
    def rest(self) -> bytes:
        return bytes(self._rest)

    @property
    def overfull(self) -> bool:
        """One event alone is longer than the limit."""
        return len(self._rest) > self.limit

    def feed(self, piece: bytes) -> list[SseEvent]:
        """Add bytes; return the events that are now whole."""
        rest = self._rest
        rest += piece
        if not self._started:
            if rest.startswith(_BOM):
                del rest[:3]
                self._started = True
            else:
                # Fewer bytes than a mark that could still become one: ask again with the next.
                self._started = not _BOM.startswith(bytes(rest[:3]))
        events = []
        start = 0
        look = self._looked
        while (end := _EVENT_END.search(rest, look)) is not None:
            # A CR at the very end may be the first half of a CRLF: wait for the next byte.
            stop = end.end()
            if stop == len(rest) and rest[stop - 1] == 13:
                break
            events.append(parse(bytes(rest[start:stop])))
            start = look = stop
        if start:
            del rest[:start]
        # An end is at most four bytes long, so only the last three can begin one.
        self._looked = max(0, len(rest) - 3)
        return events
