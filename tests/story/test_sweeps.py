"""Sweeps: what an invalidation names goes everywhere, and nothing asked before it is kept after."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from askonce import Layer
from askonce.errors import ConfigError
from askonce.invalidation import Invalidation
from askonce.sweeping import Swept
from tests.servers.engines import ENGINES, Engines
from tests.story.common import CommonStore
from tests.story.conftest import Clock, Flavor, Script, Scripted, call, said
from tests.story.test_answering import text_of
from tests.story.test_layers import entries, whole

PRICES = "What does the red one cost?"
POLICY = "How long can I return it?"


async def invalidate(flavor: Flavor, wanted: Invalidation, *, dry_run: bool = False) -> Swept:
    works = flavor.cache.works
    if flavor.name == "suspending":
        return await works.invalidate_in_thread(wanted, who="test", dry_run=dry_run)
    return await works.invalidate(wanted, who="test", dry_run=dry_run)


async def outcome(flavor: Flavor, **asked: Any) -> str:
    """How a call is answered: `memory`, `shared` or why it was a miss."""
    status, _ = await flavor.ask(call(**asked), whole())
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
    engines: Engines, engine: str, flavor_name: str, clock: Clock, wanted: Invalidation,
    named: set[str],
) -> None:  # fmt: skip
    url = "memory:" if engine == "memory" else engines.plain(engine)
    flavor = Flavor(flavor_name, url, clock)

    async def story() -> None:
        for asked in ASKED.values():
            assert await outcome(flavor, **asked) == "not-found"
        await flavor.settle()
        before = await invalidate(flavor, wanted, dry_run=True)
        assert (before.entries, before.dry_run) == (len(named), True)
        assert len(before.samples) == min(len(named), 5)
        for asked in ASKED.values():
            assert await outcome(flavor, **asked) in ("memory", "shared")

        await invalidate(flavor, wanted)
        flavor.cache.works.memory.heed({})
        gone = {name for name, asked in ASKED.items() if await outcome(flavor, **asked) != "memory"}
        assert gone == named

    flavor.run(story)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_store_is_swept_and_says_how_much(
    engines: Engines, engine: str, flavor_name: str, clock: Clock
) -> None:
    flavor = Flavor(flavor_name, engines.plain(engine), clock)

    async def story() -> None:
        for number in range(12):
            await flavor.ask(call(f"What does number {number} cost?"), whole())
            await flavor.ask(call(f"Who made number {number}?"), whole())
        await flavor.settle()
        looked = await invalidate(flavor, Invalidation(match=r"number \d+ cost"), dry_run=True)
        assert looked.layers == {"memory": 12, flavor.layer: 12}
        swept = await invalidate(flavor, Invalidation(match=r"number \d+ cost"))
        assert swept.layers == looked.layers
        flavor.cache.works.memory.forget_all()
        status, _ = await flavor.ask(call("Who made number 3?"), whole())
        assert "detail=shared" in status
        status, _ = await flavor.ask(call("What does number 3 cost?"), whole())
        assert "fwd=miss" in status

    flavor.run(story)


def test_a_bad_pattern_is_one_clear_line_and_changes_nothing(flavor: Flavor) -> None:
    async def story() -> None:
        await flavor.ask(call(PRICES), whole())
        with pytest.raises(ConfigError, match=r"'\(a' is not a pattern"):
            await invalidate(flavor, Invalidation(match="(a"))
        assert await outcome(flavor, question=PRICES) == "memory"

    flavor.run(story)


class Held:
    """A provider that holds its answer until it is let go."""

    def __init__(self, flavor: Flavor, text: str) -> None:
        self.asked, self.go = threading.Event(), flavor.bell()
        self._provider = Scripted(lambda: Script(self._heard, said(text)))

    async def _heard(self) -> None:
        self.asked.set()
        assert await self.go.heard(20)

    async def ask(self, *given: Any, **more: Any) -> Script:
        return await self._provider.ask(*given, **more)


async def under_way(flavor: Flavor, question: str, meanwhile: Callable[[], Any]) -> str:
    """Ask; while the provider thinks, do something; the answer's text."""
    held = Held(flavor, "from before")
    texts: list[str] = []

    async def ask() -> None:
        texts.append(text_of((await flavor.ask(call(question), held))[1]))

    async def work() -> None:
        await flavor.until(held.asked.is_set)
        try:
            await meanwhile()
        finally:
            held.go.ring()

    for failed in await flavor.together(ask, work):
        assert failed is None, failed
    return texts[0]


def test_an_answer_under_way_is_not_kept_if_it_is_named(flavor: Flavor) -> None:
    async def story() -> None:
        async def sweep() -> None:
            await invalidate(flavor, Invalidation(match="cost"))

        assert await under_way(flavor, PRICES, sweep) == "from before"
        assert flavor.cache.stats().not_stored == {"invalidated": 1}
        await flavor.settle()
        flavor.cache.works.memory.forget_all()
        status, body = await flavor.ask(call(PRICES), whole("from after"))
        assert ("fwd=miss" in status, text_of(body)) == (True, "from after")

        # What it does not name is kept.
        await under_way(flavor, POLICY, sweep)
        assert await outcome(flavor, question=POLICY) == "memory"

    flavor.run(story)


def test_who_asks_after_a_sweep_joins_no_question_from_before_it(flavor: Flavor) -> None:
    flavor.open(lease_wait="0s")  # nor does it wait for that one's lease to end

    async def story() -> None:
        async def sweep_and_ask() -> None:
            await invalidate(flavor, Invalidation(match="cost"))
            _, body = await flavor.ask(call(PRICES), whole("from after"))
            assert text_of(body) == "from after"

        await under_way(flavor, PRICES, sweep_and_ask)
        status, body = await flavor.ask(call(PRICES), whole("never"))
        assert ("detail=memory" in status, text_of(body)) == (True, "from after")

    flavor.run(story)


# Other processes


def two(flavor_name: str, clock: Clock, one: Any, other: Any) -> tuple[Flavor, Flavor]:
    """Two processes, as far as their stores are concerned."""
    flavors = Flavor(flavor_name, "memory:", clock), Flavor(flavor_name, "memory:", clock)
    for flavor, store in zip(flavors, (one, other), strict=True):
        flavor.open(layers=[Layer(store, "store")])
    return flavors


async def heard(flavor: Flavor) -> None:
    """Wait until it has heard of all that happened before now."""
    coherence = flavor.parts.tiers._coherence
    now = coherence._tick()
    for _ in range(4_000):
        if coherence._synced > now:
            return
        if flavor.name == "suspending":
            await asyncio.sleep(0.005)
        else:
            threading.Event().wait(0.005)
    raise AssertionError("it hears nothing")


async def close(flavor: Flavor) -> None:
    await flavor.cache.works.close(flavor.parts)


@pytest.mark.parametrize("engine", ENGINES)
def test_other_processes_sweep_what_is_theirs(
    engines: Engines, engine: str, flavor_name: str, clock: Clock
) -> None:
    url = engines.plain(engine)
    mine, other = two(flavor_name, clock, url, url)

    async def story() -> None:
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

    mine.run(story)


def test_what_is_written_behind_a_sweep_is_found_out(flavor_name: str, clock: Clock) -> None:
    """A process that has not heard of the sweep writes after the store was looked through."""
    common = CommonStore()
    mine, other = two(flavor_name, clock, common, common)

    async def story() -> None:
        await heard(mine)
        await heard(other)
        common.mute = True  # nobody hears anything

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

    mine.run(story)


def test_the_second_look_takes_what_came_after_the_first(flavor_name: str, clock: Clock) -> None:
    common = CommonStore()
    mine, other = two(flavor_name, clock, common, common)

    async def story() -> None:
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

    mine.run(story)


def test_an_answer_read_before_a_sweep_is_not_kept_after_it(flavor_name: str, clock: Clock) -> None:
    """The store is read, the sweep passes, and only then would memory keep what was read."""
    common = CommonStore()
    mine, other = two(flavor_name, clock, common, common)

    async def story() -> None:
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

    mine.run(story)


def test_a_layer_between_hears_of_sweeps_it_slept_through(flavor_name: str, clock: Clock) -> None:
    near, far = CommonStore(), CommonStore()

    def process() -> Flavor:
        flavor = Flavor(flavor_name, "memory:", clock)
        flavor.open(layers=[Layer(near, "near"), Layer(far, "far")])
        return flavor

    first, other = process(), Flavor(flavor_name, "memory:", clock)
    other.open(layers=[Layer(far, "far")])

    async def story() -> None:
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

    other.run(story)


def test_lost_news_are_no_reason_to_keep_what_was_under_way(
    flavor_name: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = CommonStore()
    mine, other = two(flavor_name, clock, common, common)

    async def story() -> None:
        await heard(other)

        async def lose() -> None:
            common.mute = True
            await invalidate(mine, Invalidation(match="cost"))
            lost = CommonStore.news

            async def news(self: CommonStore, since: str | None, patience: float) -> Any:
                found = await lost(self, None, patience)
                return type(found)(found.mark, lost=since is not None)

            monkeypatch.setattr(CommonStore, "news", news)
            common.mute = False
            await heard(other)
            monkeypatch.setattr(CommonStore, "news", lost)

        await under_way(other, POLICY, lose)
        # Nobody can tell what was swept meanwhile.
        assert other.cache.stats().not_stored == {"invalidated": 1}
        await close(other)

    mine.run(story)


def test_texts_and_functions_are_swept_too(flavor: Flavor) -> None:
    async def story() -> None:
        texts, place = flavor.parts.texts, {"scope": "", "namespace": "local"}
        await texts.put("What does it cost?", "5", ttl=60.0, tags=[], **place)
        await texts.put("Who made it?", "We.", ttl=60.0, tags=[], **place)
        await flavor.settle()
        await invalidate(flavor, Invalidation(match="cost"))
        assert await texts.get("What does it cost?", max_age=None, **place) is None
        assert (await texts.get("Who made it?", max_age=None, **place)).text == "We."

    flavor.run(story)
