"""What must hold between processes at the wrong moment: cancelled, forked, ill, or ending."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from askonce import AsyncCache, Cache, Layer
from askonce.core.errors import StoreError
from askonce.core.fail_open import FailOpen
from askonce.core.models import Entry, Key, Lease, Selection
from askonce.core.runtime.event_loop import AsyncRuntime, ThreadRunner
from askonce.core.runtime.threads import SyncRuntime, run_sync
from askonce.ledger.ledger import Ledger
from askonce.pipeline.texts import TextQuestion
from askonce.stores.tiered.leases import LeaseRenewal
from tests.fixtures.common_store import CommonStore
from tests.fixtures.scripted import CacheUnderTest, Clock, Script, Scripted, call, said
from tests.pipeline.test_pipeline import text_of
from tests.stores.test_tiers import entries, forget, synced, whole

TAGGED = {"askonce-tags": "policy"}


class Halting(CommonStore):
    """Stops the caller that does `what` after it took a lease: raises, or waits until `go`."""

    def __init__(self, what: str = "") -> None:
        super().__init__()
        self.what = what
        self.raises: BaseException | None = None
        self.arrived, self.go = threading.Event(), threading.Event()

    def _halt(self, what: str) -> None:
        if what == self.what and "lease" in self.asked and not self.arrived.is_set():
            self.arrived.set()
            if self.raises is not None:
                raise self.raises
            assert self.go.wait(20)

    async def read(self, key: Key) -> Entry | None:
        self._halt("read")
        return await super().read(key)

    async def lease(self, key: Key, seconds: float) -> Lease | None:
        lease = await super().lease(key, seconds)
        self._halt("lease")
        return lease


def opened(mode: str, clock: Clock, *layers: Any, **settings: Any) -> CacheUnderTest:
    under_test = CacheUnderTest(mode, "memory:", clock)
    under_test.open(layers=["memory:", *layers], **settings)
    return under_test


async def stopped(under_test: CacheUnderTest, far: Halting) -> None:
    """Ask, and be stopped where the store halts."""
    if under_test.name == "blocking":
        with pytest.raises(KeyboardInterrupt):
            await under_test.ask(call(), whole())
        return
    asking = asyncio.create_task(under_test.ask(call(), whole()))
    await under_test.until(far.arrived.is_set)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    far.go.set()


# Leases


def test_who_is_stopped_with_a_new_lease_gives_it_back(mode: str, clock: Clock) -> None:
    far = Halting("read")
    far.raises = KeyboardInterrupt() if mode == "blocking" else None
    under_test = opened(mode, clock, Layer(far, "far", deadline="10s"))

    async def story() -> None:
        await stopped(under_test, far)
        await under_test.until(lambda: not far.leases)
        renewal = under_test.cache.assembly.stack.renewal
        assert renewal is not None
        assert not renewal._held

    under_test.run(story)


@pytest.mark.parametrize("why", ["cancelled", "late"])
def test_a_lease_that_comes_when_no_caller_waits_goes_back(clock: Clock, why: str) -> None:
    far = Halting("lease")
    deadline = "10s" if why == "cancelled" else "50ms"
    under_test = opened("suspending", clock, Layer(far, "far", deadline=deadline))

    async def story() -> None:
        if why == "cancelled":
            await stopped(under_test, far)
        else:
            assert text_of((await under_test.ask(call(), whole("fine")))[1]) == "fine"
            far.go.set()
        await under_test.until(lambda: not far.leases)

    under_test.run(story)


def test_who_is_cancelled_again_and_again_gives_its_lease_back(clock: Clock) -> None:
    """Some frameworks cancel a task again at each of its awaits, until it has ended."""
    far = CommonStore()
    under_test = opened("suspending", clock, Layer(far, "far"))

    async def story() -> None:
        asked, end = asyncio.Event(), asyncio.Event()

        class Endless:
            async def ask(self, *_: Any, **__: Any) -> Any:
                asked.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    await end.wait()  # its connection takes a while to close

        asking = asyncio.create_task(under_test.answer(call(), Endless()))
        await asked.wait()
        while not asking.done():
            asking.cancel()
            await asyncio.sleep(0)
        end.set()
        await under_test.until(lambda: not far.leases)
        renewal = under_test.cache.assembly.stack.renewal
        assert renewal is not None
        assert not renewal._held
        assert len(under_test.parts.context.flights) == 0

    under_test.run(story)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def in_a_child(work: Callable[[], bool]) -> None:
    """Fork; the child does the work and says whether it went well."""
    child = os.fork()
    if child == 0:
        well = False
        try:
            well = work()
        finally:
            os._exit(0 if well else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_forked_child_does_not_prolong_its_parents_leases() -> None:
    class Renewing(CommonStore):
        renewed: set[Lease] = set()  # noqa: RUF012 - this test's own
        renewing = threading.Event()

        async def renew(self, leases: Iterable[Lease], seconds: float) -> None:
            self.renewed |= set(leases)
            self.renewing.set()

    store, runtime = Renewing(), SyncRuntime()
    renewal = LeaseRenewal(store, 5.0, runtime=runtime, boundary=FailOpen(Ledger(runtime.lock())))
    parents, childs = (Lease(Key("n", "f", bytes([n]) * 32), n) for n in (1, 2))
    renewal._held.add(parents)

    def child() -> bool:
        renewal.add(childs)
        return store.renewing.wait(10) and store.renewed == {childs}

    in_a_child(child)


# Invalidation


def test_a_tag_can_be_cached_again_after_an_invalidation_that_failed(
    mode: str, clock: Clock
) -> None:
    far = CommonStore()
    under_test = opened(mode, clock, Layer(far, "far"))

    async def story() -> None:
        far.ill = True
        with pytest.raises(StoreError):
            await under_test.parts.tiers.invalidate(["policy"])
        far.ill = False
        asked = call(headers=TAGGED)
        await under_test.ask(asked, whole("new"))
        await under_test.settle()
        assert len(entries(far)) == 1
        assert text_of((await under_test.ask(asked, whole("never")))[1]) == "new"
        assert under_test.cache.stats().not_stored == {}

    under_test.run(story)


def test_a_middle_layer_that_missed_an_invalidation_is_not_believed(
    mode: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = CommonStore(), CommonStore()
    under_test = opened(mode, clock, Layer(near, "near"), Layer(far, "far"))

    async def story() -> None:
        asked = call(headers=TAGGED)
        await synced(under_test)
        await under_test.ask(asked, whole("old"))
        await under_test.settle()
        monkeypatch.setattr("askonce.stores.tiered.coherence.BLIND_AFTER", 1e9)
        far.mute = near.ill = True
        await under_test.parts.tiers.invalidate(["policy"])
        near.ill = False
        assert text_of((await under_test.ask(asked, whole("new")))[1]) == "new"

    under_test.run(story)


@pytest.mark.parametrize("how", ["strong", "blind"])
@pytest.mark.parametrize("door", ["calls", "functions"])
def test_no_caller_joins_a_question_from_before_an_invalidation(
    mode: str, clock: Clock, how: str, door: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = CommonStore()
    consistency = "strong" if how == "strong" else "eventual"
    under_test = opened(mode, clock, Layer(far, "far"), consistency=consistency, lease_wait="10ms")

    async def story() -> None:
        far.mute = True
        if how == "blind":
            monkeypatch.setattr("askonce.stores.tiered.coherence.BLIND_AFTER", 0.0)
        going, free = threading.Event(), threading.Event()
        answers: list[str] = []
        ask = _asks(under_test) if door == "calls" else _calls(under_test)

        async def before() -> str:
            going.set()
            await under_test.until(free.is_set)
            return "old"

        async def after() -> str:
            return "new"

        async def first() -> None:
            answers.append(await ask(before))

        async def second() -> None:
            await under_test.until(going.is_set)
            run_sync(far.epochs(["policy"], bump=True))
            if under_test.name == "suspending":
                joining = asyncio.ensure_future(ask(after))
                for _ in range(2000):
                    await asyncio.sleep(0.0005)
                    if joining.done():
                        break
                free.set()
                answers.append(await joining)
                return
            opening = threading.Timer(1.0, free.set)
            opening.start()
            answers.append(await ask(after))
            free.set()
            opening.cancel()

        assert await under_test.together(first, second) == [None, None]
        assert answers == ["new", "old"]

    under_test.run(story)


Says = Callable[[], Awaitable[str]]


def _asks(under_test: CacheUnderTest) -> Callable[[Says], Awaitable[str]]:
    async def ask(says: Says) -> str:
        class Provider:
            async def ask(self, *_: Any, **__: Any) -> Script:
                return Script(said(await says()))

        return text_of((await under_test.ask(call(headers=TAGGED), Provider()))[1])

    return ask


def _calls(under_test: CacheUnderTest) -> Callable[[Says], Awaitable[str]]:
    from askonce.pipeline.functions import MemoizedFunction

    def function() -> str:
        raise NotImplementedError

    remembered = MemoizedFunction.of(
        function, namespace="n", ttl=60.0, tags=("policy",), version=""
    )
    key = remembered.key((), {})

    async def ask(says: Says) -> str:
        answer: str = await under_test.parts.functions.call(remembered, key, says)
        return answer

    return ask


@pytest.mark.parametrize("consistency", ["eventual", "strong"])
def test_a_forked_child_hears_of_removals(tmp_path: Path, consistency: Any) -> None:
    cache = Cache(f"sqlite:{tmp_path / 'c.db'}", namespace="n", consistency=consistency)
    with cache:
        cache.answer(call(), whole("old"))
        run_sync(cache.assembly.services.sync.tiers.settle())
        coherence = cache.assembly.stack.coherence
        assert coherence is not None

        def child() -> bool:
            if cache.answer(call(), whole("new")).body is None:
                return False
            run_sync(cache.assembly.stack.shared_store.remove(Selection()))  # type: ignore[union-attr]
            for _ in range(1000):
                if text_of(cache.answer(call(), whole("new")).body or b"") == "new":
                    return True
                threading.Event().wait(0.005)
            return False

        in_a_child(child)


# Threads


def test_refreshes_that_hang_hold_up_no_writing(mode: str, clock: Clock) -> None:
    far = CommonStore()
    under_test = opened(mode, clock, Layer(far, "far"), ttl="10s", stale_while_revalidate="1h")

    async def story() -> None:
        free = threading.Event()

        async def hang() -> None:
            await under_test.until(free.is_set)

        asked = [call(f"stale {number}") for number in range(8)]
        for one in asked:
            await under_test.ask(one, whole())
        await under_test.settle()
        clock.forward(11)
        try:
            for one in asked:
                await under_test.ask(one, Scripted(lambda: Script(hang, said("fresh"))))
            await under_test.ask(call("a new one"), whole())
            await under_test.until(lambda: len(entries(far)) == 9)
        finally:
            free.set()

    under_test.run(story)


_ENDING = """
import sys, threading
from askonce import Cache
from tests.fixtures.scripted import Script, Scripted, call, said
cache = Cache("sqlite:" + sys.argv[1], namespace="n")
cache.answer(call("before"), Scripted(lambda: Script(said("before"))))
main = threading.main_thread()

def late():
    main.join()
    cache.answer(call("after"), Scripted(lambda: Script(said("after"))))
    cache.close()
    print("answered")

threading.Thread(target=late).start()
"""


def test_calls_of_other_threads_go_on_when_the_main_one_has_ended(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _ENDING, str(tmp_path / "c.db")],
        capture_output=True, text=True, timeout=60, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.stdout == "answered\n", ran.stderr
    with Cache(f"sqlite:{tmp_path / 'c.db'}", namespace="n") as cache:
        assert text_of(cache.answer(call("after"), Scripted(OSError())).body or b"") == "after"


def test_a_forked_child_has_a_store_thread_of_its_own() -> None:
    thread = ThreadRunner("askonce-test")

    async def pid() -> int:
        return os.getpid()

    async def ask() -> int:
        return await asyncio.wait_for(thread(pid), 5)

    assert asyncio.run(ask()) == os.getpid()
    in_a_child(lambda: asyncio.run(ask()) == os.getpid())
    thread.close()


def test_work_that_leaves_work_behind_is_settled_too() -> None:
    runtime, done = SyncRuntime(), []

    async def last() -> None:
        threading.Event().wait(0.05)
        done.append(1)

    async def first() -> None:
        threading.Event().wait(0.05)
        runtime.run_in_background(last)

    runtime.run_in_background(first)
    run_sync(runtime.settle())
    assert done == [1]


def test_settling_in_one_event_loop_does_not_mind_the_others() -> None:
    runtime = AsyncRuntime()

    class Task:
        """Of another loop, which begins another task at this very moment."""

        def get_loop(self) -> None:
            runtime._tasks.add(Task())  # type: ignore[arg-type]

    runtime._tasks.add(Task())  # type: ignore[arg-type]
    asyncio.run(runtime.settle())


@pytest.mark.parametrize("times", [2, 5])
def test_closing_at_once_from_several_sides(mode: str, clock: Clock, times: int) -> None:
    far = CommonStore()
    under_test = opened(mode, clock, Layer(far, "far"))

    async def story() -> None:
        far.gate = threading.Event()
        await under_test.ask(call(), whole())
        began = []

        async def close() -> None:
            began.append(1)
            if len(began) == times:
                far.gate.set()  # type: ignore[union-attr]
            if isinstance(under_test.cache, AsyncCache):
                await under_test.cache.aclose()
            else:
                under_test.cache.close()

        assert await under_test.together(*[close] * times) == [None] * times
        assert len(entries(far)) == 1

    under_test.run(story)


# Texts and functions


def test_functions_count_which_layer_had_them(mode: str, clock: Clock) -> None:
    far = CommonStore()
    under_test = opened(mode, clock, Layer(far, "far"))

    async def story() -> None:
        ask = _calls(under_test)

        async def says() -> str:
            return "A."

        await ask(says)
        await under_test.settle()
        forget(under_test)
        await ask(says)
        assert under_test.cache.stats().layers["far"].hits == 1

    under_test.run(story)


@pytest.mark.parametrize("layer", ["memory", "far"])
def test_a_result_that_does_not_fit_any_more_is_computed_again(
    mode: str, clock: Clock, layer: str
) -> None:
    """The function's annotation was changed, and its version was not."""
    from askonce.pipeline.functions import MemoizedFunction

    under_test = opened(mode, clock, Layer(CommonStore(), "far"))

    async def story() -> None:
        def function() -> str:
            raise NotImplementedError

        texts = MemoizedFunction.of(function, namespace="n", ttl=60.0, tags=(), version="")
        numbers = MemoizedFunction(texts.name, texts.signature, int, "n", 60.0, ())
        key = texts.key((), {})

        async def text() -> str:
            return "A."

        async def number() -> int:
            return 7

        remembering = under_test.parts.functions
        assert await remembering.call(texts, key, text) == "A."
        await under_test.settle()
        if layer == "far":
            forget(under_test)
        assert await remembering.call(numbers, key, number) == 7

    under_test.run(story)


def test_a_text_that_could_not_be_put_is_counted(mode: str, clock: Clock) -> None:
    far = CommonStore()
    under_test = opened(mode, clock, Layer(far, "far"))

    async def story() -> None:
        question = TextQuestion("Q?", "", "n")
        far.ill = True
        assert not await under_test.parts.texts.put(question, "A.", ttl=9.0, tags=["t"])
        far.ill = False
        assert not await under_test.parts.texts.put(question, "A.", ttl=0.0, tags=[])
        assert under_test.cache.stats().not_stored == {"store-failed": 1, "ttl-zero": 1}

    under_test.run(story)
