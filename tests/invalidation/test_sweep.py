"""Sweeps: what an invalidation names goes everywhere, and nothing asked before it is kept after."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from askonce import Layer
from askonce.core.errors import ConfigError
from askonce.invalidation.sweep import InvalidationResult
from askonce.invalidation.target import Invalidation
from askonce.pipeline.texts import TextQuestion
from tests.fixtures.common_store import CommonStore
from tests.fixtures.engines import ENGINES, Engines
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, Scripted, call, said
from tests.pipeline.test_pipeline import text_of
from tests.stores.test_tiers import entries, whole

PRICES = "What does the red one cost?"
POLICY = "How long can I return it?"


async def invalidate(
    under_test: CacheUnderTest, wanted: Invalidation, *, dry_run: bool = False
) -> InvalidationResult:
    assembly = under_test.cache.assembly
    if under_test.name == "suspending":
        return await assembly.invalidation.invalidate_in_thread(wanted, who="test", dry_run=dry_run)
    return await assembly.invalidation.invalidate(wanted, who="test", dry_run=dry_run)


async def outcome(under_test: CacheUnderTest, **asked: Any) -> str:
    """How a call is answered: `memory`, `shared` or why it was a miss."""
    status, _ = await under_test.ask(call(**asked), whole())
    return status.partition("detail=")[2].partition(";")[0]


ASKED: dict[str, dict[str, Any]] = {
    "prices": {"question": PRICES},
    "policy": {"question": POLICY},
    "tagged": {"question": "Tagged?", "headers": {"askonce-tags": "product:1"}},
    "other model": {"question": POLICY, "model": "gpt-5"},
    "other namespace": {"question": POLICY, "namespace": "team-b"},
    "a part of it": {"question": POLICY, "headers": {"askonce-namespace": "eu"}},
}


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        (Invalidation(match="(?i)cost"), {"prices"}),
        (Invalidation(match="COST"), {"prices"}),
        (Invalidation(model="gpt-5"), {"other model"}),
        (Invalidation(model="gpt-4o*"), set(ASKED)),
        (Invalidation(namespace="team-b"), {"other namespace"}),
        (Invalidation(namespace="team-a"), set(ASKED) - {"other namespace", "a part of it"}),
        (Invalidation(tenant="team-a"), set(ASKED) - {"other namespace"}),
        (Invalidation(route="/v1/chat/*"), set(ASKED)),
        (Invalidation(route="openai_chat"), set(ASKED)),
        (Invalidation(route="/v1/messages"), set()),
        (Invalidation(created_before=1_000_000.5), set(ASKED)),
        (Invalidation(created_before=1_000_000.0), set()),
        (Invalidation(tags=("product:1",)), {"tagged"}),
        (Invalidation(tags=("product:1",), match="Tagged"), {"tagged"}),
        (Invalidation(tags=("product:1",), match="cost"), set()),
        (Invalidation(match="return", namespace="team-a"), {"policy", "other model"}),
        (Invalidation(subject="eu"), {"a part of it"}),
        (Invalidation(subject="product:1"), {"tagged"}),
    ],
)
@pytest.mark.parametrize("engine", ["memory", "sqlite"])
def test_a_selection_names_what_all_its_fields_name(
    engines: Engines, engine: str, mode: str, clock: Clock, wanted: Invalidation,
    named: set[str],
) -> None:  # fmt: skip
    url = "memory:" if engine == "memory" else engines.plain(engine)
    under_test = CacheUnderTest(mode, url, clock)

    async def scenario() -> None:
        for asked in ASKED.values():
            assert await outcome(under_test, **asked) == "not-found"
        await under_test.settle()
        before = await invalidate(under_test, wanted, dry_run=True)
        assert (before.entries, before.dry_run) == (len(named), True)
        assert len(before.samples) == min(len(named), 5)
        for asked in ASKED.values():
            assert await outcome(under_test, **asked) in ("memory", "shared")

        await invalidate(under_test, wanted)
        under_test.cache.assembly.memory.apply_epochs({})
        gone = {
            name for name, asked in ASKED.items() if await outcome(under_test, **asked) != "memory"
        }
        assert gone == named

    under_test.run(scenario)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_store_is_swept_and_says_how_much(
    engines: Engines, engine: str, mode: str, clock: Clock
) -> None:
    under_test = CacheUnderTest(mode, engines.plain(engine), clock)

    async def scenario() -> None:
        for number in range(12):
            await under_test.ask(call(f"What does number {number} cost?"), whole())
            await under_test.ask(call(f"Who made number {number}?"), whole())
        await under_test.settle()
        looked = await invalidate(under_test, Invalidation(match=r"number \d+ cost"), dry_run=True)
        assert looked.layers == {"memory": 12, under_test.layer: 12}
        swept = await invalidate(under_test, Invalidation(match=r"number \d+ cost"))
        assert swept.layers == looked.layers
        under_test.cache.assembly.memory.forget_all()
        status, _ = await under_test.ask(call("Who made number 3?"), whole())
        assert "detail=shared" in status
        status, _ = await under_test.ask(call("What does number 3 cost?"), whole())
        assert "fwd=miss" in status

    under_test.run(scenario)


def test_a_bad_pattern_is_one_clear_line_and_changes_nothing(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        await under_test.ask(call(PRICES), whole())
        with pytest.raises(ConfigError, match=r"'\(a' is not a pattern"):
            await invalidate(under_test, Invalidation(match="(a"))
        assert await outcome(under_test, question=PRICES) == "memory"

    under_test.run(scenario)


class Held:
    """A provider that holds its answer until it is let go."""

    def __init__(self, under_test: CacheUnderTest, text: str) -> None:
        self.asked, self.go = threading.Event(), under_test.event()
        self._provider = Scripted(lambda: Script(self._heard, said(text)))

    async def _heard(self) -> None:
        self.asked.set()
        assert await self.go.wait(20)

    async def ask(self, *given: Any, **more: Any) -> Script:
        return await self._provider.ask(*given, **more)


async def under_way(under_test: CacheUnderTest, question: str, meanwhile: Callable[[], Any]) -> str:
    """Ask; while the provider thinks, do something; the answer's text."""
    held = Held(under_test, "from before")
    texts: list[str] = []

    async def ask() -> None:
        texts.append(text_of((await under_test.ask(call(question), held))[1]))

    async def work() -> None:
        await under_test.until(held.asked.is_set)
        try:
            await meanwhile()
        finally:
            held.go.set()

    for failed in await under_test.together(ask, work):
        assert failed is None, failed
    return texts[0]


def test_an_answer_under_way_is_not_kept_if_it_is_named(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        async def sweep() -> None:
            await invalidate(under_test, Invalidation(match="cost"))

        assert await under_way(under_test, PRICES, sweep) == "from before"
        assert under_test.cache.stats().not_stored == {"invalidated": 1}
        await under_test.settle()
        under_test.cache.assembly.memory.forget_all()
        status, body = await under_test.ask(call(PRICES), whole("from after"))
        assert ("fwd=miss" in status, text_of(body)) == (True, "from after")

        # What it does not name is kept.
        await under_way(under_test, POLICY, sweep)
        assert await outcome(under_test, question=POLICY) == "memory"

    under_test.run(scenario)


def test_who_asks_after_a_sweep_joins_no_question_from_before_it(
    under_test: CacheUnderTest,
) -> None:
    under_test.open(lease_wait="0s")  # nor does it wait for that one's lease to end

    async def scenario() -> None:
        async def sweep_and_ask() -> None:
            await invalidate(under_test, Invalidation(match="cost"))
            _, body = await under_test.ask(call(PRICES), whole("from after"))
            assert text_of(body) == "from after"

        await under_way(under_test, PRICES, sweep_and_ask)
        status, body = await under_test.ask(call(PRICES), whole("never"))
        assert ("detail=memory" in status, text_of(body)) == (True, "from after")

    under_test.run(scenario)


# Other processes


def two(mode: str, clock: Clock, one: Any, other: Any) -> tuple[CacheUnderTest, CacheUnderTest]:
    """Two processes, as far as their stores are concerned."""
    pair = CacheUnderTest(mode, "memory:", clock), CacheUnderTest(mode, "memory:", clock)
    for under_test, store in zip(pair, (one, other), strict=True):
        under_test.open(layers=[Layer(store, "store")])
    return pair


async def heard(under_test: CacheUnderTest) -> None:
    """Wait until it has heard of all that happened before now."""
    coherence = under_test.parts.tiers._coherence
    now = coherence._tick()
    for _ in range(4_000):
        if coherence._synced > now:
            return
        if under_test.name == "suspending":
            await asyncio.sleep(0.005)
        else:
            threading.Event().wait(0.005)
    raise AssertionError("it hears nothing")


async def close(under_test: CacheUnderTest) -> None:
    await under_test.cache.assembly.close(under_test.parts)


@pytest.mark.parametrize("engine", ENGINES)
def test_other_processes_sweep_what_is_theirs(
    engines: Engines, engine: str, mode: str, clock: Clock
) -> None:
    url = engines.plain(engine)
    mine, other = two(mode, clock, url, url)

    async def scenario() -> None:
        await other.ask(call(PRICES), whole())
        await other.ask(call(POLICY), whole())
        await other.settle()
        await heard(other)

        async def sweep() -> None:
            await invalidate(mine, Invalidation(match="cost"))

        # Its answer comes when the other process may not have heard of the sweep yet.
        await under_way(other, "What did it cost?", sweep)
        await heard(other)
        assert await outcome(other, question=POLICY) == "memory"
        assert await outcome(other, question=PRICES) == "not-found"
        await other.settle()
        await close(other)

    mine.run(scenario)


def test_what_is_written_behind_a_sweep_is_found_out(mode: str, clock: Clock) -> None:
    """A process that has not heard of the sweep writes after the store was looked through."""
    common = CommonStore()
    mine, other = two(mode, clock, common, common)

    async def scenario() -> None:
        await heard(mine)
        await heard(other)
        common.mute = True  # no process receives anything

        async def sweep() -> None:
            await invalidate(mine, Invalidation(match="cost"))

        await under_way(other, PRICES, sweep)
        await other.settle()
        assert len(entries(common)) == 1  # it could not know
        assert await outcome(mine, question=PRICES) == "not-found"  # who knows does not serve it
        await mine.settle()
        common.mute = False
        await heard(other)
        # Nor does the other one, once it has heard.
        assert (await other.ask(call(PRICES), whole("new")))[0].count("detail=memory") == 0
        await close(other)

    mine.run(scenario)


def test_the_second_look_takes_what_came_after_the_first(mode: str, clock: Clock) -> None:
    common = CommonStore()
    mine, other = two(mode, clock, common, common)

    async def scenario() -> None:
        await heard(mine)
        await heard(other)
        common.mute = True

        async def sweep() -> None:
            await invalidate(mine, Invalidation(match="cost"))

        await other.ask(call(POLICY), whole())
        await under_way(other, PRICES, sweep)
        await other.settle()
        assert {entry.question for entry in entries(common)} == {PRICES, POLICY}
        await close(mine)  # looks at once instead of a little later
        assert {entry.question for entry in entries(common)} == {POLICY}
        common.mute = False
        await close(other)

    mine.run(scenario)


def test_an_answer_read_before_a_sweep_is_not_kept_after_it(mode: str, clock: Clock) -> None:
    """The store is read, the sweep passes, and only then would memory keep what was read."""
    common = CommonStore()
    mine, other = two(mode, clock, common, common)

    async def scenario() -> None:
        await other.ask(call(PRICES), whole())
        await other.settle()
        await heard(mine)
        tiers = mine.parts.tiers
        (stored,) = entries(common)
        found = await tiers.read(stored.key)
        await invalidate(other, Invalidation(match="cost"))
        await heard(mine)
        tiers.backfill(found)
        assert tiers.memory.find(stored.key) is None
        await close(other)

    mine.run(scenario)


def test_a_layer_between_hears_of_sweeps_it_slept_through(mode: str, clock: Clock) -> None:
    near, far = CommonStore(), CommonStore()

    def process() -> CacheUnderTest:
        under_test = CacheUnderTest(mode, "memory:", clock)
        under_test.open(layers=[Layer(near, "near"), Layer(far, "far")])
        return under_test

    first, other = process(), CacheUnderTest(mode, "memory:", clock)
    other.open(layers=[Layer(far, "far")])

    async def scenario() -> None:
        await first.ask(call(PRICES), whole())
        await first.ask(call(POLICY), whole())
        await first.settle()
        await heard(first)
        await close(first)
        await invalidate(other, Invalidation(match="cost"))
        assert {entry.question for entry in entries(near)} == {PRICES, POLICY}
        second = process()
        await heard(second)
        assert {entry.question for entry in entries(near)} == {POLICY}
        await close(second)

    other.run(scenario)


def test_lost_news_are_no_reason_to_keep_what_was_under_way(
    mode: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = CommonStore()
    mine, other = two(mode, clock, common, common)

    async def scenario() -> None:
        await heard(other)

        async def lose() -> None:
            common.mute = True
            await invalidate(mine, Invalidation(match="cost"))
            lost = CommonStore.changes

            async def changes(self: CommonStore, cursor: str | None, timeout: float) -> Any:
                found = await lost(self, None, timeout)
                return type(found)(found.cursor, lost=cursor is not None)

            monkeypatch.setattr(CommonStore, "changes", changes)
            common.mute = False
            await heard(other)
            monkeypatch.setattr(CommonStore, "changes", lost)

        await under_way(other, POLICY, lose)
        # The sweeps meanwhile are unknown.
        assert other.cache.stats().not_stored == {"invalidated": 1}
        await close(other)

    mine.run(scenario)


def test_texts_and_functions_are_swept_too(under_test: CacheUnderTest) -> None:
    async def scenario() -> None:
        texts = under_test.parts.texts
        cost = TextQuestion("What does it cost?", "", "local")
        made = TextQuestion("Who made it?", "", "local")
        await texts.put(cost, "5", ttl=60.0, tags=[])
        await texts.put(made, "We.", ttl=60.0, tags=[])
        await under_test.settle()
        await invalidate(under_test, Invalidation(match="cost"))
        assert await texts.get(cost, max_age=None) is None
        assert (await texts.get(made, max_age=None)).text == "We."

    under_test.run(scenario)
