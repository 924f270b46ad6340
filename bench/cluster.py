"""What do callers notice when a master of a Redis Cluster dies? And what is lost?

    python -m bench.cluster [--seconds N]

200 calls a second go through an `AsyncCache` whose memory holds next to nothing, on three masters
and their replicas. A third of the way in, the master that keeps the store's books (and a third of
the entries) is killed and stays away; its replica is elected. Each answer is checked against its
question. At the end, every entry that was stored before the kill is looked for.
"""

import argparse
import asyncio
import time
from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

import httpx2
from tests.fixtures.redis_servers import RedisCluster, RedisServer, poll

from askonce import AsyncCache, CachingTransport
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from askonce.core.models import Call, Key
from askonce.stores.redis.names import RedisNames
from bench import figures
from bench.figures import Figure
from bench.questions import HEADERS, PATH, chat
from bench.steady import POPULAR, TIMEOUT_S, TimedCall, p99, steadily

_NAMESPACE = "bench"
_NAMES = RedisNames("askonce")
_SETTLED_S = 0.5
"""An answer this old has been written: the cache writes behind its callers."""


class Failover(NamedTuple):
    """What happened: the calls, when the master was killed, whose popular questions it had.

    `stored` are the questions asked before, `missing` those of them that are not there any more;
    `unstored` is how many of those asked later are not there either.
    """

    calls: list[TimedCall]
    killed: float
    theirs: set[str]
    stored: set[str]
    missing: set[str]
    unstored: int


def measure(seconds: float = 30.0) -> list[Figure]:
    provider = DemoProvider(first_byte_ms=(80, 120), word_ms=0)
    with running(provider) as url, closing(RedisCluster()) as cluster:
        cluster.start()
        return _figures(asyncio.run(_fail_over(cluster, url, seconds)))


async def _fail_over(cluster: RedisCluster, url: str, seconds: float) -> Failover:
    async with (
        AsyncCache(cluster.url, memory=20_000, namespace=_NAMESPACE) as cache,
        httpx2.AsyncClient(transport=CachingTransport(cache), timeout=TIMEOUT_S) as client,
    ):
        master = cluster.master_of(_NAMES.home)
        theirs = {asked for asked in POPULAR if _served_by(cluster, cache, url, asked) is master}
        calling = asyncio.create_task(steadily(client, url + PATH, seconds, "cluster"))
        await asyncio.sleep(seconds / 3)
        await asyncio.to_thread(master.kill)
        killed = time.perf_counter()
        calls = await calling
        await asyncio.to_thread(
            poll, "a replica is elected", lambda: cluster.master_of(_NAMES.home) is not master, 60
        )
        await cache.assembly.services.async_.tiers.settle()
        stored = {call.asked for call in calls if call.fine and call.ended < killed - _SETTLED_S}
        later = {call.asked for call in calls if call.fine} - stored
        missing = await _missing(cache, url, stored)
        unstored = len(await _missing(cache, url, later))
    return Failover(calls, killed, theirs, stored, missing, unstored)


async def _missing(cache: AsyncCache, url: str, asked: Iterable[str]) -> set[str]:
    """The questions that the store has no answer to."""
    authority = cache.assembly.services.async_.tiers.authority
    assert authority is not None
    store = authority.store
    return {each for each in asked if await store.read(_key(cache, url, each)) is None}


def _served_by(cluster: RedisCluster, cache: AsyncCache, url: str, asked: str) -> RedisServer:
    return cluster.master_of(_NAMES.entry(_key(cache, url, asked)))


def _key(cache: AsyncCache, url: str, asked: str) -> Key:
    call = Call("POST", url, PATH, HEADERS, chat(asked), _NAMESPACE)
    found = cache.assembly.recognition.recognize(call, _NAMESPACE)
    key: Key = found.key  # type: ignore[union-attr]
    return key


def _figures(failover: Failover) -> list[Figure]:
    calls = failover.calls
    before = [call for call in calls if call.began < failover.killed]
    after = [call for call in calls if call.began >= failover.killed]
    hits = [call for call in after if call.out_of_the_store and call.asked in failover.theirs]
    back = min((call.ended for call in hits), default=float("inf")) - failover.killed
    popular = set(POPULAR)
    return [
        Figure(
            name="cluster, a master killed: failed calls",
            value=sum(not call.fine for call in calls),
            unit="calls",
            at_most=0,
            detail={
                "calls": len(calls),
                "after the kill": len(after),
                "p99 ms before": p99(before) * 1000,
                "p99 ms after": p99(after) * 1000,
                "slowest ms": max(call.took for call in after) * 1000,
            },
        ),
        Figure(
            name="cluster, a master killed: wrong answers",
            value=sum(not call.right for call in calls),
            unit="calls",
            at_most=0,
            detail={
                "answers checked": sum(call.fine for call in calls),
                "hits in Redis before": sum(call.out_of_the_store for call in before),
                "hits in Redis after": sum(call.out_of_the_store for call in after),
            },
        ),
        Figure(
            name="cluster, a master killed: entries lost",
            value=len(failover.missing - popular),
            unit="entries",
            detail={
                "stored before": len(failover.stored - popular),
                "answers after the kill that were not stored": failover.unstored,
            },
        ),
        Figure(
            name="cluster, a master killed: hits of its slots are back after",
            value=back,
            unit="s",
            detail={"popular questions in them": len(failover.theirs), "of": len(POPULAR)},
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="(%(default)s)")
    figures.show(measure(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
