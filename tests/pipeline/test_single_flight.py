"""Single-flight: one upstream call for simultaneous callers, whatever happens to any of them."""

import asyncio
import threading
from functools import partial
from typing import Any

import msgspec
import pytest

from askonce.core.errors import PatienceOver
from askonce.core.models import Call
from askonce.core.runtime.threads import run_sync
from tests.fixtures.scripted import (
    SSE_HEADERS,
    CacheUnderTest,
    Script,
    Scripted,
    call,
    said,
    streamed,
)
from tests.pipeline.test_pipeline import text_of


class Gate:
    """Holds a provider's answer back until the test opens it."""

    def __init__(self, under_test: CacheUnderTest) -> None:
        self._under_test = under_test
        self.open = False
        self.reached = 0

    async def __call__(self) -> None:
        self.reached += 1
        await self._under_test.until(lambda: self.open)


async def opened_when_joined(under_test: CacheUnderTest, gate: Gate, followers: int) -> None:
    """Open the gate once everybody sits in the flight."""

    def everybody() -> bool:
        flying = list(under_test.parts.context.flights._recordings.values())
        return bool(flying) and flying[0].joined == followers

    await under_test.until(everybody)
    gate.open = True


@pytest.mark.parametrize("stream", [False, True])
def test_fifty_identical_calls_make_one_upstream_call(
    under_test: CacheUnderTest, stream: bool
) -> None:
    async def scenario() -> None:
        for round_ in range(10):
            gate = Gate(under_test)
            pieces = [gate, *streamed("Thirty", " days")] if stream else [gate, said()]
            headers = SSE_HEADERS if stream else [("content-type", "application/json")]
            provider = Scripted(partial(Script, *pieces, headers=headers))
            asked = call(f"round {round_}", stream=stream)

            async def one(a: Call = asked, p: Scripted = provider) -> tuple[str, bytes]:
                return await under_test.ask(a, p)

            async def opening(g: Gate = gate) -> None:
                await opened_when_joined(under_test, g, 49)

            *answers, _ = await under_test.together(*[one] * 50, opening)
            assert provider.calls == 1
            assert len({body for _, body in answers}) == 1
            statuses = sorted(status for status, _ in answers)
            assert statuses.count("askonce; fwd=miss; collapsed; detail=joined") == 49
        stats = under_test.cache.stats()
        assert (stats.joined, stats.misses, stats.stored) == (490, 10, 10)
        assert stats.saved_tokens == 490 * 16

    under_test.run(scenario)


def test_both_shapes_share_one_flight(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        for leader_streams in (True, False):
            gate = Gate(under_test)
            pieces = [gate, *streamed("Thirty", " days")]
            if not leader_streams:
                pieces = [gate, said("Thirty days")]
            headers = SSE_HEADERS if leader_streams else [("content-type", "application/json")]
            provider = Scripted(partial(Script, *pieces, headers=headers))
            question = f"leader streams: {leader_streams}"

            async def leader(
                q: str = question, s: bool = leader_streams, p: Scripted = provider
            ) -> tuple[str, bytes]:
                return await under_test.ask(call(q, stream=s), p)

            async def follower(
                q: str = question, s: bool = leader_streams, g: Gate = gate, p: Scripted = provider
            ) -> tuple[str, bytes]:
                await under_test.until(lambda: g.reached == 1)
                return await under_test.ask(call(q, stream=not s), p)

            async def opening(g: Gate = gate) -> None:
                await opened_when_joined(under_test, g, 1)

            one, other, _ = await under_test.together(leader, follower, opening)
            assert provider.calls == 1
            assert text_of(one[1]) == text_of(other[1]) == "Thirty days"
            assert other[0] == "askonce; fwd=miss; collapsed; detail=joined"

    under_test.run(scenario)


def test_followers_get_the_live_bytes(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        gate = Gate(under_test)
        first, *rest = streamed("a", "b", "c")
        provider = Scripted(lambda: Script(first, gate, *rest, headers=SSE_HEADERS))
        leader = await under_test.answer(call(stream=True), provider)
        assert await leader.next() == first
        follower = await under_test.answer(call(stream=True), provider)
        assert (
            dict(follower.headers)["cache-status"] == "askonce; fwd=miss; collapsed; detail=joined"
        )
        assert await follower.next() == first, "a follower sees what is there at once"
        gate.open = True
        assert await under_test.read(leader) == await under_test.read(follower)
        assert provider.calls == 1

    under_test.run(scenario)


def test_a_leader_that_leaves_hands_over(under_test: CacheUnderTest) -> None:
    """Its followers pull on themselves; the one upstream call is not lost."""

    async def scenario() -> None:
        provider = Scripted(lambda: Script(*streamed("a", "b", "c"), headers=SSE_HEADERS))
        leader = await under_test.answer(call(stream=True), provider)
        await leader.next()
        follower = await under_test.answer(call(stream=True), provider)
        await leader.close()
        assert not provider.given[0].closed
        assert text_of(await under_test.read(follower)) == "abc"
        assert provider.calls == 1
        assert "detail=memory" in (await under_test.ask(call(), provider))[0]

    under_test.run(scenario)


def test_when_everybody_leaves_the_provider_is_let_go(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(*streamed("a", "b", "c"), headers=SSE_HEADERS))
        leader = await under_test.answer(call(stream=True), provider)
        follower = await under_test.answer(call(stream=True), provider)
        await leader.next()
        await leader.close()
        assert not provider.given[0].closed
        await follower.close()
        assert provider.given[0].closed
        assert len(under_test.parts.context.flights) == 0
        await under_test.ask(call(stream=True), provider)
        assert provider.calls == 2

    under_test.run(scenario)


def test_a_cancelled_leader_cancels_no_other_caller() -> None:
    under_test = CacheUnderTest("suspending", "memory:", lambda: 0.0)  # type: ignore[arg-type]

    async def scenario() -> None:
        gate = Gate(under_test)
        provider = Scripted(lambda: Script(gate, said()))
        leader = asyncio.create_task(under_test.ask(call(), provider))
        await under_test.until(lambda: gate.reached == 1)
        follower = asyncio.create_task(under_test.ask(call(), provider))
        await asyncio.sleep(0)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        gate.open = True
        assert await follower == ("askonce; fwd=miss; collapsed; detail=joined", said())
        assert provider.calls == 1

    under_test.run(scenario)


def test_a_cancelled_lone_caller_cancels_its_upstream_call() -> None:
    under_test = CacheUnderTest("suspending", "memory:", lambda: 0.0)  # type: ignore[arg-type]

    async def scenario() -> None:
        gate = Gate(under_test)
        provider = Scripted(lambda: Script(gate, said()))
        lone = asyncio.create_task(under_test.ask(call(), provider))
        await under_test.until(lambda: gate.reached == 1)
        lone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lone
        assert len(under_test.parts.context.flights) == 0
        assert provider.given[0].closed
        gate.open = True
        status, _ = await under_test.ask(call(), provider)
        assert status.startswith("askonce; fwd=miss; stored")

    under_test.run(scenario)


def test_a_killed_leader_is_replaced_by_one_of_its_followers() -> None:
    """Ctrl-C in the thread that was waiting for the provider: the others ask once more."""
    under_test = CacheUnderTest("blocking", "memory:", lambda: 0.0)  # type: ignore[arg-type]

    async def scenario() -> None:
        gate = Gate(under_test)
        stops = [KeyboardInterrupt()]

        async def stop_the_first() -> None:
            if stops:
                raise stops.pop()

        provider = Scripted(lambda: Script(gate, stop_the_first, said()))

        async def one() -> tuple[str, bytes]:
            return await under_test.ask(call(), provider)

        async def opening() -> None:
            await opened_when_joined(under_test, gate, 9)

        *answers, _ = await under_test.together(*[one] * 10, opening)
        stopped = [a for a in answers if isinstance(a, KeyboardInterrupt)]
        served = [a for a in answers if isinstance(a, tuple)]
        assert (len(stopped), len(served)) == (1, 9)
        assert {body for _, body in served} == {said()}
        assert provider.calls == 2

    under_test.run(scenario)


def test_an_upstream_failure_reaches_all_waiters_after_one_call(under_test: CacheUnderTest) -> None:
    class Unreachable(Exception):
        pass

    async def scenario() -> None:
        gate = Gate(under_test)
        provider = Scripted(lambda: Script(gate, Unreachable("reset")))

        async def one() -> tuple[str, bytes]:
            return await under_test.ask(call(), provider)

        async def opening() -> None:
            await opened_when_joined(under_test, gate, 19)

        *answers, _ = await under_test.together(*[one] * 20, opening)
        assert all(isinstance(answer, Unreachable) for answer in answers)
        assert provider.calls == 1

    under_test.run(scenario)


@pytest.mark.parametrize("status", [400, 429, 500])
def test_an_error_answer_reaches_all_waiters_after_one_call(
    under_test: CacheUnderTest, status: int
) -> None:
    async def scenario() -> None:
        gate = Gate(under_test)
        headers = [
            ("content-type", "application/json"),
            ("retry-after", "7"),
            ("set-cookie", "session=1"),
        ]
        provider = Scripted(lambda: Script(gate, b'{"error":1}', status=status, headers=headers))

        async def one() -> tuple[int, dict[str, str], bytes]:
            reply = await under_test.answer(call(), provider)
            return reply.status, dict(reply.headers), await under_test.read(reply)

        async def opening() -> None:
            await opened_when_joined(under_test, gate, 19)

        *answers, _ = await under_test.together(*[one] * 20, opening)
        assert provider.calls == 1
        assert {(s, b) for s, _, b in answers} == {(status, b'{"error":1}')}
        assert all(h["retry-after"] == "7" for _, h, _ in answers)
        assert sum("set-cookie" in h for _, h, _ in answers) == 1, "only the leader's own"

    under_test.run(scenario)


def test_a_stream_cut_short_is_one_clear_error_for_followers_in_the_other_shape(
    under_test: CacheUnderTest,
) -> None:
    async def scenario() -> None:
        gate = Gate(under_test)
        pieces = streamed("a", end=False)
        provider = Scripted(lambda: Script(gate, *pieces, headers=SSE_HEADERS))

        async def leader() -> tuple[str, bytes]:
            return await under_test.ask(call(stream=True), provider)

        async def follower() -> tuple[int, bytes]:
            await under_test.until(lambda: gate.reached == 1)
            reply = await under_test.answer(call(), provider)
            return reply.status, await under_test.read(reply)

        async def opening() -> None:
            await opened_when_joined(under_test, gate, 1)

        _, (status, body), _ = await under_test.together(leader, follower, opening)
        assert status == 502
        assert msgspec.json.decode(body)["error"]["code"] == "cut-short"
        assert provider.calls == 1

    under_test.run(scenario)


def test_restricting_directives_do_not_join_others(under_test: CacheUnderTest) -> None:
    under_test.open(lease_wait="0s")  # nor do they wait for them

    async def scenario() -> None:
        gate = Gate(under_test)
        provider = Scripted(lambda: Script(gate, said()))

        async def one(headers: dict[str, str]) -> tuple[str, bytes]:
            return await under_test.ask(call(headers=headers), provider)

        directives: list[dict[str, str]] = [
            {},
            {"cache-control": "no-cache"},
            {"cache-control": "max-age=5"},
            {"askonce-ttl": "5s"},
            {"askonce-tags": "a"},
        ]

        async def opening() -> None:
            await under_test.until(lambda: gate.reached == len(directives))
            gate.open = True

        scenarios: list[Any] = [lambda h=h: one(h) for h in directives]
        await under_test.together(*scenarios, opening)
        assert provider.calls == len(directives)

    under_test.run(scenario)


def test_an_oversize_answer_is_relayed_without_being_kept(under_test: CacheUnderTest) -> None:
    """Only a window of it is held once it cannot be stored any more."""

    async def scenario() -> None:
        piece = b"x" * 1_000_000
        pieces = [b'{"a":"', *[piece] * 40, b'"}']
        provider = Scripted(lambda: Script(*pieces))
        reply = await under_test.answer(call(), provider)
        size = held = 0
        source: Any = reply._source
        while (got := await reply.next()) is not None:
            size += len(got)
            if source is not None:
                held = max(held, sum(len(p) for p in source.recording.pieces))
        await reply.close()
        assert size == 40_000_000 + 8
        assert held <= 10_000_000

    under_test.run(scenario)


def test_threads_see_one_another_in_flight_under_every_interleaving() -> None:
    """Many rounds of callers that leave, join and read at odd moments: no caller hangs."""
    under_test = CacheUnderTest("blocking", "memory:", lambda: 0.0)  # type: ignore[arg-type]

    async def scenario() -> None:
        for round_ in range(60):
            provider = Scripted(lambda: Script(*streamed("a", "b", "c", "d"), headers=SSE_HEADERS))
            barrier = threading.Barrier(8)

            def caller(
                index: int,
                question: str = f"round {round_}",
                wait: threading.Barrier = barrier,
                up: Scripted = provider,
            ) -> Any:
                async def one() -> str:
                    wait.wait(10)
                    reply = await under_test.answer(call(question, stream=True), up)
                    if index % 3 == 0:  # some leave early
                        await reply.next()
                        await reply.close()
                        return "left"
                    return text_of(await under_test.read(reply))

                return one

            answers = await under_test.together(*[caller(i) for i in range(8)])
            assert set(answers) <= {"left", "abcd"}, answers
            assert answers.count("abcd") == 5

    under_test.run(scenario)


def test_finish_refuses_a_story_that_suspends() -> None:
    async def suspends() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="suspended"):
        run_sync(suspends())


def test_a_follower_waits_no_longer_than_its_own_client_would(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        gate = Gate(under_test)
        provider = Scripted(lambda: Script(gate, said()))

        async def leader() -> tuple[str, bytes]:
            return await under_test.ask(call(), provider)

        async def hurried() -> None:
            await under_test.until(lambda: gate.reached == 1)
            asked = msgspec.structs.replace(call(), patience=0.01)
            with pytest.raises(PatienceOver):
                await under_test.ask(asked, provider)
            gate.open = True

        (status, body), failed = await under_test.together(leader, hurried)
        assert failed is None
        assert (status, body) == ("askonce; fwd=miss; stored; detail=not-found", said())
        assert provider.calls == 1

    under_test.run(scenario)
