"""What does it cost to find the nearest question, and is it the nearest?

    python -m bench.search --entries 100000

One scope, vectors of 384 dimensions that lie in heaps and in few directions, as questions do; the
questions lie near some that are there. Each size runs in a process of its own, on one core, whose
resident memory tells what an entry takes. Beside it stands what tutorials do: fetch all answers
from Redis, one by one, and compare each.
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
from tests.servers.redis_servers import RedisServer

from askonce.records import Key
from askonce.runtimes import finish
from askonce.stores import Ground
from askonce.vectors import open_process_index
from bench import figures
from bench.figures import Figure

DIMENSIONS = 384
_HEAPS, _DIRECTIONS, _CHUNK, _QUESTIONS = 4_000, 32, 4_000, 500
_TUTORIAL = 10_000
_COUNTED = 100_000
_GOALS_MS = {100_000: 0.5, 1_000_000: 1.0}
_NEVER = 1e11


def measure(sizes: tuple[int, ...] = (10_000, 100_000, 1_000_000)) -> list[Figure]:
    told = {size: _elsewhere(size) for size in sizes}
    found = [figure for size in sizes for figure in _figures(size, told[size])]
    with closing(RedisServer().start()) as server:
        own = told[_TUTORIAL]["p50_ms"] if _TUTORIAL in told else _elsewhere(_TUTORIAL)["p50_ms"]
        return [*found, _tutorial(server, own), _vector_sets(server)]


def _figures(size: int, told: dict[str, float]) -> Iterator[Figure]:
    yield Figure(
        name=f"search: among {size:,} entries of one scope",
        value=told["p50_ms"],
        unit="ms",
        at_most=_GOALS_MS.get(size),
        detail={"p99 ms": told["p99_ms"], "add, ms": told["add_ms"]},
    )
    yield Figure(
        name=f"search: the nearest is found, of {size:,}",
        value=told["recall"],
        unit="",
        at_least=0.99,
        detail={"within 0.002 of the nearest": told["close"]},
    )
    if size < _COUNTED:
        return  # the process's own ups and downs are larger
    yield Figure(
        name=f"search: memory beside the entry itself, {size:,} entries",
        value=told["bytes"],
        unit="bytes an entry",
        at_most=700,
    )


def _elsewhere(size: int) -> dict[str, float]:
    """`here` in a process of its own, with one thread for numpy."""
    command = [sys.executable, "-m", "bench.search", "--here", "--entries", str(size)]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, env={**os.environ, **one})
    told: dict[str, float] = json.loads(done.stdout)
    return told


def here(size: int) -> dict[str, float]:
    """Fill an index with that many entries and search it."""
    made = _Vectors()
    for _ in made.chunks(_CHUNK):
        pass  # what numpy takes for itself is there before the count begins
    questions = made.questions(size)
    best, nearest = numpy.full(_QUESTIONS, -2.0), numpy.zeros(_QUESTIONS, int)
    index = open_process_index("bench", DIMENSIONS, guard=threading.Lock(), clock=time.time)
    before, spent, at = _resident(), 0.0, 0
    for chunk in made.chunks(size):
        cosines = questions @ chunk.T
        top = cosines.argmax(axis=1)
        better = cosines.max(axis=1) > best
        best[better], nearest[better] = cosines.max(axis=1)[better], top[better] + at
        rows = [(_key(at + row), vector.tobytes()) for row, vector in enumerate(chunk)]
        began = time.perf_counter()
        for key, vector in rows:
            finish(index.add(b"scope", key, vector, _NEVER))
        spent += time.perf_counter() - began
        at += len(chunk)
    del rows, cosines, chunk
    grown = _resident() - before
    times, right, close = [], 0, 0
    for question, cosine, number in zip(questions, best, nearest, strict=True):
        vector = question.tobytes()
        began = time.perf_counter()
        (near,) = finish(index.nearest(b"scope", vector, 1))
        times.append((time.perf_counter() - began) * 1e3)
        right += near.key == _key(int(number))
        close += bool(near.similarity > cosine - 0.002)
    return {
        "p50_ms": statistics.median(times),
        "p99_ms": figures.percentile(times, 99),
        "recall": right / _QUESTIONS,
        "close": close / _QUESTIONS,
        "bytes": grown / size,
        "add_ms": spent / size * 1e3,
    }


class _Vectors:
    """The same vectors each time, a chunk at a time."""

    def __init__(self) -> None:
        chance = numpy.random.default_rng(1)
        self._heaps = chance.normal(size=(_HEAPS, _DIRECTIONS)).astype("f4")
        self._turn = chance.normal(size=(_DIRECTIONS, DIMENSIONS)).astype("f4")

    def chunks(self, count: int) -> Iterator[Any]:
        for start in range(0, count, _CHUNK):
            yield self._chunk(start // _CHUNK)[: count - start]

    def questions(self, count: int) -> Any:
        """Some that are said in other words, some that nobody has asked."""
        chance = numpy.random.default_rng(2)
        asked = self._chunk(0)[: _QUESTIONS // 2]
        again = asked + chance.normal(size=asked.shape).astype("f4") * 0.02
        new = self._chunk(10**6)[: _QUESTIONS - len(again)]
        return _unit(numpy.concatenate([again, new]))

    def _chunk(self, number: int) -> Any:
        chance = numpy.random.default_rng((3, number))
        heap = chance.integers(0, _HEAPS, _CHUNK)
        latent = self._heaps[heap] + 0.6 * chance.normal(size=(_CHUNK, _DIRECTIONS)).astype("f4")
        noise = chance.normal(size=(_CHUNK, DIMENSIONS)).astype("f4")
        return _unit(latent @ self._turn + noise)


def _tutorial(server: RedisServer, own_ms: float) -> Figure:
    """Answers as JSON under keys of their own; every one is fetched and compared."""
    made = _Vectors()
    with redis.Redis(port=server.port) as client:
        for chunk in made.chunks(_TUTORIAL):
            with client.pipeline(transaction=False) as pipe:
                for vector in chunk:
                    entry = {"question": "?", "answer": "!", "embedding": vector.tolist()}
                    pipe.set(f"cache:{uuid.uuid4().hex}", json.dumps(entry))
                pipe.execute()
        one_by_one, together = [], []
        for question in made.questions(_TUTORIAL)[:3]:
            began = time.perf_counter()
            _scanned(question, (client.get(key) for key in client.scan_iter("cache:*")))
            between = time.perf_counter()
            _scanned(question, client.mget(list(client.scan_iter("cache:*", count=1000))))
            one_by_one.append((between - began) * 1e3)
            together.append((time.perf_counter() - between) * 1e3)
    scan_ms = statistics.median(one_by_one)
    return Figure(
        name=f"search: faster than the tutorial's scan, at {_TUTORIAL:,} entries",
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


def _vector_sets(server: RedisServer) -> Figure:
    """The same in a vector set of Redis 8."""
    from askonce.stores.redis_vectors import open_redis_vectors

    ground = Ground(threading.Lock, time.time, deadline=5.0)
    made, at = _Vectors(), 0
    index = open_redis_vectors(server.url, ground, embedder="bench", dimensions=DIMENSIONS)
    best = numpy.full(_QUESTIONS, -2.0)
    questions = made.questions(_TUTORIAL)
    for chunk in made.chunks(_TUTORIAL):
        best = numpy.maximum(best, (questions @ chunk.T).max(axis=1))
        for vector in chunk:
            finish(index.add(b"scope", _key(at), vector.tobytes(), _NEVER))
            at += 1
    times, close = [], 0
    for question, cosine in zip(questions, best, strict=True):
        began = time.perf_counter()
        (near,) = finish(index.nearest(b"scope", question.tobytes(), 1))
        times.append((time.perf_counter() - began) * 1e3)
        close += bool(near.similarity > cosine - 0.002)
    finish(index.close())
    return Figure(
        name=f"search: in a vector set of Redis 8, {_TUTORIAL:,} entries",
        value=statistics.median(times),
        unit="ms",
        detail={"within 0.002 of the nearest": close / _QUESTIONS},
    )


def _unit(vectors: Any) -> Any:
    return (vectors / numpy.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f4")


def _key(number: int) -> Key:
    return Key("team", "chat", hashlib.sha256(b"%d" % number).digest())


def _resident() -> int:
    """Bytes of this process's own memory, without what it has freed and not given back."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    with open("/proc/self/status", encoding="ascii") as told:
        (line,) = [line for line in told if line.startswith("RssAnon:")]
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
