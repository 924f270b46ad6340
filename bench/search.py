"""What does it cost to find the nearest question, and is it the nearest?

    python -m bench.search --entries 100000

One scope, vectors that lie as those of real questions do; half of the questions are asked in
other words, half are new. Each size runs in a process of its own, on one core; the growth of
its resident memory is the size of an entry. All questions are asked several times over, and the
quietest time counts. The comparison is the method of tutorials: fetch all answers from Redis, one
by one, and compare each.
"""

import argparse
import ctypes
import gc
import hashlib
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy
import redis
from tests.fixtures.redis_servers import RedisServer

from askonce.core.models import Key, NearestKey
from askonce.core.protocols import VectorIndex
from askonce.core.runtime.threads import run_sync
from askonce.semantic.index.open_index import open_process_index
from askonce.stores.context import StoreContext
from bench import figures
from bench.figures import Figure
from bench.vectors import CHUNK, DIMENSIONS, QUESTIONS, Vectors

_COUNTED = 100_000
_GOALS_MS = {100_000: 0.5, 1_000_000: 1.0}
_NEVER = 1e11
_PASSES = 5


def measure(
    sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000), compared: int = 10_000
) -> list[Figure]:
    """`compared` is how many entries the tutorial's scan and the vector set of Redis hold."""
    measured = {size: _elsewhere(size) for size in sizes}
    found = [figure for size in sizes for figure in _figures(size, measured[size])]
    with closing(RedisServer().start()) as server:
        own = (measured.get(compared) or _elsewhere(compared))["p50_ms"]
        return [*found, _tutorial(server, own, compared), _vector_sets(server, compared)]


def _figures(size: int, measured: dict[str, float]) -> Iterator[Figure]:
    yield Figure(
        name=f"search: among {size:,} entries of one scope",
        value=measured["p50_ms"],
        unit="ms",
        at_most=_GOALS_MS.get(size),
        detail={"p99 ms": measured["p99_ms"], "add, ms": measured["add_ms"]},
    )
    yield Figure(
        name=f"search: the nearest is found, of {size:,}",
        value=measured["recall"],
        unit="",
        at_least=0.99,
        detail={"within 0.002 of the nearest": measured["close"]},
    )
    if size < _COUNTED:
        return  # the process's own ups and downs are larger
    yield Figure(
        name=f"search: memory beside the entry itself, {size:,} entries",
        value=measured["bytes"],
        unit="bytes an entry",
        at_most=700,
    )


def _elsewhere(size: int) -> dict[str, float]:
    """`here` in a process of its own, with one thread for numpy."""
    command = [sys.executable, "-m", "bench.search", "--here", "--entries", str(size)]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, env={**os.environ, **one})
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def here(size: int) -> dict[str, float]:
    """Fill an index with that many entries and search it."""
    made = Vectors()
    for _ in made.chunks(CHUNK):
        pass  # what numpy takes for itself is there before the count begins
    questions = made.questions()
    best, nearest = numpy.full(QUESTIONS, -2.0), numpy.zeros(QUESTIONS, int)
    index = open_process_index("bench", DIMENSIONS, lock=threading.Lock(), clock=time.time)
    before, spent, at = _resident(), 0.0, 0
    for chunk in made.chunks(size):
        cosines = questions @ chunk.T
        top = cosines.argmax(axis=1)
        better = cosines.max(axis=1) > best
        best[better], nearest[better] = cosines.max(axis=1)[better], top[better] + at
        rows = [(_key(at + row), vector.tobytes()) for row, vector in enumerate(chunk)]
        began = time.perf_counter()
        for key, vector in rows:
            run_sync(index.add(b"scope", key, vector, _NEVER))
        spent += time.perf_counter() - began
        at += len(chunk)
    del rows, cosines, chunk
    measured = {"bytes": (_resident() - before) / size, "add_ms": spent / size * 1e3}
    passes = [_asked(index, questions) for _ in range(_PASSES)]
    quietest = min((times for times, _ in passes), key=statistics.median)
    found = [(near.key, near.similarity) for near in passes[0][1]]
    right = [key == _key(int(number)) for (key, _), number in zip(found, nearest, strict=True)]
    close = [one > other - 0.002 for (_, one), other in zip(found, best, strict=True)]
    return measured | {
        "p50_ms": statistics.median(quietest),
        "p99_ms": figures.percentile(quietest, 99),
        "recall": sum(right) / QUESTIONS,
        "close": float(sum(close)) / QUESTIONS,
    }


def _asked(index: VectorIndex, questions: Any) -> tuple[list[float], list[NearestKey]]:
    """How long each took, in ms, and the nearest of each."""
    times, found = [], []
    for question in questions:
        vector = question.tobytes()
        began = time.perf_counter()
        (near,) = run_sync(index.nearest(b"scope", vector, 1))
        times.append((time.perf_counter() - began) * 1e3)
        found.append(near)
    return times, found


def _tutorial(server: RedisServer, own_ms: float, entries: int) -> Figure:
    """Answers as JSON under keys of their own; every one is fetched and compared."""
    made = Vectors()
    with redis.Redis(port=server.port) as client:
        for chunk in made.chunks(entries):
            with client.pipeline(transaction=False) as pipe:
                for vector in chunk:
                    entry = {"question": "?", "answer": "!", "embedding": vector.tolist()}
                    pipe.set(f"cache:{uuid.uuid4().hex}", json.dumps(entry))
                pipe.execute()
        one_by_one, together = [], []
        for question in made.questions()[:3]:
            began = time.perf_counter()
            _scanned(question, (client.get(key) for key in client.scan_iter("cache:*")))
            between = time.perf_counter()
            _scanned(question, client.mget(list(client.scan_iter("cache:*", count=1000))))
            one_by_one.append((between - began) * 1e3)
            together.append((time.perf_counter() - between) * 1e3)
    scan_ms = statistics.median(one_by_one)
    return Figure(
        name=f"search: faster than the tutorial's scan, at {entries:,} entries",
        value=scan_ms / own_ms,
        unit="x",
        at_least=1000,
        detail={
            "the scan, ms": scan_ms,
            "own search, ms": own_ms,
            "the scan fetched by one MGET, ms": statistics.median(together),
        },
    )


def _scanned(question: Any, values: Any) -> Any:
    best, answer = -1.0, None
    for value in values:
        entry = json.loads(value)
        vector = numpy.array(entry["embedding"])
        length = numpy.linalg.norm(vector) * numpy.linalg.norm(question)
        similarity = numpy.dot(question, vector) / length
        if similarity > best:
            best, answer = similarity, entry["answer"]
    return answer


def _vector_sets(server: RedisServer, entries: int) -> Figure:
    """The same in a vector set of Redis 8."""
    from askonce.stores.redis.vectors import open_redis_vectors

    ground = StoreContext(threading.Lock, time.time, deadline=5.0)
    made, at = Vectors(), 0
    index = open_redis_vectors(server.url, ground, embedder="bench", dimensions=DIMENSIONS)
    best = numpy.full(QUESTIONS, -2.0)
    questions = made.questions()
    for chunk in made.chunks(entries):
        best = numpy.maximum(best, (questions @ chunk.T).max(axis=1))
        for vector in chunk:
            run_sync(index.add(b"scope", _key(at), vector.tobytes(), _NEVER))
            at += 1
    times, found = _asked(index, questions)
    close = sum(near.similarity > cosine - 0.002 for near, cosine in zip(found, best, strict=True))
    run_sync(index.close())
    return Figure(
        name=f"search: in a vector set of Redis 8, {entries:,} entries",
        value=statistics.median(times),
        unit="ms",
        detail={"within 0.002 of the nearest": float(close) / QUESTIONS},
    )


def _key(number: int) -> Key:
    return Key("team", "chat", hashlib.sha256(b"%d" % number).digest())


def _resident() -> int:
    """Bytes of this process's own memory, without what it has freed and not given back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    with open("/proc/self/status", encoding="ascii") as status:
        (line,) = [line for line in status if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.search")
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--here", action="store_true", help="only fill and search, and print JSON")
    chosen = parser.parse_args()
    if chosen.here:
        print(json.dumps(here(chosen.entries[0])))
    else:
        figures.show(measure(tuple(chosen.entries)))


if __name__ == "__main__":
    main()
