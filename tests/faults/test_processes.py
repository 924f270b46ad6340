"""Several processes on one store: one upstream call, and no answer outlives its invalidation."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bench.processes import upstream_calls

from askonce import Cache, Layer
from askonce.core.models import Call
from tests.fixtures.engines import ENGINES, Engines
from tests.fixtures.scripted import Script, Scripted, call, said
from tests.pipeline.test_pipeline import text_of

PROMISE = 1.0  # seconds after which no process serves what another one has invalidated


@pytest.mark.timeout(120)
@pytest.mark.parametrize("engine", ENGINES)
def test_many_processes_make_one_upstream_call(engines: Engines, engine: str) -> None:
    calls = upstream_calls(engines.plain(engine), rounds=5, processes=4, callers=10, deadline="10s")
    assert calls == [1] * 5


def _die_while_asking(url: str, pid: Any) -> None:
    """Take the question's lease, say so, and be killed before there is an answer."""

    class Endless:
        async def ask(self, asked: Call, body: bytes, *, raw: bool = False) -> Any:
            pid.send(os.getpid())
            threading.Event().wait(60)

    with Cache(url, namespace="team", lease="2s") as cache:
        cache.answer(call(), Endless())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_leader_that_dies_is_replaced_within_its_lease(engines: Engines, engine: str) -> None:
    url = engines.plain(engine)
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_die_while_asking, args=(url, theirs), daemon=True)
    process.start()
    assert ours.poll(30)
    leader = ours.recv()

    provider = Scripted(lambda: Script(said("the second one")))
    with Cache(url, namespace="team", lease="2s") as cache:
        ended: list[float] = []

        def follow() -> None:
            reply = cache.answer(call(), provider)
            assert text_of(reply.body or b"") == "the second one"
            ended.append(time.perf_counter())

        following = threading.Thread(target=follow)
        following.start()
        following.join(2.5)  # longer than a lease: it is prolonged while its holder lives
        assert following.is_alive()
        assert provider.calls == 0
        os.kill(leader, signal.SIGKILL)
        killed = time.perf_counter()
        process.join(10)
        following.join(20)
        assert provider.calls == 1
        # Its lease, a look at it every 100 ms, and room for a busy machine.
        assert ended[0] - killed < 2 + 1.5


class Two:
    """Two caches that share one store and nothing else; the second one's network can be cut."""

    def __init__(self, engines: Engines, engine: str, **settings: Any) -> None:
        where = engines.proxied(engine)
        self.proxy = where.proxy
        plain = where.url
        if self.proxy is not None:
            host, port = self.proxy._target
            plain = where.url.replace(f"127.0.0.1:{self.proxy.port}", f"{host}:{port}")
        self.first = Cache(layers=[Layer(plain, "store")], namespace="team", **settings)
        self.second = Cache(layers=[Layer(where.url, "store")], namespace="team", **settings)

    def ask(self, text: str) -> tuple[str, str]:
        """The second cache's Cache-Status and answer, if the provider now says `text`."""
        tagged = call(headers={"askonce-tags": "policy"})
        reply = self.second.answer(tagged, Scripted(lambda: Script(said(text))))
        return dict(reply.headers)["cache-status"], text_of(reply.body or b"")

    def close(self) -> None:
        if self.proxy is not None:
            self.proxy.thaw()
        self.first.close()
        self.second.close()


@pytest.fixture
def closing() -> Iterator[list[Two]]:
    made: list[Two] = []
    yield made
    for two in made:
        two.close()


def _until_it_hits_memory(two: Two, text: str) -> None:
    until = time.perf_counter() + 10
    while "detail=memory" not in two.ask(text)[0]:
        assert time.perf_counter() < until, "memory never has it"
        time.sleep(0.01)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("push", ["push", "cut"])
@pytest.mark.parametrize("engine", ["sqlite", "redis7", "redis8", "postgres"])
def test_no_process_serves_the_old_answer_for_longer_than_promised(
    engines: Engines, engine: str, push: str, closing: list[Two]
) -> None:
    two = Two(engines, engine)
    closing.append(two)
    for number in range(3):
        old, new = f"old {number}", f"new {number}"
        two.first.invalidate(tags=["policy"])
        _until_it_hits_memory(two, old)
        if push == "cut" and two.proxy is not None:
            two.proxy.freeze()
        two.first.invalidate(tags=["policy"])
        done = time.perf_counter()
        while time.perf_counter() - done < PROMISE + 0.5:
            began = time.perf_counter()
            _, text = two.ask(new)
            assert text == new or began - done < PROMISE, began - done
            if text == new and push == "push":
                break
            time.sleep(0.01)
        else:
            assert push == "cut", "the news never came"
        if two.proxy is not None:
            two.proxy.thaw()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("engine", ENGINES)
def test_with_strong_consistency_not_for_a_moment(
    engines: Engines, engine: str, closing: list[Two]
) -> None:
    if engine == "redis-cluster":
        url = engines.plain(engine)
        two = Two.__new__(Two)
        two.proxy = None
        settings: Any = {"namespace": "team", "consistency": "strong"}
        two.first, two.second = Cache(url, **settings), Cache(url, **settings)
    else:
        two = Two(engines, engine, consistency="strong")
    closing.append(two)
    for number in range(20):
        two.first.invalidate(tags=["policy"])
        assert two.ask(f"answer {number}")[1] == f"answer {number}"
        _until_it_hits_memory(two, "never said")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("engine", ["sqlite", "redis8", "postgres"])
def test_a_forked_child_has_a_cache_of_its_own_on_the_same_store(
    engines: Engines, engine: str
) -> None:
    """Its parent's connections, threads and flights stay with its parent."""
    url = engines.plain(engine)
    with Cache(url, namespace="team") as cache:
        provider = Scripted(lambda: Script(said("from the parent")))
        cache.answer(call("asked before the fork"), provider)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                reply = cache.answer(call("asked before the fork"), Scripted(OSError("no")))
                fresh = cache.answer(
                    call("asked by the child", headers={"askonce-tags": "t"}),
                    Scripted(lambda: Script(said("from the child"))),
                )
                cache.assembly.memory.forget_all()
                again = _until_shared(cache)
                texts = [text_of(r.body or b"") for r in (reply, fresh, again)]
                code = int(texts != ["from the parent", "from the child", "from the child"])
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        found = cache.answer(call("asked by the child"), Scripted(OSError("no")))
        assert text_of(found.body or b"") == "from the child"


def _until_shared(cache: Cache) -> Any:
    """The child's own answer, read back from the store once it is written there."""
    for _ in range(500):
        try:
            return cache.answer(call("asked by the child"), Scripted(OSError("not yet")))
        except OSError:
            time.sleep(0.01)
    raise AssertionError("the child's answer never came to the store")
