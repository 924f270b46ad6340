"""The reorder buffer: puts a log in the order of time, as far as a bounded buffer can.

A request is logged when it ends, so a long request comes after later ones. A line waits until the
lines that may come before it have been read. If a clock went back further than that, it is
reported, and the line counts as sent together with the lines before it.
"""

import heapq
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

_SLACK = 0.1  # seconds by which clocks of several processes may differ


class Timed(Protocol):
    """An item with its line number, its time, and its duration if known; in seconds."""

    @property
    def number(self) -> int: ...

    @property
    def ts(self) -> float: ...

    @property
    def duration(self) -> float | None: ...


T = TypeVar("T", bound=Timed)


class ReorderBuffer(Generic[T]):
    """Holds back items until later ones have come.

    Parameters:
        most: how many items to hold back.
        most_bytes: how many bytes of items to hold back.
    """

    def __init__(self, most: int = 1024, most_bytes: int = 64 << 20) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._heap: list[tuple[float, int, T, int]] = []
        self._bytes = 0
        self._ended = 0.0

    def seconds_behind(self, item: T) -> float:
        """Return how many seconds before an earlier item this one ended; 0 if it did not."""
        ended = item.ts + (item.duration or 0.0)
        back = self._ended - ended
        self._ended = max(self._ended, ended)
        return back if back > _SLACK else 0.0

    def push(self, item: T, size: int) -> Iterator[T]:
        """Add an item of so many bytes; yield the items that have waited enough, earliest first."""
        heapq.heappush(self._heap, (item.ts, item.number, item, size))
        self._bytes += size
        while len(self._heap) > self._most or (
            self._bytes > self._most_bytes and len(self._heap) > 1
        ):
            yield self._pop()

    def drain(self) -> Iterator[T]:
        while self._heap:
            yield self._pop()

    def _pop(self) -> T:
        _, _, item, size = heapq.heappop(self._heap)
        self._bytes -= size
        return item
