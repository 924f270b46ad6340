"""The log in the order of time, as far as a bounded wait can bring it about.

A request is logged when it ends, so a long one comes behind later ones: a line waits until those
that may come before it are there. A clock that went back further than that is reported, and the
line counts as of when the others had come.
"""

import heapq
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

_SLACK = 0.1  # seconds by which clocks of several processes may differ


class Timed(Protocol):
    """Something with a time and the number of its line."""

    @property
    def number(self) -> int: ...

    @property
    def ts(self) -> float: ...

    @property
    def duration(self) -> float | None: ...


T = TypeVar("T", bound=Timed)


class LogOrder(Generic[T]):
    """Holds back up to so many items, or so many bytes of them."""

    def __init__(self, most: int = 1024, most_bytes: int = 64 << 20) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._heap: list[tuple[float, int, T, int]] = []
        self._bytes = 0
        self._ended = 0.0

    def went_back(self, item: T) -> float:
        """By how many seconds an item ended before those that were logged before it; 0 if not."""
        ended = item.ts + (item.duration or 0.0)
        back = self._ended - ended
        self._ended = max(self._ended, ended)
        return back if back > _SLACK else 0.0

    def push(self, item: T, size: int) -> Iterator[T]:
        """Take an item in; yields those that have waited long enough, the earliest first."""
        heapq.heappush(self._heap, (item.ts, item.number, item, size))
        self._bytes += size
        while len(self._heap) > self._most or (
            self._bytes > self._most_bytes and len(self._heap) > 1
        ):
            yield self._pop()

    def rest(self) -> Iterator[T]:
        while self._heap:
            yield self._pop()

    def _pop(self) -> T:
        _, _, item, size = heapq.heappop(self._heap)
        self._bytes -= size
        return item
