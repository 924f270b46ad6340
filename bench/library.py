"""How long does the library take for a hit? From a 1 KB request body to the answer object.

    python -m bench.library

`warm` asks with the very same bytes again and again; `cold` with bytes that were never seen (the
`user` differs, which is not part of the key), so the body is parsed and the key worked out each
time. `sqlite` forgets the entry in memory before each call, so it comes out of the file. The bare
floor is SHA-256 and `json.loads` of the same body, in the same run.
"""

import asyncio
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from askonce.core.models import Call, Outcome, Selection
from askonce.core.protocols import Response
from askonce.core.runtime.threads import run_sync
from askonce.library.cache import AsyncCache, Cache
from askonce.pipeline.present import Reply
from bench import figures
from bench.figures import Figure
from bench.questions import HEADERS, PATH, chat, completion

_ORIGIN = "https://api.openai.com"
_QUESTION = "How do I change my PIN?"
_ANSWER = completion("Open the app, choose Cards, then PIN. " * 12)
_BATCH = 500
_READS = 80
"""Hits in SQLite for each batch in memory."""


class _Whole:
    """An answer that has arrived already."""

    def __init__(self, body: bytes) -> None:
        self.status = 200
        self.headers = [("content-type", "application/json")]
        self._left: bytes | None = body

    async def next(self) -> bytes | None:
        body, self._left = self._left, None
        return body

    async def close(self) -> None:
        """Nothing is held open."""


class Once:
    """An upstream that may be asked for one answer, and is an error after that."""

    def __init__(self, *, asked: bool = False) -> None:
        self._asked = asked

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Response:
        if self._asked:
            raise RuntimeError("a hit asked upstream")
        self._asked = True
        return _Whole(_ANSWER)


def measure(batches: int = 60) -> list[Figure]:
    warm_us, cold_us = _memory_us(batches)
    bare_us = _bare_us(batches)
    sqlite_us = _sqlite_us(_READS * batches)
    suspending_us = asyncio.run(_suspending_us(batches))
    return [
        Figure(
            name="library: hit in memory, body seen before",
            value=warm_us, unit="us", at_most=15,
            detail={"of bare sha256 + json.loads": warm_us / bare_us, "bare us": bare_us},
        ),
        Figure(
            name="library: hit in memory, body new",
            value=cold_us, unit="us", at_most=15,
            detail={"of bare sha256 + json.loads": cold_us / bare_us},
        ),
        Figure(
            name="library: hit in SQLite",
            value=sqlite_us, unit="us", at_most=60,
            detail={"of bare sha256 + json.loads": sqlite_us / bare_us},
        ),
        Figure(
            name="library: hit in memory, AsyncCache", value=suspending_us, unit="us", at_most=15
        ),
    ]  # fmt: skip


def _call(body: bytes) -> Call:
    return Call("POST", _ORIGIN, PATH, HEADERS, body, "bench")


def _filled(cache: Cache) -> Once:
    """Put the one answer into the cache; the upstream that it came from."""
    upstream = Once()
    reply = cache.answer(_call(chat(_QUESTION)), upstream)
    _expect(reply, Outcome.MISS)
    run_sync(reply.close())
    return upstream


def _expect(reply: Reply, outcome: Outcome) -> None:
    if reply.outcome is not outcome or (outcome is not Outcome.MISS and reply.body != _ANSWER):
        raise RuntimeError(f"expected {outcome.value}, got {reply.outcome.value}")


def _memory_us(batches: int) -> tuple[float, float]:
    with Cache("memory:") as cache:
        upstream = _filled(cache)
        same = [_call(chat(_QUESTION))] * _BATCH

        def ask(calls: list[Call]) -> None:
            for call in calls:
                cache.answer(call, upstream)

        warm, cold = [], []
        for batch in range(batches):
            fresh = [_call(chat(_QUESTION, user=f"{batch:05}-{n:05}")) for n in range(_BATCH)]
            _expect(cache.answer(same[0], upstream), Outcome.HIT_MEMORY)
            warm.append(_timed_us(partial(ask, same)))
            cold.append(_timed_us(partial(ask, fresh)))
        stats = cache.stats()
        if stats.misses != 1:
            raise RuntimeError(f"{stats.misses - 1} of the calls were no hits")
        return statistics.median(warm), statistics.median(cold)


def _bare_us(batches: int) -> float:
    body = chat(_QUESTION)

    def work() -> None:
        for _ in range(_BATCH):
            hashlib.sha256(body).digest()
            json.loads(body)

    return statistics.median(_timed_us(work) for _ in range(batches))


def _sqlite_us(reads: int) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        Cache(f"sqlite:{Path(folder, 'bench.db')}") as cache,
    ):
        upstream = _filled(cache)
        call = _call(chat(_QUESTION))
        every = Selection()
        took = []
        for _ in range(reads):
            run_sync(cache.assembly.memory.remove(every))
            began = time.perf_counter_ns()
            reply = cache.answer(call, upstream)
            took.append((time.perf_counter_ns() - began) / 1000)
            _expect(reply, Outcome.HIT_SHARED)
        return statistics.median(took)


async def _suspending_us(batches: int) -> float:
    async with AsyncCache("memory:") as cache:
        upstream = Once()
        reply = await cache.answer(_call(chat(_QUESTION)), upstream)
        await reply.close()
        call = _call(chat(_QUESTION))
        took = []
        for _ in range(batches):
            began = time.perf_counter_ns()
            for _ in range(_BATCH):
                reply = await cache.answer(call, upstream)
            took.append((time.perf_counter_ns() - began) / 1000 / _BATCH)
            _expect(reply, Outcome.HIT_MEMORY)
        return statistics.median(took)


def _timed_us(work: Callable[[], None]) -> float:
    """Microseconds for one of a batch."""
    began = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - began) / 1000 / _BATCH


if __name__ == "__main__":
    figures.show(measure())
