"""What stores guarantee to several processes that share them, each with an instance of its own."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from askonce.core.models import ChangeBatch, Entry, Key, Lease, Selection
from askonce.core.protocols import Store
from askonce.stores.context import StoreContext
from tests.fixtures.stores import SHARES, STORES, Place, Run, run_blocking

NOW = 1_750_000_000.0
KEPT = 10_000
"""Changes that every store's log holds at least."""


class Clock:
    """Time that passes only when a test moves it; the engines' own time passes by itself."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def passes(self, until: Callable[[], bool]) -> None:
        """Let time pass, here and in the engines, until something has happened; 5 s at most."""
        give_up = time.monotonic() + 5
        while not until():
            assert time.monotonic() < give_up, "it never happened"
            self.now += 0.02
            time.sleep(0.02)


class Shared(NamedTuple):
    """Two instances of one store, and two for threads: a listener and one that changes things."""

    one: Store
    other: Store
    listener: Store
    writer: Store
    clock: Clock
    elsewhere: Callable[[], Store]

    def mark(self) -> str:
        return self.changes(None).cursor

    def changes(self, since: str | None, patience: float = 0.0) -> ChangeBatch:
        """What the listener hears: news are always asked for by a thread."""
        return run_blocking(self.listener.changes(since, patience))

    def all_news(self, since: str) -> ChangeBatch:
        """All that happened until now as one, however many pieces it comes in."""
        epochs: dict[str, int] = {}
        removed: tuple[Selection, ...] = ()
        while not (news := self.changes(since)).empty:
            assert not news.lost
            epochs |= news.epochs
            removed += news.removed
            since = news.cursor
        return ChangeBatch(since, epochs, removed)


@pytest.fixture(params=sorted(SHARES))
def shared(
    request: pytest.FixtureRequest, tmp_path: Path, run: Run, context: StoreContext
) -> Iterator[Shared]:
    clock = Clock()
    opened: list[tuple[Run, Store]] = []

    def open_(place: str, *, blocking: bool = False) -> Store:
        folder = tmp_path / place
        folder.mkdir(exist_ok=True)
        blocks = context._replace(clock=clock, loop_or_process=lambda: None, suspending=False)
        here = blocks if blocking else context._replace(clock=clock)
        name = f"t{abs(hash(folder)):x}"
        store = STORES[request.param](Place(request, folder, name, here))
        opened.append((run_blocking if blocking else run, store))
        return store

    yield Shared(
        open_("here"),
        open_("here"),
        open_("here", blocking=True),
        open_("here", blocking=True),
        clock,
        lambda: open_("elsewhere", blocking=True),
    )
    for runner, store in opened:
        runner(store.close())


def key(name: str = "q") -> Key:
    return Key("team-a", "openai_chat", name.encode().ljust(32, b"."))


def entry(name: str = "q", body: bytes = b"{}", tags: tuple[tuple[str, int], ...] = ()) -> Entry:
    return Entry(key(name), body, 200, (), 0.0, NOW + 60, NOW + 60, tags=tags)


# What one does, the other sees.


def test_what_one_writes_the_other_reads(shared: Shared, run: Run) -> None:
    assert run(shared.one.write(entry())) is True
    assert run(shared.other.read(key())) == entry()
    assert run(shared.other.write(entry(body=b"newer"))) is True
    assert run(shared.one.read(key())) == entry(body=b"newer")
    assert run(shared.one.write_all([entry("a"), entry("b")])) == 2
    assert run(shared.other.read(key("a"))) == entry("a")


def test_what_one_removes_is_gone_for_the_other(shared: Shared, run: Run) -> None:
    run(shared.one.write(entry()))
    assert run(shared.other.read(key())) == entry()
    assert run(shared.one.remove(Selection(keys=(key(),)))) == 1
    assert run(shared.other.read(key())) is None


def test_what_one_bumps_ends_the_entries_of_the_other(shared: Shared, run: Run) -> None:
    asked = run(shared.one.epochs(["a", "b"]))
    assert run(shared.other.epochs(["a", "b"])) == asked
    tagged = entry(tags=tuple(asked.items()))
    assert run(shared.one.write(tagged)) is True
    assert run(shared.one.read(key())) == tagged
    bumped = run(shared.other.epochs(["b"], bump=True))
    assert run(shared.one.epochs(["a", "b"])) == {**asked, **bumped}
    assert run(shared.one.read(key())) is None
    assert run(shared.one.write(tagged)) is False
    assert run(shared.one.write_all([tagged])) == 0


def test_bumps_of_both_take_numbers_of_one_sequence(shared: Shared, run: Run) -> None:
    turns = [shared.one, shared.other, shared.other, shared.one]
    given_out = [run(store.epochs([f"t{n}"], bump=True))[f"t{n}"] for n, store in enumerate(turns)]
    assert given_out == sorted(set(given_out))


def test_what_one_learns_the_other_knows(shared: Shared, run: Run) -> None:
    learnt = run(shared.one.epochs(["a"]))["a"] + 7
    run(shared.one.merge_epochs({"a": learnt}))
    assert run(shared.other.epochs(["a"])) == {"a": learnt}
    run(shared.other.merge_epochs({"a": learnt - 3}))
    assert run(shared.one.epochs(["a"])) == {"a": learnt}


def test_tallies_and_the_pepper_belong_to_both(shared: Shared, run: Run) -> None:
    run(shared.one.counters({"hits": 2}))
    assert run(shared.other.counters({"hits": 3})) == {"hits": 5}
    assert run(shared.one.pepper()) == run(shared.other.pepper())


# News


def test_news_begin_now_and_come_once(shared: Shared, run: Run) -> None:
    run(shared.one.epochs(["before"], bump=True))
    run(shared.one.remove(Selection(namespace="before")))
    mark = shared.mark()
    assert shared.changes(mark).empty
    assert shared.changes(shared.changes(mark).cursor).empty
    bumped = run(shared.one.epochs(["a", "b"], bump=True))
    news = shared.changes(mark, 1.0)
    assert (news.epochs, news.removed, news.lost) == (bumped, (), False)
    assert shared.changes(news.cursor).empty
    assert shared.changes(mark).epochs == bumped  # an old cursor still gives the same


def test_changes_include_those_of_every_instance_and_of_the_listener(
    shared: Shared, run: Run
) -> None:
    mark = shared.mark()
    expected = run(shared.one.epochs(["a"], bump=True))
    expected |= run(shared.other.epochs(["b"], bump=True))
    expected |= run_blocking(shared.listener.epochs(["c"], bump=True))
    news = shared.all_news(mark)
    assert news.epochs == expected
    expected = run_blocking(shared.listener.epochs(["d"], bump=True))
    assert shared.changes(news.cursor).epochs == expected


def test_the_highest_epoch_of_a_tag_is_the_news(shared: Shared, run: Run) -> None:
    mark = shared.mark()
    for store in (shared.one, shared.other, shared.one):
        last = run(store.epochs(["a"], bump=True))
    assert shared.all_news(mark).epochs == last


def test_removals_are_news_in_their_order_even_if_nothing_went(shared: Shared, run: Run) -> None:
    selections = (
        Selection(namespace="team-z"),
        Selection(keys=(key("a"), key("b"))),
        Selection(expired_before=12.5, namespace="team-a"),
        Selection(),
    )
    mark = shared.mark()
    for number, selection in enumerate(selections):
        run((shared.one, shared.other)[number % 2].remove(selection))
    news = shared.all_news(mark)
    assert news.removed == selections
    assert news.epochs == {}


def test_an_entry_is_gone_before_its_removal_is_news(shared: Shared, run: Run) -> None:
    many = [entry(str(number)) for number in range(600)]
    run(shared.one.write_all(many))
    mark = shared.mark()
    assert run(shared.one.remove(Selection(namespace="team-a"))) == 600
    assert shared.all_news(mark).removed == (Selection(namespace="team-a"),)
    assert run(shared.other.read(many[-1].key)) is None


def test_writing_reading_leasing_and_learning_are_no_news(shared: Shared, run: Run) -> None:
    mark = shared.mark()
    run(shared.one.write(entry()))
    run(shared.one.read(key()))
    run(shared.one.lease(key(), 5))
    run(shared.one.merge_epochs({"a": run(shared.one.epochs(["a"]))["a"] + 1}))
    run(shared.one.counters({"hits": 1}))
    assert shared.changes(mark).empty


def test_a_removal_too_large_for_the_feed_is_not_lost_silently(shared: Shared, run: Run) -> None:
    keys = tuple(key(str(number)) for number in range(4_000))
    mark = shared.mark()
    run(shared.one.remove(Selection(keys=keys)))
    news = shared.changes(mark, 1.0)
    announced = {key for selection in news.removed for key in selection.keys or ()}
    assert news.lost or announced == set(keys)
    assert shared.changes(news.cursor).empty


@pytest.mark.parametrize("strange", ["", "0", "nonsense", "a:b:c", "-1", "999999999999999999"])
def test_a_mark_that_the_store_does_not_know_means_all_is_lost(
    shared: Shared, run: Run, strange: str
) -> None:
    run(shared.one.epochs(["a"], bump=True))
    news = shared.changes(strange)
    assert news.lost
    assert shared.changes(news.cursor).empty


def test_the_cursor_of_another_store_means_all_is_lost(shared: Shared, run: Run) -> None:
    elsewhere = shared.elsewhere()
    run_blocking(elsewhere.epochs(["a"], bump=True))
    run(shared.one.epochs(["a"], bump=True))
    assert shared.changes(run_blocking(elsewhere.changes(None, 0)).cursor).lost


@pytest.mark.parametrize("mode", ["blocking"])
def test_the_log_reaches_back_far_enough(shared: Shared) -> None:
    mark = shared.mark()

    async def bump_all() -> dict[str, int]:
        expected: dict[str, int] = {}
        for number in range(KEPT):
            expected |= await shared.listener.epochs([f"t{number % 700}"], bump=True)
        return expected

    expected = run_blocking(bump_all())
    assert shared.all_news(mark).epochs == expected


def test_a_store_that_pushes_changes_wakes_the_listener(shared: Shared) -> None:
    mark = shared.mark()
    began = time.monotonic()
    if not shared.listener.pushes_changes:
        assert shared.changes(mark, 30.0).empty
        assert time.monotonic() - began < 5  # it does not wait
        return
    bumper = threading.Timer(0.3, lambda: run_blocking(shared.writer.epochs(["a"], bump=True)))
    bumper.start()
    news = shared.changes(mark, 30.0)
    bumper.join()
    assert list(news.epochs) == ["a"]
    assert time.monotonic() - began < 10


steps = st.lists(
    st.one_of(
        st.tuples(st.just("bump"), st.sets(st.sampled_from("abcd"), min_size=1)),
        st.tuples(st.just("learn"), st.sampled_from("abcd")),
        st.tuples(st.just("remove"), st.sampled_from("xyz")),
        st.tuples(st.just("write"), st.sampled_from("xyz")),
        st.tuples(st.just("listen"), st.none()),
    ),
    max_size=25,
)


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    max_examples=40,
)
@given(steps=steps, seed=st.randoms(use_true_random=False))
def test_a_follower_of_the_feed_knows_what_the_store_knows(
    shared: Shared, run: Run, steps: list[tuple[str, Any]], seed: Any
) -> None:
    mark = shared.mark()
    known = run(shared.one.epochs("abcd"))
    heard: list[Selection] = []
    removed: list[Selection] = []

    def listen(news: ChangeBatch) -> str:
        assert not news.lost
        for tag, epoch in news.epochs.items():
            assert epoch > known[tag]  # no change comes twice
            known[tag] = epoch
        heard.extend(news.removed)
        return news.cursor

    for verb, what in steps:
        store = seed.choice((shared.one, shared.other))
        if verb == "bump":
            run(store.epochs(what, bump=True))
        elif verb == "learn":  # no news to those who know it from its source
            epoch = run(store.epochs([what]))[what] + 1
            run(store.merge_epochs({what: epoch}))
            mark = listen(shared.all_news(mark))
            known[what] = epoch
        elif verb == "remove":
            removed.append(Selection(namespace=what))
            run(store.remove(removed[-1]))
        elif verb == "write":
            run(store.write(entry(what)))
        else:
            mark = listen(shared.changes(mark))
    listen(shared.all_news(mark))
    assert known == run(shared.one.epochs("abcd"))
    assert heard == removed


# Leases


def test_one_of_two_has_the_lease_until_it_gives_it_back(shared: Shared, run: Run) -> None:
    held = run(shared.one.lease(key(), 60))
    assert run(shared.other.lease(key(), 60)) is None
    assert run(shared.one.lease(key(), 60)) is None
    assert run(shared.other.lease(key("r"), 60)) is not None
    run(shared.one.release(held))
    later = run(shared.other.lease(key(), 60))
    assert later.fence > held.fence
    run(shared.one.release(held))  # given back already: it is not its own any more
    assert run(shared.one.lease(key(), 60)) is None


def test_only_one_of_many_who_ask_at_once_has_the_lease(
    shared: Shared, run: Run, mode: str
) -> None:
    async def ask_all() -> list[Lease | None]:
        stores = [shared.one, shared.other] * 20
        return list(await asyncio.gather(*[store.lease(key(), 60) for store in stores]))

    leases = asyncio.run(ask_all()) if mode == "blocking" else run(ask_all())
    assert len([lease for lease in leases if lease is not None]) == 1


def test_a_holder_that_died_is_replaced_and_comes_too_late(shared: Shared, run: Run) -> None:
    died = run(shared.one.lease(key(), 0.2))
    taken: list[Lease] = []

    def take() -> bool:
        taken.extend(filter(None, [run(shared.other.lease(key(), 60))]))
        return bool(taken)

    assert not take()
    shared.clock.passes(take)
    assert taken[0].fence > died.fence
    run(shared.one.renew([died], 60))
    run(shared.one.release(died))
    assert run(shared.one.lease(key(), 60)) is None
    assert run(shared.one.write(entry(body=b"late"), fence=died.fence)) is False
    assert run(shared.other.read(key())) is None
    assert run(shared.other.write(entry(), fence=taken[0].fence)) is True
    assert run(shared.one.write(entry(body=b"late"), fence=died.fence)) is False
    assert run(shared.one.read(key())) == entry()


def test_a_lease_that_is_renewed_lives_on(shared: Shared, run: Run) -> None:
    held, other = run(shared.one.lease(key(), 0.3)), run(shared.one.lease(key("r"), 0.3))
    run(shared.one.renew([held], 60))
    shared.clock.passes(lambda: run(shared.other.lease(other.key, 60)) is not None)
    assert run(shared.other.lease(key(), 60)) is None
    assert run(shared.one.write(entry(), fence=held.fence)) is True


def test_a_lease_that_ended_is_not_renewed(shared: Shared, run: Run) -> None:
    held = run(shared.one.lease(key(), 60))
    run(shared.one.release(held))
    run(shared.one.renew([held], 60))
    run(shared.one.renew([], 60))
    assert run(shared.other.lease(key(), 60)) is not None


def test_the_latest_fence_is_known_after_its_lease_ended(shared: Shared, run: Run) -> None:
    """The late answer of a first holder is refused even if a second one came and went."""
    first = run(shared.one.lease(key(), 60))
    run(shared.one.release(first))
    second = run(shared.other.lease(key(), 60))
    run(shared.other.release(second))
    assert run(shared.one.write(entry(), fence=first.fence)) is False
    assert run(shared.other.write(entry(), fence=second.fence)) is True
    assert run(shared.one.write(entry(body=b"without"))) is True


# Making it


def test_both_may_make_the_store_at_once(shared: Shared, run: Run) -> None:
    made = [*run(shared.one.migrate()), *run(shared.other.migrate())]
    assert run(shared.one.migrate()) == run(shared.other.migrate()) == []
    assert len(made) == len(set(made))
    assert run(shared.one.pepper()) == run(shared.other.pepper())


def test_closing_one_leaves_the_other_well(shared: Shared, run: Run) -> None:
    run(shared.one.write(entry()))
    run(shared.one.close())
    assert run(shared.other.read(key())) == entry()
    assert run(shared.other.epochs(["a"], bump=True))
