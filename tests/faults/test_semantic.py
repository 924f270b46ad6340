"""The semantic layer when something is ill: exact caching goes on, and nothing hangs."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from askonce.practice.serving import running
from askonce.runtimes import finish
from askonce.semantic import Semantic
from tests.contracts.test_embeddings_endpoint import KEY, Server
from tests.servers.engines import Engines
from tests.story.conftest import Clock, Flavor, Script, Scripted, call, said

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
def flavor_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(name: str, url: str, clock: Clock, **semantic: Any) -> Flavor:
    """Patient, because the machine may be busy with other tests."""
    flavor = Flavor(name, url, clock)
    flavor.open(semantic=Semantic(**{"deadline": "10s", **semantic}))
    return flavor


def provider() -> Scripted:
    return Scripted(lambda: Script(said("Thirty days.")))


async def ask(flavor: Flavor, upstream: Scripted, question: str, **more: Any) -> str:
    status, _ = await flavor.ask(call(question, **more), upstream)
    await flavor.settle()
    return status


def test_an_endpoint_serves_as_well(flavor_name: str, endpoint: str, clock: Clock) -> None:
    flavor = opened(
        flavor_name, "memory:", clock, embedder=f"{endpoint}/v1?model=well", embedder_key=KEY
    )
    upstream = provider()

    async def story() -> None:
        await ask(flavor, upstream, ASKED)
        assert "detail=semantic" in await ask(flavor, upstream, AGAIN)
        assert flavor.cache.stats().errors == 0

    flavor.run(story)


@pytest.mark.parametrize(
    "model", ["stalling", "trickling", "500", "garbage", "nan", "zero", "shrinking", "dead", "key"]
)
def test_a_sick_embedder_costs_a_caller_its_deadline_at_most(
    flavor_name: str, endpoint: str, clock: Clock, model: str
) -> None:
    address = "http://127.0.0.1:9/v1?model=x" if model == "dead" else f"{endpoint}/v1?model={model}"
    key = "sk-wrong" if model == "key" else KEY
    flavor = opened(
        flavor_name, "memory:", clock, embedder=address, embedder_key=key, deadline="250ms"
    )
    upstream = provider()

    async def story() -> None:
        slowest = 0.0
        for number in range(8):
            began = time.perf_counter()
            status, _ = await flavor.ask(call(f"Question {number}: {ASKED}"), upstream)
            slowest = max(slowest, time.perf_counter() - began)
            assert "fwd=miss; stored" in status
        # Exact answers go on as if there were no other ones.
        began = time.perf_counter()
        status, _ = await flavor.ask(call(f"Question 1: {ASKED}"), upstream)
        assert "detail=memory" in status
        assert time.perf_counter() - began < 0.2
        assert slowest < 2.0  # 250 ms and what a busy machine adds
        await flavor.settle()
        stats = flavor.cache.stats()
        assert stats.semantic.get("embedder-failed", 0) >= 1, stats.semantic
        assert stats.outcomes.get("semantic") is None

    flavor.run(story)


def test_an_embedder_that_is_down_is_soon_not_asked_any_more(
    flavor_name: str, endpoint: str, clock: Clock
) -> None:
    flavor = opened(
        flavor_name, "memory:", clock, embedder=f"{endpoint}/v1?model=500", embedder_key=KEY
    )
    upstream = provider()

    async def story() -> None:
        for number in range(20):
            await ask(flavor, upstream, f"Question {number}")
        works = flavor.cache.works
        assert works.semantic.states["embedder"] != "closed"
        failed = flavor.cache.stats().semantic["embedder-failed"]
        assert failed < 20

    flavor.run(story)


def test_another_embedder_never_meets_the_vectors_of_the_first(
    flavor_name: str, endpoint: str, engines: Engines, clock: Clock
) -> None:
    url, upstream = engines.plain("sqlite"), provider()
    first = opened(flavor_name, url, clock)

    async def before() -> None:
        await ask(first, upstream, ASKED)

    first.run(before)
    # 128 of the numbers: another name, and another length.
    other = {"embedder": f"{endpoint}/v1?model=well&dimensions=128", "embedder_key": KEY}
    second = opened(flavor_name, url, clock, **other)

    async def after() -> None:
        indexing = second.cache.works.semantic.indexing
        indexing.start()
        await second.until(lambda: indexing.ready)
        assert second.cache.stats().semantic["reindexed"] == 1
        assert "detail=semantic" in await ask(second, upstream, AGAIN)

    second.run(after)


# Indexes that processes share.


@pytest.mark.parametrize("engine", INDEXES)
def test_two_processes_share_what_lies_near(
    flavor_name: str, engines: Engines, clock: Clock, engine: str
) -> None:
    store, index, upstream = engines.plain(engine), engines.plain(engine), provider()
    first = opened(flavor_name, store, clock, index=index)
    second = opened(flavor_name, store, clock, index=index)

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
        await second.cache.works.close(second.parts)

    first.run(story)


def epoch_of(flavor: Flavor, tag: str) -> int:
    """As far as this process has heard."""
    found: dict[str, int] = finish(flavor.cache.works.memory.epochs([tag]))
    return found[tag]


@pytest.mark.parametrize("engine", INDEXES)
def test_what_is_swept_leaves_the_shared_index_at_once(
    flavor_name: str, engines: Engines, clock: Clock, engine: str
) -> None:
    store, index, upstream = engines.plain(engine), engines.plain(engine), provider()
    flavor = opened(flavor_name, store, clock, index=index)

    async def story() -> None:
        await ask(flavor, upstream, ASKED)
        await ask(flavor, upstream, "Which colors does the lamp come in?")
        vectors = flavor.cache.works.semantic.index(
            384, suspends=flavor_name == "suspending"
        ).vectors
        assert await vectors.size() == 2
        swept = flavor.cache.invalidate(match="return policy")
        swept = await swept if flavor_name == "suspending" else swept
        assert swept.entries == 1
        assert await vectors.size() == 1

    flavor.run(story)


@pytest.mark.parametrize("engine", INDEXES)
def test_an_empty_shared_index_is_filled_from_the_entries(
    flavor_name: str, engines: Engines, clock: Clock, engine: str
) -> None:
    store, upstream = engines.plain(engine), provider()
    first = opened(flavor_name, store, clock, index=engines.plain(engine))

    async def before() -> None:
        await ask(first, upstream, ASKED)

    first.run(before)
    second = opened(flavor_name, store, clock, index=engines.plain(engine))

    async def after() -> None:
        indexing = second.cache.works.semantic.indexing
        indexing.start()
        await second.until(lambda: indexing.ready)
        assert "detail=semantic" in await ask(second, upstream, AGAIN)

    second.run(after)


@pytest.mark.parametrize("engine", ["redis8", "postgres"])
def test_a_shared_index_that_dies_costs_its_hits_alone(
    flavor_name: str, engines: Engines, clock: Clock, engine: str
) -> None:
    index = engines.proxied(engine)
    assert index.proxy is not None
    flavor = opened(flavor_name, "memory:", clock, index=index.url, deadline="1s")
    upstream = provider()

    async def story() -> None:
        await ask(flavor, upstream, ASKED)
        assert "detail=semantic" in await ask(flavor, upstream, AGAIN)
        assert index.proxy is not None
        index.proxy.cut()
        for number in range(6):
            began = time.perf_counter()
            status, _ = await flavor.ask(call(f"{number}: {ASKED}"), upstream)
            assert "fwd=miss; stored" in status
            assert time.perf_counter() - began < 4.0
        assert "detail=memory" in (await flavor.ask(call(ASKED), upstream))[0]
        await flavor.settle()
        assert flavor.cache.stats().semantic["index-failed"] >= 1
        index.proxy.mend()

    flavor.run(story)


def test_redis_without_vector_sets_is_said_and_costs_nothing(
    flavor_name: str, engines: Engines, clock: Clock
) -> None:
    flavor = opened(flavor_name, "memory:", clock, index=engines.plain("redis7"))
    upstream = provider()

    async def story() -> None:
        assert "stored" in await ask(flavor, upstream, ASKED)
        assert "fwd=miss" in await ask(flavor, upstream, AGAIN)
        assert flavor.cache.stats().semantic["index-failed"] >= 1

    flavor.run(story)


def test_threads_and_questions_at_once(clock: Clock) -> None:
    """Many callers, a few questions, one queue: everyone gets an answer to its own question."""
    flavor = opened("blocking", "memory:", clock)
    colors = ["red", "green", "blue", "black"]
    upstreams = {color: Scripted(lambda color=color: Script(said(color))) for color in colors}
    wrong: list[str] = []

    def one(number: int) -> None:
        color = colors[number % 4]
        for way in (f"Where is the {color} lamp?", f"Where's the {color} lamp?"):
            _, body = finish(flavor.ask(call(way), upstreams[color]))
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

    flavor.run(story)
