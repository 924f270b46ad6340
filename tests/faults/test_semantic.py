"""The semantic layer when something is ill: exact caching goes on, and nothing hangs."""

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from askonce.cli.demo.provider.serving import running
from askonce.core.runtime.threads import run_sync
from askonce.semantic.settings import Semantic
from tests.fixtures.engines import Engines
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, Scripted, call, said, semantic_of
from tests.semantic.test_embeddings_endpoint import KEY, Server

ASKED = "What is your return policy?"
AGAIN = "What's your return policy?"
INDEXES = ["redis8", "redis-cluster", "postgres"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = Server()
    server.local.load()
    with running(server) as url:
        yield url


@pytest.fixture(params=["blocking", "suspending"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(name: str, url: str, clock: Clock, **semantic: Any) -> CacheUnderTest:
    """Patient, because the machine may be busy with other tests."""
    under_test = CacheUnderTest(name, url, clock)
    under_test.open(semantic=Semantic(**{"deadline": "10s", **semantic}))
    return under_test


def provider() -> Scripted:
    return Scripted(lambda: Script(said("Thirty days.")))


def _script(color: str) -> Script:
    return Script(said(color))


async def ask(under_test: CacheUnderTest, upstream: Scripted, question: str, **more: Any) -> str:
    status, _ = await under_test.ask(call(question, **more), upstream)
    await under_test.settle()
    return status


def test_an_endpoint_serves_as_well(mode: str, endpoint: str, clock: Clock) -> None:
    under_test = opened(
        mode, "memory:", clock, embedder=f"{endpoint}/v1?model=well", embedder_key=KEY
    )
    upstream = provider()

    async def story() -> None:
        await ask(under_test, upstream, ASKED)
        assert "detail=semantic" in await ask(under_test, upstream, AGAIN)
        assert under_test.cache.stats().errors == 0

    under_test.run(story)


@pytest.mark.parametrize(
    "model", ["stalling", "trickling", "500", "garbage", "nan", "zero", "shrinking", "dead", "key"]
)
def test_a_sick_embedder_costs_a_caller_its_deadline_at_most(
    mode: str, endpoint: str, clock: Clock, model: str
) -> None:
    address = "http://127.0.0.1:9/v1?model=x" if model == "dead" else f"{endpoint}/v1?model={model}"
    key = "sk-wrong" if model == "key" else KEY
    under_test = opened(
        mode, "memory:", clock, embedder=address, embedder_key=key, deadline="250ms"
    )
    upstream = provider()

    async def story() -> None:
        slowest = 0.0
        for number in range(8):
            began = time.perf_counter()
            status, _ = await under_test.ask(call(f"Question {number}: {ASKED}"), upstream)
            slowest = max(slowest, time.perf_counter() - began)
            assert "fwd=miss; stored" in status
        # Exact answers go on as if there were no other ones.
        began = time.perf_counter()
        status, _ = await under_test.ask(call(f"Question 1: {ASKED}"), upstream)
        assert "detail=memory" in status
        assert time.perf_counter() - began < 0.2
        assert slowest < 2.0  # 250 ms and what a busy machine adds
        await under_test.settle()
        stats = under_test.cache.stats()
        assert stats.semantic.get("embedder-failed", 0) >= 1, stats.semantic
        assert stats.outcomes.get("semantic") is None

    under_test.run(story)


def test_an_embedder_that_is_down_is_soon_not_asked_any_more(
    mode: str, endpoint: str, clock: Clock
) -> None:
    under_test = opened(
        mode, "memory:", clock, embedder=f"{endpoint}/v1?model=500", embedder_key=KEY
    )
    upstream = provider()

    async def story() -> None:
        for number in range(20):
            await ask(under_test, upstream, f"Question {number}")
        assert semantic_of(under_test).states["embedder"] != "closed"
        failed = under_test.cache.stats().semantic["embedder-failed"]
        assert failed < 20

    under_test.run(story)


def test_another_embedder_never_meets_the_vectors_of_the_first(
    mode: str, endpoint: str, engines: Engines, clock: Clock
) -> None:
    url, upstream = engines.plain("sqlite"), provider()
    first = opened(mode, url, clock)

    async def before() -> None:
        await ask(first, upstream, ASKED)

    first.run(before)
    # 128 of the numbers: another name, and another length.
    other = {"embedder": f"{endpoint}/v1?model=well&dimensions=128", "embedder_key": KEY}
    second = opened(mode, url, clock, **other)

    async def after() -> None:
        reconciler = semantic_of(second).reconciler
        reconciler.start()
        await second.until(lambda: reconciler.ready)
        assert second.cache.stats().semantic["reindexed"] == 1
        assert "detail=semantic" in await ask(second, upstream, AGAIN)

    second.run(after)


# Indexes that processes share.


@pytest.mark.parametrize("engine", INDEXES)
def test_two_processes_share_what_lies_near(
    mode: str, engines: Engines, clock: Clock, engine: str
) -> None:
    store, index, upstream = engines.plain(engine), engines.plain(engine), provider()
    first = opened(mode, store, clock, index=index)
    second = opened(mode, store, clock, index=index)

    async def story() -> None:
        await ask(first, upstream, ASKED, headers={"askonce-tags": "returns"})
        tagged = {"headers": {"askonce-tags": "returns"}}
        assert "detail=semantic" in await ask(second, upstream, AGAIN, **tagged)
        assert "fwd=miss" in await ask(second, upstream, AGAIN, namespace="team-b")
        assert "fwd=miss" in await ask(second, upstream, AGAIN, model="gpt-5")
        before = epoch_of(second, "returns")
        await first.parts.tiers.invalidate(["returns"])
        await second.until(lambda: epoch_of(second, "returns") > before)
        assert "fwd=miss" in await ask(second, upstream, AGAIN, **tagged)
        assert upstream.calls == 4
        await second.cache.assembly.close(second.parts)

    first.run(story)


def epoch_of(under_test: CacheUnderTest, tag: str) -> int:
    """As far as this process has heard."""
    found: dict[str, int] = run_sync(under_test.cache.assembly.memory.epochs([tag]))
    return found[tag]


@pytest.mark.parametrize("engine", INDEXES)
def test_what_is_swept_leaves_the_shared_index_at_once(
    mode: str, engines: Engines, clock: Clock, engine: str
) -> None:
    store, index, upstream = engines.plain(engine), engines.plain(engine), provider()
    under_test = opened(mode, store, clock, index=index)

    async def story() -> None:
        await ask(under_test, upstream, ASKED)
        await ask(under_test, upstream, "Which colors does the lamp come in?")
        vectors = semantic_of(under_test).index(384, suspends=mode == "suspending").vectors
        assert await vectors.size() == 2
        cache: Any = under_test.cache
        swept = cache.invalidate(match="return policy")
        swept = await swept if mode == "suspending" else swept
        assert swept.entries == 1
        assert await vectors.size() == 1

    under_test.run(story)


@pytest.mark.parametrize("engine", INDEXES)
def test_an_empty_shared_index_is_filled_from_the_entries(
    mode: str, engines: Engines, clock: Clock, engine: str
) -> None:
    store, upstream = engines.plain(engine), provider()
    first = opened(mode, store, clock, index=engines.plain(engine))

    async def before() -> None:
        await ask(first, upstream, ASKED)

    first.run(before)
    second = opened(mode, store, clock, index=engines.plain(engine))

    async def after() -> None:
        reconciler = semantic_of(second).reconciler
        reconciler.start()
        await second.until(lambda: reconciler.ready)
        assert "detail=semantic" in await ask(second, upstream, AGAIN)

    second.run(after)


@pytest.mark.parametrize("engine", ["redis8", "postgres"])
def test_a_shared_index_that_dies_costs_its_hits_alone(
    mode: str, engines: Engines, clock: Clock, engine: str
) -> None:
    index = engines.proxied(engine)
    assert index.proxy is not None
    under_test = opened(mode, "memory:", clock, index=index.url, deadline="1s")
    upstream = provider()

    async def story() -> None:
        await ask(under_test, upstream, ASKED)
        assert "detail=semantic" in await ask(under_test, upstream, AGAIN)
        assert index.proxy is not None
        index.proxy.cut()
        for number in range(6):
            began = time.perf_counter()
            status, _ = await under_test.ask(call(f"{number}: {ASKED}"), upstream)
            assert "fwd=miss; stored" in status
            assert time.perf_counter() - began < 4.0
        assert "detail=memory" in (await under_test.ask(call(ASKED), upstream))[0]
        await under_test.settle()
        assert under_test.cache.stats().semantic["index-failed"] >= 1
        index.proxy.mend()

    under_test.run(story)


def test_redis_without_vector_sets_is_said_and_costs_nothing(
    mode: str, engines: Engines, clock: Clock
) -> None:
    under_test = opened(mode, "memory:", clock, index=engines.plain("redis7"))
    upstream = provider()

    async def story() -> None:
        assert "stored" in await ask(under_test, upstream, ASKED)
        assert "fwd=miss" in await ask(under_test, upstream, AGAIN)
        assert under_test.cache.stats().semantic["index-failed"] >= 1

    under_test.run(story)


def test_threads_and_questions_at_once(clock: Clock) -> None:
    """Many callers, a few questions, one queue: everyone gets an answer to its own question."""
    under_test = opened("blocking", "memory:", clock)
    colors = ["red", "green", "blue", "black"]
    upstreams = {color: Scripted(partial(_script, color)) for color in colors}
    wrong: list[str] = []

    def one(number: int) -> None:
        color = colors[number % 4]
        for way in (f"Where is the {color} lamp?", f"Where's the {color} lamp?"):
            _, body = run_sync(under_test.ask(call(way), upstreams[color]))
            if color.encode() not in body:
                wrong.append(way)

    async def story() -> None:
        threads = [threading.Thread(target=one, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert wrong == []

    under_test.run(story)
