"""A store that dies, hangs or comes back, under callers who must not notice."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from askonce import Layer
from tests.fixtures.postgres_server import PostgresServer
from tests.fixtures.proxy import FaultProxy
from tests.fixtures.redis_servers import RedisCluster, RedisServer
from tests.fixtures.scripted import CacheUnderTest, Script, call, said
from tests.pipeline.test_pipeline import text_of

DEADLINE = 0.25
WITHIN = 8 * DEADLINE
"""Seconds for one call while a store hangs: a few store calls, each with its deadline, and room for
a busy machine. Without a breaker the calls below would need many times as long."""


class Echo:
    """Answers at once with what it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    async def ask(self, asked: Any, body: bytes, *, raw: bool = False) -> Script:
        self.calls += 1
        return Script(said(f"re: {asked.headers['x-question']}"))


async def ask(
    under_test: CacheUnderTest, question: str, echo: Echo, *, tagged: bool = False
) -> str:
    """The Cache-Status; the answer is checked and must not take long."""
    headers = {"x-question": question} | ({"askonce-tags": "t"} if tagged else {})
    under_test.cache.assembly.memory.forget_all()  # so that every call asks the store
    began = time.perf_counter()
    status, body = await under_test.ask(call(question, headers=headers), echo)
    assert time.perf_counter() - began < WITHIN
    assert text_of(body) == f"re: {question}"
    return status


def opened(name: str, url: str) -> CacheUnderTest:
    under_test = CacheUnderTest(name, "memory:", time.time)  # type: ignore[arg-type]
    under_test.open(layers=[Layer(url, "store", deadline=f"{DEADLINE}s")])
    return under_test


class Patient:
    """Something to break and to mend, and the address of what stands behind it."""

    def __init__(self, url: str, strike: Callable[[], None], mend: Callable[[], None]) -> None:
        self.url = url
        self.strike = strike
        self.mend = mend


@pytest.fixture(
    params=["redis-killed", "redis-stopped", "redis-hung", "redis-frozen", "redis-cut",
            "postgres-killed", "postgres-hung", "postgres-frozen"]
)  # fmt: skip
def patient(request: pytest.FixtureRequest) -> Iterator[Patient]:
    engine, _, what = request.param.partition("-")
    server: Any = RedisServer() if engine == "redis" else PostgresServer()
    server.start()
    proxy = FaultProxy("127.0.0.1", server.port)
    url = server.url.replace(f":{server.port}", f":{proxy.port}")
    ways = {
        "killed": (server.kill, server.start),
        "stopped": (server.stop, server.start),
        "hung": (server.freeze, server.thaw),
        "frozen": (proxy.freeze, proxy.thaw),
        "cut": (proxy.cut, proxy.mend),
    }
    try:
        yield Patient(url, *ways[what])
    finally:
        proxy.close()
        server.close()


@pytest.mark.timeout(120)
def test_no_call_fails_or_hangs_and_the_store_is_taken_back(patient: Patient, mode: str) -> None:
    under_test = opened(mode, patient.url)
    echo = Echo()

    async def story() -> None:
        for number in range(5):
            await ask(under_test, f"before {number}", echo)
        await under_test.settle()
        assert "layer=store" in await ask(under_test, "before 0", echo)

        await in_thread(patient.strike)
        try:
            for number in range(40):
                status = await ask(under_test, f"during {number}", echo, tagged=number % 4 == 0)
                assert status.startswith("askonce; fwd=miss")
            state = under_test.cache.stats().layers["store"].state
            assert state in ("open", "probing")
        finally:
            await in_thread(patient.mend)

        until = time.perf_counter() + 15
        while (
            "layer=store" not in await ask(under_test, "after", echo)
            or under_test.cache.stats().layers["store"].state != "closed"
        ):
            assert time.perf_counter() < until, "the store is not taken back"
            await under_test.parts.context.runtime.sleep(0.05)
            under_test.parts.tiers.probe_if_due()

    under_test.run(story)


async def in_thread(work: Callable[[], Any]) -> None:
    """Without an event loop's help: the blocking under_test has none."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.timeout(60)
def test_callers_keep_their_namespace_when_redis_has_lost_everything(mode: str) -> None:
    server = RedisServer().start()
    under_test = opened(mode, server.url)
    assembly = under_test.cache.assembly

    async def identified() -> str:
        headers = {"authorization": "Bearer sk-one"}
        tiers = under_test.parts.tiers
        namespace = await assembly.namespaces.identify(
            tiers, headers, "https://api.openai.com", "/"
        )
        assert namespace is not None
        return namespace

    async def story() -> None:
        before = await identified()
        known = assembly.namespaces.identity
        with server.client() as client:
            client.flushall()
        until = time.perf_counter() + 10
        while assembly.namespaces.identity is known:  # until the news say that all is lost
            assert time.perf_counter() < until
            await under_test.parts.context.runtime.sleep(0.01)
        assert await identified() == before
        with server.client() as client:
            assert client.get("askonce:{~}:pepper") is not None  # for the other processes too

    try:
        under_test.run(story)
    finally:
        server.close()


@pytest.mark.timeout(60)
def test_single_flight_still_holds_in_the_process(mode: str) -> None:
    server = RedisServer().start()
    under_test = opened(mode, server.url)
    server.kill()

    async def story() -> None:
        gate = asyncio.Event() if mode == "suspending" else threading.Event()

        class Slow(Echo):
            async def ask(self, asked: Any, body: bytes, *, raw: bool = False) -> Script:
                script = await super().ask(asked, body, raw=raw)
                await under_test.until(gate.is_set)
                return script

        slow = Slow()
        for number in range(6):
            await ask(under_test, f"open the breaker {number}", Echo())

        async def open_the_gate() -> None:
            def all_there() -> bool:
                flying = list(under_test.parts.context.flights._recordings.values())
                return bool(flying) and flying[0].joined == 19

            await under_test.until(all_there)
            gate.set()

        one = call("the one", headers={"x-question": "the one"})
        ended = await under_test.together(*[lambda: under_test.ask(one, slow)] * 20, open_the_gate)
        assert slow.calls == 1
        assert {text_of(body) for _, body in ended[:-1]} == {"re: the one"}

    try:
        under_test.run(story)
    finally:
        server.close()


@pytest.mark.timeout(120)
def test_a_cluster_loses_a_master_and_no_caller_anything(mode: str) -> None:
    cluster = RedisCluster().start()
    under_test = opened(mode, cluster.url)
    echo = Echo()

    async def story() -> None:
        for number in range(60):
            await ask(under_test, f"question {number}", echo)
        await under_test.settle()
        victim = cluster.nodes[0]
        await in_thread(victim.kill)
        until = time.perf_counter() + 40
        settled = 0
        while settled < 60:
            assert time.perf_counter() < until, "the cluster's failover is not followed"
            settled = 0
            for number in range(60):
                status = await ask(under_test, f"question {number}", echo)
                settled += "layer=store" in status
            await under_test.parts.context.runtime.sleep(0.1)

    try:
        under_test.run(story)
    finally:
        cluster.close()


@pytest.fixture(params=["blocking", "suspending"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)
