"""Batched reads: reads of one event loop that overlap share one command.

A read goes out at once if no other is under way. A read that arrives meanwhile waits; when the one
under way ends, the first waiting read goes out for all that wait. Under load a round trip carries
many reads, a single read waits for no other, and no read takes more than two round trips. The
batch leaves out reads that were cancelled.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

_LARGEST_BATCH = 64

ReadAll = Callable[[Sequence[bytes]], Awaitable[tuple[list[Any], Any]]]
"""Reads the values of these names, and the label that goes with them."""


class _WaitingRead:
    """A read that waits for its `result`: a value and its label, or an error.

    A result of None means that this read goes out next, for itself and the rest of `batch`.
    """

    __slots__ = ("batch", "name", "result")

    def __init__(self, name: bytes, result: Any) -> None:
        self.name = name
        self.result = result
        self.batch: list[_WaitingRead] = []


class _ReadQueue:
    """The waiting reads of one event loop, and whether one is under way."""

    __slots__ = ("busy", "waiting")

    def __init__(self) -> None:
        self.busy = False
        self.waiting: deque[_WaitingRead] = deque()


class BatchedReads:
    """Batches the reads of each event loop.

    Parameters:
        read_all: reads several names at once.
        loop: returns the event loop of the caller.
    """

    def __init__(self, read_all: ReadAll, loop: Callable[[], Any]) -> None:
        self._read_all = read_all
        self._loop = loop
        self._queues: WeakKeyDictionary[Any, _ReadQueue] = WeakKeyDictionary()

    async def read(self, name: bytes) -> tuple[Any, Any]:
        """Return the value under a name, and its label. Raises what `read_all` raises."""
        loop = self._loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queues[loop] = _ReadQueue()
        if not queue.busy:
            queue.busy = True
            return await self._read_batch(queue, _WaitingRead(name, None), [])
        own = _WaitingRead(name, loop.create_future())
        queue.waiting.append(own)
        try:
            result: tuple[Any, Any] | None = await own.result
        except BaseException:
            # Cancelled or failed. If this read was to go out next, another one takes its place.
            if own.batch:
                self._start_next(queue, own.batch[1:])
            if own.result.done() and not own.result.cancelled():
                own.result.exception()  # marks the error as seen
            raise
        if result is not None:
            return result
        return await self._read_batch(queue, own, own.batch[1:])

    async def _read_batch(
        self, queue: _ReadQueue, own: _WaitingRead, others: list[_WaitingRead]
    ) -> tuple[Any, Any]:
        """Read for this call and for the others, then start the next batch."""
        others = [other for other in others if not other.result.done()]
        unread: list[_WaitingRead] = []
        try:
            values, label = await self._read_all([own.name, *[other.name for other in others]])
            for other, value in zip(others, values[1:], strict=True):
                if not other.result.done():
                    other.result.set_result((value, label))
            return values[0], label
        except Exception as error:
            for other in others:
                if not other.result.done():
                    other.result.set_exception(error)
            raise
        except BaseException:
            unread = others  # only this call was cancelled: the next batch reads for the others
            raise
        finally:
            self._start_next(queue, unread)

    def _start_next(self, queue: _ReadQueue, unread: list[_WaitingRead]) -> None:
        """Let the first waiting read go out for all that wait; note if none does."""
        queue.waiting.extendleft(reversed(unread))
        batch: list[_WaitingRead] = []
        while queue.waiting and len(batch) < _LARGEST_BATCH:
            waiting = queue.waiting.popleft()
            if not waiting.result.done():
                batch.append(waiting)
        queue.busy = bool(batch)
        if batch:
            batch[0].batch = batch
            batch[0].result.set_result(None)
