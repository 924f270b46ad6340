"""Lifetimes: who refreshes, when an answer ends, and what of a provider's "no" is kept."""

from typing import Any

import msgspec
import pytest

from askonce.core.models import Call, Key, Outcome
from askonce.pipeline.entry import apply_cache_groups
from askonce.pipeline.texts import TextQuestion
from tests.fixtures.scripted import (
    CacheUnderTest,
    Clock,
    Script,
    Scripted,
    call,
    on_shared_engines,
    said,
)
from tests.pipeline.test_pipeline import text_of

NEAR = 1e-6
"""Seconds before an answer's end; less than any answer takes, times what is drawn at best."""


def certain() -> float:
    return 2.0**-53


def hopeless() -> float:
    return 1.0


def drawing(under_test: CacheUnderTest, chance: Any) -> None:
    under_test.parts.context.runtime.random = chance


def texts(*said_: str) -> Scripted:
    return Scripted(*(lambda text=text: Script(said(text)) for text in said_))


def another(under_test: CacheUnderTest, **settings: Any) -> CacheUnderTest:
    """Another process on the same store."""
    other = CacheUnderTest(under_test.name, under_test.url, under_test.clock)
    other.open(**settings)
    return other


async def close(under_test: CacheUnderTest) -> None:
    await under_test.cache.assembly.close(under_test.parts)


def forget(under_test: CacheUnderTest) -> None:
    under_test.cache.assembly.memory.forget_all()


# Refresh ahead


def test_a_hit_that_is_due_is_served_and_refreshed_behind(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    under_test.open(ttl="60s", refresh_ahead=1)

    async def scenario() -> None:
        provider = texts("old", "new")
        await under_test.ask(call(), provider)
        await under_test.settle()
        drawing(under_test, certain)
        clock.forward(60 - NEAR)
        status, body = await under_test.ask(call(), provider)
        assert (status, text_of(body)) == ("askonce; hit; ttl=0; detail=memory", "old")
        await under_test.settle()
        assert provider.calls == 2
        clock.forward(1)
        status, body = await under_test.ask(call(), provider)
        assert (status, text_of(body)) == ("askonce; hit; ttl=59; detail=memory", "new")
        assert under_test.cache.stats().outcomes == {Outcome.HIT_MEMORY: 2, Outcome.MISS: 1}

    under_test.run(scenario)


def test_far_from_its_end_and_with_bad_luck_nothing_is_refreshed(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    under_test.open(ttl="60s", refresh_ahead=1)

    async def scenario() -> None:
        def never() -> float:
            raise AssertionError("a number was drawn")

        provider = texts("old", "new")
        await under_test.ask(call(), provider)
        drawing(under_test, never)
        clock.forward(1)
        assert "detail=memory" in (await under_test.ask(call(), provider))[0]
        drawing(under_test, hopeless)
        clock.forward(59 - NEAR)
        assert "detail=memory" in (await under_test.ask(call(), provider))[0]
        await under_test.settle()
        assert provider.calls == 1
        assert under_test.cache.stats().errors == 0

    under_test.run(scenario)


@on_shared_engines
def test_a_hit_of_a_tier_that_is_due_is_refreshed_too(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    under_test.open(ttl="60s", refresh_ahead=1)

    async def scenario() -> None:
        provider = texts("old", "new")
        await under_test.ask(call(), provider)
        await under_test.settle()
        forget(under_test)
        drawing(under_test, certain)
        clock.forward(60 - NEAR)
        status, body = await under_test.ask(call(), provider)
        assert (f"layer={under_test.layer}" in status, text_of(body)) == (True, "old")
        await under_test.settle()
        assert provider.calls == 2
        clock.forward(1)
        assert text_of((await under_test.ask(call(), provider))[1]) == "new"

    under_test.run(scenario)


@pytest.mark.parametrize(
    "second",
    [lambda: Script(b"{}", status=500), ConnectionError("gone"), lambda: Script(b'{"choi')],
    ids=["500", "unreachable", "cut"],
)
def test_a_refresh_that_fails_leaves_the_answer_as_it_is(
    under_test: CacheUnderTest, clock: Clock, second: Any
) -> None:
    under_test.open(ttl="60s", refresh_ahead=1)

    async def scenario() -> None:
        provider = Scripted(lambda: Script(said("old")), second)
        await under_test.ask(call(), provider)
        await under_test.settle()
        drawing(under_test, certain)
        clock.forward(60 - NEAR)
        for calls in (2, 3):  # and the next one who is due tries again
            status, body = await under_test.ask(call(), provider)
            assert (status, text_of(body)) == ("askonce; hit; ttl=0; detail=memory", "old")
            await under_test.settle()
            assert provider.calls == calls

    under_test.run(scenario)


def test_only_if_cached_refreshes_nothing(under_test: CacheUnderTest, clock: Clock) -> None:
    under_test.open(ttl="60s", refresh_ahead=1)

    async def scenario() -> None:
        provider = texts("old", "new")
        await under_test.ask(call(), provider)
        drawing(under_test, certain)
        clock.forward(60 - NEAR)
        wish = {"cache-control": "only-if-cached"}
        assert "detail=memory" in (await under_test.ask(call(headers=wish), provider))[0]
        await under_test.settle()
        assert provider.calls == 1

    under_test.run(scenario)


REFRESHING = [
    pytest.param({"refresh_ahead": 1}, 60 - NEAR, "memory", id="ahead"),
    pytest.param({"stale_while_revalidate": "60s"}, 61, "stale", id="stale"),
]
AFTER = [pytest.param(*case.values[:2], id=case.id) for case in REFRESHING]


@pytest.mark.parametrize(("settings", "after"), AFTER)
def test_who_refreshes_keeps_the_tags_of_who_asked(
    under_test: CacheUnderTest, clock: Clock, settings: dict[str, Any], after: float
) -> None:
    under_test.open(ttl="60s", **settings)

    async def scenario() -> None:
        provider = texts("old", "new", "newest")
        await under_test.ask(call(headers={"askonce-tags": "prices"}), provider)
        await under_test.settle()
        drawing(under_test, certain)
        clock.forward(after)
        # Out of memory or, where others were not heard of yet, out of the store.
        assert "askonce; hit" in (await under_test.ask(call(), provider))[0]
        await under_test.settle()
        drawing(under_test, hopeless)
        assert text_of((await under_test.ask(call(), provider))[1]) == "new"
        await under_test.parts.tiers.invalidate(["prices"])
        assert text_of((await under_test.ask(call(), provider))[1]) == "newest"

    under_test.run(scenario)


@pytest.mark.parametrize(("settings", "after", "detail"), REFRESHING)
@on_shared_engines
def test_of_two_processes_one_refreshes(
    under_test: CacheUnderTest, clock: Clock, settings: dict[str, Any], after: float, detail: str
) -> None:
    under_test.open(ttl="60s", **settings)
    other = another(under_test, ttl="60s", **settings)

    async def scenario() -> None:
        held = under_test.event()

        async def until_rung() -> None:
            assert await held.wait(20)

        provider = Scripted(lambda: Script(said("old")), lambda: Script(until_rung, said("new")))
        await under_test.ask(call(), provider)
        await under_test.settle()
        assert text_of((await other.ask(call(), provider))[1]) == "old"
        drawing(under_test, certain)
        drawing(other, certain)
        clock.forward(after)
        assert f"detail={detail}" in (await under_test.ask(call(), provider))[0]
        await under_test.until(lambda: provider.calls == 2)
        assert f"detail={detail}" in (await other.ask(call(), provider))[0]
        await other.settle()  # it looked, and another process is refreshing
        held.set()
        await under_test.settle()
        assert provider.calls == 2

        # The other one finds the new answer when it would refresh next, and does not ask.
        status, body = await other.ask(call(), provider)
        assert (f"detail={detail}" in status, text_of(body)) == (True, "old")
        await other.settle()
        assert text_of((await other.ask(call(), provider))[1]) == "new"
        assert provider.calls == 2
        await close(other)

    under_test.run(scenario)


@on_shared_engines
def test_another_process_s_stale_answer_stands_in_for_a_failing_provider(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    under_test.open(ttl="60s", stale_if_error="60s")
    other = another(under_test, ttl="60s", stale_if_error="60s")

    async def scenario() -> None:
        await under_test.ask(call(), texts("old"))
        await under_test.settle()
        clock.forward(61)
        failing = Scripted(lambda: Script(b"{}", status=503))
        status, body = await other.ask(call(), failing)
        assert ("detail=stale" in status, text_of(body)) == (True, "old")
        clock.forward(60)
        status, _ = await other.ask(call(), failing)
        assert "; fwd=" in status
        await close(other)

    under_test.run(scenario)


def test_a_clock_that_jumps_does_no_harm(under_test: CacheUnderTest, clock: Clock) -> None:
    under_test.open(ttl="60s", stale_while_revalidate="60s", refresh_ahead=1)

    async def scenario() -> None:
        drawing(under_test, hopeless)
        provider = texts("one", "two", "three")
        await under_test.ask(call(), provider)
        await under_test.settle()
        clock.forward(-5)  # as if made in the future: fresh, and no younger than new
        reply = await under_test.answer(call(), provider)
        assert dict(reply.headers)["age"] == "0"
        await reply.close()
        wish = {"cache-control": "max-age=0"}
        assert "detail=memory" in (await under_test.ask(call(headers=wish), provider))[0]

        clock.forward(5 + 90)
        assert "detail=stale" in (await under_test.ask(call(), provider))[0]
        clock.forward(-4)  # before the refresh's answer, or within it
        await under_test.settle()
        assert "hit" in (await under_test.ask(call(), provider))[0]

        clock.forward(10_000_000)
        status, body = await under_test.ask(call(), provider)
        assert status.split("; ")[1] in ("fwd=miss", "fwd=stale")  # memory forgets what expired
        assert text_of(body) == "three"
        assert provider.calls == 3
        assert under_test.cache.stats().errors == 0

    under_test.run(scenario)


# Jitter


def test_lives_differ_unless_a_caller_sets_one(under_test: CacheUnderTest) -> None:
    under_test.open(ttl="1000s", jitter="50%")

    async def scenario() -> None:
        async def life(question: str, **headers: str) -> int:
            provider = texts("text")
            asked = call(question, headers={n.replace("_", "-"): v for n, v in headers.items()})
            await under_test.ask(asked, provider)
            status, _ = await under_test.ask(asked, provider)
            return int(status.split("ttl=")[1].split(";")[0])

        lives = [await life(f"Question {n}?") for n in range(12)]
        assert len(set(lives)) > 6
        assert all(500 <= one <= 1000 for one in lives)
        assert await life("With a wish?", askonce_ttl="1000s") == 1000

        put, get = under_test.parts.texts.put, under_test.parts.texts.get
        first, second = TextQuestion("Why?", "", "n"), TextQuestion("Who?", "", "n")
        await put(first, "So.", ttl=None, tags=())
        await put(second, "You.", ttl=1000.0, tags=())
        why = await get(first, max_age=None)
        who = await get(second, max_age=None)
        assert why is not None
        assert who is not None
        assert (500 <= why.ttl < 1000, who.ttl) == (True, 1000)

    under_test.run(scenario)


# Refusals

NO = b'{"error": {"message": "no such model", "type": "invalid_request_error"}}'


def refusing(status: int = 404, body: bytes = NO, **kind: Any) -> Scripted:
    return Scripted(lambda: Script(body, status=status, **kind))


def test_a_no_is_kept_for_a_short_while_and_in_every_shape(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    under_test.open(negative_ttl="30s", stale_while_revalidate="1h", stale_if_error="1h")

    async def scenario() -> None:
        provider = refusing()
        status, body = await under_test.ask(call(), provider)
        assert (status, body) == ("askonce; fwd=miss; stored; detail=not-found", NO)
        await under_test.settle()
        for stream in (False, True):
            for _ in range(2):
                reply = await under_test.answer(call(stream=stream), provider)
                headers = dict(reply.headers)
                assert (reply.status, await under_test.read(reply)) == (404, NO)
                assert headers["content-type"] == "application/json"
                assert headers["cache-status"] == "askonce; hit; ttl=30; detail=memory"
        forget(under_test)
        if under_test.url != "memory:":
            reply = await under_test.answer(call(stream=True), provider)
            headers = dict(reply.headers)
            assert (reply.status, await under_test.read(reply)) == (404, NO)
            assert headers["content-type"] == "application/json"
            assert provider.calls == 1
        clock.forward(30)
        status, _ = await under_test.ask(call(), Scripted(lambda: Script(NO, status=500)))
        assert "; fwd=" in status
        stats = under_test.cache.stats()
        assert (stats.saved_tokens, int(stats.saved_usd), stats.unpriced) == (0, 0, 0)

    under_test.run(scenario)


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        (refusing(401), "status"),
        (refusing(429), "status"),
        (refusing(500), "status"),
        (refusing(404, b"Not Found"), "not-found"),  # it is known before the end
        (refusing(404, b'{"detail": "Not Found"}'), "status"),
        (refusing(400, b'{"error": "' + b"x" * 65_536 + b'"}'), "over-size"),
    ],
    ids=["401", "429", "500", "text", "no-error", "long"],
)
def test_other_noes_are_not_kept(mode: str, clock: Clock, provider: Any, reason: str) -> None:
    under_test = CacheUnderTest(mode, "memory:", clock)
    under_test.open(negative_ttl="30s")

    async def scenario() -> None:
        for _ in range(2):
            status, _ = await under_test.ask(call(), provider)
            assert status == f"askonce; fwd=miss; detail={reason}"

    under_test.run(scenario)


def test_by_default_no_is_not_kept(mode: str, clock: Clock) -> None:
    under_test = CacheUnderTest(mode, "memory:", clock)

    async def scenario() -> None:
        provider = refusing()
        await under_test.ask(call(), provider)
        await under_test.ask(call(), provider)
        assert provider.calls == 2

    under_test.run(scenario)


def test_a_no_never_takes_an_answers_place(under_test: CacheUnderTest, clock: Clock) -> None:
    settings = {"ttl": "60s", "stale_while_revalidate": "60s", "negative_ttl": "10m"}
    under_test.open(**settings)

    async def scenario() -> None:
        await under_test.ask(call(), texts("yes"))
        await under_test.settle()
        again = {"cache-control": "no-cache"}
        forget(under_test)  # the lower tier still has it
        reply = await under_test.answer(call(headers=again), refusing())
        assert (reply.status, await under_test.read(reply)) == (404, NO)
        await under_test.settle()
        if under_test.url == "memory:":
            return
        assert text_of((await under_test.ask(call(), texts("asked again")))[1]) == "yes"
        clock.forward(61)
        assert "stale" in (await under_test.ask(call(), refusing()))[0]
        await under_test.settle()
        assert "stale" in (await under_test.ask(call(), refusing()))[0]
        await under_test.settle()
        clock.forward(60)
        await under_test.ask(call(), refusing())
        reply = await under_test.answer(call(), texts("asked again"))
        assert reply.status == 404  # nothing stands in its way any more
        await reply.close()

    under_test.run(scenario)


def test_tags_of_a_no_hold(under_test: CacheUnderTest) -> None:
    under_test.open(negative_ttl="10m")

    async def scenario() -> None:
        tagged = {"askonce-tags": "models"}
        await under_test.ask(call(headers=tagged), refusing())
        await under_test.settle()
        assert "hit" in (await under_test.ask(call(headers=tagged), refusing()))[0]
        await under_test.parts.tiers.invalidate(["models"])
        status, body = await under_test.ask(call(headers=tagged), texts("now there is one"))
        assert (status.split("; ")[1], text_of(body)) == ("fwd=miss", "now there is one")

    under_test.run(scenario)


# Aliases


def by(model: str, text: str = "text", **more: Any) -> Script:
    return Script(said(text, model=model, **more))


async def held(under_test: CacheUnderTest, asked: Call) -> Key:
    """The key of an answer that is in memory."""
    wish = {**asked.headers, "cache-control": "only-if-cached"}
    reply = await under_test.answer(msgspec.structs.replace(asked, headers=wish), texts("never"))
    await reply.close()
    assert reply.entry is not None
    return reply.entry.key


async def until_gone(under_test: CacheUnderTest, key: Key) -> None:
    await under_test.until(lambda: under_test.parts.tiers.memory.find(key) is None)


OLD, NEW = "gpt-4o-2024-05-13", "gpt-4o-2024-08-06"


async def outcome(
    under_test: CacheUnderTest, question: str, answered: Script, asked: str = "gpt-4o"
) -> str:
    status, _ = await under_test.ask(call(question, model=asked), Scripted(lambda: answered))
    await under_test.settle()
    return status.split("; ")[1]


def test_a_model_never_seen_before_ends_the_others_answers(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        assert await outcome(under_test, "One?", by(OLD)) == "fwd=miss"
        assert await outcome(under_test, "Two?", by(OLD)) == "fwd=miss"
        assert await outcome(under_test, "Pinned?", by(OLD), OLD) == "fwd=miss"
        assert await outcome(under_test, "Other?", by("mini-1"), "gpt-4o-mini") == "fwd=miss"
        one = await held(under_test, call("One?", model="gpt-4o"))
        assert await outcome(under_test, "Three?", by(NEW)) == "fwd=miss"
        await until_gone(under_test, one)
        if under_test.url != "memory:":
            forget(under_test)  # the store has lost it too
        assert await outcome(under_test, "One?", by(NEW)) == "fwd=miss"
        assert await outcome(under_test, "Three?", by(NEW)) == "hit"
        assert await outcome(under_test, "Pinned?", by(OLD), OLD) == "hit"
        assert await outcome(under_test, "Other?", by("mini-1"), "gpt-4o-mini") == "hit"
        # One that comes back was seen before.
        assert await outcome(under_test, "Four?", by(OLD)) == "fwd=miss"
        assert await outcome(under_test, "One?", by(NEW)) == "hit"
        assert under_test.cache.stats().errors == 0

    under_test.run(scenario)


@on_shared_engines
def test_what_was_seen_outlives_the_process(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        await outcome(under_test, "One?", by(OLD))
        later = another(under_test)
        assert await outcome(later, "One?", by(OLD)) == "hit"
        one = await held(later, call("One?", model="gpt-4o"))
        await outcome(later, "Two?", by(NEW))
        await until_gone(later, one)
        assert await outcome(later, "One?", by(NEW)) == "fwd=miss"
        await close(later)

        third = another(under_test)
        await outcome(third, "Three?", by(OLD))  # it has never seen any, the store has
        assert await outcome(third, "Two?", by(NEW)) == "hit"
        await close(third)

    under_test.run(scenario)


@pytest.mark.parametrize("expire_on", ["model", "fingerprint", "never"])
def test_what_ends_answers_is_a_choice(mode: str, clock: Clock, expire_on: str) -> None:
    under_test = CacheUnderTest(mode, "memory:", clock)
    under_test.open(expire_on=expire_on)

    async def scenario() -> None:
        await outcome(under_test, "One?", by(OLD, system_fingerprint="fp_1"))
        one = await held(under_test, call("One?", model="gpt-4o"))
        clock.forward(1)
        await outcome(under_test, "Two?", by(OLD, system_fingerprint="fp_2"))
        if expire_on == "fingerprint":
            await until_gone(under_test, one)
        assert await outcome(under_test, "Two?", by(OLD)) == "hit"
        gone = expire_on == "fingerprint"
        assert await outcome(under_test, "One?", by(OLD)) == ("fwd=miss" if gone else "hit")
        clock.forward(1)
        await outcome(under_test, "Three?", by(NEW))
        if expire_on != "never":
            await until_gone(under_test, one)
        else:
            assert await outcome(under_test, "One?", by(OLD)) == "hit"

    under_test.run(scenario)


# Groups

GROUPED = [("content-type", "application/json"), ("Cache-Groups", '"prices", "a b"')]
ENDS = [("content-type", "application/json"), ("Cache-Group-Invalidation", '"prices"')]


def test_a_provider_s_groups_are_kept_shown_and_invalidated(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said("old"), headers=GROUPED))
        reply = await under_test.answer(call(), provider)
        assert dict(reply.headers)["Cache-Groups"] == '"prices", "a b"'
        await under_test.read(reply)
        await under_test.settle()
        await under_test.ask(call("Alone?"), texts("alone"))
        for empty in (False, under_test.url != "memory:"):
            if empty:
                forget(under_test)
            for stream in (False, True):
                reply = await under_test.answer(call(stream=stream), provider)
                assert dict(reply.headers)["cache-groups"] == '"prices", "a b"'
                await reply.close()
        key = await held(under_test, call())

        # Only who it was sent to is believed: a caller's own header says nothing.
        own = {"cache-group-invalidation": '"prices"', "cache-control": "no-store"}
        await under_test.ask(call("Another?", headers=own), texts("text"))
        foreign = msgspec.structs.replace(call("Foreign?"), origin="https://other.example")
        await under_test.ask(foreign, Scripted(lambda: Script(said("text"), headers=ENDS)))
        await under_test.settle()
        assert "hit" in (await under_test.ask(call(), provider))[0]

        await under_test.ask(call("Changed?"), Scripted(lambda: Script(said("ok"), headers=ENDS)))
        await until_gone(under_test, key)
        assert text_of((await under_test.ask(call(), texts("new")))[1]) == "new"
        assert "hit" in (await under_test.ask(call("Alone?"), provider))[0]

    under_test.run(scenario)


def test_a_bypassed_answer_invalidates_groups_too(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        await under_test.ask(call(), Scripted(lambda: Script(said("old"), headers=GROUPED)))
        key = await held(under_test, call())
        past = call("Past?", headers={"cache-control": "no-store"})
        await under_test.ask(past, Scripted(lambda: Script(said("ok"), headers=ENDS)))
        await until_gone(under_test, key)

    under_test.run(scenario)


def test_an_answer_asked_for_before_its_group_was_invalidated_is_not_kept(
    under_test: CacheUnderTest,
) -> None:
    async def scenario() -> None:
        tiers = under_test.parts.tiers
        await under_test.until(lambda: tiers.sweeps.number is not None)

        async def meanwhile() -> None:
            before = tiers.sweeps.number
            apply_cache_groups(under_test.parts.context, "https://api.openai.com", "POST", ENDS)
            await under_test.until(lambda: tiers.sweeps.number > before)

        provider = Scripted(
            lambda: Script(meanwhile, said("old"), headers=GROUPED), lambda: Script(said("new"))
        )
        assert text_of((await under_test.ask(call(), provider))[1]) == "old"
        await under_test.settle()
        assert text_of((await under_test.ask(call(), provider))[1]) == "new"
        assert under_test.cache.stats().not_stored == {"invalidated": 1}

    under_test.run(scenario)


def test_groups_that_cannot_be_tags_keep_an_answer_out(mode: str, clock: Clock) -> None:
    under_test = CacheUnderTest(mode, "memory:", clock)

    async def scenario() -> None:
        many = ", ".join(f'"{n}"' for n in range(65))
        headers = [("content-type", "application/json"), ("cache-groups", many)]
        status, _ = await under_test.ask(call(), Scripted(lambda: Script(said(), headers=headers)))
        assert status == "askonce; fwd=miss; detail=bad-tags"
        garbled = [("content-type", "application/json"), ("cache-groups", "prices, 1")]
        status, _ = await under_test.ask(call(), Scripted(lambda: Script(said(), headers=garbled)))
        assert status == "askonce; fwd=miss; stored; detail=not-found"
        assert "cache-groups" not in dict((await under_test.answer(call(), texts("x"))).headers)

    under_test.run(scenario)
