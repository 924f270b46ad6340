"""The request path, step by step, in both modes and over both kinds of layers."""

from typing import Any

import msgspec
import pytest

from askonce.core.models import Outcome
from tests.fixtures.scripted import (
    SSE_HEADERS,
    CacheUnderTest,
    Clock,
    Script,
    Scripted,
    call,
    said,
    streamed,
)

MISS = "askonce; fwd=miss; stored; detail=not-found"
HIT = "askonce; hit; ttl=86400; detail=memory"


def whole(body: bytes | None = None, **kind: Any) -> Scripted:
    return Scripted(lambda: Script(body or said(), **kind))


def stream(*texts: str, **kind: Any) -> Scripted:
    return Scripted(lambda: Script(*streamed(*texts, **kind), headers=SSE_HEADERS))


def text_of(body: bytes) -> str:
    """The text of an answer, streamed or not."""
    if not body.startswith(b"data:"):
        return str(msgspec.json.decode(body)["choices"][0]["message"]["content"])
    events = [line[6:] for line in body.split(b"\n\n") if line.startswith(b"data: {")]
    chunks = [msgspec.json.decode(event) for event in events]
    return "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])


def test_the_second_caller_is_answered_from_memory_with_the_same_bytes(
    under_test: CacheUnderTest,
) -> None:
    async def scenario() -> None:
        provider = whole()
        assert await under_test.ask(call(), provider) == (MISS, said())
        assert await under_test.ask(call(), provider) == (HIT, said())
        assert provider.calls == 1

    under_test.run(scenario)


def test_age_and_remaining_life_are_reported(under_test: CacheUnderTest, clock: Clock) -> None:
    async def scenario() -> None:
        provider = whole()
        await under_test.ask(call(), provider)
        clock.forward(100)
        reply = await under_test.answer(call(), provider)
        headers = dict(reply.headers)
        assert headers["cache-status"] == "askonce; hit; ttl=86300; detail=memory"
        assert headers["age"] == "100"
        assert headers["askonce-original-request-id"] == "req-1"
        assert "x-request-id" not in headers

    under_test.run(scenario)


def test_reading_never_extends_life(under_test: CacheUnderTest, clock: Clock) -> None:
    async def scenario() -> None:
        provider = whole()
        for _ in range(30):
            await under_test.ask(call(), provider)
            clock.forward(3_600)
        assert provider.calls == 2

    under_test.run(scenario)


def test_an_expired_answer_is_asked_again_and_says_so(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    async def scenario() -> None:
        provider = whole()
        await under_test.ask(call(headers={"askonce-ttl": "10s"}), provider)
        clock.forward(9.9)
        assert "hit" in (await under_test.ask(call(), provider))[0]
        clock.forward(0.1)
        status, _ = await under_test.ask(call(), provider)
        assert "; stored; detail=" in status
        assert provider.calls == 2

    under_test.run(scenario)


def test_a_backfilled_answer_lives_no_longer(under_test: CacheUnderTest, clock: Clock) -> None:
    async def scenario() -> None:
        if under_test.url == "memory:":
            return
        provider = whole()
        await under_test.ask(call(headers={"askonce-ttl": "60s"}), provider)
        await under_test.settle()
        clock.forward(50)
        await under_test.cache.assembly.memory.remove(_everything())
        status, _ = await under_test.ask(call(), provider)
        assert status == f"askonce; hit; ttl=10; detail=shared; layer={under_test.layer}"
        status, _ = await under_test.ask(call(), provider)
        assert status == "askonce; hit; ttl=10; detail=memory"
        clock.forward(10)
        assert "fwd=stale" in (await under_test.ask(call(), provider))[0]

    under_test.run(scenario)


def test_namespaces_never_share(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = whole()
        for namespace in ("team-a", "team-b", "team-a.sub"):
            status, _ = await under_test.ask(call(namespace=namespace), provider)
            assert status == MISS
        status, _ = await under_test.ask(call(headers={"askonce-namespace": "x"}), provider)
        assert status == MISS
        status, _ = await under_test.ask(call(headers={"askonce-namespace": "x"}), provider)
        assert status == HIT

    under_test.run(scenario)


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("no-identity", {"namespace": None}),
        ("no-identity", {"namespace": "team-a~x"}),
        ("no-identity", {"headers": {"askonce-namespace": "a/b"}}),
        ("no-store", {"headers": {"cache-control": "no-store"}}),
        ("sampling", {"temperature": 0.2}),
        ("hosted-tool", {"web_search_options": {}}),
        ("malformed", {"model": 7}),
    ],
)
def test_bypassed_calls_read_nothing_and_store_nothing(
    under_test: CacheUnderTest, reason: str, changed: dict[str, Any]
) -> None:
    async def scenario() -> None:
        provider = whole()
        for _ in range(2):
            asked = call(**changed)
            status, body = await under_test.ask(asked, provider)
            assert status == f"askonce; fwd=bypass; detail={reason}"
            assert body == said()
        assert provider.calls == 2
        assert provider.bodies == [asked.body] * 2
        assert under_test.cache.stats().bypassed == 2
        assert under_test.cache.stats().stored == 0

    under_test.run(scenario)


def test_temperature_zero_or_none_is_cached(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = whole()
        for asked in (call(temperature=0), call(temperature=0.0), call()):
            await under_test.ask(asked, provider)
        assert provider.calls == 2

    under_test.run(scenario)


def test_reuse_keeps_one_sample(under_test: CacheUnderTest) -> None:
    under_test.open(sampling="reuse")

    async def scenario() -> None:
        provider = whole()
        for _ in range(3):
            await under_test.ask(call(temperature=1), provider)
        assert provider.calls == 1

    under_test.run(scenario)


def test_a_pool_keeps_k_samples_and_gives_the_nth_call_the_nth(under_test: CacheUnderTest) -> None:
    under_test.open(sampling="pool:3")
    answers = [said(f"sample {n}") for n in range(3)]

    async def scenario() -> None:
        provider = Scripted(*[lambda a=a: Script(a) for a in answers])
        seen = [(await under_test.ask(call(temperature=1), provider))[1] for _ in range(9)]
        assert seen == answers * 3
        assert provider.calls == 3

    under_test.run(scenario)


def test_no_cache_asks_again_and_stores_the_new_answer(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said("old")), lambda: Script(said("new")))
        await under_test.ask(call(), provider)
        status, body = await under_test.ask(call(headers={"cache-control": "no-cache"}), provider)
        assert status == "askonce; fwd=request; stored; detail=no-cache"
        assert text_of(body) == "new"
        status, body = await under_test.ask(call(), provider)
        assert (status, text_of(body)) == (HIT, "new")

    under_test.run(scenario)


def test_max_age_refuses_what_is_older(under_test: CacheUnderTest, clock: Clock) -> None:
    async def scenario() -> None:
        provider = whole()
        await under_test.ask(call(), provider)
        clock.forward(61)
        old = {"cache-control": "max-age=61"}
        assert "hit" in (await under_test.ask(call(headers=old), provider))[0]
        young = {"cache-control": "max-age=60"}
        status, _ = await under_test.ask(call(headers=young), provider)
        assert status == "askonce; fwd=request; stored; detail=too-old"

    under_test.run(scenario)


def test_only_if_cached_never_goes_upstream(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = whole()
        asked = call(headers={"cache-control": "only-if-cached"})
        reply = await under_test.answer(asked, provider)
        assert reply.status == 504
        assert dict(reply.headers)["x-should-retry"] == "false"
        assert (
            msgspec.json.decode(await under_test.read(reply))["error"]["code"] == "only-if-cached"
        )
        sampled = call(temperature=1, headers={"cache-control": "only-if-cached"})
        assert (await under_test.answer(sampled, provider)).status == 504
        assert provider.calls == 0
        await under_test.ask(call(), provider)
        assert (await under_test.ask(asked, provider))[0] == HIT

    under_test.run(scenario)


def test_a_ttl_of_zero_is_not_stored(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = whole()
        asked = call(headers={"askonce-ttl": "0"})
        assert (await under_test.ask(asked, provider))[0] == "askonce; fwd=miss; detail=ttl-zero"
        assert "miss" in (await under_test.ask(call(), provider))[0]

    under_test.run(scenario)


def test_malformed_directives_are_ignored_but_tags_in_doubt_are_not_stored(
    under_test: CacheUnderTest,
) -> None:
    async def scenario() -> None:
        provider = whole()
        odd = {"askonce-ttl": "soon", "cache-control": "max-age=never, stale-ish"}
        assert (await under_test.ask(call(headers=odd), provider))[0] == MISS
        assert (await under_test.ask(call(headers=odd), provider))[0] == HIT
        tagged = call("another", headers={"askonce-tags": "good, b\x7fd"})
        status, _ = await under_test.ask(tagged, provider)
        assert status == "askonce; fwd=miss; detail=bad-tags"

    under_test.run(scenario)


# Streams.


def test_a_stream_is_stored_once_and_serves_both_shapes(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = stream("Thirty", " days")
        status, body = await under_test.ask(call(stream=True), provider)
        assert status == "askonce; fwd=miss; detail=not-found"
        assert text_of(body) == "Thirty days"
        status, body = await under_test.ask(call(), provider)
        assert (status, text_of(body)) == (HIT, "Thirty days")
        for _ in range(2):
            status, body = await under_test.ask(call(stream=True), provider)
            assert (status, text_of(body)) == (HIT, "Thirty days")
            assert body.endswith(b"data: [DONE]\n\n")
        assert provider.calls == 1

    under_test.run(scenario)


def test_upstream_is_always_asked_for_usage_and_each_client_sees_what_it_asked(
    under_test: CacheUnderTest,
) -> None:
    async def scenario() -> None:
        provider = stream("Hi")
        _, plain = await under_test.ask(call(stream=True), provider)
        asked = msgspec.json.decode(provider.bodies[0])
        assert asked["stream_options"] == {"include_usage": True}
        assert b"usage" not in plain
        directives = {"include_usage": True}
        for _ in range(2):
            _, body = await under_test.ask(call(stream=True, stream_options=directives), provider)
            assert b'"total_tokens":16' in body
        _, body = await under_test.ask(call(stream=True), provider)
        assert b"usage" not in body

    under_test.run(scenario)


def test_a_stream_is_stored_when_its_terminal_event_is_parsed(under_test: CacheUnderTest) -> None:
    """The SDKs stop reading at `[DONE]` and close."""

    async def scenario() -> None:
        provider = stream("Hi")
        reply = await under_test.answer(call(stream=True), provider)
        while not (await reply.next() or b"").endswith(b"[DONE]\n\n"):
            pass
        await reply.close()
        assert provider.given[0].closed
        assert (await under_test.ask(call(), provider))[0] == HIT

    under_test.run(scenario)


def test_a_miss_is_relayed_live(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        seen: list[bytes] = []
        first, *rest = streamed("a", "b")

        async def look() -> None:
            assert seen == [first], "the first event waited for the second"

        provider = Scripted(lambda: Script(first, look, *rest, headers=SSE_HEADERS))
        reply = await under_test.answer(call(stream=True), provider)
        while (piece := await reply.next()) is not None:
            seen.append(piece)
        await reply.close()
        assert len(seen) > 3

    under_test.run(scenario)


def test_a_reader_who_leaves_in_the_middle_stores_nothing(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = stream("a", "b", "c")
        reply = await under_test.answer(call(stream=True), provider)
        await reply.next()
        await reply.close()
        assert provider.given[0].closed
        assert "miss" in (await under_test.ask(call(stream=True), provider))[0]

    under_test.run(scenario)


def test_unknown_events_comments_and_odd_pieces_are_relayed_as_they_came(
    under_test: CacheUnderTest,
) -> None:
    async def scenario() -> None:
        sent = b": keep alive\r\n\r\n" + b"".join(streamed("caf\u00e9 \u2028"))
        pieces = [sent[i : i + 7] for i in range(0, len(sent), 7)]
        provider = Scripted(lambda: Script(*pieces, headers=SSE_HEADERS))
        directives = {"include_usage": True}
        asked = call(stream=True, stream_options=directives)
        assert (await under_test.ask(asked, provider))[1] == sent
        assert text_of((await under_test.ask(call(), provider))[1]) == "caf\u00e9 \u2028"

    under_test.run(scenario)


# What must not be stored.


@pytest.mark.parametrize(
    ("reason", "script"),
    [
        ("status", lambda: Script(b'{"error":{}}', status=500)),
        ("status", lambda: Script(b'{"error":{}}', status=429)),
        ("garbage", lambda: Script(b"<html>busy</html>")),
        ("garbage", lambda: Script(b"[]")),
        ("garbage", lambda: Script(said()[:-20])),
        ("length", lambda: Script(said(choice={"finish_reason": "length"}))),
        ("filtered", lambda: Script(said(choice={"finish_reason": "content_filter"}))),
        ("empty", lambda: Script(said(""))),
        ("empty", lambda: Script(said(choices=[]))),
        ("cut-short", lambda: Script(*streamed("a", end=False), headers=SSE_HEADERS)),
        ("length", lambda: Script(*streamed("a", finish_reason="length"), headers=SSE_HEADERS)),
        ("garbage", lambda: Script(b"data: {oops\n\n", headers=SSE_HEADERS)),
        (
            "stream-error",
            lambda: Script(
                streamed("a")[0], b'data: {"error":{"message":"busy"}}\n\n', headers=SSE_HEADERS
            ),
        ),
        ("over-size", lambda: Script(said("x" * 9_000_000))),
    ],
)
def test_what_must_not_be_stored_is_relayed_and_forgotten(
    under_test: CacheUnderTest, reason: str, script: Any
) -> None:
    async def scenario() -> None:
        provider = Scripted(script)
        sent = b"".join(step for step in script().steps if isinstance(step, bytes))
        asked = call(stream=sent.startswith(b"data"), stream_options={"include_usage": True})
        for _ in range(2):
            status, body = await under_test.ask(asked, provider)
            assert "stored" not in status
            assert body == sent
        assert provider.calls == 2
        stats = under_test.cache.stats()
        assert stats.not_stored == {reason: 2}
        assert stats.stored == 0

    under_test.run(scenario)


def test_an_error_of_the_client_reaches_the_caller_unchanged(under_test: CacheUnderTest) -> None:
    class Unreachable(Exception):
        pass

    async def scenario() -> None:
        error = Unreachable("no route")
        with pytest.raises(Unreachable) as raised:
            await under_test.ask(call(), Scripted(error))
        assert raised.value is error
        stats = under_test.cache.stats()
        assert (stats.calls, stats.misses, stats.reasons) == (1, 1, {"upstream-failed": 1})
        parts = [streamed("a")[0], Unreachable("cut")]
        provider = Scripted(lambda: Script(*parts, headers=SSE_HEADERS))
        with pytest.raises(Unreachable):
            await under_test.ask(call(stream=True), provider)
        assert (await under_test.ask(call(), whole()))[0] == MISS

    under_test.run(scenario)


# Staleness.


def test_stale_while_revalidate_answers_and_refreshes_behind(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    under_test.open(ttl="60s", stale_while_revalidate="30s")

    async def scenario() -> None:
        provider = Scripted(lambda: Script(said("old")), lambda: Script(said("new")))
        await under_test.ask(call(), provider)
        await under_test.settle()  # the holder of the question's lease is the one who refreshes
        clock.forward(70)
        status, body = await under_test.ask(call(), provider)
        assert status == "askonce; hit; ttl=-10; detail=stale"
        assert text_of(body) == "old"
        await under_test.settle()
        status, body = await under_test.ask(call(), provider)
        assert (status, text_of(body)) == ("askonce; hit; ttl=60; detail=memory", "new")
        assert provider.calls == 2
        assert under_test.cache.stats().outcomes == {"memory": 1, "miss": 1, "stale": 1}

    under_test.run(scenario)


def test_past_its_grace_an_answer_is_asked_again(under_test: CacheUnderTest, clock: Clock) -> None:
    under_test.open(ttl="60s", stale_while_revalidate="30s")

    async def scenario() -> None:
        provider = whole()
        await under_test.ask(call(), provider)
        clock.forward(90)
        assert "; fwd=" in (await under_test.ask(call(), provider))[0]

    under_test.run(scenario)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_stale_if_error_stands_in_for_a_failing_provider(
    under_test: CacheUnderTest, clock: Clock, status: int
) -> None:
    under_test.open(ttl="60s", stale_if_error="1h")

    async def scenario() -> None:
        await under_test.ask(call(), whole())
        clock.forward(100)
        failing = Scripted(lambda: Script(b"{}", status=status), TimeoutError("slow"))
        for _ in range(2):
            status, body = await under_test.ask(call(), failing)
            assert status == "askonce; hit; ttl=-40; detail=stale"
            assert body == said()
        clock.forward(3_600)
        with pytest.raises(TimeoutError):
            await under_test.ask(call(), failing)

    under_test.run(scenario)


def test_a_client_error_is_no_reason_to_be_stale(under_test: CacheUnderTest, clock: Clock) -> None:
    under_test.open(ttl="60s", stale_if_error="1h")

    async def scenario() -> None:
        await under_test.ask(call(), whole())
        clock.forward(100)
        reply = await under_test.answer(call(), Scripted(lambda: Script(b"{}", status=400)))
        assert reply.status == 400
        await reply.close()

    under_test.run(scenario)


# Fail open.


def test_a_store_that_fails_fails_no_call_and_is_counted(
    under_test: CacheUnderTest, tmp_path: Any
) -> None:
    under_test.url = f"sqlite:{tmp_path}"  # a folder is no database
    under_test.open()

    async def scenario() -> None:
        provider = whole()
        assert (await under_test.ask(call(), provider))[1] == said()
        assert (await under_test.ask(call(), provider))[0] == HIT
        await under_test.settle()
        assert under_test.cache.stats().errors >= 2

    under_test.run(scenario)


def test_tagged_answers_are_not_stored_where_epochs_are_unknown(
    under_test: CacheUnderTest, tmp_path: Any
) -> None:
    under_test.url = f"sqlite:{tmp_path}"
    under_test.open()

    async def scenario() -> None:
        provider = whole()
        tagged = call(headers={"askonce-tags": "policy"})
        status, _ = await under_test.ask(tagged, provider)
        assert status == "askonce; fwd=miss; detail=store-failed"

    under_test.run(scenario)


# Invalidation.


def test_an_invalidated_tag_makes_a_miss(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = whole()
        tagged = call(headers={"askonce-tags": "policy, shop"})
        await under_test.ask(tagged, provider)
        assert (await under_test.ask(call(), provider))[0] == HIT
        await under_test.parts.tiers.invalidate(["policy"])
        assert "miss" in (await under_test.ask(tagged, provider))[0]
        await under_test.parts.tiers.invalidate(["another"])
        assert (await under_test.ask(call(), provider))[0] == HIT

    under_test.run(scenario)


def test_an_answer_asked_before_an_invalidation_is_never_stored(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        async def invalidate() -> None:
            await under_test.parts.tiers.invalidate(["policy"])

        provider = Scripted(lambda: Script(invalidate, said("old")), lambda: Script(said("new")))
        tagged = call(headers={"askonce-tags": "policy"})
        status, body = await under_test.ask(tagged, provider)
        assert status == "askonce; fwd=miss; detail=invalidated"
        assert text_of(body) == "old"
        assert text_of((await under_test.ask(tagged, provider))[1]) == "new"

    under_test.run(scenario)


def test_every_call_is_accounted_once(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = whole()
        for asked in (call(), call(), call(temperature=1), call("other"), call(stream=True)):
            await under_test.ask(asked, provider)
        stats = under_test.cache.stats()
        assert (stats.calls, stats.hits, stats.misses, stats.bypassed) == (5, 2, 2, 1)
        assert (stats.stored, stats.upstream, stats.saved_tokens) == (2, 3, 32)
        assert stats.outcomes[Outcome.HIT_MEMORY] == 2

    under_test.run(scenario)


def _everything() -> Any:
    from askonce.core.models import Selection

    return Selection(namespace="team-a")
