"""Entries and headers that would break a reply, and clocks that were ahead."""

from typing import Any

import msgspec
import pytest

from askonce.core.models import CLOCK_SKEW_S, Entry, Selection
from tests.fixtures.scripted import (
    CacheUnderTest,
    Clock,
    Script,
    Scripted,
    call,
    on_shared_engines,
    said,
)


async def stored_entry(under_test: CacheUnderTest) -> Entry:
    await under_test.settle()
    entries: list[Entry] = [entry async for entry in store_of(under_test).scan(Selection())]
    (found,) = [entry for entry in entries if entry.key.namespace == "team-a"]
    return found


def store_of(under_test: CacheUnderTest) -> Any:
    return under_test.parts.tiers.authority.store


@on_shared_engines
@pytest.mark.parametrize(
    "forged",
    [
        {"headers": (("openai-model", "m\r\nset-cookie: a=b"),)},
        {"headers": (("openai-model", "\u2603"),)},
        {"status": 999},
        {"expires": float("inf")},
        {"latency_ms": float("nan")},
    ],
)
def test_a_forged_entry_is_a_miss(under_test: CacheUnderTest, forged: dict[str, Any]) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        await under_test.ask(call(), provider)
        entry = await stored_entry(under_test)
        changed = msgspec.structs.replace(entry, **forged)
        if under_test.url.startswith("redis") and "expires" in forged:
            return  # Redis takes no such time to live
        await store_of(under_test).write(changed)
        under_test.cache.assembly.memory.drop(entry.key)
        status, body = await under_test.ask(call(), provider)
        assert status.startswith("askonce; fwd=miss; stored")
        assert body == said()
        assert "hit" in (await under_test.ask(call(), provider))[0]

    under_test.run(scenario)


def test_kept_headers_hold_no_control_characters(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        headers = [
            ("content-type", "application/json"),
            ("x-request-id", "req\r\nset-cookie: a=b"),
            ("OpenAI-Version", "\x002020-10-01\x7f"),
            ("openai-model", "m\u2603"),
        ]
        provider = Scripted(lambda: Script(said(), headers=headers))
        await under_test.ask(call(), provider)
        reply = await under_test.answer(call(), provider)
        await reply.close()
        found = dict(reply.headers)
        assert found["askonce-original-request-id"] == "req set-cookie: a=b"
        assert found["openai-version"] == "2020-10-01"
        assert found["openai-model"] == "m"
        for name, value in reply.headers:
            assert f"{name}{value}".isprintable()

    under_test.run(scenario)


HOUR = 3_600.0


@pytest.mark.parametrize("ahead", [60.0, HOUR, 24 * HOUR, 365 * 24 * HOUR])
def test_a_clock_that_was_ahead_lengthens_no_life(
    under_test: CacheUnderTest, clock: Clock, ahead: float
) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        asked = call(headers={"askonce-ttl": "1h"})
        clock.forward(ahead)
        await under_test.ask(asked, provider)
        assert "hit" in (await under_test.ask(asked, provider))[0]
        clock.forward(-ahead)
        status, _ = await under_test.ask(asked, provider)
        assert "fwd=miss; stored" in status
        await under_test.settle()
        assert "hit" in (await under_test.ask(asked, provider))[0]
        clock.forward(HOUR)
        assert "; fwd=" in (await under_test.ask(asked, provider))[0]

    under_test.run(scenario)


def test_memory_forgets_what_a_clock_that_was_ahead_stored(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        clock.forward(HOUR)
        await under_test.ask(call("old"), provider)
        await under_test.settle()
        memory = under_test.cache.assembly.memory
        clock.forward(-HOUR)
        held = [entry async for entry in memory.scan(Selection())]
        await under_test.ask(call("new"), provider)
        left = [entry async for entry in memory.scan(Selection())]
        assert [entry.question for entry in held] == ["old"]
        assert [entry.question for entry in left] == ["new"]

    under_test.run(scenario)


def test_clocks_of_one_store_may_differ_a_little(under_test: CacheUnderTest, clock: Clock) -> None:
    async def scenario() -> None:
        provider = Scripted(lambda: Script(said()))
        await under_test.ask(call(), provider)
        clock.forward(-CLOCK_SKEW_S)
        reply = await under_test.answer(call(), provider)
        await reply.close()
        headers = dict(reply.headers)
        assert headers["cache-status"].startswith("askonce; hit")
        assert headers["age"] == "0"

    under_test.run(scenario)
