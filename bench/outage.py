"""What do callers notice when the shared store dies? Calls at a steady rate, before and during.

    python -m bench.outage [--seconds N]

200 calls a second go through an `AsyncCache` whose memory holds next to nothing, so that nearly
every call asks Redis. Then Redis is killed (or the network between is frozen), for as long as was
asked for, and comes back. The provider alone, at the same rate in the same run, is what the calls
are compared with.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

import httpx2
from tests.fixtures.proxy import FaultProxy
from tests.fixtures.redis_servers import RedisServer

from askonce import AsyncCache, CachingTransport, Layer
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from bench import figures
from bench.figures import Figure
from bench.questions import PATH
from bench.steady import TIMEOUT_S, TimedCall, p99, steadily

_GOAL_S = 60.0
"""The goal is for a minute: the circuit breaker needs a small part of it to notice the fault."""

_AROUND_S = 10.0
"""How long it goes on before and after; twice what hits may take to come back."""


class Fault(NamedTuple):
    """A way to lose Redis, and to have it back."""

    name: str
    strike: Callable[[], object]
    mend: Callable[[], object]


def measure(seconds: float = 60.0) -> list[Figure]:
    """`seconds` is how long the store is away."""
    provider = DemoProvider(first_byte_ms=(80, 120), word_ms=0)
    results: list[Figure] = []
    with running(provider) as url, closing(RedisServer().start()) as redis:
        proxy = FaultProxy("127.0.0.1", redis.port)
        with proxy:
            address = f"redis://127.0.0.1:{proxy.port}/0"
            alone = asyncio.run(_alone(url + PATH, min(seconds, 20.0)))
            faults = [
                Fault("killed", redis.kill, redis.start),
                Fault("frozen", proxy.freeze, proxy.thaw),
            ]
            for fault in faults:
                calls, broken, mended = asyncio.run(_through(address, url + PATH, fault, seconds))
                results += _figures(fault.name, alone, calls, broken, mended)
    return results


async def _alone(url: str, seconds: float) -> list[TimedCall]:
    async with httpx2.AsyncClient(timeout=TIMEOUT_S) as client:
        return await steadily(client, url, seconds, "alone")


async def _through(
    address: str, url: str, fault: Fault, seconds: float
) -> tuple[list[TimedCall], float, float]:
    """The calls, and when the fault began and ended."""
    layers: list[Layer | str] = ["memory:", Layer(address, "redis")]
    around = min(seconds, _AROUND_S)
    async with (
        AsyncCache(layers=layers, memory=20_000) as cache,
        httpx2.AsyncClient(transport=CachingTransport(cache), timeout=TIMEOUT_S) as client,
    ):
        length = around + seconds + around
        calling = asyncio.create_task(steadily(client, url, length, fault.name))
        await asyncio.sleep(around)
        await asyncio.to_thread(fault.strike)
        broken = time.perf_counter()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(fault.mend)
        mended = time.perf_counter()
        return await calling, broken, mended


def _figures(
    name: str, alone: list[TimedCall], calls: list[TimedCall], broken: float, mended: float
) -> list[Figure]:
    during = [call for call in calls if broken <= call.began < mended]
    back = [call.ended for call in calls if call.began >= mended and call.out_of_the_store]
    own, theirs = p99(alone), p99(during)
    hits = sum(call.out_of_the_store for call in calls if call.began < broken)
    return [
        Figure(
            name=f"redis {name}: failed or wrong calls",
            value=sum(not (call.fine and call.right) for call in calls),
            unit="calls",
            at_most=0,
            detail={
                "calls": len(calls),
                "during the fault": len(during),
                "hits in Redis before it": hits,
            },
        ),
        Figure(
            name=f"redis {name}: p99 above the provider's own",
            value=(theirs - own) * 1000,
            unit="ms",
            at_most=50 if mended - broken >= _GOAL_S else None,
            detail={
                "p99 ms": theirs * 1000,
                "the provider's own p99 ms": own * 1000,
                "median ms": statistics.median(call.took for call in during) * 1000,
                "slowest ms": max(call.took for call in during) * 1000,
                "fault, s": mended - broken,
            },
        ),
        Figure(
            name=f"redis {name}: back to hits after",
            value=min(back) - mended if back else float("inf"),
            unit="s",
            at_most=5,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="(%(default)s)")
    figures.show(measure(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
