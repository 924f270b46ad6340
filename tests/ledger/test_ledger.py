"""The ledger behind the request pipeline: what it counts for each call, on every store."""

import asyncio
import contextlib
import multiprocessing
import threading
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from askonce.core.errors import ConfigError, StoreError
from askonce.core.models import Usage
from askonce.core.runtime.threads import run_sync
from askonce.ledger.daily import DAILY
from askonce.ledger.savings import Savings, SavingsPart
from askonce.ledger.settings import LedgerSettings
from askonce.library.cache import AsyncCache, Cache
from askonce.pipeline.texts import TextQuestion
from tests.fixtures.common_store import CommonStore
from tests.fixtures.engines import ENGINES, Engines
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, Scripted, call, said

DAY = 86_400.0
USAGE = {
    "prompt_tokens": 1_000,
    "completion_tokens": 100,
    "prompt_tokens_details": {"cached_tokens": 800, "cache_write_tokens": 100},
}


class Prices:
    """A dollar for a thousand tokens; half of it for what is read, and a half more for writing."""

    def cost(self, model: str, origin: str, usage: Usage) -> Decimal | None:
        if model == "unknown":
            return None
        tokens = usage.total_tokens * 2 - usage.cache_read_tokens + usage.cache_write_tokens
        return Decimal(tokens) / 2000


COST = Decimal("0.75")  # (2,200 - 800 + 100) / 2,000


def provider(model: str = "gpt-4o-mini") -> Scripted:
    return Scripted(lambda: Script(said(usage=USAGE, model=model)))


async def savings(under_test: CacheUnderTest, days: int = 1) -> Savings:
    found = under_test.cache.savings(days=days)
    return found if isinstance(found, Savings) else await found


async def reopen(under_test: CacheUnderTest, **settings: Any) -> None:
    await under_test.cache.assembly.close(under_test.parts)
    under_test.open(prices=Prices(), **settings)


def test_every_kind_of_answer_is_counted_and_outlives_a_restart(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    async def run() -> None:
        await reopen(under_test, stale_while_revalidate="1h", ttl="1h")
        await under_test.ask(call(), provider())
        for _ in range(2):
            await under_test.ask(call(), provider())
        await under_test.ask(call(namespace="team-b", model="unknown"), provider("unknown"))
        await under_test.ask(call(namespace="team-b", model="unknown"), provider())
        await under_test.ask(call("Something else?", tools=[]), Scripted(lambda: Script(b"{}")))
        clock.forward(3_700)
        assert "detail=stale" in (await under_test.ask(call(), provider()))[0]
        await under_test.settle()  # refreshed in the background

        found = await savings(under_test)
        if under_test.url != "memory:":
            await reopen(under_test)
            assert await savings(under_test) == found
        by = found.by("tenant")
        mine, theirs = by["team-a"], by["team-b"]
        assert mine.exact == SavingsPart(2, 2_200, 2 * COST)
        assert mine.stale == SavingsPart(1, 1_100, COST)
        assert mine.upstream == SavingsPart(2, 2_200, 2 * COST)
        assert mine.refresh == SavingsPart(1, 1_100, COST)
        assert mine.read == SavingsPart(2, 1_600, Decimal("0.8"))
        assert mine.write == SavingsPart(2, 200, Decimal("0.1"))
        assert theirs.exact == SavingsPart(1, 1_100, Decimal(0), 1, 1_100)
        assert theirs.read == SavingsPart(1, 800, Decimal(0), 1, 800)
        assert found.total.unread.calls == 1
        assert found.total.storage_byte_hours > 0
        assert found.total.storage_usd is None
        assert set(found.by("route")) == {"", "/v1/chat/completions"}
        assert set(found.by("model")) == {"", "gpt-4o-mini", "unknown"}
        assert found.total.net_usd == 3 * COST + Decimal("0.8") - COST - Decimal("0.1")

    under_test.run(run)


@pytest.fixture
def memory_cache(mode: str, clock: Clock) -> CacheUnderTest:
    return CacheUnderTest(mode, "memory:", clock)


def test_joined_calls_are_counted(
    memory_cache: CacheUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = memory_cache

    async def run() -> None:
        await reopen(under_test)
        flights = under_test.parts.context.flights
        join, joins = flights.join, []

        def noted(*arguments: Any) -> Any:
            joins.append(join(*arguments))
            return joins[-1]

        monkeypatch.setattr(flights, "join", noted)
        event = under_test.event()

        async def wait() -> None:
            await event.wait(20)

        upstream = Scripted(lambda: Script(wait, said(usage=USAGE)))

        async def ask() -> None:
            await under_test.ask(call(), upstream)

        async def answer() -> None:
            await under_test.until(lambda: len(joins) == 3)
            event.set()

        assert await under_test.together(ask, ask, ask, answer) == [None] * 4
        found = (await savings(under_test)).total
        assert found.joined == SavingsPart(2, 2_200, 2 * COST)
        assert found.exact == SavingsPart()
        assert found.upstream == SavingsPart(1, 1_100, COST)
        assert (await savings(under_test)).total == found

    under_test.run(run)


def test_texts_and_functions_are_counted_without_a_price(memory_cache: CacheUnderTest) -> None:
    under_test = memory_cache

    async def run() -> None:
        texts = under_test.parts.texts
        question = TextQuestion("q", "", "local")
        await texts.put(question, "a", ttl=3_600.0, tags=())
        for _ in range(2):
            assert await texts.get(question, max_age=None)
        found = (await savings(under_test)).by("tenant")["local"]
        assert found.exact == SavingsPart(2, 0, Decimal(0), 2, 0)
        assert found.storage_byte_hours == len("qa")

    under_test.run(run)


def test_days_become_months_and_nothing_is_lost(under_test: CacheUnderTest, clock: Clock) -> None:
    async def run() -> None:
        await reopen(under_test, bookkeeping=LedgerSettings(keep_days=3, rows=2))
        for day in range(12):  # the clock begins on 1970-01-12
            await under_test.ask(call(f"on day {day}"), provider())
            await under_test.ask(call(f"on day {day}"), provider())
            clock.forward(DAY)
            found = await savings(under_test, days=400)
            assert found.total.exact == SavingsPart(day + 1, (day + 1) * 1_100, (day + 1) * COST)
        await under_test.settle()  # days are folded in the background
        found = await savings(under_test, days=400)
        assert list(found.by("day")) == ["1970-01", "1970-01-21", "1970-01-22", "1970-01-23"]
        assert (await savings(under_test, days=2)).since == "1970-01-01"
        clock.forward(20 * DAY)
        await savings(under_test)
        await under_test.settle()
        found = await savings(under_test, days=400)
        assert list(found.by("day")) == ["1970-01"]
        assert found.total.exact == SavingsPart(12, 12 * 1_100, 12 * COST)
        assert set(found.by("model")) == {"gpt-4o-mini"}

    under_test.run(run)


class FullStore(CommonStore):
    """A store that can be full: it then neither takes nor returns counters."""

    full = False

    async def counters(self, add: Mapping[str, int], prefix: str = "") -> dict[str, int]:
        if self.full:
            raise StoreError("full")
        return await super().counters(add, prefix)


def test_a_store_that_is_full_loses_no_count_and_fails_no_call(mode: str, clock: Clock) -> None:
    store = FullStore()
    under_test = CacheUnderTest(mode, "memory:", clock)
    under_test.url = "memory:"

    async def run() -> None:
        await under_test.cache.assembly.close(under_test.parts)
        make = Cache if mode == "blocking" else AsyncCache
        under_test.cache = make(layers=[store], clock=clock, prices=Prices())
        await under_test.ask(call(), provider())
        store.full = True
        with pytest.raises(StoreError):
            await savings(under_test)
        assert "hit" in (await under_test.ask(call(), provider()))[0]
        assert under_test.cache.stats().saved_usd == COST
        store.full = False
        found = None
        for _ in range(400):  # until its breaker has closed again
            with contextlib.suppress(StoreError):
                await under_test.cache.assembly.ledger_service.flush(under_test.parts.tiers)
            found = await savings(under_test)
            if found.total.exact.calls:
                break
            await (asyncio.sleep(0.01) if mode == "suspending" else _wait())
        assert found is not None
        assert found.total.exact == SavingsPart(1, 1_100, COST)
        assert found.total.upstream == SavingsPart(1, 1_100, COST)

    under_test.run(run)


async def _wait() -> None:
    threading.Event().wait(0.01)


def _ask_in_a_process(url: str, name: str, hits: int) -> None:
    with Cache(url, clock=lambda: 1_000_000.0, prices=Prices()) as cache:
        for _ in range(hits + 1):
            reply = cache.answer(call("What is it?", namespace=name), provider())
            run_sync(reply.close())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("engine", ENGINES)
def test_processes_add_up(engines: Engines, engine: str) -> None:
    url = engines.plain(engine)
    spawning = multiprocessing.get_context("spawn")
    processes = [
        spawning.Process(target=_ask_in_a_process, args=(url, name, hits))
        for name, hits in (("one", 3), ("two", 5))
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with Cache(url, clock=lambda: 1_000_000.0 + DAY) as cache:
        found = cache.savings(days=2)
        assert {name: sums.exact for name, sums in found.by("tenant").items()} == {
            "one": SavingsPart(3, 3_300, 3 * COST),
            "two": SavingsPart(5, 5_500, 5 * COST),
        }
        assert cache.savings(days=1).total.exact == SavingsPart()
        kept = run_sync(cache.assembly.stack.shared_store.counters({}, DAILY))  # type: ignore[union-attr]
        days = [name for name in kept if not name.startswith("|no-store|")]
        assert all(name.startswith("|day|1970-01-12|") for name in days)


@pytest.mark.parametrize("days", [0, -1, 36_501, True, "7", None])
def test_an_invalid_number_of_days_is_refused(days: Any) -> None:
    with Cache() as cache, pytest.raises(ConfigError, match="days is"):
        cache.savings(days=days)


def test_a_library_flushes_its_counters_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("askonce.ledger.persistence.EVERY_S", 0.0)
    with Cache(f"sqlite:{tmp_path / 'a.db'}", prices=Prices()) as cache:
        run_sync(cache.answer(call(), provider()).close())
        run_sync(cache.assembly.services.sync.tiers.settle())
        kept = run_sync(cache.assembly.stack.shared_store.counters({}, DAILY))  # type: ignore[union-attr]
        assert any(name.endswith("upstream.nano") for name in kept)
