"""Do simultaneous identical calls make exactly one upstream call?

    python -m bench.single_flight [--rounds N]

In each round 50 callers ask one new question at once, through the caching transport, of a real
HTTP provider that takes 20 ms to its first byte; the provider counts. Blocking callers are 50
threads that leave one barrier together, suspending ones 50 tasks of one event loop. Rounds take
turns: all JSON, all streams, half of each.
"""

import argparse
import asyncio
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import httpx2

from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from askonce.library.cache import AsyncCache, Cache
from askonce.library.transport import CachingTransport
from bench import figures
from bench.figures import Figure
from bench.questions import HEADERS, PATH, chat

CALLERS = 50
_TIMEOUT_S = 60.0


def measure(rounds: int = 100) -> list[Figure]:
    provider = DemoProvider(first_byte_ms=(20, 20), word_ms=0)
    with running(provider) as url:
        return [
            _figure("threads", rounds, _in_threads(provider, url + PATH, rounds)),
            _figure("tasks", rounds, asyncio.run(_in_tasks(provider, url + PATH, rounds))),
        ]


def _figure(name: str, rounds: int, calls: list[int]) -> Figure:
    """`calls` are the upstream calls of each round."""
    return Figure(
        name=f"single-flight: rounds of {rounds} with one upstream call, {name}",
        value=sum(count == 1 for count in calls),
        unit="rounds",
        at_least=rounds,
        detail={"callers": CALLERS, "upstream calls": sum(calls), "most in a round": max(calls)},
    )


def _bodies(name: str, number: int) -> list[bytes]:
    """What the callers of one round ask: one question, in one shape or in both."""
    question = f"{name}: question number {number}"
    streams = [number % 3 == 1 or (number % 3 == 2 and caller % 2 == 1) for caller in range(2)]
    shapes = [chat(question, stream=stream, size=0) for stream in streams]
    return [shapes[caller % 2] for caller in range(CALLERS)]


def _in_threads(provider: DemoProvider, url: str, rounds: int) -> list[int]:
    calls = []
    gate = threading.Barrier(CALLERS)
    with (
        Cache() as cache,
        ThreadPoolExecutor(CALLERS) as pool,
        httpx2.Client(transport=CachingTransport(cache), timeout=_TIMEOUT_S) as client,
    ):

        def ask(body: bytes) -> int:
            gate.wait(_TIMEOUT_S)
            return client.post(url, content=body, headers=HEADERS).status_code

        for number in range(rounds):
            before = provider.calls.total
            _all_fine(pool.map(ask, _bodies("threads", number)))
            calls.append(provider.calls.total - before)
    return calls


async def _in_tasks(provider: DemoProvider, url: str, rounds: int) -> list[int]:
    calls = []
    async with (
        AsyncCache() as cache,
        httpx2.AsyncClient(transport=CachingTransport(cache), timeout=_TIMEOUT_S) as client,
    ):

        async def ask(body: bytes) -> int:
            return (await client.post(url, content=body, headers=HEADERS)).status_code

        for number in range(rounds):
            before = provider.calls.total
            _all_fine(await asyncio.gather(*map(ask, _bodies("tasks", number))))
            calls.append(provider.calls.total - before)
    return calls


def _all_fine(statuses: Iterable[int]) -> None:
    wrong = [status for status in statuses if status != 200]
    if wrong:
        raise RuntimeError(f"{len(wrong)} callers were not answered: {wrong[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100, help="(%(default)s)")
    figures.show(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
