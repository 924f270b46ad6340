"""What a provider's own headers say about storing its answers."""

import logging
from typing import Any

import pytest

from askonce import AsyncCache, Cache
from askonce.core.errors import ConfigError
from askonce.core.models import Call
from askonce.core.response_headers import says_no_store, varies
from askonce.pipeline.response_cache_control import FIRST_ANSWERS
from tests.fixtures.scripted import (
    JSON_HEADERS,
    SSE_HEADERS,
    CacheUnderTest,
    Script,
    Scripted,
    call,
    on_shared_engines,
    said,
    streamed,
)

NO_STORE = [("content-type", "application/json"), ("Cache-Control", "private, No-Store, max-age=0")]


def says(*headers: tuple[str, str], status: int = 200) -> Scripted:
    return Scripted(lambda: Script(said(), headers=[*JSON_HEADERS, *headers], status=status))


async def is_stored(under_test: CacheUnderTest, question: str, provider: Scripted) -> bool:
    """Whether an answer is a hit when its question is asked again; two calls if it is not."""
    await under_test.ask(call(question), provider)
    return "hit" in (await under_test.ask(call(question), provider))[0]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("cache-control", "no-store")], True),
        ([("Cache-Control", "max-age=1 , NO-STORE")], True),
        ([("cache-control", "private"), ("cache-control", "no-store")], True),
        ([("cache-control", "private, no-cache, max-age=0, must-revalidate")], False),
        ([("cache-control", 'private="a, no-store"')], False),
        ([("cache-control", "no-store-please")], False),
        ([("x-cache-control", "no-store")], False),
        ([], False),
    ],
)
def test_no_store_is_found(headers: list[tuple[str, str]], expected: bool) -> None:
    assert says_no_store(headers) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("*", True),
        ("Accept-Encoding, *", True),
        ("X-Goog-IAP-JWT-Assertion", True),
        ("Origin, X-Origin, Referer", False),
        ("Accept-Encoding", False),
        ("Authorization, Cookie, X-Api-Key", False),
        ("Accept-Language, X-Any-Routing", False),
        ("", False),
    ],
)
def test_vary_forbids_what_is_not_in_the_key(value: str, expected: bool) -> None:
    assert varies([("Vary", value)]) is expected


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (("cache-control", "private"), None),
        (("cache-control", "no-cache, max-age=0"), None),
        (("vary", "Origin, Accept-Encoding"), None),
        (("expires", "0"), None),
        (("vary", "*"), "vary"),
        (("cache-control", "no-store"), "no-store"),
    ],
)
def test_headers_that_forbid_storing(
    under_test: CacheUnderTest, header: tuple[str, str], reason: str | None
) -> None:
    async def scenario() -> None:
        assert await is_stored(under_test, "q", says(header)) is (reason is None)
        stats = under_test.cache.assembly.stats()
        assert stats.not_stored == ({} if reason is None else {reason: 2})

    under_test.run(scenario)


@pytest.mark.parametrize(
    ("status", "stored"),
    [(200, True), (201, True), (202, False), (203, False), (206, False), (226, False)],
)
def test_only_whole_answers_are_stored(
    under_test: CacheUnderTest, status: int, stored: bool
) -> None:
    async def scenario() -> None:
        assert await is_stored(under_test, "q", says(status=status)) is stored

    under_test.run(scenario)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "askonce.cache_control"]


def test_no_store_about_every_answer_is_ignored_after_the_first(
    under_test: CacheUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said(), headers=NO_STORE))
        for n in range(FIRST_ANSWERS):
            status, _ = await under_test.ask(call(f"q{n}"), provider)
            assert status == "askonce; fwd=miss; detail=no-store"
        for n in range(3):
            assert await is_stored(under_test, f"r{n}", provider)
        (line,) = warnings(caplog)
        assert "/v1/chat/completions" in line
        # The other media type of the route has its own first answers.
        events = [*SSE_HEADERS, ("cache-control", "no-store")]
        stream = Scripted(lambda: Script(*streamed("Yes."), headers=events))
        assert not await is_stored(under_test, "s", stream)

    with caplog.at_level(logging.WARNING):
        under_test.run(scenario)


def test_no_store_that_the_first_answers_did_not_all_carry_is_always_heeded(
    under_test: CacheUnderTest,
) -> None:
    async def scenario() -> None:
        plain, marked = says(), Scripted(lambda: Script(said(), headers=NO_STORE))
        for n in range(FIRST_ANSWERS - 1):
            await under_test.ask(call(f"q{n}"), marked)
        assert await is_stored(under_test, "plain", plain)
        for n in range(FIRST_ANSWERS + 5):
            assert "stored" not in (await under_test.ask(call(f"r{n}"), marked))[0]

    under_test.run(scenario)


@on_shared_engines
def test_a_restart_remembers_what_the_first_answers_said(
    under_test: CacheUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    marked = Scripted(lambda: Script(said(), headers=NO_STORE))

    async def half() -> None:
        for n in range(FIRST_ANSWERS // 2):
            await under_test.ask(call(f"q{under_test.cache!r}{n}"), marked)

    async def after() -> None:
        assert await is_stored(under_test, "after", marked)

    with caplog.at_level(logging.WARNING):
        for part in (half, half, after):
            under_test.open()
            under_test.run(part)
        assert len(warnings(caplog)) == 1


@pytest.mark.parametrize(
    ("mode", "stored"),
    [
        ("ignore", True),
        ({"https://api.openai.com": "ignore"}, True),
        ({"": "ignore", "https://API.openai.com/v1": "heed"}, False),
        ({"https://other.example": "ignore"}, False),
    ],
)
def test_a_setting_decides(under_test: CacheUnderTest, mode: Any, stored: bool) -> None:
    under_test.open(response_cache_control=mode)

    async def scenario() -> None:
        assert await is_stored(under_test, "q", says(("cache-control", "no-store"))) is stored

    under_test.run(scenario)


def test_heed_always_heeds(under_test: CacheUnderTest) -> None:
    under_test.open(response_cache_control="heed")

    async def scenario() -> None:
        marked = Scripted(lambda: Script(said(), headers=NO_STORE))
        for n in range(FIRST_ANSWERS + 2):
            assert "stored" not in (await under_test.ask(call(f"q{n}"), marked))[0]
        assert not await is_stored(under_test, "last", marked)

    under_test.run(scenario)


@pytest.mark.parametrize("wrong", ["sometimes", {"https://a.example": "no"}, {"a": "heed"}, 3])
def test_a_wrong_setting_says_the_remedy(wrong: Any) -> None:
    for kind in (Cache, AsyncCache):
        with pytest.raises(ConfigError, match="response_cache_control"):
            kind(response_cache_control=wrong)


def test_routes_count_for_themselves(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        marked = Scripted(lambda: Script(said(), headers=NO_STORE))

        def at(origin: str, question: str) -> Call:
            plain = call(question)
            return Call("POST", origin, plain.path, plain.headers, plain.body, plain.namespace)

        for n in range(FIRST_ANSWERS):
            await under_test.ask(at("https://a.example", f"q{n}"), marked)
        assert "stored" in (await under_test.ask(at("https://a.example", "x"), marked))[0]
        assert "stored" not in (await under_test.ask(at("https://b.example", "x"), marked))[0]

    under_test.run(scenario)
