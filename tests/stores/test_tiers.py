"""Several layers: who answers, who keeps, and what happens while one of them is ill."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from askonce import Layer
from askonce.core.models import Entry, Key, Selection
from askonce.core.runtime.threads import run_sync
from askonce.pipeline.texts import TextQuestion
from tests.fixtures.common_store import CommonStore
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, Scripted, call, said
from tests.pipeline.test_pipeline import text_of

HIT = "askonce; hit; ttl={}; detail={}"


def whole(text: str = "Thirty days, counted from delivery.") -> Scripted:
    return Scripted(lambda: Script(said(text)))


@pytest.fixture
def near() -> CommonStore:
    return CommonStore()


@pytest.fixture
def far() -> CommonStore:
    return CommonStore()


@pytest.fixture
def three(mode: str, clock: Clock, near: CommonStore, far: CommonStore) -> CacheUnderTest:
    under_test = CacheUnderTest(mode, "memory:", clock)
    layers = ["memory:", Layer(near, "near", ttl="1h"), Layer(far, "far")]
    under_test.open(layers=layers, ttl="24h")
    return under_test


@pytest.fixture
def other(mode: str, clock: Clock, far: CommonStore) -> Iterator[CacheUnderTest]:
    """Another process, as far as the far store is concerned."""
    under_test = CacheUnderTest(mode, "memory:", clock)
    under_test.open(layers=[Layer(far, "far")])
    yield under_test
    close = under_test.cache.assembly.close(under_test.parts)
    run_sync(close) if mode == "blocking" else asyncio.run(close)


def entries(store: CommonStore) -> list[Entry]:
    held = [held.entry for held in store.inside._held.values()]
    return [one for one in held if one.key.namespace != "~askonce"]


def forget(under_test: CacheUnderTest) -> None:
    under_test.cache.assembly.memory.forget_all()


async def synced(under_test: CacheUnderTest) -> None:
    """Wait until the background thread has heard the news."""
    coherence = under_test.parts.tiers._coherence
    await under_test.until(lambda: coherence._synced > 0)
    before = coherence._synced
    await under_test.until(lambda: coherence._synced > before)


def test_every_layer_gets_an_answer_and_the_nearest_one_serves_it(
    three: CacheUnderTest, near: CommonStore, far: CommonStore, clock: Clock
) -> None:
    async def story() -> None:
        provider = whole()
        await three.ask(call(), provider)
        await three.settle()
        assert [len(entries(store)) for store in (near, far)] == [1, 1]
        assert entries(near)[0].expires == clock() + 3600  # as long as this layer allows
        assert entries(far)[0].expires == clock() + 86_400

        assert (await three.ask(call(), provider))[0] == HIT.format(86_400, "memory")
        forget(three)
        status, _ = await three.ask(call(), provider)
        assert status == HIT.format(3600, "shared; layer=near")
        assert (await three.ask(call(), provider))[0] == HIT.format(3600, "memory")

        clock.forward(3601)
        status, _ = await three.ask(call(), provider)
        assert status == HIT.format(86_400 - 3601, "shared; layer=far")
        await three.settle()
        # Backfilled everywhere above, each for what is left of its life there.
        assert entries(near)[0].expires == clock() + 3600
        assert (await three.ask(call(), provider))[0] == HIT.format(86_400 - 3601, "memory")
        assert provider.calls == 1
        layers = three.cache.stats().layers
        assert {name: layer.hits for name, layer in layers.items()} == {"near": 1, "far": 1}
        assert {layer.state for layer in layers.values()} == {"closed"}

    three.run(story)


def test_a_backfilled_answer_ends_when_the_first_one_does(
    three: CacheUnderTest, near: CommonStore, clock: Clock
) -> None:
    async def story() -> None:
        provider = whole()
        await three.ask(call(headers={"askonce-ttl": "100s"}), provider)
        await three.settle()
        clock.forward(60)
        forget(three)
        run_sync(near.remove(Selection()))
        assert "layer=far" in (await three.ask(call(), provider))[0]
        await three.settle()
        assert entries(near)[0].expires == clock() + 40
        clock.forward(41)
        assert (await three.ask(call(), provider))[0].startswith("askonce; fwd=stale")

    three.run(story)


def test_texts_say_which_layer_had_them(three: CacheUnderTest) -> None:
    async def story() -> None:
        texts = three.parts.texts
        question = TextQuestion("Q?", "", "local")
        await texts.put(question, "A.", ttl=600.0, tags=["t"])
        await three.settle()
        await synced(three)
        said_by = []
        for _ in range(2):
            said_by.append((await texts.get(question, max_age=None)).layer)
            forget(three)
        assert said_by == ["memory", "near"]

    three.run(story)


def test_an_ill_store_is_left_alone_and_found_well_again(
    three: CacheUnderTest, far: CommonStore
) -> None:
    async def story() -> None:
        far.ill = True
        for number in range(12):
            status, body = await three.ask(call(f"while ill {number}"), whole())
            assert status.startswith("askonce; fwd=miss")
            assert text_of(body)
        await three.settle()
        assert three.cache.stats().layers["far"].state == "open"
        asked = len(far.asked)
        for number in range(10):
            await three.ask(call(f"while open {number}"), whole())
        # Probes at most, one for reading and one for writing, behind the callers.
        assert far.asked[asked:] in ([], ["read"], ["read", "read"])
        stats = three.cache.stats().layers["far"]
        assert stats.errors >= 5
        assert stats.dropped >= 10
        # Nearer layers went on.
        forget(three)
        assert "layer=near" in (await three.ask(call("while ill 3"), whole()))[0]

        far.ill = False
        await three.until(lambda: _probed(three))
        await three.ask(call("well again"), whole())
        await three.settle()
        assert any(entry.question == "well again" for entry in entries(far))

    def _probed(under_test: CacheUnderTest) -> bool:
        under_test.parts.tiers.probe_if_due()
        return under_test.cache.stats().layers["far"].state == "closed"

    three.run(story)


def entry(name: str) -> Entry:
    return Entry(Key("n", "f", name.encode().ljust(32)), b"x", 200, (), 0.0, 1e12, 1e12)


def test_writing_is_never_on_the_callers_path(three: CacheUnderTest, far: CommonStore) -> None:
    async def story() -> None:
        far.gate = threading.Event()
        try:
            provider = whole()
            _, body = await three.ask(call(headers={"askonce-tags": "a"}), provider)
            assert text_of(body)
            assert not entries(far)
            assert "hit" in (await three.ask(call(), provider))[0]
        finally:
            far.gate.set()
        await three.settle()
        assert len(entries(far)) == 1

    three.run(story)


def test_a_full_queue_drops_the_oldest_and_counts_it(
    three: CacheUnderTest, far: CommonStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("askonce.stores.tiered.write_behind.QUEUE_ENTRIES", 4)

    async def story() -> None:
        far.gate = threading.Event()
        writing = three.parts.tiers._write_queues[-1]
        for number in range(10):
            one = entry(f"q{number}")
            lease = await far.lease(one.key, 5)
            writing.put(one, lease)
        far.gate.set()
        await three.settle()
        kept = {one.key.digest[:2] for one in entries(far)}
        assert {b"q6", b"q7", b"q8", b"q9"} <= kept
        assert len(kept) <= 5  # one may have been on its way
        assert three.cache.stats().layers["far"].dropped == 10 - len(kept)
        assert not far.leases  # no caller waits for an answer that was dropped

    three.run(story)


# Coherence


def test_what_another_process_invalidates_is_gone_here(
    three: CacheUnderTest, other: CacheUnderTest
) -> None:
    async def story() -> None:
        asked = call(headers={"askonce-tags": "policy"})
        await three.ask(asked, whole("old"))
        await synced(three)
        assert "detail=memory" in (await three.ask(asked, whole("new")))[0]
        finish_in(other, other.parts.tiers.invalidate(["policy"]))
        await synced(three)
        status, body = await three.ask(asked, whole("new"))
        assert status.startswith("askonce; fwd=miss")
        assert text_of(body) == "new"

    three.run(story)


def finish_in(under_test: CacheUnderTest, work: object) -> None:
    """Run another cache's work beside this one's event loop."""
    thread = threading.Thread(
        target=lambda: run_sync(work) if under_test.name == "blocking" else asyncio.run(work)  # type: ignore[arg-type]
    )
    thread.start()
    thread.join(20)


def test_a_process_that_hears_nothing_serves_nothing_tagged_from_nearby(
    three: CacheUnderTest, near: CommonStore, far: CommonStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        tagged, plain = call("tagged?", headers={"askonce-tags": "t"}), call("plain?")
        await synced(three)
        await three.ask(tagged, whole("old"))
        await three.ask(plain, whole("plain"))
        await three.settle()
        far.mute = True  # the news are cut; the store answers
        run_sync(far.epochs(["t"], bump=True))
        monkeypatch.setattr("askonce.stores.tiered.coherence.BLIND_AFTER", 0.0)
        status, body = await three.ask(tagged, whole("new"))
        assert status.startswith("askonce; fwd=miss")
        assert text_of(body) == "new"
        assert "detail=memory" in (await three.ask(plain, whole("never")))[0]
        await three.settle()
        # Blind, the authority itself is asked, which knows.
        assert "layer=far" in (await three.ask(tagged, whole("never")))[0]

    three.run(story)


@pytest.mark.parametrize("what", ["tag", "removal"])
def test_a_middle_layer_hears_what_it_missed_while_no_process_ran(
    mode: str, clock: Clock, near: CommonStore, far: CommonStore, what: str
) -> None:
    """It outlives processes: what is on its disk may have been invalidated since."""
    asked = call(headers={"askonce-tags": "policy"} if what == "tag" else {})
    layers = ["memory:", Layer(near, "near"), Layer(far, "far")]

    async def before() -> None:
        await synced(first)
        await first.ask(asked, whole("old"))
        await first.settle()

    async def after() -> None:
        await synced(second)
        status, body = await second.ask(asked, whole("new"))
        assert (status.partition(";")[2][:5], text_of(body)) == (" fwd=", "new")

    first = CacheUnderTest(mode, "memory:", clock)
    first.open(layers=layers)
    first.run(before)
    kept = entries(near)
    assert [text_of(one.body) for one in kept] == ["old"]
    if what == "tag":
        run_sync(far.epochs(["policy"], bump=True))
    else:
        run_sync(far.remove(Selection(keys=(kept[0].key,))))
    second = CacheUnderTest(mode, "memory:", clock)
    second.open(layers=layers)
    second.run(after)


def test_with_strong_consistency_every_tagged_answer_is_asked_about(
    mode: str, clock: Clock, far: CommonStore
) -> None:
    under_test = CacheUnderTest(mode, "memory:", clock)
    under_test.open(layers=[far], consistency="strong")

    async def story() -> None:
        far.mute = True
        asked = call(headers={"askonce-tags": "policy"})
        await under_test.ask(asked, whole("old"))
        await under_test.settle()
        assert "detail=memory" in (await under_test.ask(asked, whole("new")))[0]
        run_sync(far.epochs(["policy"], bump=True))
        status, body = await under_test.ask(asked, whole("new"))
        assert status.startswith("askonce; fwd=miss")
        assert text_of(body) == "new"

    under_test.run(story)


def test_an_answer_that_another_process_invalidated_meanwhile_is_stored_nowhere(
    three: CacheUnderTest, far: CommonStore
) -> None:
    async def story() -> None:
        far.mute = True
        asked = call(headers={"askonce-tags": "policy"})

        async def invalidate() -> None:
            run_sync(far.epochs(["policy"], bump=True))

        await three.ask(asked, Scripted(lambda: Script(invalidate, said("old"))))
        await three.settle()
        assert not [entry for entry in entries(far) if entry.body]
        # Memory has heard of it from the refusal, although no news came.
        assert three.cache.assembly.memory.find(_key_of(three, asked)) is None

    three.run(story)


def _key_of(under_test: CacheUnderTest, asked: object) -> Any:
    return under_test.parts.pipeline._parse(asked).key


# Leases


def test_two_processes_make_one_upstream_call(
    three: CacheUnderTest, other: CacheUnderTest, far: CommonStore
) -> None:
    async def story() -> None:
        provider = whole("the one answer")
        arrived, open_ = threading.Event(), threading.Event()

        async def slow() -> None:
            arrived.set()
            await three.until(open_.is_set)

        leading = Scripted(lambda: Script(slow, said("the one answer")))
        answers: list[tuple[str, bytes]] = []

        async def follow() -> None:
            answers.append(await other.ask(call(), provider))

        async def lead() -> None:
            answers.append(await three.ask(call(), leading))

        async def watch() -> None:
            await three.until(arrived.is_set)
            following = threading.Thread(target=finish_in, args=(other, follow()))
            following.start()
            await three.until(lambda: far.asked.count("lease") >= 3)
            open_.set()
            await three.until(lambda: not following.is_alive())

        await three.together(lead, watch)
        assert (leading.calls, provider.calls) == (1, 0)
        assert {text_of(body) for _, body in answers} == {"the one answer"}
        assert sorted(status.partition(";")[2][:5] for status, _ in answers) == [" fwd=", " hit;"]
        await three.settle()
        assert not far.leases

    three.run(story)


def test_who_waited_long_enough_asks_itself(mode: str, clock: Clock, far: CommonStore) -> None:
    under_test = CacheUnderTest(mode, "memory:", clock)
    under_test.open(layers=[far], lease_wait="50ms")

    async def story() -> None:
        provider = whole()
        key = _key_of(under_test, call())
        stuck = run_sync(far.lease(key, 5))
        assert (await under_test.ask(call(), provider))[0].startswith("askonce; fwd=miss")
        assert provider.calls == 1
        await under_test.settle()
        assert far.leases[stuck.key] == stuck  # type: ignore[union-attr]

    under_test.run(story)


@pytest.mark.parametrize("what", ["error", "refused", "no-store", "raised"])
def test_a_lease_goes_back_where_nothing_was_stored(
    three: CacheUnderTest, far: CommonStore, what: str
) -> None:
    scripts = {
        "error": Scripted(lambda: Script(b"{}", status=500)),
        "refused": Scripted(lambda: Script(said(choice={"finish_reason": "content_filter"}))),
        "no-store": whole(),
        "raised": Scripted(ConnectionError("gone")),
    }

    async def story() -> None:
        headers = {"cache-control": "no-store"} if what == "no-store" else {}
        try:
            await three.ask(call(headers=headers), scripts[what])
        except ConnectionError:
            assert what == "raised"
        await three.settle()
        assert ("lease" in far.asked) is (what != "no-store")
        assert not far.leases

    three.run(story)
