"""Rules on the request path: lifetimes, tags, what is never stored; for calls and for texts."""

from typing import Any

import pytest

from askonce.core.errors import ConfigError
from askonce.core.rules.rules import Rules
from askonce.pipeline.texts import TextQuestion
from tests.fixtures.engines import Engines
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, Scripted, call, said

RULES = (
    Rules()
    .after("price", "5m")
    .after("policy", "7d")
    .tag(r"order (?P<id>[\w-]+)", "order:{id}")
    .tag(None, "chat", route="/v1/chat/*")
    .never("secret")
    .pack("side-effects")
)
HIT = "askonce; hit; ttl="


@pytest.fixture(params=["memory", "sqlite"])
def ruled(mode: str, request: pytest.FixtureRequest, engines: Engines, clock: Clock) -> Any:
    url = "memory:" if request.param == "memory" else engines.plain(request.param)

    def make(rules: Rules = RULES, **settings: Any) -> CacheUnderTest:
        under_test = CacheUnderTest(mode, url, clock)
        under_test.open(rules=rules, **settings)
        return under_test

    return make


def provider() -> Scripted:
    return Scripted(lambda: Script(said()))


async def details(
    under_test: CacheUnderTest, upstream: Scripted, question: str, **more: Any
) -> str:
    status, _ = await under_test.ask(call(question, **more), upstream)
    await under_test.settle()
    return status


def test_the_first_lifetime_wins_and_a_caller_may_only_shorten_it(ruled: Any, clock: Clock) -> None:
    under_test, upstream = ruled(), provider()

    async def scenario() -> None:
        await details(under_test, upstream, "The price?")
        assert (await details(under_test, upstream, "The price?")).startswith(f"{HIT}300;")
        await details(under_test, upstream, "price, slowly", headers={"askonce-ttl": "1h"})
        assert (await details(under_test, upstream, "price, slowly")).startswith(f"{HIT}300;")
        await details(under_test, upstream, "price, quickly", headers={"askonce-ttl": "1m"})
        assert (await details(under_test, upstream, "price, quickly")).startswith(f"{HIT}60;")
        await details(under_test, upstream, "The price policy?")
        assert (await details(under_test, upstream, "The price policy?")).startswith(f"{HIT}300;")
        await details(under_test, upstream, "The policy?")
        assert (await details(under_test, upstream, "The policy?")).startswith(f"{HIT}604800;")
        clock.forward(301)
        assert "; stored" in await details(under_test, upstream, "The price?")

    under_test.run(scenario)


def test_what_is_never_stored_is_passed_on_with_its_reason(ruled: Any) -> None:
    under_test, upstream = ruled(), provider()

    async def scenario() -> None:
        for _ in range(2):
            status = await details(under_test, upstream, "What is the secret price")
            assert status == "askonce; fwd=bypass; detail=rule"
            status = await details(under_test, upstream, "Delete this file for me")
            assert status == "askonce; fwd=bypass; detail=side-effect"
        status = await details(under_test, upstream, "How do I delete a file?")
        assert status == "askonce; fwd=miss; stored; detail=not-found"
        assert upstream.calls == 5

    under_test.run(scenario)


def test_tags_of_rules_are_invalidated_like_any_other(ruled: Any) -> None:
    under_test, upstream = ruled(), provider()

    async def scenario() -> None:
        tiers = under_test.parts.tiers
        for tag in ("order:ab-12", "order:AB-12", "chat"):
            await details(under_test, upstream, "Details of order AB-12?")
            assert HIT in await details(under_test, upstream, "Details of order AB-12?")
            await tiers.invalidate([tag])
            calls = upstream.calls
            await details(under_test, upstream, "Details of order AB-12?")
            assert upstream.calls == calls + 1
        # The caller's own tag counts beside those of the rules.
        tagged = {"headers": {"askonce-tags": "mine"}}
        await details(under_test, upstream, "And order 5?", **tagged)
        assert HIT in await details(under_test, upstream, "And order 5?", **tagged)
        await tiers.invalidate(["mine"])
        assert HIT not in await details(under_test, upstream, "And order 5?", **tagged)

    under_test.run(scenario)


def test_rules_that_were_added_later_work_at_once(ruled: Any, clock: Clock) -> None:
    before, upstream = ruled(Rules(), ttl="24h"), provider()

    async def earlier() -> None:
        for question in ("The price?", "Details of order 7?"):
            await details(before, upstream, question, headers={"askonce-tags": "mine"})

    async def later() -> None:
        if after.url != "memory:":
            clock.forward(299)
            tags = {"headers": {"askonce-tags": "chat"}}
            # Its life ends by the rule, although it was stored without one; and it lacks a tag.
            assert "detail=other-tags" in await details(after, upstream, "The price?", **tags)
            calls = upstream.calls
            status = await details(after, upstream, "Details of order 7?")
            assert status == "askonce; fwd=miss; stored; detail=other-tags"
            assert upstream.calls == calls + 1
        else:
            await details(after, upstream, "Details of order 7?", headers={"askonce-tags": "mine"})
        assert HIT in await details(after, upstream, "Details of order 7?")
        # The new answer carries what the old one carried.
        mine = {"headers": {"askonce-tags": "mine"}}
        assert HIT in await details(after, upstream, "Details of order 7?", **mine)
        await after.parts.tiers.invalidate(["mine"])
        assert HIT not in await details(after, upstream, "Details of order 7?")

    before.run(earlier)
    after = ruled(ttl="24h")
    after.run(later)


@pytest.mark.parametrize("ruled", ["sqlite"], indirect=True)
def test_a_lifetime_that_was_added_later_ends_what_is_stored(ruled: Any, clock: Clock) -> None:
    before, upstream = ruled(Rules(), ttl="24h"), provider()

    async def earlier() -> None:
        await details(before, upstream, "The price?")

    async def later() -> None:
        clock.forward(200)
        assert (await details(after, upstream, "The price?")).startswith(f"{HIT}100;")
        assert (await details(after, upstream, "The price?")).startswith(f"{HIT}100;")
        clock.forward(100)
        assert "fwd=stale; stored; detail=expired" in await details(after, upstream, "The price?")

    before.run(earlier)
    after = ruled(Rules().after("price", "5m"), ttl="24h")
    after.run(later)


def test_who_wants_other_tags_gets_no_answer_without_them(ruled: Any) -> None:
    under_test, upstream = ruled(Rules()), provider()

    async def scenario() -> None:
        a, b = ({"headers": {"askonce-tags": tag}} for tag in ("a", "b"))
        await details(under_test, upstream, "Why?", **a)
        assert "detail=other-tags" in await details(under_test, upstream, "Why?", **b)
        for more in (a, b, {}):
            assert HIT in await details(under_test, upstream, "Why?", **more)
        assert upstream.calls == 2

    under_test.run(scenario)


def test_more_tags_than_there_may_be_keep_an_answer_out(ruled: Any) -> None:
    under_test = ruled(Rules().tag("many", *(f"t{n}" for n in range(300))))
    upstream = provider()

    async def scenario() -> None:
        for _ in range(2):
            assert "detail=bad-tags" in await details(under_test, upstream, "Are there many?")
        assert upstream.calls == 2

    under_test.run(scenario)


def test_a_question_too_long_for_the_patterns_is_passed_on(ruled: Any) -> None:
    under_test, upstream = ruled(Rules().tag("x", "x")), provider()

    async def scenario() -> None:
        status = await details(under_test, upstream, "x" * 262_145)
        assert status == "askonce; fwd=bypass; detail=too-large"

    under_test.run(scenario)


def test_texts_have_the_same_rules(ruled: Any, clock: Clock) -> None:
    under_test = ruled()

    async def scenario() -> None:
        texts = under_test.parts.texts

        async def put(question: str, ttl: float | None = None, *tags: str) -> bool:
            stored: bool = await texts.put(TextQuestion(question, "", "n"), "5", ttl=ttl, tags=tags)
            await under_test.settle()
            return stored

        async def get(question: str, *tags: str) -> Any:
            return await texts.get(TextQuestion(question, "", "n"), max_age=None, tags=tags)

        assert not await put("the secret")
        assert await get("the secret") is None
        assert await put("The price?")
        assert (await get("The price?")).ttl == 300
        assert await put("The price?", 9_000)
        assert (await get("The price?")).ttl == 300
        assert await put("Order 5? order AB", None, "mine")
        assert await get("Order 5? order AB", "mine", "order:ab") is not None
        assert await get("Order 5? order AB", "other") is None
        assert under_test.cache.stats().reasons["other-tags"] == 1
        await under_test.parts.tiers.invalidate(["order:ab"])
        assert await get("Order 5? order AB") is None

    under_test.run(scenario)


def test_a_bad_pattern_is_said_when_the_cache_is_made(mode: str, clock: Clock) -> None:
    under_test = CacheUnderTest(mode, "memory:", clock)
    with pytest.raises(ConfigError, match=r"rule 1: '\(' is not a pattern that RE2 knows"):
        under_test.open(rules=Rules().never("("))
