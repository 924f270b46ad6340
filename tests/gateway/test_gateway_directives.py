"""What a caller may ask of the cache, and what the cache says about its answer."""

import re
from collections.abc import Callable, Iterator

import httpx2
import pytest

from askonce.cli.demo.provider.provider import DemoProvider
from tests.gateway.stage import (
    CHAT,
    Caller,
    Clock,
    chat_body,
    gateway,
    is_answer,
    outcome_of,
    status_of,
)

DAY = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def caller(http: httpx2.Client, provider_url: str, clock: Clock) -> Iterator[Caller]:
    """A caller of a gateway whose clock only the test moves."""
    with gateway(provider_url, clock=clock) as url:
        yield Caller(http, url)


@pytest.mark.parametrize("stream", [False, True])
class TestCacheStatus:
    def test_a_miss_and_a_hit(self, caller: Caller, clock: Clock, stream: bool) -> None:
        question = f"How old is it ({stream})?"
        miss = caller.chat(question, stream=stream)
        young = caller.chat(question, stream=stream)
        clock.forward(100.7)
        older = caller.chat(question, stream=stream)

        # A stream's head is sent before it is known whether the answer will be stored.
        stored = "" if stream else "; stored"
        assert status_of(miss) == f"askonce; fwd=miss{stored}; detail=not-found"
        assert "age" not in miss.headers
        assert status_of(young) == f"askonce; hit; ttl={DAY}; detail=memory"
        assert young.headers["age"] == "0"
        assert status_of(older) == f"askonce; hit; ttl={DAY - 101}; detail=memory"
        assert older.headers["age"] == "100"
        assert all(is_answer(answer, question) for answer in (miss, young, older))

    def test_the_other_shape_is_a_hit_too(self, caller: Caller, stream: bool) -> None:
        question = f"In another shape ({stream})?"
        caller.chat(question, stream=stream)
        other = caller.chat(question, stream=not stream)

        assert status_of(other) == f"askonce; hit; ttl={DAY}; detail=memory"
        kind = "application/json" if stream else "text/event-stream; charset=utf-8"
        assert other.headers["content-type"] == kind
        assert is_answer(other, question)

    def test_it_ends(self, caller: Caller, clock: Clock, stream: bool) -> None:
        question = f"When does it end ({stream})?"
        caller.chat(question, stream=stream)
        clock.forward(DAY - 0.5)
        last = caller.chat(question, stream=stream)
        clock.forward(1)
        ended = caller.chat(question, stream=stream)

        assert status_of(last) == "askonce; hit; ttl=0; detail=memory"
        assert outcome_of(ended) == "miss"

    def test_what_is_not_asked_of_the_cache(self, caller: Caller, stream: bool) -> None:
        warm = caller.chat("How warm?", stream=stream, temperature=0.7)

        assert status_of(warm) == "askonce; fwd=bypass; detail=sampling"


class TestCacheControl:
    def test_no_cache_asks_again_and_stores(
        self, caller: Caller, clock: Clock, provider: DemoProvider
    ) -> None:
        question = "Really?"
        caller.chat(question)
        clock.forward(50)
        again = caller.chat(question, headers={"cache-control": "no-cache"})
        clock.forward(5)
        after = caller.chat(question)

        assert status_of(again) == "askonce; fwd=request; stored; detail=no-cache"
        assert provider.calls.questions[question] == 2
        assert after.headers["age"] == "5"

    def test_no_store_neither_reads_nor_writes(
        self, caller: Caller, provider: DemoProvider
    ) -> None:
        question = "Between us?"
        for _ in range(2):
            secret = caller.chat(question, headers={"cache-control": "max-age=9, No-Store"})
            assert status_of(secret) == "askonce; fwd=bypass; detail=no-store"

        assert provider.calls.questions[question] == 2
        assert outcome_of(caller.chat(question)) == "miss"

    def test_max_age(self, caller: Caller, clock: Clock) -> None:
        caller.chat("How fresh?")
        clock.forward(60)
        at_most_59 = caller.chat("How fresh?", headers={"cache-control": "max-age=59"})
        at_most_60 = caller.chat("How fresh?", headers={"cache-control": 'max-age="60"'})

        assert status_of(at_most_59) == "askonce; fwd=request; stored; detail=too-old"
        assert outcome_of(at_most_60) == "hit"

    @pytest.mark.parametrize("ask", [Caller.chat, Caller.claude], ids=["openai", "anthropic"])
    def test_only_if_cached(
        self, caller: Caller, provider: DemoProvider, ask: Callable[..., httpx2.Response]
    ) -> None:
        question = f"Only if you know, {ask.__name__}?"
        only = {"cache-control": "only-if-cached"}
        unknown = ask(caller, question, headers=only)
        asked = provider.calls.questions[question]
        ask(caller, question)
        known = ask(caller, question, headers=only)

        assert (unknown.status_code, asked) == (504, 0)
        assert unknown.headers["x-should-retry"] == "false"  # the SDKs would try again
        assert status_of(unknown) == "askonce; detail=only-if-cached"
        assert unknown.json()["error"]["type"] == "askonce_error"
        assert outcome_of(known) == "hit"

    def test_lines_of_the_same_header_are_one_list(self, caller: Caller) -> None:
        lines = [("cache-control", "no-store"), ("cache-control", "max-age=60")]
        headers = [*caller.bearer.items(), *lines]
        answer = caller.http.post(caller.url + CHAT, json=chat_body("Lines?"), headers=headers)

        assert status_of(answer) == "askonce; fwd=bypass; detail=no-store"


class TestOwnHeaders:
    @pytest.mark.parametrize(
        ("ttl", "seconds"), [("90", 90), ("5m", 300), ("1h30m", 5_400), ("7 d", 7 * DAY)]
    )
    def test_a_ttl(self, caller: Caller, ttl: str, seconds: int) -> None:
        question = f"For {ttl}?"
        stored = caller.chat(question, headers={"askonce-ttl": ttl})
        hit = caller.chat(question)

        assert "stored" in status_of(stored)
        assert status_of(hit) == f"askonce; hit; ttl={seconds}; detail=memory"

    def test_a_ttl_of_zero_stores_nothing(self, caller: Caller) -> None:
        answers = [caller.chat("For no time?", headers={"askonce-ttl": "0"}) for _ in range(2)]

        assert {status_of(answer) for answer in answers} == {"askonce; fwd=miss; detail=ttl-zero"}

    def test_tags_are_accepted(self, caller: Caller) -> None:
        tagged = caller.chat("Tagged?", headers={"askonce-tags": "policy, product:7 ,policy"})

        assert "stored" in status_of(tagged)
        assert "askonce-ignored" not in tagged.headers
        assert outcome_of(caller.chat("Tagged?")) == "hit"

    @pytest.mark.parametrize("stream", [False, True])
    def test_what_is_not_understood_is_ignored_and_reported(
        self, caller: Caller, stream: bool
    ) -> None:
        question = f"Understood ({stream})?"
        odd = {"askonce-ttl": "soon", "cache-control": "max-age=young, immutable"}
        answers = [caller.chat(question, stream=stream, headers=odd) for _ in range(2)]

        assert [outcome_of(answer) for answer in answers] == ["miss", "hit"]
        for answer in answers:
            assert is_answer(answer, question)
            said = "cache-control: max-age, cache-control: immutable, askonce-ttl"
            assert answer.headers["askonce-ignored"] == said
        assert re.search(rf"ttl={DAY}\b", status_of(answers[1]))

    def test_an_answer_with_a_tag_in_doubt_is_not_stored(self, caller: Caller) -> None:
        odd = {"askonce-tags": "fine, with space"}
        answers = [caller.chat("Tagged oddly?", headers=odd) for _ in range(2)]

        assert {status_of(answer) for answer in answers} == {"askonce; fwd=miss; detail=bad-tags"}
        assert {answer.headers["askonce-ignored"] for answer in answers} == {"askonce-tags"}

    def test_a_bypass_reports_too(self, caller: Caller) -> None:
        answer = caller.chat("Warm?", temperature=1, headers={"askonce-ttl": "-1"})

        assert status_of(answer) == "askonce; fwd=bypass; detail=sampling"
        assert answer.headers["askonce-ignored"] == "askonce-ttl"
