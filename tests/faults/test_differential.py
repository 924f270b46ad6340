"""With the cache and without it, callers get the same bytes, whatever happens to the store.

The network between the cache and its store is slow, cut inside replies and reset at random, or the
file is locked by another program; answers must not differ by one byte from the provider's own.
"""

import random
import sqlite3
import threading
import time
from contextlib import closing
from typing import Any

import pytest

from askonce import Layer
from tests.faults.conftest import FUZZ_SECONDS
from tests.fixtures.engines import Engine, Engines
from tests.fixtures.scripted import SSE_HEADERS, CacheUnderTest, Script, call, said, streamed

CALLERS = 6
SECONDS = max(8.0, FUZZ_SECONDS / 2)
"""Several troubles fit into it; with less, whether one strikes is chance."""


class Provider:
    """Answers each question in one way only, byte for byte."""

    def __init__(self) -> None:
        self.calls = 0

    @staticmethod
    def pieces(number: int, *, stream: bool) -> list[bytes]:
        text = f"Answer {number}. " * (1 + number % 30)
        return streamed(text[:9], text[9:]) if stream else [said(text)]

    def asking(self, number: int, *, stream: bool) -> "Asked":
        return Asked(self, number, stream)


class Asked:
    """The provider, as one caller reaches it."""

    def __init__(self, provider: Provider, number: int, stream: bool) -> None:
        self._provider = provider
        self._number = number
        self._stream = stream

    async def ask(self, asked: Any, body: bytes, *, raw: bool = False) -> Script:
        self._provider.calls += 1
        pieces = Provider.pieces(self._number, stream=self._stream)
        return Script(*pieces, headers=SSE_HEADERS) if self._stream else Script(*pieces)


class Trouble:
    """A fault during the test: a bad network, or another program that locks the file."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._make)
        self.times = 0

    def __enter__(self) -> "Trouble":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _make(self) -> None:
        choose = random.Random(3)
        proxy = self._engine.proxy
        while not self._stopped.wait(0.05 + choose.random() * 0.6):
            self.times += 1
            if proxy is None:
                self._lock_file(choose)
                continue
            proxy.chaos = choose.choice([0.0, 0.02, 0.2])
            proxy.latency = choose.choice([0.0, 0.0, 0.001, 0.03])
            what = choose.choice(["", "", "", "cut", "freeze"])
            if what == "cut":
                proxy.cut()
            elif what == "freeze":
                proxy.freeze()
            self._stopped.wait(choose.random() * 0.4)
            proxy.mend()
            proxy.thaw()

    def _lock_file(self, choose: random.Random) -> None:
        path = self._engine.url.removeprefix("sqlite:")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            try:
                other.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                return
            self._stopped.wait(choose.random() * 0.3)
            other.execute("ROLLBACK")


@pytest.mark.timeout(FUZZ_SECONDS * 4 + 60)
@pytest.mark.parametrize("name", ["blocking", "suspending"])
@pytest.mark.parametrize("engine", ["redis7", "postgres", "sqlite"])
def test_the_same_bytes_with_and_without(engines: Engines, engine: str, name: str) -> None:
    under_test = CacheUnderTest(name, "memory:", time.time)  # type: ignore[arg-type]
    where = engines.proxied(engine)
    # A memory so small that most calls ask the store.
    under_test.open(layers=[Layer(where.url, "store")], memory=30_000, namespace="team", lease="1s")
    provider = Provider()
    counts = {"hit": 0, "fwd": 0}
    slowest = [0.0]

    async def caller(seed: int) -> None:
        choose = random.Random(seed)
        until = time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            number = int(choose.paretovariate(0.7)) % 400
            stream = number % 2 == 1
            tags = {"askonce-tags": f"t{number % 5}"} if number % 4 == 0 else {}
            options: dict[str, Any] = {}
            if stream:
                options = {"stream": True, "stream_options": {"include_usage": True}}
            asked = call(f"question {number}", headers=tags, **options)
            began = time.perf_counter()
            status, body = await under_test.ask(asked, provider.asking(number, stream=stream))
            slowest[0] = max(slowest[0], time.perf_counter() - began)
            counts[status.split()[1][:3]] += 1
            if status.startswith("askonce; fwd="):
                # What a provider sends is relayed byte for byte.
                assert body == b"".join(Provider.pieces(number, stream=stream))
            else:
                assert _meaning(body, stream=stream) == _meaning(
                    b"".join(Provider.pieces(number, stream=stream)), stream=stream
                )

    async def story() -> None:
        under_test.parts  # noqa: B018 - opened before the troubles begin
        with Trouble(where) as trouble:
            ended = await under_test.together(*[lambda s=s: caller(s) for s in range(CALLERS)])
        errors = [error for error in ended if isinstance(error, BaseException)]
        assert errors == []
        assert trouble.times >= 3

    under_test.run(story)
    assert counts["hit"] > 50
    assert counts["fwd"] > 10
    assert under_test.cache.stats().errors > 0
    # A handful of store calls, each within its deadline; never a hang.
    assert slowest[0] < 5


def _meaning(body: bytes, *, stream: bool) -> Any:
    """An answer's bytes; of a stream what its events say, which may be cut up differently."""
    from tests.pipeline.test_pipeline import text_of

    return text_of(body) if stream else body
