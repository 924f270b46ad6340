"""The embedding queue: turns questions into vectors, for sync and async callers alike.

A caller waits for a vector no longer than its timeout. A text that several callers want is embedded
once, and texts that arrive while the embedder is busy are embedded together. Vectors are kept,
because a question that was compared is usually stored next, and comes again. The embedder has a
deadline and a circuit breaker like any backend; without it calls go on as if nothing were near.
"""

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from askonce.core.bounded import BoundedMap
from askonce.core.guarded import GuardedBackend
from askonce.core.protocols import Embedder
from askonce.core.runtime.interface import Event, Runtime
from askonce.core.runtime.threads import fork_safe_lock
from askonce.ledger.ledger import Ledger

_KEPT_BYTES: Final = 16 << 20
"""The size of all kept vectors; one of 384 numbers takes 1.6 kB."""

_OVERHEAD: Final = 128  # bytes of a kept vector beside the vector itself
_MOST_WAITING: Final = 256
"""With more texts than this in the queue the next caller goes on without a vector."""


class EmbeddingQueue:
    """One embedder behind a queue.

    Parameters:
        embedder: computes the vectors.
        engine: the deadline and circuit breaker of the embedder; sync.
        runtime: a sync runtime of its own.
        ledger: counts texts without a vector, and callers that went on without one.
        together: how many texts one call of the embedder gets at most.
        workers: how many calls run at once.
        account: is called after every batch, with its characters and how many of them were
            embedded only to compare answers. Default: nothing is accounted.
    """

    def __init__(
        self,
        embedder: Embedder,
        engine: GuardedBackend,
        *,
        runtime: Runtime,
        ledger: Ledger,
        together: int,
        workers: int,
        account: Callable[[int, int], None] | None = None,
    ) -> None:
        self._embedder = embedder
        self._engine = engine
        self._runtime = runtime
        self._ledger = ledger
        self._lock = fork_safe_lock()
        self._together = together
        self._workers = workers
        self._account = account
        self._kept: BoundedMap[bytes, bytes | None] = BoundedMap(_KEPT_BYTES, _weight)
        self._pending: dict[bytes, _PendingText] = {}
        self._queue: deque[_PendingText] = deque()
        self._working = 0
        self._here = runtime.loop_or_process()

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        """The numbers of a vector; 0 until the first vector has come."""
        return self._embedder.dimensions

    @property
    def state(self) -> str:
        """The state of the circuit breaker."""
        return self._engine.breaker.state.value

    def known(self, text: str) -> bytes | None:
        """Return the vector of a text if it is kept; never wait."""
        with self._lock:
            return self._kept.get(_digest(text))

    async def vector(
        self, text: str, runtime: Runtime, timeout: float | None = None, *, audits: bool = False
    ) -> bytes | None:
        """Return the vector of a text; None if it has none, or none in time.

        Parameters:
            text: the text to embed.
            runtime: the runtime of the caller.
            timeout: seconds to wait. Default: wait as long as it takes.
            audits: the text is an answer that is only compared with another one.
        """
        digest = _digest(text)
        with self._lock:
            if digest in self._kept:
                return self._kept[digest]
            self._reset_after_fork()
            pending = self._pending.get(digest)
            if pending is None and (timeout is None or len(self._queue) < _MOST_WAITING):
                pending = self._pending[digest] = _PendingText(digest, text, audits=audits)
                self._queue.append(pending)
            if pending is not None:
                event = runtime.thread_event()
                pending.events.append(event)
                starts = bool(self._queue) and self._working < self._workers
                self._working += starts
        if pending is None:
            self._ledger.semantic("crowded")
            return None
        if starts:
            self._runtime.run_in_background(self._work)
        if not await event.wait(timeout):
            self._ledger.semantic("late")
            return None
        return pending.vector

    async def close(self) -> None:
        """Finish the work in the queue, and close the embedder."""
        await self._runtime.settle()
        await self._embedder.close()

    async def _work(self) -> None:
        """Embed the texts in the queue until it is empty."""
        batch: list[_PendingText] = []
        ended = False
        try:
            while batch := self._next():
                texts = [pending.text for pending in batch]
                found = await self._engine.ask("embed", _embed(self._embedder, texts))
                if self._account is not None:
                    audited = sum(len(pending.text) for pending in batch if pending.audits)
                    self._account(sum(map(len, texts)), audited)
                self._finish(batch, found)
            ended = True
        finally:
            if not ended:
                # This worker is being killed: wake its callers, and let the next worker start.
                self._finish(batch, None)
                with self._lock:
                    self._working -= 1

    def _finish(self, batch: "list[_PendingText]", found: list[bytes | None] | None) -> None:
        """Hand out the vectors, and wake the callers that wait for them."""
        if found is not None and len(found) != len(batch):
            found = None
        events: list[Event] = []
        with self._lock:
            for number, pending in enumerate(batch):
                if found is not None:
                    pending.vector = self._kept[pending.digest] = found[number]
                self._pending.pop(pending.digest, None)
                events += pending.events
        for event in events:
            event.set()
        unread = 0 if found is None else found.count(None)
        if unread:
            self._ledger.semantic("unreadable", unread)

    def _next(self) -> "list[_PendingText]":
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(self._together, len(self._queue)))]
            if not batch:
                self._working -= 1
            return batch

    def _reset_after_fork(self) -> None:
        """Forget the callers and workers of the parent process: a fork has none of its threads."""
        here = self._runtime.loop_or_process()
        if here != self._here:
            self._here, self._working = here, 0
            self._pending.clear()
            self._queue.clear()


class _PendingText:
    """A text whose vector callers wait for."""

    __slots__ = ("audits", "digest", "events", "text", "vector")

    def __init__(self, digest: bytes, text: str, *, audits: bool) -> None:
        self.digest = digest
        self.text = text
        self.audits = audits
        self.vector: bytes | None = None
        self.events: list[Event] = []


def _embed(embedder: Embedder, texts: list[str]) -> Callable[[], Awaitable[list[bytes | None]]]:
    return lambda: embedder.embed(texts)


def cosine(a: bytes, b: bytes) -> float:
    """Return the cosine of two vectors of unit length from one embedder."""
    one, two = memoryview(a).cast("f"), memoryview(b).cast("f")
    return float(sum(x * y for x, y in zip(one, two, strict=True)))


def _weight(_: bytes, vector: bytes | None) -> int:
    return _OVERHEAD + len(vector or b"")


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
