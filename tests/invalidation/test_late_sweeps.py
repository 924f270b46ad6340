"""Sweeps, and processes that were started, cut off or slow at the wrong moment."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import pytest

from askonce import Layer
from askonce.core.errors import StoreError
from askonce.core.models import ChangeBatch, Entry, Selection
from askonce.invalidation.target import Invalidation, read
from tests.fixtures.common_store import CommonStore
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, Scripted, call, said
from tests.invalidation.test_sweep import (
    POLICY,
    PRICES,
    Held,
    close,
    heard,
    invalidate,
    outcome,
    two,
    under_way,
)
from tests.pipeline.test_pipeline import text_of
from tests.stores.test_tiers import entries, whole


class Watched(CommonStore):
    """A shared store that runs a hook in the middle of an operation."""

    def __init__(self) -> None:
        super().__init__()
        self.scanning: Callable[[], Awaitable[None]] | None = None
        self.news_held: threading.Event | None = None
        self.bumping: Callable[[], Awaitable[None]] | None = None

    async def scan(self, selection: Selection) -> AsyncIterator[Entry]:
        if self.scanning is not None:
            await self.scanning()
        async for entry in self.inside.scan(selection):
            yield entry

    async def changes(self, cursor: str | None, timeout: float) -> ChangeBatch:
        if self.news_held is not None:
            assert self.news_held.wait(20)
        return await super().changes(cursor, timeout)

    async def epochs(self, tags: Iterable[str], *, bump: bool = False) -> dict[str, int]:
        found = await super().epochs(tags, bump=bump)
        if bump and self.bumping is not None:
            await self.bumping()
        return found


def test_who_is_started_in_the_middle_of_a_sweep_keeps_nothing_of_it(
    mode: str, clock: Clock
) -> None:
    common = Watched()
    mine, newborn = two("blocking", clock, common, common)

    async def scenario() -> None:
        await mine.ask(call(PRICES), whole("from before"))
        await mine.settle()

        async def ask() -> None:
            if not any(isinstance(c, dict) and "~swept" in c for c in common.log):
                return  # it is only being counted
            common.scanning = None
            await heard(newborn)  # the number of the sweep, not what it names
            assert await outcome(newborn, question=PRICES) != ""

        common.scanning = ask
        await invalidate(mine, Invalidation(match="cost"))
        assert entries(common) == []
        await close(mine)  # ends what the sweep does behind
        await heard(newborn)
        assert await outcome(newborn, question=PRICES) == "not-found"
        await close(newborn)

    mine.run(scenario)


def test_a_withdrawn_answer_is_announced_to_its_possible_readers(mode: str, clock: Clock) -> None:
    common = CommonStore()
    mine, other = two(mode, clock, common, common)

    async def scenario() -> None:
        await heard(mine)
        await heard(other)
        common.mute = True

        async def sweep() -> None:
            await invalidate(mine, Invalidation(match="cost"))

        await under_way(other, PRICES, sweep)
        await other.settle()
        (late,) = entries(common)
        common.mute = False
        await heard(other)
        assert entries(common) == []
        assert any(isinstance(c, Selection) and c.keys == (late.key,) for c in common.log)
        await close(other)

    mine.run(scenario)


def test_who_is_cut_off_from_the_news_writes_nothing_that_may_be_swept(
    mode: str, clock: Clock
) -> None:
    common = CommonStore()
    mine, other = two(mode, clock, common, common)

    async def scenario() -> None:
        await heard(mine)
        await heard(other)

        async def sweep() -> None:
            common.mute = True
            await invalidate(mine, Invalidation(match="cost"))
            await close(mine)  # the second look is over
            coherence = other.parts.tiers._coherence
            coherence._synced = coherence._started = float("-inf")  # for a long time

        await under_way(other, PRICES, sweep)
        await other.settle()
        assert entries(common) == []
        await other.ask(call(POLICY), whole())  # asked with an old number
        await other.settle()
        common.mute = False
        await heard(other)
        await other.ask(call("And this?"), whole())
        await other.settle()
        assert "And this?" in {entry.question for entry in entries(common)}
        await close(other)

    mine.run(scenario)


def test_what_was_swept_before_the_news_began_is_not_kept(mode: str, clock: Clock) -> None:
    common = Watched()
    mine, other = two(mode, clock, CommonStore(), common)
    held = common.news_held = threading.Event()

    async def scenario() -> None:
        async def sweep() -> None:
            await common.epochs(["~swept", Invalidation(match="cost").announcement], bump=True)

        await under_way(other, PRICES, sweep)
        await other.settle()
        assert entries(common) == []
        held.set()
        await heard(other)
        assert await outcome(other, question=PRICES) == "not-found"
        await close(other)

    mine.run(scenario)


def test_two_sweeps_have_a_second_look_each_in_its_own_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_test = CacheUnderTest("blocking", "memory:", clock)
    under_test.open(layers=[Layer(CommonStore(), "store")])

    async def scenario() -> None:
        sweeping = under_test.cache.assembly.invalidation.sweeps
        runtime = sweeping._runtime
        looked: list[tuple[float, list[Invalidation]]] = []

        async def look(due: list[Invalidation]) -> None:
            looked.append((runtime.monotonic(), due))
            if len(looked) == 1:
                raise StoreError("not now")

        monkeypatch.setattr(sweeping, "_scan_again", look)
        await invalidate(under_test, Invalidation(match="cost"))
        tick = runtime.monotonic
        monkeypatch.setattr(runtime, "monotonic", lambda: tick() + 1.0)
        second = runtime.monotonic()
        await invalidate(under_test, Invalidation(match="return"))
        await runtime.settle()
        assert [len(due) for _, due in looked] == [1, 1]  # also after the first one failed
        assert looked[1][0] - second >= 1.5

    under_test.run(scenario)


def test_everything_is_also_what_is_still_being_answered(
    under_test: CacheUnderTest, clock: Clock
) -> None:
    under_test.open(lease_wait="0s")

    async def scenario() -> None:
        async def sweep_and_ask() -> None:
            await invalidate(under_test, read({"older_than": "0s"}, clock()))
            clock.forward(1)
            _, body = await under_test.ask(call(PRICES), whole("from after"))
            assert text_of(body) == "from after"

        assert await under_way(under_test, PRICES, sweep_and_ask) == "from before"
        status, body = await under_test.ask(call(PRICES), whole("never"))
        assert ("detail=memory" in status, text_of(body)) == (True, "from after")

    under_test.run(scenario)


@pytest.mark.parametrize(
    "wanted",
    [
        Invalidation(model="gpt-4o-mini-2024"),
        Invalidation(tags=("group:api.openai.com:prices",)),
    ],
)
def test_no_call_joins_an_answer_that_a_sweep_may_name(
    under_test: CacheUnderTest, wanted: Invalidation
) -> None:
    """The model and the groups of an answer are known only once it arrives."""
    under_test.open(lease_wait="0s")

    async def scenario() -> None:
        async def sweep_and_ask() -> None:
            await invalidate(under_test, wanted)
            _, body = await under_test.ask(call(PRICES), whole("from after"))
            assert text_of(body) == "from after"

        await under_way(under_test, PRICES, sweep_and_ask)

    under_test.run(scenario)


def test_an_announcement_that_failed_after_it_was_made_empties_memory(
    mode: str, clock: Clock
) -> None:
    common = Watched()
    mine, other = two(mode, clock, common, CommonStore())

    async def scenario() -> None:
        await mine.ask(call(PRICES), whole())
        await mine.settle()
        await heard(mine)

        async def fail() -> None:
            coherence = mine.parts.tiers._coherence
            now = coherence._tick()
            while coherence._synced <= now:
                threading.Event().wait(0.005)
            raise StoreError("the connection broke")

        common.bumping = fail
        with pytest.raises(StoreError):
            await invalidate(mine, Invalidation(match="cost"))
        common.bumping = None
        (stored,) = entries(common)
        assert mine.cache.assembly.memory.find(stored.key) is None
        await close(other)

    mine.run(scenario)


@pytest.mark.parametrize("namespace", ["eu", "e u"])
def test_only_if_cached_serves_nothing_stale_to_a_doubtful_caller(
    under_test: CacheUnderTest, clock: Clock, namespace: str
) -> None:
    under_test.open(ttl="60s", stale_while_revalidate="1h")

    async def scenario() -> None:
        await under_test.ask(call(POLICY), Scripted(lambda: Script(said("of all"))))
        clock.forward(90)
        headers = {"cache-control": "only-if-cached", "askonce-namespace": namespace}
        reply = await under_test.answer(call(POLICY, headers=headers), whole("never"))
        assert reply.status == 504
        await under_test.read(reply)

    under_test.run(scenario)


def test_many_keys_are_announced_and_only_they_go(mode: str, clock: Clock) -> None:
    common = CommonStore()
    mine, other = two(mode, clock, common, common)

    async def scenario() -> None:
        for number in range(40):
            await mine.ask(call(f"What is number {number}?"), whole())
        await mine.ask(call(POLICY), whole())
        await mine.settle()
        await heard(mine)
        await heard(other)
        keys = tuple(e.key for e in entries(common) if e.question != POLICY)
        wanted = Invalidation(keys=keys)
        assert len(wanted.parts) > 1
        assert {key for part in wanted.parts for key in part.keys} == set(keys)
        await invalidate(mine, wanted)
        await heard(other)
        assert await outcome(other, question=POLICY) == "shared"
        assert await outcome(mine, question=POLICY) == "memory"
        assert [entry.question for entry in entries(common)] == [POLICY]
        await close(other)

    mine.run(scenario)


def test_an_answer_of_a_group_is_not_written_by_who_has_not_heard_yet(
    mode: str, clock: Clock
) -> None:
    """Its group's epoch is that of its arrival, so the store alone would take it."""
    common = CommonStore()
    mine, other = two(mode, clock, common, common)

    async def scenario() -> None:
        await heard(mine)
        await heard(other)
        held = Held(other, "from before")
        headers = [("content-type", "application/json"), ("cache-groups", '"prices"')]
        held._provider = Scripted(lambda: Script(held._heard, said("from before"), headers=headers))

        async def ask() -> None:
            await other.ask(call(PRICES), held)

        async def end_the_group() -> None:
            await other.until(held.asked.is_set)
            common.mute = True
            await invalidate(mine, Invalidation(tags=("group:api.openai.com:prices",)))
            held.go.set()

        assert await other.together(ask, end_the_group) == [None, None]
        await other.settle()
        assert entries(common) == []
        common.mute = False
        await close(other)

    mine.run(scenario)


def test_what_outlived_an_earlier_sweep_is_kept_by_nearer_layers(mode: str, clock: Clock) -> None:
    """A process that begins after a sweep does not know what it named, only its number."""
    near, far = CommonStore(), CommonStore()
    first, second = CacheUnderTest(mode, "memory:", clock), CacheUnderTest(mode, "memory:", clock)
    first.open(layers=[Layer(far, "far")])

    async def scenario() -> None:
        await first.ask(call(POLICY), whole())
        await first.settle()
        await invalidate(first, Invalidation(match="cost"))
        second.open(layers=[Layer(near, "near"), Layer(far, "far")])
        await heard(second)
        status, _ = await second.ask(call(POLICY), whole())
        assert status.endswith("layer=far")
        await second.settle()
        assert await outcome(second, question=POLICY) == "memory"
        second.cache.assembly.memory.forget_all()
        status, _ = await second.ask(call(POLICY), whole())
        assert status.endswith("layer=near")
        await close(second)

    first.run(scenario)
