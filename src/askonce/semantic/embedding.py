"""Embedding: questions become vectors, for both flavors, behind one queue.

Whoever wants a vector waits for it no longer than it has patience; what many want is embedded once,
and those who come while the embedder is busy are embedded together. Vectors are kept, because a
question that was compared is mostly stored next, and comes again. The embedder is an engine like
any other: it has a deadline and a circuit breaker, and without it calls go on as if nothing lay
near.
"""

import hashlib
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Final

from askonce.core.guarded import GuardedBackend
from askonce.core.protocols import Embedder
from askonce.core.runtime.interface import Event, Runtime
from askonce.core.runtime.threads import fork_safe_lock
from askonce.ledger.ledger import Ledger

_KEPT: Final = 16 << 20
"""Bytes of vectors; those of 384 numbers take 1.6 kB."""

_BESIDE: Final = 128  # bytes that a vector takes beside itself
_MOST_WAITING: Final = 256
"""More than these, and the embedder is too slow for what comes: the next goes on without."""


class EmbeddingQueue:
    """One embedder behind a queue. Its `runtime` is blocking and its own.

    `together` is how many texts go to the embedder in one call, `workers` how many calls at once.
    `engine` is the embedder's, blocking. `account` hears of every batch that had to be paid for
    how many characters it has, and how many of them only to compare answers.
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
        self._kept: OrderedDict[bytes, bytes | None] = OrderedDict()
        self._kept_bytes = 0
        self._wanted: dict[bytes, _Wanted] = {}
        self._queue: deque[_Wanted] = deque()
        self._working = 0
        self._here = runtime.loop_or_process()

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has; 0 while that is not known."""
        return self._embedder.dimensions

    @property
    def state(self) -> str:
        """The circuit breaker's."""
        return self._engine.breaker.state.value

    def known(self, text: str) -> bytes | None:
        """A text's vector, if nobody has to wait for it."""
        with self._lock:
            return self._kept.get(_digest(text))

    async def vector(
        self, text: str, runtime: Runtime, patience: float | None = None, *, audits: bool = False
    ) -> bytes | None:
        """A text's vector; None where it has none, or none in time.

        `runtime` is the caller's, `patience` in seconds. Who has none waits as long as it takes.
        `audits` says that it is an answer, to be compared with another one.
        """
        digest = _digest(text)
        with self._lock:
            if digest in self._kept:
                self._kept.move_to_end(digest)
                return self._kept[digest]
            self._forget_parent()
            wanted = self._wanted.get(digest)
            if wanted is None:
                if patience is not None and len(self._queue) >= _MOST_WAITING:
                    wanted = None
                else:
                    wanted = self._wanted[digest] = _Wanted(digest, text, audits=audits)
                    self._queue.append(wanted)
            if wanted is not None:
                event = runtime.thread_event()
                wanted.bells.append(event)
                starts = bool(self._queue) and self._working < self._workers
                self._working += starts
        if wanted is None:
            self._ledger.semantic("crowded")
            return None
        if starts:
            self._runtime.run_in_background(self._work)
        if not await event.wait(patience):
            self._ledger.semantic("late")
            return None
        return wanted.vector

    async def close(self) -> None:
        await self._runtime.settle()
        await self._embedder.close()

    async def _work(self) -> None:
        """Embed what waits, until nobody does."""
        batch: list[_Wanted] = []
        ended = False
        try:
            while batch := self._next():
                texts = [wanted.text for wanted in batch]
                found = await self._engine.ask("embed", _embed(self._embedder, texts))
                if self._account is not None:
                    audited = sum(len(wanted.text) for wanted in batch if wanted.audits)
                    self._account(sum(map(len, texts)), audited)
                self._finish(batch, found)
            ended = True
        finally:
            if not ended:
                # Whatever killed this worker: nobody waits for it, and the next one may begin.
                self._finish(batch, None)
                with self._lock:
                    self._working -= 1

    def _finish(self, batch: "list[_Wanted]", found: list[bytes | None] | None) -> None:
        """Give out what was found, and wake whoever waits for it."""
        if found is not None and len(found) != len(batch):
            found = None
        bells: list[Event] = []
        with self._lock:
            for number, wanted in enumerate(batch):
                if found is not None:
                    wanted.vector = found[number]
                    self._keep(wanted)
                self._wanted.pop(wanted.digest, None)
                bells += wanted.bells
        for event in bells:
            event.set()
        unread = 0 if found is None else found.count(None)
        if unread:
            self._ledger.semantic("unreadable", unread)

    def _next(self) -> "list[_Wanted]":
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(self._together, len(self._queue)))]
            if not batch:
                self._working -= 1
            return batch

    def _keep(self, wanted: "_Wanted") -> None:
        self._kept[wanted.digest] = wanted.vector
        self._kept_bytes += _BESIDE + len(wanted.vector or b"")
        while self._kept_bytes > _KEPT:
            _, vector = self._kept.popitem(last=False)
            self._kept_bytes -= _BESIDE + len(vector or b"")

    def _forget_parent(self) -> None:
        """A forked child has none of its parent's threads, and nobody in it waits."""
        here = self._runtime.loop_or_process()
        if here != self._here:
            self._here, self._working = here, 0
            self._wanted.clear()
            self._queue.clear()


class _Wanted:
    """A text that somebody waits for."""

    __slots__ = ("audits", "bells", "digest", "text", "vector")

    def __init__(self, digest: bytes, text: str, *, audits: bool) -> None:
        self.digest = digest
        self.text = text
        self.audits = audits
        self.vector: bytes | None = None
        self.bells: list[Event] = []


def _embed(embedder: Embedder, texts: list[str]) -> Callable[[], Awaitable[list[bytes | None]]]:
    return lambda: embedder.embed(texts)


def cosine(a: bytes, b: bytes) -> float:
    """Of two vectors of unit length and of one embedder."""
    one, two = memoryview(a).cast("f"), memoryview(b).cast("f")
    return float(sum(x * y for x, y in zip(one, two, strict=True)))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
