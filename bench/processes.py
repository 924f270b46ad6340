"""Do simultaneous identical calls of many processes make exactly one upstream call?

    python -m bench.processes [--rounds N] [--processes N] URL

In each round all callers of all processes ask one new question at once, through the caching
transport, of a real HTTP provider that takes 50 ms; the provider counts. The processes share one
store and nothing else. Half of them are threads, half are tasks of an event loop.
"""

import argparse
import asyncio
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2

from askonce.cache import AsyncCache, Cache
from askonce.practice.provider import PracticeProvider
from askonce.practice.serving import running
from askonce.transport import CachingTransport
from bench import figures
from bench.figures import Figure
from bench.questions import HEADERS, PATH, chat

CALLERS = 50
PROCESSES = 8
_TIMEOUT_S = 60.0


def measure(store: str, address: str, rounds: int = 50, processes: int = PROCESSES) -> Figure:
    """One upstream call a round, over the store at this address."""
    calls = upstream_calls(address, rounds, processes)
    return Figure(
        name=f"single-flight: rounds of {rounds} with one upstream call, {store}",
        value=sum(count == 1 for count in calls),
        unit="rounds",
        at_least=rounds,
        detail={
            "processes": processes,
            "callers in each": CALLERS,
            "upstream calls": sum(calls),
            "most in a round": max(calls),
        },
    )


def upstream_calls(
    address: str, rounds: int, processes: int = PROCESSES, callers: int = CALLERS
) -> list[int]:
    """How many upstream calls each round made."""
    provider = PracticeProvider(first_byte_ms=(50, 50), word_ms=0)
    calls = []
    with running(provider) as url, _asking(address, url + PATH, processes, callers) as pipes:
        for number in range(rounds):
            before = provider.calls.total
            for pipe in pipes:
                pipe.send(number)
            for pipe in pipes:
                if not pipe.poll(_TIMEOUT_S):
                    raise RuntimeError("a process hangs")
                wrong = pipe.recv()
                if wrong:
                    raise RuntimeError(f"{wrong} callers were not answered")
            calls.append(provider.calls.total - before)
    return calls


@contextmanager
def _asking(address: str, url: str, processes: int, callers: int) -> Iterator[list[Any]]:
    """Processes that ask each question whose number comes through their pipe."""
    spawning = multiprocessing.get_context("spawn")
    barrier = spawning.Barrier(processes)
    pipes, started = [], []
    for place in range(processes):
        ours, theirs = spawning.Pipe()
        work = _in_threads if place % 2 else _in_a_loop
        process = spawning.Process(
            target=work, args=(theirs, barrier, address, url, callers), daemon=True
        )
        process.start()
        started.append(process)
        pipes.append(ours)
    try:
        for pipe in pipes:
            if not pipe.poll(_TIMEOUT_S) or pipe.recv() != "ready":
                raise RuntimeError("a process did not start")
        yield pipes
    finally:
        for pipe in pipes:
            pipe.send(None)
        for process in started:
            process.join(20)
            process.kill()


def _body(number: int) -> bytes:
    return chat(f"question number {number}", size=0)


def _in_threads(pipe: Any, barrier: Any, address: str, url: str, callers: int) -> None:
    gate = threading.Barrier(callers)
    with (
        Cache(address) as cache,
        ThreadPoolExecutor(callers) as pool,
        httpx2.Client(transport=CachingTransport(cache), timeout=_TIMEOUT_S) as client,
    ):

        def ask(body: bytes) -> int:
            gate.wait(_TIMEOUT_S)
            return client.post(url, content=body, headers=HEADERS).status_code

        pipe.send("ready")
        while (number := pipe.recv()) is not None:
            barrier.wait(_TIMEOUT_S)
            statuses = list(pool.map(ask, [_body(number)] * callers))
            pipe.send(sum(status != 200 for status in statuses))


def _in_a_loop(pipe: Any, barrier: Any, address: str, url: str, callers: int) -> None:
    asyncio.run(_in_tasks(pipe, barrier, address, url, callers))


async def _in_tasks(pipe: Any, barrier: Any, address: str, url: str, callers: int) -> None:
    async with (
        AsyncCache(address) as cache,
        httpx2.AsyncClient(transport=CachingTransport(cache), timeout=_TIMEOUT_S) as client,
    ):

        async def ask(body: bytes) -> int:
            return (await client.post(url, content=body, headers=HEADERS)).status_code

        pipe.send("ready")
        while (number := await asyncio.to_thread(pipe.recv)) is not None:
            await asyncio.to_thread(barrier.wait, _TIMEOUT_S)
            statuses = await asyncio.gather(*[ask(_body(number)) for _ in range(callers)])
            pipe.send(sum(status != 200 for status in statuses))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", metavar="URL", help="the store: sqlite:FILE, redis://HOST, ...")
    parser.add_argument("--rounds", type=int, default=50, help="(%(default)s)")
    parser.add_argument("--processes", type=int, default=PROCESSES, help="(%(default)s)")
    chosen = parser.parse_args()
    figures.show([measure(chosen.url, chosen.url, chosen.rounds, chosen.processes)])


if __name__ == "__main__":
    main()
