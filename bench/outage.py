"""What do callers notice when the shared store dies? Calls at a steady rate, before and during.

    python -m bench.outage [--seconds N]

200 calls a second go through an `AsyncCache` whose memory holds next to nothing, so that nearly
every call asks Redis. A third of the way in, Redis is killed (or the network between is frozen);
after two thirds it comes back. The provider alone, at the same rate in the same run, is what the
calls are compared with.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

import httpx2
from tests.servers.proxy import FaultProxy
from tests.servers.redis_servers import RedisServer

from askonce import AsyncCache, CachingTransport, Layer
from askonce.practice.provider import PracticeProvider
from askonce.practice.serving import running
from bench import figures
from bench.figures import Figure
from bench.questions import HEADERS, PATH, chat

RATE = 200
_POPULAR = 50
_TIMEOUT_S = 30.0


class Told(NamedTuple):
    """One call: when it began and how long it took (s), whether it was answered, and how."""

    began: float
    took: float
    fine: bool
    status: str


class Fault(NamedTuple):
    """A way to lose Redis, and to have it back."""

    name: str
    strike: Callable[[], None]
    mend: Callable[[], None]


def measure(seconds: float = 60.0) -> list[Figure]:
    """`seconds` is how long the store is away, and as long before and after it."""
    provider = PracticeProvider(first_byte_ms=(80, 120), word_ms=0)
    told: list[Figure] = []
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
                told += _figures(fault.name, alone, calls, broken, mended)
    return told


async def _alone(url: str, seconds: float) -> list[Told]:
    async with httpx2.AsyncClient(timeout=_TIMEOUT_S) as client:
        return await _steadily(client, url, seconds, "alone")


async def _through(
    address: str, url: str, fault: Fault, seconds: float
) -> tuple[list[Told], float, float]:
    """The calls, and when the fault began and ended."""
    layers = ["memory:", Layer(address, "redis")]
    async with (
        AsyncCache(layers=layers, memory=20_000) as cache,
        httpx2.AsyncClient(transport=CachingTransport(cache), timeout=_TIMEOUT_S) as client,
    ):
        calling = asyncio.create_task(_steadily(client, url, seconds * 3, fault.name))
        await asyncio.sleep(seconds)
        await asyncio.to_thread(fault.strike)
        broken = time.perf_counter()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(fault.mend)
        mended = time.perf_counter()
        return await calling, broken, mended


async def _steadily(client: httpx2.AsyncClient, url: str, seconds: float, name: str) -> list[Told]:
    """Calls that begin at a steady rate, whether earlier ones have ended or not."""
    choose = random.Random(7)
    begin = time.perf_counter()
    waiting: list[asyncio.Task[Told]] = []
    for number in range(int(seconds * RATE)):
        fresh = choose.random() < 0.5
        asked = f"{name}: new question {number}" if fresh else f"popular {number % _POPULAR}"
        waiting.append(asyncio.create_task(_one(client, url, chat(asked))))
        await asyncio.sleep(max(0.0, begin + (number + 1) / RATE - time.perf_counter()))
    return list(await asyncio.gather(*waiting))


async def _one(client: httpx2.AsyncClient, url: str, body: bytes) -> Told:
    began = time.perf_counter()
    fine, status = False, ""
    try:
        answer = await client.post(url, content=body, headers=HEADERS)
        fine, status = answer.status_code == 200, answer.headers.get("cache-status", "")
    except httpx2.HTTPError as error:
        status = type(error).__name__
    return Told(began, time.perf_counter() - began, fine, status)


def _figures(
    name: str, alone: list[Told], calls: list[Told], broken: float, mended: float
) -> list[Figure]:
    during = [call for call in calls if broken <= call.began < mended]
    back = [c.began + c.took for c in calls if c.began >= mended and "detail=shared" in c.status]
    own = _p99([call.took for call in alone])
    p99 = _p99([call.took for call in during])
    return [
        Figure(
            name=f"redis {name}: failed calls",
            value=sum(not call.fine for call in calls),
            unit="calls",
            at_most=0,
            detail={"calls": len(calls), "during the fault": len(during)},
        ),
        Figure(
            name=f"redis {name}: p99 above the provider's own",
            value=(p99 - own) * 1000,
            unit="ms",
            at_most=50,
            detail={
                "p99 ms": p99 * 1000,
                "the provider's own p99 ms": own * 1000,
                "median ms": statistics.median(call.took for call in during) * 1000,
                "slowest ms": max(call.took for call in during) * 1000,
            },
        ),
        Figure(
            name=f"redis {name}: back to hits after",
            value=min(back) - mended if back else float("inf"),
            unit="s",
            at_most=5,
        ),
    ]


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="(%(default)s)")
    figures.show(measure(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
