"""What does an invalidation cost, and what does it cost to carry tags?

    python -m bench.invalidation [--entries N]

A tag that a million answers carry is invalidated, in memory and in a SQLite file, through a
`Cache`; on Redis and PostgreSQL the round trips are counted by a relay between. Then a hit on an
answer with three tags is set against one without, in the same run, turn by turn: in memory, also
where the caller asks for the tags by header, and in each store's own read.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.redis_servers import RedisServer

from askonce.core.models import Call, Entry, Key
from askonce.core.protocols import Store
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.library.cache import Cache
from askonce.pipeline.texts import TextQuestion
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store
from bench import figures
from bench.figures import Figure
from bench.library import Once
from bench.questions import HEADERS, PATH, chat, completion
from bench.turns import RoundTripCounter

_TIMES = 30
_BATCH = 200
_TAGS = ("product:123", "policy", "doc:7")
_ORIGIN = "https://api.openai.com"


def measure(entries: int = 1_000_000, batches: int = 200) -> list[Figure]:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        results = [_bump("memory", "memory:", entries, memory="6 GiB")]
        results.append(_bump("SQLite", _filled_file(folder / "many.db", entries), entries))
        results += _hits_with_tags(batches)
        results.append(_store_figure("SQLite", f"sqlite:{folder / 'tags.db'}", batches))
    with closing(RedisServer().start()) as redis:
        results.append(_round_trips("Redis 8", f"{redis.url}/0"))
        results.append(_store_figure("Redis 8", f"{redis.url}/0", batches))
    with closing(PostgresServer()) as postgres:
        postgres.start()
        results.append(_round_trips("PostgreSQL", postgres.url))
        results.append(_store_figure("PostgreSQL", postgres.url, batches))
    return results


# Many entries


def _bump(name: str, url: str, entries: int, **settings: Any) -> Figure:
    with Cache(url, **settings) as cache:
        if url == "memory:":
            for number in range(entries):
                cache.put(f"question {number}", "answer", tags=["all"])
        assert cache.get("question 7") is not None
        took = []
        for _ in range(_TIMES):
            began = time.perf_counter()
            cache.invalidate(tags=["all"])
            took.append((time.perf_counter() - began) * 1000)
        assert cache.get("question 7") is None
    return Figure(
        name=f"invalidation: of a tag with {entries:,} answers, {name}",
        value=statistics.median(took),
        unit="ms",
        at_most=5,
        detail={"slowest of 30": max(took)},
    )


def _filled_file(path: Path, entries: int) -> str:
    """A SQLite store in which so many texts carry one tag."""
    url = f"sqlite:{path}"
    with Cache(url):
        store = _opened(url)
        (epoch,) = run_sync(store.epochs(["all"])).values()
        now = time.time()
        body = b"answer"
        for start in range(0, entries, 10_000):
            some = range(start, min(start + 10_000, entries))
            run_sync(
                store.write_all(
                    [
                        Entry(
                            TextQuestion(f"question {number}", "", "local").key, body, 200, (), now,
                            now + 86_400, now + 86_400, tags=(("all", epoch),),
                        )
                        for number in some
                    ]
                )
            )  # fmt: skip
        run_sync(store.close())
    return url


# Round trips


def _round_trips(name: str, url: str) -> Figure:
    parts = urlsplit(url)
    with RoundTripCounter(parts.hostname or "", parts.port or 0) as turns:
        credentials, at, _ = parts.netloc.rpartition("@")
        netloc = f"{credentials}{at}127.0.0.1:{turns.port}"
        store = _opened(urlunsplit(parts._replace(netloc=netloc)))
        run_sync(
            store.epochs(["a"], bump=True)
        )  # the connection, and what comes with the first call
        before = turns.count
        for _ in range(_TIMES):
            run_sync(store.epochs(["all"], bump=True))
        trips = (turns.count - before) / _TIMES
        run_sync(store.close())
    return Figure(
        name=f"invalidation: round trips for a tag, {name}", value=trips, unit="", at_most=1
    )


# Tags on the read path


def _hits_with_tags(batches: int) -> list[Figure]:
    with Cache("memory:") as cache:
        plain, carrying, silent = _call("plain"), _call("carrying", tags=True), _call("carrying")
        for call in (plain, carrying):
            run_sync(cache.answer(call, Once()).close())
        over = Once(asked=True)

        def asking(call: Call) -> Callable[[], None]:
            def ask() -> None:
                for _ in range(_BATCH):
                    cache.answer(call, over)

            return ask

        without, carried, wanted = _in_turns(
            batches, asking(plain), asking(silent), asking(carrying)
        )
        assert cache.stats().misses == 2
    return [
        Figure(
            name="tags: hit in memory on an answer with three, of one without",
            value=carried / without,
            unit="x",
            at_most=1.1,
            detail={"us without": without * 1e6 / _BATCH},
        ),
        Figure(
            name="tags: the same, and the caller asks for the three",
            value=wanted / without,
            unit="x",
            at_most=1.1,
        ),
    ]


def _call(question: str, *, tags: bool = False) -> Call:
    headers = {**HEADERS, "askonce-tags": ",".join(_TAGS)} if tags else HEADERS
    return Call("POST", _ORIGIN, PATH, headers, chat(question), "bench")


def _store_figure(name: str, url: str, batches: int) -> Figure:
    store = _opened(url)
    now = time.time()
    body = completion("Open the app, choose Cards, then PIN. " * 12)
    epochs = run_sync(store.epochs(_TAGS))

    def stored(tags: Sequence[tuple[str, int]]) -> Key:
        key = Key("bench", "openai_chat", hashlib.sha256(str(tags).encode()).digest())
        life = now + 86_400
        run_sync(store.write(Entry(key, body, 200, (), now, life, life, tags=tuple(tags))))
        return key

    def reading(key: Key) -> Callable[[], None]:
        def read() -> None:
            for _ in range(_BATCH // 10):
                assert run_sync(_read(store, key)) is not None

        return read

    without, carrying = _in_turns(batches, reading(stored(())), reading(stored([*epochs.items()])))
    run_sync(store.close())
    return Figure(
        name=f"tags: {name}'s read of an answer with three, of one without",
        value=carrying / without,
        unit="x",
        at_most=1.1,
        detail={"us without": without * 1e6 / (_BATCH // 10)},
    )


async def _read(store: Store, key: Key) -> Entry | None:
    return await store.read(key)


def _in_turns(batches: int, *works: Callable[[], None]) -> list[float]:
    """The median time of each work, in seconds; in turns, so that all meet the same noise."""
    took: list[list[float]] = [[] for _ in works]
    for _ in range(batches):
        for times, work in zip(took, works, strict=True):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    return [statistics.median(times) for times in took]


def _opened(url: str) -> Store:
    runtime = SyncRuntime()
    ground = StoreContext(
        runtime.lock,
        runtime.now,
        runtime.loop_or_process,
        deadline=10.0,
        monotonic=runtime.monotonic,
    )
    return open_store(url, ground)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What invalidations and tags cost.")
    parser.add_argument("--entries", type=int, default=1_000_000)
    figures.show(measure(parser.parse_args().entries))
