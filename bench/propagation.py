"""How long does another process serve an answer after its invalidation here?

    python -m bench.propagation [--rounds N]

Two processes share one store, caches as they come. One of them serves an answer out of its memory,
again and again; the other one invalidates it, and notes the time at which that was confirmed. The
first one notes the end of the last call that still got the old answer. With `cut`, nothing reaches
the first process any more from the moment before the invalidation: the network to its server
swallows everything. SQLite has no network and no push; its file is looked at every 20 ms.
"""

import argparse
import contextlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.proxy import FaultProxy
from tests.fixtures.redis_servers import RedisServer

from askonce import Layer
from askonce.core.runtime.threads import run_sync
from askonce.library.cache import Cache
from bench import figures
from bench.figures import Figure

_PATIENCE_S = 30.0
_BETWEEN_S = 0.0005
"""Between two calls of the process that serves: a busy one, but one that other threads get by."""
_QUESTION = "What does it cost?"


class Kind(NamedTuple):
    """A way to invalidate, and what it takes."""

    name: str
    fields: dict[str, Any]


TAG = Kind("tag", {"tags": ["product:123"]})
SWEEP = Kind("pattern", {"match": "cost"})


def measure(rounds: int = 200) -> list[Figure]:
    results = []
    with tempfile.TemporaryDirectory() as made, ExitStack() as servers:
        redis = servers.enter_context(closing(RedisServer().start()))
        postgres = servers.enter_context(closing(PostgresServer()))
        postgres.start()
        stores = {
            "SQLite": f"sqlite:{Path(made) / 'shared.db'}",
            "Redis 8": f"{redis.url}/0",
            "PostgreSQL": postgres.url,
        }
        for name, url in stores.items():
            with _other(url) as (proxy, pipe), _patient(url) as cache:
                results += [
                    _figure(name, kind, _rounds(cache, pipe, kind, rounds), 50)
                    for kind in (TAG, SWEEP)
                ]
                if proxy is not None:
                    few = min(rounds, max(10, rounds // 8))
                    cut = _rounds(cache, pipe, TAG, few, cut=proxy)
                    results.append(_figure(f"{name}, cut", TAG, cut, 1_000))
                pipe.send(None)
    return results


def _figure(store: str, kind: Kind, took: list[float], at_most: float) -> Figure:
    ms = sorted(seconds * 1000 for seconds in took)
    last = ms[min(len(ms) - 1, round(len(ms) * 0.99))]
    return Figure(
        name=f"propagation: of a {kind.name} to another process, p99, {store}",
        value=last,
        unit="ms",
        at_most=at_most,
        detail={"median": statistics.median(ms), "rounds": len(ms), "longest": ms[-1]},
    )


def _patient(url: str) -> Cache:
    """A cache that waits long for its store: a busy machine must not end the measurement."""
    return Cache(layers=["memory:", Layer(url, deadline="10s")], namespace="team")


def _rounds(
    cache: Cache, pipe: Any, kind: Kind, rounds: int, *, cut: FaultProxy | None = None
) -> list[float]:
    """Seconds that each invalidation took to arrive; with `cut`, behind a frozen network."""
    took = []
    for number in range(rounds):
        cache.put(_QUESTION, str(number), tags=["product:123"])
        run_sync(cache.assembly.services.sync.tiers.settle())  # the store has it
        pipe.send(str(number))
        _heard(pipe)  # it serves the new answer out of its memory now
        if cut is not None:
            cut.freeze()
        cache.invalidate(**kind.fields)
        confirmed = time.perf_counter()
        took.append(max(0.0, _heard(pipe) - confirmed))
        if cut is not None:
            cut.thaw()
    return took


@contextlib.contextmanager
def _other(url: str) -> Iterator[tuple[FaultProxy | None, Any]]:
    """The process that serves, and the network between it and its server."""
    parts = urlsplit(url)
    with ExitStack() as open_:
        proxy = None
        if parts.port is not None:
            proxy = open_.enter_context(FaultProxy(parts.hostname or "", parts.port))
            credentials, at, _ = parts.netloc.rpartition("@")
            netloc = f"{credentials}{at}127.0.0.1:{proxy.port}"
            url = urlunsplit(parts._replace(netloc=netloc))
        spawning = multiprocessing.get_context("spawn")
        ours, theirs = spawning.Pipe()
        process = spawning.Process(target=_serve, args=(url, theirs), daemon=True)
        process.start()
        try:
            yield proxy, ours
        finally:
            process.join(_PATIENCE_S)
            process.kill()


def _serve(url: str, pipe: Any) -> None:
    """Serve one answer after the other until each is gone; say when each was served last."""
    with Cache(url, namespace="team") as cache:
        while (wanted := pipe.recv()) is not None:
            layer = ""
            until = time.perf_counter() + _PATIENCE_S
            while layer != "memory" and time.perf_counter() < until:
                found = cache.get(_QUESTION)
                layer = found.layer if found is not None and found.text == wanted else ""
            pipe.send(0.0)
            last = 0.0
            while (found := cache.get(_QUESTION)) is not None and found.text == wanted:
                last = time.perf_counter()
                time.sleep(_BETWEEN_S)
            pipe.send(last)


def _heard(pipe: Any) -> float:
    if not pipe.poll(_PATIENCE_S):
        raise RuntimeError("the other process says nothing")
    said: float = pipe.recv()
    return said


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How long until another process has heard?")
    parser.add_argument("--rounds", type=int, default=200)
    figures.show(measure(parser.parse_args().rounds))
