"""Cancelled anywhere, a call leaves nothing behind that another one could take for its own.

One library once gave people other people's answers: a cancelled call's reply stayed in the
connection, and the next call read it. Here thousands of calls are cancelled, each at another one
of its awaits, while others use the same few connections.
"""

import asyncio
import random
import threading
import time
from collections.abc import Coroutine, Generator
from typing import Any

import pytest

from askonce import AsyncCache
from askonce.core.errors import StoreError
from askonce.core.models import Entry, Key
from askonce.core.runtime.event_loop import AsyncRuntime
from askonce.stores.context import StoreContext
from askonce.stores.open_store import open_store
from tests.faults.conftest import FUZZ_SECONDS
from tests.fixtures.engines import Engines
from tests.fixtures.scripted import call
from tests.pipeline.test_pipeline import text_of
from tests.property.test_invariants import Echo

CONCURRENT = 12
_TO_THE_END = 10_000


class CancelledAt:
    """Steps a coroutine and cancels it at its n-th await; says how many there were."""

    def __init__(self, story: Coroutine[Any, Any, Any], place: int) -> None:
        self._story = story
        self._place = place
        self.awaits = 0
        self.finished = False

    def __await__(self) -> Generator[Any, Any, Any]:
        stepping = self._story.__await__()
        try:
            waiting = next(stepping)
            while True:
                self.awaits += 1
                if self.awaits == self._place:
                    # What it was waiting for is given up, as when its task is cancelled.
                    if asyncio.isfuture(waiting):
                        waiting._asyncio_future_blocking = False
                        waiting.cancel()
                    waiting = stepping.throw(asyncio.CancelledError())
                    continue
                try:
                    got = yield waiting
                except BaseException as error:  # noqa: BLE001 - thrown on, into the story
                    waiting = stepping.throw(error)
                else:
                    waiting = stepping.send(got)
        except StopIteration as end:
            self.finished = True
            return end.value


def test_the_fuzz_itself_cancels_at_the_named_await() -> None:
    seen: list[int] = []

    async def three() -> str:
        for number in range(3):
            seen.append(number)
            await asyncio.sleep(0)
        return "whole"

    async def story() -> None:
        assert await CancelledAt(three(), 9) == "whole"
        seen.clear()
        with pytest.raises(asyncio.CancelledError):
            await CancelledAt(three(), 2)
        assert seen == [0, 1]

    asyncio.run(story())


def _key(number: int) -> Key:
    return Key("fuzz", "openai_chat", b"%032d" % number)


def _entry(number: int) -> Entry:
    # Of many sizes, so that a reply is cut in the middle as well.
    body = b"answer %d;" % number * (1 + number % 40 * 20)
    return Entry(_key(number), body, 200, (), 1.0, 1e11, 1e11, question=f"question {number}")


@pytest.mark.timeout(FUZZ_SECONDS * 4 + 60)
@pytest.mark.parametrize("engine", ["redis7", "redis8", "redis-cluster", "postgres"])
def test_a_store_never_answers_with_another_calls_reply(engines: Engines, engine: str) -> None:
    runtime = AsyncRuntime()
    ground = StoreContext(threading.Lock, lambda: 2.0, runtime.loop_or_process, True, 5.0)
    choose = random.Random(1)
    counts = {"cancelled": 0, "whole": 0, "wrong": 0}
    deepest: dict[str, int] = {}

    async def story() -> None:
        store = open_store(engines.plain(engine), ground)
        for number in range(60):
            assert await store.write(_entry(number))
        until = time.perf_counter() + FUZZ_SECONDS

        async def one_by_one() -> None:
            while time.perf_counter() < until:
                number = choose.randrange(60)
                verb = choose.choice(["read"] * 5 + ["write", "epochs"])
                if verb == "read":
                    work: Coroutine[Any, Any, Any] = store.read(_key(number))
                elif verb == "write":
                    work = store.write(_entry(number))
                else:
                    work = store.epochs([f"tag {number}"])
                place = choose.choice([_TO_THE_END, choose.randint(1, deepest.get(verb, 3) + 1)])
                stepped = CancelledAt(work, place)
                try:
                    got = await stepped
                except asyncio.CancelledError:
                    counts["cancelled"] += 1
                    continue
                except StoreError:
                    continue  # a connection that was given up may be noticed by one more call
                counts["whole"] += 1
                deepest[verb] = max(deepest.get(verb, 0), min(stepped.awaits, 40))
                expected = {"read": _entry(number), "write": True, "epochs": None}[verb]
                if got != expected and verb != "epochs":
                    counts["wrong"] += 1

        await asyncio.gather(*[one_by_one() for _ in range(CONCURRENT)])
        await store.close()

    asyncio.run(story())
    assert counts["wrong"] == 0
    assert counts["cancelled"] > 100 * FUZZ_SECONDS / 10
    assert counts["whole"] > 100 * FUZZ_SECONDS / 10
    assert deepest["read"] >= 1


@pytest.mark.timeout(FUZZ_SECONDS * 4 + 60)
@pytest.mark.parametrize("engine", ["redis8", "postgres", "sqlite"])
def test_no_caller_gets_another_callers_answer(engines: Engines, engine: str) -> None:
    """The same through the whole request path: flights, layers, leases, streams."""
    choose = random.Random(2)
    counts = {"cancelled": 0, "whole": 0}

    async def story() -> None:
        provider = Echo()
        async with AsyncCache(engines.plain(engine), memory=30_000) as cache:
            answering = cache.assembly.services.async_.pipeline
            until = time.perf_counter() + FUZZ_SECONDS

            async def ask(asked: Any) -> bytes:
                reply = await answering.answer(asked, provider)
                pieces = []
                try:
                    while (piece := await reply.next()) is not None:
                        pieces.append(piece)
                finally:
                    await reply.close()
                return b"".join(pieces)

            async def caller() -> None:
                while time.perf_counter() < until:
                    number = choose.randrange(200)
                    tags = {"askonce-tags": f"t{number % 7}"} if number % 3 == 0 else {}
                    stream = choose.random() < 0.5
                    asked = call(f"question {number}", headers=tags, stream=stream)
                    place = choose.choice([_TO_THE_END, choose.randint(1, 12)])
                    # A task of its own: a flight may go on without its leader.
                    asking = asyncio.create_task(_awaited(CancelledAt(ask(asked), place)))
                    try:
                        body = await asking
                    except asyncio.CancelledError:
                        counts["cancelled"] += 1
                        continue
                    counts["whole"] += 1
                    assert text_of(body) == Echo.answer(asked)

            await asyncio.gather(*[caller() for _ in range(CONCURRENT)])
            assert len(cache.assembly.services.async_.context.flights) == 0

    asyncio.run(story())
    assert counts["cancelled"] > 100 * FUZZ_SECONDS / 10
    assert counts["whole"] > 100 * FUZZ_SECONDS / 10


async def _awaited(stepped: CancelledAt) -> Any:
    return await stepped
