"""What does a hit out of Redis cost, beside a bare `GET` of the same value by the same library?

    python -m bench.redis_hits

A hit is the whole way: a request body to the answer object, with memory forgetting the entry
before each call. The bare `GET` is redis-py's own `client.get` of the very key that the entry is
kept under. They take turns in small batches, so that both see the same machine.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import redis
import redis.asyncio
from tests.fixtures.redis_servers import RedisServer

from askonce.core.models import Call, Key, Outcome
from askonce.core.runtime.threads import run_sync
from askonce.library.cache import AsyncCache, Cache
from askonce.stores.redis.names import RedisNames
from bench import figures
from bench.figures import Figure
from bench.library import Once
from bench.questions import HEADERS, PATH, chat

_BATCH = 100
_NAMES = RedisNames("askonce")


def measure(batches: int = 40) -> list[Figure]:
    with closing(RedisServer().start()) as server:
        address = f"redis://127.0.0.1:{server.port}/0"
        return [
            _figure("blocking", 1.3, *_blocking(address, server.port, batches)),
            _figure("async", 1.5, *asyncio.run(_suspending(address, server.port, batches))),
        ]


def _figure(mode: str, at_most: float, hit_us: float, store_us: float, bare_us: float) -> Figure:
    return Figure(
        name=f"redis: a hit, of a bare GET, {mode}",
        value=hit_us / bare_us,
        unit="x",
        at_most=at_most,
        detail={
            "whole hit us": hit_us,
            "the store's read alone, us": store_us,
            "bare GET us": bare_us,
        },
    )


def _call() -> Call:
    return Call("POST", "https://api.openai.com", PATH, HEADERS, chat("How do I?"), "team")


def _per_call(seconds: list[float]) -> float:
    return statistics.median(seconds) / _BATCH * 1e6


def _blocking(address: str, port: int, batches: int) -> tuple[float, float, float]:
    client = redis.Redis(port=port, protocol=3)
    with Cache(address, namespace="team") as cache:
        call = _call()
        cache.answer(call, Once())
        run_sync(cache.assembly.services.sync.tiers.settle())
        memory, store = cache.assembly.memory, cache.assembly.stack.shared_store
        assert store is not None
        key = _key(cache, call)
        name = _NAMES.entry(key)
        assert client.get(name) is not None, "the entry has another name"

        def hit() -> None:
            memory.forget_all()
            reply = cache.answer(call, Once(asked=True))
            assert reply.outcome is Outcome.HIT_SHARED

        hits, reads, bares = [], [], []
        for _ in range(batches):
            hits.append(_timed(hit))
            reads.append(_timed(lambda: run_sync(store.read(key))))
            bares.append(_timed(lambda: client.get(name)))
    client.close()
    return _per_call(hits), _per_call(reads), _per_call(bares)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(_BATCH):
        work()
    return time.perf_counter() - began


async def _suspending(address: str, port: int, batches: int) -> tuple[float, float, float]:
    client = redis.asyncio.Redis(port=port, protocol=3)
    async with AsyncCache(address, namespace="team") as cache:
        call = _call()
        await cache.answer(call, Once())
        tiers = cache.assembly.services.async_.tiers
        await tiers.settle()
        memory = cache.assembly.memory
        assert tiers.authority is not None
        store, key = tiers.authority.store, _key(cache, call)
        name = _NAMES.entry(key)
        assert await client.get(name) is not None, "the entry has another name"

        async def hit() -> None:
            memory.forget_all()
            reply = await cache.answer(call, Once(asked=True))
            assert reply.outcome is Outcome.HIT_SHARED

        hits, reads, bares = [], [], []
        for _ in range(batches):
            hits.append(await _timed_async(hit))
            reads.append(await _timed_async(lambda: store.read(key)))
            bares.append(await _timed_async(lambda: client.get(name)))
    await client.aclose()
    return _per_call(hits), _per_call(reads), _per_call(bares)


async def _timed_async(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    for _ in range(_BATCH):
        await work()
    return time.perf_counter() - began


def _key(cache: Cache | AsyncCache, call: Call) -> Key:
    found = cache.assembly.recognition.recognize(call, "team")
    key: Key = found.key  # type: ignore[union-attr]
    return key


def main() -> None:
    figures.show(measure())


if __name__ == "__main__":
    main()
