"""Lifetimes: who refreshes, when an answer ends, and what of a provider's "no" is kept."""

from typing import Any

import msgspec
import pytest

from askonce.records import Call, Key, Outcome
from tests.story.conftest import Clock, Flavor, Script, Scripted, call, said
from tests.story.test_answering import text_of

NEAR = 1e-6
"""Seconds before an answer's end; less than any answer takes, times what is drawn at best."""


def certain() -> float:
    return 2.0**-53


def hopeless() -> float:
    return 1.0


def drawing(flavor: Flavor, chance: Any) -> None:
    flavor.parts.context.runtime.chance = chance


def texts(*said_: str) -> Scripted:
    return Scripted(*(lambda text=text: Script(said(text)) for text in said_))


def another(flavor: Flavor, **settings: Any) -> Flavor:
    """Another process on the same store."""
    other = Flavor(flavor.name, flavor.url, flavor.clock)
    other.open(**settings)
    return other


async def close(flavor: Flavor) -> None:
    await flavor.cache.works.close(flavor.parts)


def forget(flavor: Flavor) -> None:
    flavor.cache.works.memory.forget_all()


# Refresh ahead


def test_a_hit_that_is_due_is_served_and_refreshed_behind(flavor: Flavor, clock: Clock) -> None:
    flavor.open(ttl="60s", refresh_ahead=1)

    async def story() -> None:
        provider = texts("old", "new")
        await flavor.ask(call(), provider)
        await flavor.settle()
        drawing(flavor, certain)
        clock.forward(60 - NEAR)
        status, body = await flavor.ask(call(), provider)
        assert (status, text_of(body)) == ("askonce; hit; ttl=0; detail=memory", "old")
        await flavor.settle()
        assert provider.calls == 2
        clock.forward(1)
        status, body = await flavor.ask(call(), provider)
        assert (status, text_of(body)) == ("askonce; hit; ttl=59; detail=memory", "new")
        assert flavor.cache.stats().outcomes == {Outcome.HIT_MEMORY: 2, Outcome.MISS: 1}

    flavor.run(story)


def test_far_from_its_end_and_with_bad_luck_nothing_is_refreshed(
    flavor: Flavor, clock: Clock
) -> None:
    flavor.open(ttl="60s", refresh_ahead=1)

    async def story() -> None:
        def never() -> float:
            raise AssertionError("a number was drawn")

        provider = texts("old", "new")
        await flavor.ask(call(), provider)
        drawing(flavor, never)
        clock.forward(1)
        assert "detail=memory" in (await flavor.ask(call(), provider))[0]
        drawing(flavor, hopeless)
        clock.forward(59 - NEAR)
        assert "detail=memory" in (await flavor.ask(call(), provider))[0]
        await flavor.settle()
        assert provider.calls == 1
        assert flavor.cache.stats().errors == 0

    flavor.run(story)


def test_a_hit_of_a_shelf_that_is_due_is_refreshed_too(flavor: Flavor, clock: Clock) -> None:
    if flavor.url == "memory:":
        pytest.skip("there is no shelf")
    flavor.open(ttl="60s", refresh_ahead=1)

    async def story() -> None:
        provider = texts("old", "new")
        await flavor.ask(call(), provider)
        await flavor.settle()
        forget(flavor)
        drawing(flavor, certain)
        clock.forward(60 - NEAR)
        status, body = await flavor.ask(call(), provider)
        assert (f"layer={flavor.layer}" in status, text_of(body)) == (True, "old")
        await flavor.settle()
        assert provider.calls == 2
        clock.forward(1)
        assert text_of((await flavor.ask(call(), provider))[1]) == "new"

    flavor.run(story)


@pytest.mark.parametrize(
    "second",
    [lambda: Script(b"{}", status=500), ConnectionError("gone"), lambda: Script(b'{"choi')],
    ids=["500", "unreachable", "cut"],
)
def test_a_refresh_that_fails_leaves_the_answer_as_it_is(
    flavor: Flavor, clock: Clock, second: Any
) -> None:
    flavor.open(ttl="60s", refresh_ahead=1)

    async def story() -> None:
        provider = Scripted(lambda: Script(said("old")), second)
        await flavor.ask(call(), provider)
        await flavor.settle()
        drawing(flavor, certain)
        clock.forward(60 - NEAR)
        for calls in (2, 3):  # and the next one who is due tries again
            status, body = await flavor.ask(call(), provider)
            assert (status, text_of(body)) == ("askonce; hit; ttl=0; detail=memory", "old")
            await flavor.settle()
            assert provider.calls == calls

    flavor.run(story)


def test_only_if_cached_refreshes_nothing(flavor: Flavor, clock: Clock) -> None:
    flavor.open(ttl="60s", refresh_ahead=1)

    async def story() -> None:
        provider = texts("old", "new")
        await flavor.ask(call(), provider)
        drawing(flavor, certain)
        clock.forward(60 - NEAR)
        wish = {"cache-control": "only-if-cached"}
        assert "detail=memory" in (await flavor.ask(call(headers=wish), provider))[0]
        await flavor.settle()
        assert provider.calls == 1

    flavor.run(story)


REFRESHING = [
    pytest.param({"refresh_ahead": 1}, 60 - NEAR, "memory", id="ahead"),
    pytest.param({"stale_while_revalidate": "60s"}, 61, "stale", id="stale"),
]
AFTER = [pytest.param(*case.values[:2], id=case.id) for case in REFRESHING]


@pytest.mark.parametrize(("settings", "after"), AFTER)
def test_who_refreshes_keeps_the_tags_of_who_asked(
    flavor: Flavor, clock: Clock, settings: dict[str, Any], after: float
) -> None:
    flavor.open(ttl="60s", **settings)

    async def story() -> None:
        provider = texts("old", "new", "newest")
        await flavor.ask(call(headers={"askonce-tags": "prices"}), provider)
        await flavor.settle()
        drawing(flavor, certain)
        clock.forward(after)
        # Out of memory or, where others were not heard of yet, out of the store.
        assert "askonce; hit" in (await flavor.ask(call(), provider))[0]
        await flavor.settle()
        drawing(flavor, hopeless)
        assert text_of((await flavor.ask(call(), provider))[1]) == "new"
        await flavor.parts.tiers.invalidate(["prices"])
        assert text_of((await flavor.ask(call(), provider))[1]) == "newest"

    flavor.run(story)


@pytest.mark.parametrize(("settings", "after", "detail"), REFRESHING)
def test_of_two_processes_one_refreshes(
    flavor: Flavor, clock: Clock, settings: dict[str, Any], after: float, detail: str
) -> None:
    if flavor.url == "memory:":
        pytest.skip("nothing is shared")
    flavor.open(ttl="60s", **settings)
    other = another(flavor, ttl="60s", **settings)

    async def story() -> None:
        held = flavor.bell()

        async def until_rung() -> None:
            assert await held.heard(20)

        provider = Scripted(lambda: Script(said("old")), lambda: Script(until_rung, said("new")))
        await flavor.ask(call(), provider)
        await flavor.settle()
        assert text_of((await other.ask(call(), provider))[1]) == "old"
        drawing(flavor, certain)
        drawing(other, certain)
        clock.forward(after)
        assert f"detail={detail}" in (await flavor.ask(call(), provider))[0]
        await flavor.until(lambda: provider.calls == 2)
        assert f"detail={detail}" in (await other.ask(call(), provider))[0]
        await other.settle()  # it looked, and somebody is at it
        held.ring()
        await flavor.settle()
        assert provider.calls == 2

        # The other one hears of the new answer the next time it would refresh, and asks nobody.
        status, body = await other.ask(call(), provider)
        assert (f"detail={detail}" in status, text_of(body)) == (True, "old")
        await other.settle()
        assert text_of((await other.ask(call(), provider))[1]) == "new"
        assert provider.calls == 2
        await close(other)

    flavor.run(story)


def test_another_process_s_stale_answer_stands_in_for_a_failing_provider(
    flavor: Flavor, clock: Clock
) -> None:
    if flavor.url == "memory:":
        pytest.skip("nothing is shared")
    flavor.open(ttl="60s", stale_if_error="60s")
    other = another(flavor, ttl="60s", stale_if_error="60s")

    async def story() -> None:
        await flavor.ask(call(), texts("old"))
        await flavor.settle()
        clock.forward(61)
        failing = Scripted(lambda: Script(b"{}", status=503))
        status, body = await other.ask(call(), failing)
        assert ("detail=stale" in status, text_of(body)) == (True, "old")
        clock.forward(60)
        status, _ = await other.ask(call(), failing)
        assert status.startswith("askonce; fwd=miss")
        await close(other)

    flavor.run(story)


def test_a_clock_that_jumps_harms_nobody(flavor: Flavor, clock: Clock) -> None:
    flavor.open(ttl="60s", stale_while_revalidate="60s", refresh_ahead=1)

    async def story() -> None:
        drawing(flavor, hopeless)
        provider = texts("one", "two", "three")
        await flavor.ask(call(), provider)
        await flavor.settle()
        clock.forward(-3_600)  # as if made in the future: fresh, and no younger than new
        reply = await flavor.answer(call(), provider)
        assert dict(reply.headers)["age"] == "0"
        await reply.close()
        wish = {"cache-control": "max-age=0"}
        assert "detail=memory" in (await flavor.ask(call(headers=wish), provider))[0]

        clock.forward(3_600 + 90)
        assert "detail=stale" in (await flavor.ask(call(), provider))[0]
        clock.forward(-60)  # before the refresh's answer, or within it
        await flavor.settle()
        assert "hit" in (await flavor.ask(call(), provider))[0]

        clock.forward(10_000_000)
        status, body = await flavor.ask(call(), provider)
        assert (status.split("; ")[1], text_of(body)) == ("fwd=miss", "three")
        assert provider.calls == 3
        assert flavor.cache.stats().errors == 0

    flavor.run(story)


# Jitter


def test_lives_differ_unless_somebody_wished_for_one(flavor: Flavor) -> None:
    flavor.open(ttl="1000s", jitter="50%")

    async def story() -> None:
        async def life(question: str, **headers: str) -> int:
            provider = texts("text")
            asked = call(question, headers={n.replace("_", "-"): v for n, v in headers.items()})
            await flavor.ask(asked, provider)
            status, _ = await flavor.ask(asked, provider)
            return int(status.split("ttl=")[1].split(";")[0])

        lives = [await life(f"Question {n}?") for n in range(12)]
        assert len(set(lives)) > 6
        assert all(500 <= one <= 1000 for one in lives)
        assert await life("With a wish?", askonce_ttl="1000s") == 1000

        put, get = flavor.parts.texts.put, flavor.parts.texts.get
        await put("Why?", "So.", scope="", namespace="n", ttl=None, tags=())
        await put("Who?", "You.", scope="", namespace="n", ttl=1000.0, tags=())
        why = await get("Why?", scope="", namespace="n", max_age=None)
        who = await get("Who?", scope="", namespace="n", max_age=None)
        assert why is not None
        assert who is not None
        assert (500 <= why.ttl < 1000, who.ttl) == (True, 1000)

    flavor.run(story)


# Refusals

NO = b'{"error": {"message": "no such model", "type": "invalid_request_error"}}'


def refusing(status: int = 404, body: bytes = NO, **kind: Any) -> Scripted:
    return Scripted(lambda: Script(body, status=status, **kind))


def test_a_no_is_kept_for_a_short_while_and_in_every_shape(flavor: Flavor, clock: Clock) -> None:
    flavor.open(negative_ttl="30s", stale_while_revalidate="1h", stale_if_error="1h")

    async def story() -> None:
        provider = refusing()
        status, body = await flavor.ask(call(), provider)
        assert (status, body) == ("askonce; fwd=miss; stored; detail=not-found", NO)
        await flavor.settle()
        for stream in (False, True):
            for _ in range(2):
                reply = await flavor.answer(call(stream=stream), provider)
                headers = dict(reply.headers)
                assert (reply.status, await flavor.read(reply)) == (404, NO)
                assert headers["content-type"] == "application/json"
                assert headers["cache-status"] == "askonce; hit; ttl=30; detail=memory"
        forget(flavor)
        if flavor.url != "memory:":
            reply = await flavor.answer(call(stream=True), provider)
            headers = dict(reply.headers)
            assert (reply.status, await flavor.read(reply)) == (404, NO)
            assert headers["content-type"] == "application/json"
            assert provider.calls == 1
        clock.forward(30)
        status, _ = await flavor.ask(call(), Scripted(lambda: Script(NO, status=500)))
        assert status.startswith("askonce; fwd=miss")
        stats = flavor.cache.stats()
        assert (stats.saved_tokens, int(stats.saved_usd), stats.unpriced) == (0, 0, 0)

    flavor.run(story)


@pytest.mark.parametrize(
    ("provider", "because"),
    [
        (refusing(401), "status"),
        (refusing(429), "status"),
        (refusing(500), "status"),
        (refusing(404, b"Not Found"), "not-found"),  # it is told before the end
        (refusing(404, b'{"detail": "Not Found"}'), "status"),
        (refusing(400, b'{"error": "' + b"x" * 65_536 + b'"}'), "over-size"),
    ],
    ids=["401", "429", "500", "text", "no-error", "long"],
)
def test_other_noes_are_not_kept(
    flavor_name: str, clock: Clock, provider: Any, because: str
) -> None:
    flavor = Flavor(flavor_name, "memory:", clock)
    flavor.open(negative_ttl="30s")

    async def story() -> None:
        for _ in range(2):
            status, _ = await flavor.ask(call(), provider)
            assert status == f"askonce; fwd=miss; detail={because}"

    flavor.run(story)


def test_by_default_no_is_not_kept(flavor_name: str, clock: Clock) -> None:
    flavor = Flavor(flavor_name, "memory:", clock)

    async def story() -> None:
        provider = refusing()
        await flavor.ask(call(), provider)
        await flavor.ask(call(), provider)
        assert provider.calls == 2

    flavor.run(story)


def test_a_no_never_takes_an_answers_place(flavor: Flavor, clock: Clock) -> None:
    settings = {"ttl": "60s", "stale_while_revalidate": "60s", "negative_ttl": "10m"}
    flavor.open(**settings)

    async def story() -> None:
        await flavor.ask(call(), texts("yes"))
        await flavor.settle()
        anew = {"cache-control": "no-cache"}
        forget(flavor)  # the shelf has it still
        reply = await flavor.answer(call(headers=anew), refusing())
        assert (reply.status, await flavor.read(reply)) == (404, NO)
        await flavor.settle()
        if flavor.url == "memory:":
            return
        assert text_of((await flavor.ask(call(), texts("asked again")))[1]) == "yes"
        clock.forward(61)
        assert "stale" in (await flavor.ask(call(), refusing()))[0]
        await flavor.settle()
        assert "stale" in (await flavor.ask(call(), refusing()))[0]
        await flavor.settle()
        clock.forward(60)
        await flavor.ask(call(), refusing())
        reply = await flavor.answer(call(), texts("asked again"))
        assert reply.status == 404  # nothing stands in its way any more
        await reply.close()

    flavor.run(story)


def test_tags_of_a_no_hold(flavor: Flavor) -> None:
    flavor.open(negative_ttl="10m")

    async def story() -> None:
        tagged = {"askonce-tags": "models"}
        await flavor.ask(call(headers=tagged), refusing())
        await flavor.settle()
        assert "hit" in (await flavor.ask(call(headers=tagged), refusing()))[0]
        await flavor.parts.tiers.invalidate(["models"])
        status, body = await flavor.ask(call(headers=tagged), texts("now there is one"))
        assert (status.split("; ")[1], text_of(body)) == ("fwd=miss", "now there is one")

    flavor.run(story)


# Aliases


def by(model: str, text: str = "text", **more: Any) -> Script:
    return Script(said(text, model=model, **more))


async def held(flavor: Flavor, asked: Call) -> Key:
    """The key of an answer that is in memory."""
    wish = {**asked.headers, "cache-control": "only-if-cached"}
    reply = await flavor.answer(msgspec.structs.replace(asked, headers=wish), texts("never"))
    await reply.close()
    assert reply.entry is not None
    return reply.entry.key


async def until_gone(flavor: Flavor, key: Key) -> None:
    await flavor.until(lambda: flavor.parts.tiers.memory.find(key) is None)


OLD, NEW = "gpt-4o-2024-05-13", "gpt-4o-2024-08-06"


async def outcome(flavor: Flavor, question: str, answered: Script, asked: str = "gpt-4o") -> str:
    status, _ = await flavor.ask(call(question, model=asked), Scripted(lambda: answered))
    await flavor.settle()
    return status.split("; ")[1]


def test_a_model_never_seen_before_ends_the_others_answers(flavor: Flavor) -> None:
    async def story() -> None:
        assert await outcome(flavor, "One?", by(OLD)) == "fwd=miss"
        assert await outcome(flavor, "Two?", by(OLD)) == "fwd=miss"
        assert await outcome(flavor, "Pinned?", by(OLD), OLD) == "fwd=miss"
        assert await outcome(flavor, "Other?", by("mini-1"), "gpt-4o-mini") == "fwd=miss"
        one = await held(flavor, call("One?", model="gpt-4o"))
        assert await outcome(flavor, "Three?", by(NEW)) == "fwd=miss"
        await until_gone(flavor, one)
        if flavor.url != "memory:":
            forget(flavor)  # the store has lost it too
        assert await outcome(flavor, "One?", by(NEW)) == "fwd=miss"
        assert await outcome(flavor, "Three?", by(NEW)) == "hit"
        assert await outcome(flavor, "Pinned?", by(OLD), OLD) == "hit"
        assert await outcome(flavor, "Other?", by("mini-1"), "gpt-4o-mini") == "hit"
        # One that comes back was seen before.
        assert await outcome(flavor, "Four?", by(OLD)) == "fwd=miss"
        assert await outcome(flavor, "One?", by(NEW)) == "hit"
        assert flavor.cache.stats().errors == 0

    flavor.run(story)


def test_what_was_seen_outlives_the_process(flavor: Flavor) -> None:
    if flavor.url == "memory:":
        pytest.skip("nothing outlives it")

    async def story() -> None:
        await outcome(flavor, "One?", by(OLD))
        later = another(flavor)
        assert await outcome(later, "One?", by(OLD)) == "hit"
        one = await held(later, call("One?", model="gpt-4o"))
        await outcome(later, "Two?", by(NEW))
        await until_gone(later, one)
        assert await outcome(later, "One?", by(NEW)) == "fwd=miss"
        await close(later)

        third = another(flavor)
        await outcome(third, "Three?", by(OLD))  # it has never seen any, the store has
        assert await outcome(third, "Two?", by(NEW)) == "hit"
        await close(third)

    flavor.run(story)


@pytest.mark.parametrize("expire_on", ["model", "fingerprint", "never"])
def test_what_ends_answers_is_a_choice(flavor_name: str, clock: Clock, expire_on: str) -> None:
    flavor = Flavor(flavor_name, "memory:", clock)
    flavor.open(expire_on=expire_on)

    async def story() -> None:
        await outcome(flavor, "One?", by(OLD, system_fingerprint="fp_1"))
        one = await held(flavor, call("One?", model="gpt-4o"))
        clock.forward(1)
        await outcome(flavor, "Two?", by(OLD, system_fingerprint="fp_2"))
        if expire_on == "fingerprint":
            await until_gone(flavor, one)
        assert await outcome(flavor, "Two?", by(OLD)) == "hit"
        gone = expire_on == "fingerprint"
        assert await outcome(flavor, "One?", by(OLD)) == ("fwd=miss" if gone else "hit")
        clock.forward(1)
        await outcome(flavor, "Three?", by(NEW))
        if expire_on != "never":
            await until_gone(flavor, one)
        else:
            assert await outcome(flavor, "One?", by(OLD)) == "hit"

    flavor.run(story)


# Groups

GROUPED = [("content-type", "application/json"), ("Cache-Groups", '"prices", "a b"')]
ENDS = [("content-type", "application/json"), ("Cache-Group-Invalidation", '"prices"')]


def test_a_provider_s_groups_are_kept_shown_and_invalidated(flavor: Flavor) -> None:
    async def story() -> None:
        provider = Scripted(lambda: Script(said("old"), headers=GROUPED))
        reply = await flavor.answer(call(), provider)
        assert dict(reply.headers)["Cache-Groups"] == '"prices", "a b"'
        await flavor.read(reply)
        await flavor.settle()
        await flavor.ask(call("Alone?"), texts("alone"))
        for empty in (False, flavor.url != "memory:"):
            if empty:
                forget(flavor)
            for stream in (False, True):
                reply = await flavor.answer(call(stream=stream), provider)
                assert dict(reply.headers)["cache-groups"] == '"prices", "a b"'
                await reply.close()
        key = await held(flavor, call())

        # Only who it was sent to is believed: a caller's own header says nothing.
        own = {"cache-group-invalidation": '"prices"', "cache-control": "no-store"}
        await flavor.ask(call("Another?", headers=own), texts("text"))
        foreign = msgspec.structs.replace(call("Foreign?"), origin="https://other.example")
        await flavor.ask(foreign, Scripted(lambda: Script(said("text"), headers=ENDS)))
        await flavor.settle()
        assert "hit" in (await flavor.ask(call(), provider))[0]

        await flavor.ask(call("Changed?"), Scripted(lambda: Script(said("ok"), headers=ENDS)))
        await until_gone(flavor, key)
        assert text_of((await flavor.ask(call(), texts("new")))[1]) == "new"
        assert "hit" in (await flavor.ask(call("Alone?"), provider))[0]

    flavor.run(story)


def test_a_bypassed_answer_invalidates_groups_too(flavor: Flavor) -> None:
    async def story() -> None:
        await flavor.ask(call(), Scripted(lambda: Script(said("old"), headers=GROUPED)))
        key = await held(flavor, call())
        past = call("Past?", headers={"cache-control": "no-store"})
        await flavor.ask(past, Scripted(lambda: Script(said("ok"), headers=ENDS)))
        await until_gone(flavor, key)

    flavor.run(story)


def test_an_answer_asked_for_before_its_group_was_invalidated_is_not_kept(flavor: Flavor) -> None:
    async def story() -> None:
        tiers = flavor.parts.tiers
        await flavor.until(lambda: tiers.sweeps.number is not None)

        async def meanwhile() -> None:
            before = tiers.sweeps.number
            flavor.parts.context.apply_cache_groups("https://api.openai.com", "POST", ENDS)
            await flavor.until(lambda: tiers.sweeps.number > before)

        provider = Scripted(
            lambda: Script(meanwhile, said("old"), headers=GROUPED), lambda: Script(said("new"))
        )
        assert text_of((await flavor.ask(call(), provider))[1]) == "old"
        await flavor.settle()
        assert text_of((await flavor.ask(call(), provider))[1]) == "new"
        assert flavor.cache.stats().not_stored == {"invalidated": 1}

    flavor.run(story)


def test_groups_that_cannot_be_tags_keep_an_answer_out(flavor_name: str, clock: Clock) -> None:
    flavor = Flavor(flavor_name, "memory:", clock)

    async def story() -> None:
        many = ", ".join(f'"{n}"' for n in range(65))
        headers = [("content-type", "application/json"), ("cache-groups", many)]
        status, _ = await flavor.ask(call(), Scripted(lambda: Script(said(), headers=headers)))
        assert status == "askonce; fwd=miss; detail=bad-tags"
        garbled = [("content-type", "application/json"), ("cache-groups", "prices, 1")]
        status, _ = await flavor.ask(call(), Scripted(lambda: Script(said(), headers=garbled)))
        assert status == "askonce; fwd=miss; stored; detail=not-found"
        assert "cache-groups" not in dict((await flavor.answer(call(), texts("x"))).headers)

    flavor.run(story)
