"""What every store guarantees, guarantee by guarantee (see `askonce.protocols.Store`)."""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from askonce.core.errors import StoreError
from askonce.core.models import Entry, Key, Lease, Selection, Usage
from askonce.core.protocols import Store
from tests.contracts.folder_store import FolderStore
from tests.fixtures.stores import STORES

Run = Callable[[Coroutine[Any, Any, Any]], Any]

NOW = 1_750_000_000.0

# Hypothesis asks its examples of one fixture value; each example makes a store of its own.
with_stores = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def key(name: str = "q", namespace: str = "team-a", format_: str = "openai_chat") -> Key:
    return Key(namespace, format_, name.encode().ljust(32, b"."))


def entry(name: str = "q", **changes: Any) -> Entry:
    plain = Entry(
        key=key(name),
        body=b'{"answer": "30 days"}',
        status=200,
        headers=(("content-type", "application/json"),),
        created=0.0,  # as the clock of every store under the contract says
        expires=NOW + 60,
        stale_until=NOW + 90,
    )
    return msgspec.structs.replace(plain, **changes)


def tagged(store: Store, run: Run, *tags: str) -> tuple[tuple[str, int], ...]:
    """Tags with the epochs that they have now, as a question asked now captures them."""
    return tuple(run(store.epochs(tags)).items())


async def collect(store: Store, selection: Selection) -> list[Entry]:
    return [found async for found in store.scan(selection)]


# Reading and writing


def test_an_empty_store_has_nothing(store: Store, run: Run) -> None:
    assert run(store.read(key())) is None
    assert run(collect(store, Selection())) == []


def test_every_field_comes_back_as_it_was(store: Store, run: Run) -> None:
    written = entry(
        body=bytes(range(256)) * 20,
        status=206,
        headers=(("content-type", "text/plain"), ("x-twice", "a"), ("x-twice", "é")),
        model="gpt-5",
        origin="https://api.example.com",
        question="Wie lange? \N{SNOWMAN}\0",
        usage=Usage(10, 20, 3, 4, 5, 6, 7),
        cost_usd=Decimal("0.000123450"),
        latency_ms=412.25,
        route="/v1/chat/completions",
        asked_model="gpt-latest",
        scope=bytes(range(32)),
        tags=tagged(store, run, "policy", "doc:7"),
    )
    defaults = entry("all optional fields absent")
    assert set(msgspec.structs.asdict(written)) == {f.name for f in msgspec.structs.fields(Entry)}
    for one in (written, defaults):
        assert run(store.write(one)) is True
        read = run(store.read(one.key))
        assert read == one
        assert isinstance(read, Entry)
        assert isinstance(read.key, Key)
    cost = run(store.read(written.key)).cost_usd
    assert str(cost) == "0.000123450"  # the last digit too, which == does not see


times = st.floats(min_value=1, max_value=1e12)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_!#", min_size=1, max_size=9)
visible = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_categories=["C"]))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
entries = st.builds(
    Entry,
    key=st.builds(Key, texts.filter(bool), texts.filter(bool), st.binary(min_size=32, max_size=32)),
    body=st.one_of(
        st.binary(max_size=200), st.builds(lambda b, n: b * n, st.binary(max_size=50), st.just(99))
    ),
    status=st.integers(200, 599),
    headers=st.lists(st.tuples(names, visible), max_size=3).map(tuple),
    created=st.floats(0, 5),
    expires=times,
    stale_until=times,
    model=texts,
    origin=texts,
    question=texts,
    usage=st.none() | st.builds(Usage, *[st.integers(0, 2**53)] * 7),
    cost_usd=st.none() | st.decimals(0, 1000, places=9),
    latency_ms=times,
    tags=st.lists(st.tuples(texts, st.just(0)), max_size=3, unique_by=lambda tag: tag[0]).map(
        tuple
    ),
)


@with_stores
@given(written=entries)
def test_any_entry_survives(new_store: Callable[[], Store], run: Run, written: Entry) -> None:
    store = new_store()
    tags = tagged(store, run, *(tag for tag, _ in written.tags))
    written = msgspec.structs.replace(written, tags=tags)
    assert run(store.write(written))
    assert run(store.read(written.key)) == written


def test_the_latest_write_wins(store: Store, run: Run) -> None:
    run(store.write(entry(body=b"first", tags=tagged(store, run, "t"))))
    run(store.write(entry(body=b"second")))
    assert run(store.read(key())) == entry(body=b"second")
    assert run(collect(store, Selection())) == [entry(body=b"second")]


@pytest.mark.parametrize(
    "other",
    [
        key("r"),
        key(namespace="team-b"),
        key(namespace="Team-A"),
        key(namespace="team-a "),
        key(format_="anthropic_messages"),
        key()._replace(namespace="team-a\0", format="openai_chat"),
        key()._replace(namespace="team-", format="aopenai_chat"),
    ],
    ids=str,
)
def test_another_key_never_answers(store: Store, run: Run, other: Key) -> None:
    run(store.write(entry()))
    assert run(store.read(other)) is None
    run(store.write(entry(key=other, body=b"other")))
    assert run(store.read(key())) == entry()
    assert run(store.read(other)) == entry(key=other, body=b"other")


def test_reading_does_not_change_an_entry(store: Store, run: Run) -> None:
    run(store.write(entry()))
    assert {run(store.read(key())) for _ in range(5)} == {entry()}


# Epochs


def test_a_bump_takes_the_next_number_of_one_sequence(store: Store, run: Run) -> None:
    never = run(store.epochs(["a"]))["a"]
    assert run(store.epochs(["a", "b"])) == {"a": never, "b": never}
    first = run(store.epochs(["a"], bump=True))
    assert first["a"] > never
    second = run(store.epochs(["a", "b"], bump=True))
    assert second["a"] == second["b"] > first["a"]
    third = run(store.epochs(["b"], bump=True))
    assert third["b"] > second["b"]
    assert run(store.epochs(["b", "a", "c"])) == {**third, "a": second["a"], "c": never}
    assert run(store.epochs([])) == run(store.epochs([], bump=True)) == {}


def test_a_tag_named_twice_is_bumped_once(store: Store, run: Run) -> None:
    bumped = run(store.epochs(iter(["a", "a"]), bump=True))
    assert list(bumped) == ["a"]
    assert run(store.epochs(["a"])) == bumped


def test_an_entry_ends_when_any_of_its_tags_is_bumped(store: Store, run: Run) -> None:
    other = entry("other", tags=tagged(store, run, "c"))
    run(store.write(entry("tagged", tags=tagged(store, run, "a", "b"))))
    run(store.write(other))
    run(store.epochs(["b"], bump=True))
    assert run(store.read(key("tagged"))) is None
    assert run(store.read(key("other"))) == other
    assert run(collect(store, Selection())) == [other]


def test_an_answer_asked_before_a_bump_is_not_stored(store: Store, run: Run) -> None:
    asked = run(store.epochs(["a", "b"]))
    run(store.epochs(["a"], bump=True))
    assert run(store.write(entry(tags=tuple(asked.items())))) is False
    assert run(store.read(key())) is None
    asked = run(store.epochs(["a", "b"]))
    late = entry(tags=tuple(asked.items()))
    assert run(store.write(late)) is True
    assert run(store.read(key())) == late


def test_a_refused_write_leaves_what_was_there(store: Store, run: Run) -> None:
    late = entry(body=b"late", tags=tagged(store, run, "a"))
    run(store.write(entry(body=b"good")))
    run(store.epochs(["a"], bump=True))
    assert run(store.write(late)) is False
    assert run(store.read(key())) == entry(body=b"good")


tag = st.sampled_from("ab")
step = st.one_of(
    st.tuples(st.just("ask"), st.sets(tag)),
    st.tuples(st.just("answer"), st.integers(0, 5)),
    st.tuples(st.just("bump"), st.sets(tag, min_size=1)),
    st.tuples(st.just("read"), st.sampled_from("xy")),
    st.tuples(st.just("scan"), st.none()),
)


class Model:
    """What may be served, worked out from when each question was asked and each tag bumped."""

    def __init__(self) -> None:
        self.asked: list[Entry] = []
        self.spoiled: set[int] = set()  # places in `asked`
        self.stored: dict[Key, int] = {}

    def bump(self, tags: set[str]) -> None:
        for place, asked in enumerate(self.asked):
            if tags & {tag for tag, _ in asked.tags}:
                self.spoiled.add(place)

    def may_serve(self, found: Entry) -> bool:
        place = self.stored.get(found.key)
        return place is not None and place not in self.spoiled and self.asked[place] == found


@with_stores
@given(steps=st.lists(step, max_size=30))
def test_nothing_is_stored_or_served_after_its_invalidation(
    new_store: Callable[[], Store], run: Run, steps: list[tuple[str, Any]]
) -> None:
    run(follow(new_store(), steps))


async def follow(store: Store, steps: list[tuple[str, Any]]) -> None:
    model = Model()
    for verb, what in steps:
        if verb == "ask":
            place = len(model.asked)
            tags = tuple((await store.epochs(sorted(what))).items())
            model.asked.append(entry("xy"[place % 2], body=b"%d" % place, tags=tags))
        elif verb == "answer" and what < len(model.asked):
            answer = model.asked[what]
            assert await store.write(answer) is (what not in model.spoiled)
            if what not in model.spoiled:
                model.stored[answer.key] = what
        elif verb == "bump":
            await store.epochs(what, bump=True)
            model.bump(what)
        elif verb == "read":
            found = await store.read(key(what))
            assert found is None or model.may_serve(found)
        elif verb == "scan":
            assert all(map(model.may_serve, await collect(store, Selection())))


# Selections


SELECTIONS: dict[str, tuple[Selection, set[str]]] = {
    "everything": (Selection(), {"a", "b", "old", "stale"}),
    "one key": (Selection(keys=(key("a"),)), {"a"}),
    "keys, one unknown, one twice": (Selection(keys=(key("a"), key("z"), key("a"))), {"a"}),
    "no key at all": (Selection(keys=()), set()),
    "namespace": (Selection(namespace="team-a"), {"a", "old", "stale"}),
    "unknown namespace": (Selection(namespace="team-z"), set()),
    "expired": (Selection(expired_before=NOW), {"old", "stale"}),
    "expired long ago": (Selection(expired_before=NOW - 25), {"old"}),
    "namespace and age": (Selection(namespace="team-b", expired_before=NOW), set()),
    "keys and namespace": (
        Selection(keys=(key("a"), key("b", "team-b")), namespace="team-b"),
        {"b"},
    ),
    "keys and age": (Selection(keys=(key("a"), key("old")), expired_before=NOW), {"old"}),
}


def selectable() -> dict[str, Entry]:
    return {
        "a": entry("a"),
        "b": entry("b", key=key("b", "team-b")),
        "old": entry("old", expires=NOW - 30, stale_until=NOW - 10),
        "stale": entry("stale", expires=NOW - 20, stale_until=NOW + 10),
    }


@pytest.mark.parametrize("case", SELECTIONS)
def test_remove_takes_what_is_named_and_nothing_else(store: Store, run: Run, case: str) -> None:
    selection, named = SELECTIONS[case]
    for one in selectable().values():
        run(store.write(one))
    assert run(store.remove(selection)) == len(named)
    for name, one in selectable().items():
        assert run(store.read(one.key)) == (None if name in named else one)
    assert run(store.remove(selection)) == 0


@pytest.mark.parametrize("case", SELECTIONS)
def test_scan_finds_what_is_named_and_nothing_else(store: Store, run: Run, case: str) -> None:
    selection, named = SELECTIONS[case]
    for one in selectable().values():
        run(store.write(one))
    found = run(collect(store, selection))
    assert len(found) == len(named)
    assert set(found) == {one for name, one in selectable().items() if name in named}


def test_scan_and_remove_reach_every_one_of_many(store: Store, run: Run) -> None:
    many = {entry(str(number)) for number in range(300)}
    for one in many:
        run(store.write(one))
    found = run(collect(store, Selection()))
    assert len(found) == 300
    assert set(found) == many
    keys = tuple(one.key for one in many)
    assert len(run(collect(store, Selection(keys=keys * 2)))) == 300
    assert run(store.remove(Selection(keys=keys[:200]))) == 200
    assert run(store.remove(Selection())) == 100
    assert run(collect(store, Selection())) == []


def test_a_scan_may_be_left_early_and_leaves_the_store_usable(store: Store, run: Run) -> None:
    async def first() -> Entry:
        async for found in store.scan(Selection()):
            await store.write(entry("while scanning"))
            return found
        raise AssertionError("nothing found")

    run(store.write(entry()))
    assert run(first()) == entry()
    assert run(store.read(key("while scanning"))) is not None


# Many at once


def test_many_are_stored_by_the_same_rules_as_one(store: Store, run: Run) -> None:
    late = entry("late", tags=tagged(store, run, "a"))
    run(store.epochs(["a"], bump=True))
    tags = tagged(store, run, "a", "b")
    many = [entry(str(number), body=b"%d" % number, tags=tags) for number in range(700)]
    assert run(store.write_all([*many[:400], late, *many[400:]])) == 700
    assert set(run(collect(store, Selection()))) == set(many)
    assert run(store.read(key("late"))) is None
    run(store.epochs(["b"], bump=True))
    assert run(collect(store, Selection())) == []
    assert run(store.write_all([])) == 0


def test_of_many_for_one_key_the_last_stays(store: Store, run: Run) -> None:
    run(store.write(entry(body=b"before")))
    run(store.write_all([entry(body=b"first"), entry("r"), entry(body=b"last")]))
    assert run(store.read(key())) == entry(body=b"last")
    assert len(run(collect(store, Selection()))) == 2


# Learning from a more shared store


learners = pytest.mark.parametrize("new_store", sorted(STORES.keys() - {"folder"}), indirect=True)
"""The stores that can stand before a more shared one: more than a store's five methods."""


@learners
def test_what_is_learnt_raises_epochs_and_never_lowers_one(store: Store, run: Run) -> None:
    never = run(store.epochs(["a"]))["a"]
    before = entry("before", tags=(("a", never),))
    run(store.write(before))
    run(store.merge_epochs({"a": never + 5, "b": never + 3}))
    assert run(store.epochs(["a", "b", "c"])) == {"a": never + 5, "b": never + 3, "c": never}
    assert run(store.read(before.key)) is None
    assert run(store.write(before)) is False
    now = entry("now", tags=(("a", never + 5),))
    assert run(store.write(now)) is True
    run(store.merge_epochs({"a": never + 2, "b": never + 3}))
    run(store.merge_epochs({}))
    assert run(store.epochs(["a", "b"])) == {"a": never + 5, "b": never + 3}
    assert run(store.read(now.key)) == now


@learners
def test_a_bump_is_above_what_was_learnt(store: Store, run: Run) -> None:
    learnt = run(store.epochs(["a"]))["a"] + 1_000_000
    run(store.merge_epochs({"a": learnt}))
    assert run(store.epochs(["a", "b"], bump=True))["b"] > learnt
    assert run(store.epochs(["a"]))["a"] > learnt


def test_a_store_that_cannot_learn_says_so(tmp_path: Path, run: Run) -> None:
    with pytest.raises(StoreError):
        run(FolderStore(tmp_path).merge_epochs({"a": 1}))


# Leases


def test_the_holder_of_a_lease_may_write(store: Store, run: Run) -> None:
    lease = run(store.lease(key(), 5))
    assert isinstance(lease, Lease)
    assert lease.key == key()
    run(store.renew([lease], 5))
    assert run(store.write(entry(), fence=lease.fence)) is True
    run(store.release(lease))
    assert run(store.read(key())) == entry()
    assert run(store.lease(key(), 5)) is not None


def test_a_lease_is_of_one_key(store: Store, run: Run) -> None:
    others = [key("r"), key(namespace="team-b"), key(format_="anthropic_messages")]
    for one in (key(), *others):
        assert run(store.lease(one, 5)).key == one


# The rest


def test_what_a_store_needs_is_made_once(store: Store, run: Run) -> None:
    for line in run(store.migrate()):
        assert isinstance(line, str)
        assert "\n" not in line
    run(store.write(entry()))
    assert run(store.migrate()) == []
    assert run(store.read(key())) == entry()


def test_tallies_add_up(store: Store, run: Run) -> None:
    assert run(store.counters({})) == {}
    assert run(store.counters({"hits": 2, "misses": 1})) == {"hits": 2, "misses": 1}
    assert run(store.counters({"hits": 40})) == {"hits": 42, "misses": 1}
    assert run(store.counters({})) == {"hits": 42, "misses": 1}


def test_a_book_of_many_tallies_is_read_apart(store: Store, run: Run) -> None:
    assert run(store.counters({"hits": 2, "|day|1|é|x": 3, "|day|2|x": 4, "|e": 5, "}": 1})) == {
        "hits": 2,
        "}": 1,
    }
    assert run(store.counters({}, "|day|1|")) == {"|day|1|é|x": 3}
    assert run(store.counters({"|day|1|é|x": -1, "|day|3|x": 1}, "|day|")) == {
        "|day|1|é|x": 2,
        "|day|2|x": 4,
        "|day|3|x": 1,
    }
    assert run(store.counters({}, "hi")) == {"hits": 2}
    run(store.counters({"|day|1|é|x": -2, "|day|2|x": -4, "|day|3|x": -1}))
    assert run(store.counters({}, "|")) == {"|e": 5}
    assert run(store.counters({"|day|2|x": 7}, "|day")) == {"|day|2|x": 7}


def test_the_pepper_is_32_bytes_and_stays(new_store: Callable[[], Store], run: Run) -> None:
    store = new_store()
    pepper = run(store.pepper())
    assert len(pepper) == 32
    assert run(store.pepper()) == pepper
    assert run(new_store().pepper()) != pepper


def test_a_pepper_is_adopted_by_a_store_that_keeps_nothing_yet(store: Store, run: Run) -> None:
    assert run(store.adopt(run(store.pepper()))) is True
    other = bytes(range(32))
    adopted = run(store.adopt(other))
    assert (run(store.pepper()) == other) is adopted
    assert run(store.adopt(b"too short")) is False
    run(store.write(entry()))
    before = run(store.pepper())
    assert run(store.adopt(bytes(32))) is False
    assert run(store.pepper()) == before


@pytest.mark.parametrize("fix", [False, True])
def test_check_finds_nothing_wrong_and_takes_nothing(store: Store, run: Run, fix: bool) -> None:
    written = {entry(str(number)) for number in range(5)}
    for one in written:
        run(store.write(one))
    assert run(store.check(fix=fix)) == []
    assert set(run(collect(store, Selection()))) == written


def test_calls_that_overlap_do_not_mix(store: Store, run: Run, mode: str) -> None:
    async def one(number: int) -> None:
        written = entry(str(number), body=b"%d" % number)
        await store.write(written)
        assert await store.read(written.key) == written

    async def all_at_once() -> None:
        await asyncio.gather(*map(one, range(50)))

    # In either mode several tasks may call a store; a blocking one ends each call at once.
    asyncio.run(all_at_once()) if mode == "blocking" else run(all_at_once())


def test_closing_twice_is_harmless(store: Store, run: Run) -> None:
    run(store.write(entry()))
    run(store.close())
    run(store.close())
