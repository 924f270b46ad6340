"""Does anything stale get out? Random histories of ask, answer, invalidate, hear and crash.

    python -m bench.histories [--histories N] [--seed N] [--store memory|sqlite]

In each history two or three processes share one store: caches of their own with threads of their
own, which can be cut off for good at any moment, as `kill -9` would. The world behind the provider
changes, and each change invalidates the answers that depend on it: by tag, by pattern, by key or by
namespace. The provider returns the version that the world had when it was asked, and answers much
later. Two things are counted. A stale serve: a call that began when its process had heard of an
invalidation got an older version (the process that invalidated has heard of it at once, another
one with its next exchange). A stale store: after the end a new process finds an older version.

A new process does not know of earlier sweeps at once. Until the sweeping process announces them
again, which takes a second or two, the new one may read entries that another process wrote too late
and has not removed yet. So each process is checked against tags, and against the sweeps since its
own start.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from tests.fixtures.common_store import CommonStore
from tests.fixtures.scripted import Script, said

from askonce import AsyncCache, Layer
from askonce.core.errors import StoreError
from askonce.core.models import Call, ChangeBatch, Entry, Key, Lease, Selection
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime
from askonce.invalidation.target import Invalidation
from askonce.stores.base import BaseStore
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store
from bench import figures
from bench.figures import Figure

AT_ONCE = 12
_STEPS = 40
_QUESTIONS = ["red", "green", "blue"]
_ORIGIN = "https://api.openai.com"


class Counts(msgspec.Struct):
    """The counts over some histories."""

    histories: int = 0
    calls: int = 0
    hits: int = 0
    invalidations: int = 0
    crashes: int = 0
    stale_serves: int = 0
    stale_stores: int = 0


class Mortal(BaseStore):
    """One process's way to the common store, which ends with the process."""

    def __init__(self, store: Store) -> None:
        self.dead = False
        self._store = store
        self.pushes_changes = store.pushes_changes
        self.leases_travel = store.leases_travel

    def _alive(self) -> Store:
        if self.dead:
            raise StoreError("this process is dead")
        return self._store

    async def read(self, key: Key) -> Entry | None:
        return await self._alive().read(key)

    async def write(self, entry: Entry, *, fence: int = 0) -> bool:
        return await self._alive().write(entry, fence=fence)

    async def remove(self, selection: Selection, *, quiet: bool = False) -> int:
        return await self._alive().remove(selection, quiet=quiet)

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        return await self._alive().epochs(tags, bump=bump)

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        async for entry in self._alive().scan(selection):
            self._alive()
            yield entry

    async def write_all(self, entries: Sequence[Entry]) -> int:
        return await self._alive().write_all(entries)

    async def merge_epochs(self, epochs: Mapping[str, int]) -> None:
        await self._alive().merge_epochs(epochs)

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        return await self._alive().changes(cursor, timeout)

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        return await self._alive().lease(key, seconds)

    async def renew(self, leases: Iterable[Lease], seconds: float) -> None:
        await self._alive().renew(leases, seconds)

    async def release(self, lease: Lease) -> None:
        await self._alive().release(lease)

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        return await self._alive().counters(add, prefix)

    async def pepper(self) -> bytes:
        return await self._alive().pepper()


class Process:
    """A cache on the common store, and what it has heard of."""

    def __init__(self, common: Store, before: Mapping[str, int] | None = None) -> None:
        self.before = before or {}
        """The versions that were swept before it was born."""
        self.way = Mortal(common)
        self.cache = AsyncCache(
            layers=[Layer(self.way, "store", deadline="10s")],
            namespace="team",
            lease="50ms",
            lease_wait="0s",
            memory="8 MiB",
        )
        self.heard = dict.fromkeys(_QUESTIONS, 0)
        self.tasks: set[asyncio.Task[Any]] = set()

    async def hear(self, versions: Mapping[str, int]) -> None:
        """Wait until it has heard of everything that was confirmed before now."""
        coherence = self.cache.assembly.stack.coherence
        assert coherence is not None
        self.cache.assembly.services.async_  # noqa: B018 - starts it
        began = coherence._tick()
        while coherence._synced < began:  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.002)
        for question, version in versions.items():
            if version > self.before.get(question, 0):
                self.heard[question] = max(self.heard[question], version)

    async def die(self) -> None:
        self.way.dead = True
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        coherence = self.cache.assembly.stack.coherence
        if coherence is not None:
            coherence.stop()


class Pending(NamedTuple):
    """A question that the provider thinks about, at the version the world had."""

    go: asyncio.Event


class History:
    """One history; `run` plays it to its end."""

    def __init__(self, common: Store, seed: int, counts: Counts) -> None:
        self._random = random.Random(seed)
        self._common = common
        self._counts = counts
        self._changed = dict.fromkeys(_QUESTIONS, 0)  # in the world
        self._confirmed = dict.fromkeys(_QUESTIONS, 0)  # and invalidated
        self._tagged = dict.fromkeys(_QUESTIONS, 0)  # by tag
        self._processes = [Process(common) for _ in range(self._random.choice((2, 2, 3)))]
        self._pending: list[asyncio.Event] = []
        self._crashed = False

    async def run(self) -> None:
        steps = (self._ask, self._answer, self._invalidate, self._hear, self._crash)
        for _ in range(_STEPS):
            (step,) = self._random.choices(steps, (12, 7, 3, 2, 1))
            await step()
            if self._random.random() < 0.3:
                await asyncio.sleep(self._random.random() * 0.004)
        while any(process.tasks for process in self._processes):
            await self._answer()
        for process in self._processes:
            await asyncio.gather(*process.tasks, return_exceptions=True)
            await process.hear(self._confirmed)
            await process.cache.assembly.services.async_.tiers.settle()
        for process in self._processes:
            await process.cache.aclose()
        await self._audit()
        self._counts.histories += 1

    # The steps

    async def _ask(self) -> None:
        process = self._random.choice(self._processes)
        question = self._random.choice(_QUESTIONS)
        known = process.heard[question]

        async def ask() -> None:
            served, hit = await self._asked(process, question)
            self._counts.calls += 1
            self._counts.hits += hit
            self._counts.stale_serves += served < known

        task = asyncio.create_task(ask())
        process.tasks.add(task)
        task.add_done_callback(process.tasks.discard)
        await asyncio.sleep(0)

    async def _answer(self) -> None:
        if self._pending:
            self._pending.pop(self._random.randrange(len(self._pending))).set()
        await asyncio.sleep(0.001)

    async def _invalidate(self) -> None:
        process = self._random.choice(self._processes)
        question = self._random.choice(_QUESTIONS)
        self._changed[question] += 1
        version = self._changed[question]
        wanted = self._random.choice(
            [
                Invalidation(tags=(question,)),
                Invalidation(match=f"the {question} one"),
                Invalidation(match="cost", model="gpt-4o*"),
                Invalidation(namespace="team"),
                Invalidation(tags=(question,), match="cost"),
            ]
        )
        await process.cache.assembly.invalidation.invalidate_in_thread(wanted, who="history")
        self._counts.invalidations += 1
        self._confirmed[question] = max(self._confirmed[question], version)
        if wanted.by_tags_alone:
            self._tagged[question] = max(self._tagged[question], version)
        process.heard[question] = max(process.heard[question], version)

    async def _hear(self) -> None:
        await self._random.choice(self._processes).hear(dict(self._confirmed))

    async def _crash(self) -> None:
        if self._crashed:
            return
        self._crashed = True
        self._counts.crashes += 1
        place = self._random.randrange(len(self._processes))
        await self._processes[place].die()
        born = Process(self._common, dict(self._confirmed))
        born.heard |= self._tagged
        self._processes[place] = born

    # The world

    async def _asked(self, process: Process, question: str) -> tuple[int, bool]:
        body = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": f"What does the {question} one cost?"}],
        }
        call = Call(
            "POST",
            _ORIGIN,
            "/v1/chat/completions",
            {"askonce-tags": question},
            msgspec.json.encode(body),
            "team",
        )
        reply = await process.cache.answer(call, _Provider(self, question))
        pieces = []
        while (piece := await reply.next()) is not None:
            pieces.append(piece)
        await reply.close()
        answer = msgspec.json.decode(b"".join(pieces))["choices"][0]["message"]["content"]
        return int(answer), "hit" in dict(reply.headers)["cache-status"]

    async def version(self, question: str) -> int:
        """Return the world's version of now, once the history lets the provider answer."""
        version = self._changed[question]
        go = asyncio.Event()
        self._pending.append(go)
        await go.wait()
        return version

    async def _audit(self) -> None:
        """What does a process find that was not there?"""
        auditor = Process(self._common)
        for question in _QUESTIONS:
            asked = asyncio.create_task(self._asked(auditor, question))
            while not asked.done():
                await self._answer()
            served, hit = asked.result()
            self._counts.stale_stores += hit and served < self._confirmed[question]
        await auditor.cache.aclose()


class _Provider:
    def __init__(self, history: History, question: str) -> None:
        self._history = history
        self._question = question

    async def ask(self, call: Call, body: bytes, *, raw: bool = False) -> Script:
        return Script(said(str(await self._history.version(self._question))))


async def _all(histories: int, seed: int, store: str) -> Counts:
    counts = Counts()
    left = iter(range(histories))

    async def some(folder: Path) -> None:
        for number in left:
            common, close = _common(store, folder / f"{number}.db")
            await History(common, seed + number, counts).run()
            if close:
                await common.close()

    with tempfile.TemporaryDirectory() as made:
        await asyncio.gather(*(some(Path(made)) for _ in range(AT_ONCE)))
    return counts


def _common(store: str, path: Path) -> tuple[Store, bool]:
    if store == "memory":
        return CommonStore(), False
    runtime = SyncRuntime()
    ground = StoreContext(
        runtime.lock,
        runtime.now,
        runtime.loop_or_process,
        deadline=10.0,
        monotonic=runtime.monotonic,
    )
    return open_store(f"sqlite:{path}", ground), True


def measure(histories: int = 10_000, seed: int = 1, store: str = "memory") -> list[Figure]:
    """Stale serves and stale stores in so many histories."""
    began = time.perf_counter()
    counts = asyncio.run(_all(histories, seed, store))
    detail = {**msgspec.structs.asdict(counts), "seconds": round(time.perf_counter() - began)}
    return [
        Figure(
            name=f"histories: stale {what} in {histories:,} on {store}",
            value=count,
            unit="",
            at_most=0,
            detail=detail,
        )
        for what, count in (("serves", counts.stale_serves), ("stores", counts.stale_stores))
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Random histories; nothing stale may get out.")
    parser.add_argument("--histories", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--store", choices=("memory", "sqlite"), default="memory")
    chosen = parser.parse_args()
    figures.show(measure(chosen.histories, chosen.seed, chosen.store))
