"""Do simultaneous identical calls of many processes make exactly one upstream call?

    python -m bench.processes [--rounds N] [--processes N] URL

In each round all callers of all processes ask one new question at once, through the caching
transport, of a real HTTP provider that takes 50 ms; the provider counts. The processes share one
store and nothing else. Half of them are threads, half are tasks of an event loop. The caches are as
they come: their deadlines and leases are the defaults.
"""

import argparse
import asyncio
import multiprocessing
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import connection
from typing import Any, NamedTuple

import httpx2

from askonce import Layer
from askonce.cli.demo.provider.provider import DemoProvider
from askonce.cli.demo.provider.serving import running
from askonce.library.cache import AsyncCache, Cache
from askonce.library.transport import CachingTransport
from bench import figures
from bench.figures import Figure
from bench.questions import HEADERS, PATH, chat

CALLERS = 50
PROCESSES = 8
_TIMEOUT_S = 60.0


class Asker(NamedTuple):
    """A process, and our end of the pipe to it."""

    process: Any
    pipe: Any

    def ask(self, number: int | None) -> None:
        with suppress(OSError):  # it has ended; why, `_said` finds out
            self.pipe.send(number)


class Failed(NamedTuple):
    """What a process says last when it fails."""

    trace: str


def measure(
    store: str,
    address: str,
    rounds: int = 50,
    processes: int = PROCESSES,
    deadline: str | None = None,
) -> Figure:
    """One upstream call a round, over the store at this address."""
    calls = upstream_calls(address, rounds, processes, deadline=deadline)
    return Figure(
        name=f"single-flight: rounds of {rounds} with one upstream call, processes on {store}",
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
    address: str,
    rounds: int,
    processes: int = PROCESSES,
    callers: int = CALLERS,
    deadline: str | None = None,
) -> list[int]:
    """How many upstream calls each round made; `deadline` is the store's, by default its own."""
    provider = DemoProvider(first_byte_ms=(50, 50), word_ms=0)
    calls = []
    with (
        running(provider) as url,
        _asking(Layer(address, deadline=deadline), url + PATH, processes, callers) as askers,
    ):
        for number in range(rounds):
            before = provider.calls.total
            for asker in askers:
                asker.ask(number)
            wrong = sum(_said(askers))
            if wrong:
                raise RuntimeError(f"{wrong} callers were not answered")
            calls.append(provider.calls.total - before)
    return calls


@contextmanager
def _asking(layer: Layer, url: str, processes: int, callers: int) -> Iterator[list[Asker]]:
    """Processes that ask each question whose number comes through their pipe."""
    spawning = multiprocessing.get_context("spawn")
    barrier = spawning.Barrier(processes)
    askers = []
    try:
        for place in range(processes):
            ours, theirs = spawning.Pipe()
            work = _in_threads if place % 2 else _in_a_loop
            given = (work, theirs, barrier, layer, url, callers)
            process = spawning.Process(target=_asker, args=given, daemon=True)
            process.start()
            theirs.close()  # so that the end of the process is the end of the pipe
            askers.append(Asker(process, ours))
        _said(askers)
        yield askers
        for asker in askers:
            asker.ask(None)
        _end(askers)
    finally:
        for asker in askers:
            asker.process.kill()
            asker.process.join()
            asker.pipe.close()


def _said(askers: Sequence[Asker]) -> list[int]:
    """What each process says next. Raises RuntimeError with the error of the first that fails."""
    waiting = {asker.pipe: asker for asker in askers}
    replies = []
    while waiting:
        ready = connection.wait(list(waiting), _TIMEOUT_S)
        if not ready:
            raise RuntimeError(f"{len(waiting)} of {len(askers)} processes hang")
        for pipe in ready:
            said = _heard(waiting.pop(pipe))
            if isinstance(said, Failed):
                raise RuntimeError(f"a process failed:\n{said.trace}")
            replies.append(said)
    return replies


def _heard(asker: Asker) -> int | Failed:
    try:
        said: int | Failed = asker.pipe.recv()
    except (EOFError, OSError):
        asker.process.join(_TIMEOUT_S)
        return Failed(f"it ended without a word, exit code {asker.process.exitcode}")
    return said


def _end(askers: Sequence[Asker]) -> None:
    """Wait for the processes to close their caches. Raises RuntimeError if one could not."""
    for asker in askers:
        asker.process.join(20)
        if asker.process.exitcode is None:
            raise RuntimeError("a process does not end")
        if asker.process.exitcode:
            failed = asker.pipe.recv() if asker.pipe.poll() else Failed("")
            code = asker.process.exitcode
            raise RuntimeError(f"a process ended with exit code {code}\n{failed.trace}")


def _asker(work: Callable[..., None], pipe: Any, *given: Any) -> None:
    """One process: do the work, and say why if it fails."""
    try:
        work(pipe, *given)
    except Exception:  # noqa: BLE001 - the waiting process reports any error
        with suppress(OSError):  # the other process has ended
            pipe.send(Failed(traceback.format_exc()))
        raise SystemExit(1) from None


def _body(number: int) -> bytes:
    return chat(f"question number {number}", size=0)


def _in_threads(pipe: Any, barrier: Any, layer: Layer, url: str, callers: int) -> None:
    gate = threading.Barrier(callers)
    with (
        Cache(layers=["memory:", layer]) as cache,
        ThreadPoolExecutor(callers) as pool,
        httpx2.Client(transport=CachingTransport(cache), timeout=_TIMEOUT_S) as client,
    ):

        def ask(body: bytes) -> int:
            gate.wait(_TIMEOUT_S)
            return client.post(url, content=body, headers=HEADERS).status_code

        pipe.send(0)  # ready
        while (number := pipe.recv()) is not None:
            barrier.wait(_TIMEOUT_S)
            statuses = list(pool.map(ask, [_body(number)] * callers))
            pipe.send(sum(status != 200 for status in statuses))


def _in_a_loop(pipe: Any, barrier: Any, layer: Layer, url: str, callers: int) -> None:
    asyncio.run(_in_tasks(pipe, barrier, layer, url, callers))


async def _in_tasks(pipe: Any, barrier: Any, layer: Layer, url: str, callers: int) -> None:
    async with (
        AsyncCache(layers=["memory:", layer]) as cache,
        httpx2.AsyncClient(transport=CachingTransport(cache), timeout=_TIMEOUT_S) as client,
    ):

        async def ask(body: bytes) -> int:
            return (await client.post(url, content=body, headers=HEADERS)).status_code

        pipe.send(0)  # ready
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
    store = chosen.url.partition(":")[0]
    figures.show([measure(store, chosen.url, chosen.rounds, chosen.processes)])


if __name__ == "__main__":
    main()
